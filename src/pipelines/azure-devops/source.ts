import type { Version } from '../types.ts';

/** Where versions of one form come from. */
export interface Source {
  /** Newest first; `limit` is how many are needed at least, where more cost more. */
  all(limit: number | null): Promise<Version[]>;
  /** The version with exactly this name, asked anew. */
  exact(name: string): Promise<Version | null>;
  /** What to say when there is none. */
  none: string;
}
