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
  /**
   * Whether the directory itself knows the person as a guest, beside what the channel said. Left out by a directory that
   * knows no guests. `fresh` as above.
   * @throws DirectoryError when the directory cannot answer; the caller denies.
   */
  isGuest?(person: Person, options?: { fresh?: boolean }): Promise<boolean>;
  /**
   * How many people are in a group, transitively; null when there is no such group. For `shipmate check --online`.
   * @throws DirectoryError when the directory cannot answer
   */
  size(group: string): Promise<number | null>;
  /** One finding per thing that is wrong, for `shipmate check --online`; empty when all is well. */
  check(): Promise<readonly { level: 'error' | 'warning'; message: string }[]>;
}
