import type { Directory } from '../directory/types.ts';
import { allGroups, decide, groupsFor, rightsOf, strangerCode, unreachable } from './decide.ts';
import type { AccessPolicy, Authoriser } from './types.ts';

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
  return {
    async authorise(person, request, options) {
      const current = policy();
      const groups = groupsFor(current, request);
      // A stranger, or something nobody may do, needs no directory.
      if (groups.length === 0 || strangerCode(current, person) !== null)
        return decide(current, person, request, new Set());
      try {
        return decide(current, person, request, await directory.memberOf(person, groups, options));
      } catch (error) {
        onFailure(error);
        return unreachable(UNREACHABLE);
      }
    },
    async rights(person) {
      const current = policy();
      const stranger = strangerCode(current, person) !== null;
      const memberOf = stranger ? new Set<string>() : await directory.memberOf(person, allGroups(current));
      return rightsOf(current, person, places(), memberOf);
    },
  };
}
