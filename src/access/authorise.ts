import type { Directory } from '../directory/types.ts';
import { allGroups, decide, groupsFor, rightsOf, strangerCode, unreachable } from './decide.ts';
import type { AccessPolicy, Authoriser, Person } from './types.ts';

export interface AuthoriserDeps {
  /** Asked at every decision: the configuration may change. */
  policy: () => AccessPolicy;
  directory: Directory;
  places: () => readonly { service: string; environment: string }[];
  /** Told of every directory failure. */
  onFailure: (error: unknown) => void;
}

const UNREACHABLE = 'I could not ask the directory in which groups you are, so the answer is no.';

/** Joins the pure decision with the directory. Fails closed. */
export function createAuthoriser({ directory, onFailure, places, policy }: AuthoriserDeps): Authoriser {
  /** Groups and, where the directory knows, whether this is a guest; both at once, since people wait. */
  const ask = async (person: Person, groups: readonly string[], options?: { fresh?: boolean }) => {
    const [memberOf, guest] = await Promise.all([
      directory.memberOf(person, groups, options),
      directory.isGuest?.(person, options) ?? false,
    ]);
    return { memberOf, known: guest ? { ...person, guest } : person };
  };
  return {
    async authorise(person, request, options) {
      const current = policy();
      const groups = groupsFor(current, request);
      // A stranger, or something nobody may do, needs no directory.
      if (groups.length === 0 || strangerCode(current, person) !== null)
        return decide(current, person, request, new Set());
      try {
        const { known, memberOf } = await ask(person, groups, options);
        return decide(current, known, request, memberOf);
      } catch (error) {
        onFailure(error);
        return unreachable(UNREACHABLE);
      }
    },
    async rights(person) {
      const current = policy();
      if (strangerCode(current, person) !== null) return rightsOf(current, person, places(), new Set());
      const { known, memberOf } = await ask(person, allGroups(current));
      return rightsOf(current, known, places(), memberOf);
    },
  };
}
