import type { Directory } from '../types.ts';

export interface StaticPerson {
  /** Entra object id. */
  id: string;
  /** Group ids. */
  groups: readonly string[];
}

/** A fixed list of people, for the playground and for tiny teams. */
export function createStaticDirectory(people: readonly StaticPerson[]): Directory {
  const byId = new Map(people.map(({ groups, id }) => [id.toLowerCase(), new Set(groups)]));
  return {
    kind: 'static',
    memberOf: async (person, groups) => {
      const mine = byId.get(person.id.toLowerCase());
      return new Set(groups.filter((group) => mine?.has(group)));
    },
    size: async (group) => [...byId.values()].filter((groups) => groups.has(group)).length,
    check: async () =>
      byId.size === 0 ? [{ level: 'error', message: 'The list of people is empty, so nobody may do anything.' }] : [],
  };
}
