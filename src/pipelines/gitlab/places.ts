import { isValid } from '../requests.ts';

/** The names of environments here and there. */
export interface PlaceNames {
  theirs(environment: string): string;
  /** Null for a place that has no name here. */
  ours(environment: string): string | null;
}

export function createPlaces(environments: Readonly<Record<string, string>>): PlaceNames {
  return {
    theirs: (name) => (Object.hasOwn(environments, name) ? (environments[name] ?? name) : name),
    ours(name) {
      const mapped = Object.entries(environments).find(([, theirs]) => theirs === name);
      if (mapped) return mapped[0];
      // "production" there is not ours, when ours is called "live" there.
      return Object.hasOwn(environments, name) || !isValid('environment', name) ? null : name;
    },
  };
}

/** A project's place in the API: its number, or its path as one part (docs.gitlab.com/api/rest, "Namespaced paths"). */
export function projectPath(project: string): string {
  return `/projects/${encodeURIComponent(project)}`;
}
