import type { AuditEntry } from '../types.ts';

/** A place outside the store that takes entries and gives none back. */
export interface AuditSink {
  /** What it is and where, for example "file:/var/log/shipmate/audit.jsonl". Its progress is kept under this name. */
  readonly name: string;
  /**
   * Resolves only when the sink has taken all entries; after an error it may have taken some. Called anew only when the
   * call before has ended. Throws for whatever went wrong.
   */
  write(entries: readonly AuditEntry[]): Promise<void>;
  /** Ends a write that still runs, with an error where it can't end well. */
  close(): Promise<void>;
}
