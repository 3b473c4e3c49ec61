import type { Person } from '../access/types.ts';

/** Answers which groups a person is in, transitively. */
export interface Directory {
  readonly kind: string;
  /**
   * The subset of `groups` (object ids) that the person belongs to. A person the directory does not know belongs to
   * none. `fresh` skips every cache; without it an answer may be up to five minutes old.
   * @throws DirectoryError when the directory cannot answer; the caller denies.
   */
  memberOf(person: Person, groups: readonly string[], options?: { fresh?: boolean }): Promise<ReadonlySet<string>>;
  /** One finding per thing that is wrong, for `shipmate check --online`; empty when all is well. */
  check(): Promise<readonly { level: 'error' | 'warning'; message: string }[]>;
}
