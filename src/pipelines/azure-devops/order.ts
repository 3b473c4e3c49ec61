/** Orders and selects the names of tags. */

interface Numbered {
  numbers: number[];
  /** Parts of the pre-release; none is newer than any. */
  pre: string[];
}

/** The version in "1.2.3", "v1.2.3-rc.1" or "storefront/2.0"; null when there is none. */
function read(name: string): Numbered | null {
  const last = name.slice(name.lastIndexOf('/') + 1);
  const match = /^v?(\d{1,9}(?:\.\d{1,9}){0,3})(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$/i.exec(last);
  if (!match) return null;
  return { numbers: (match[1] ?? '').split('.').map(Number), pre: match[2]?.split('.') ?? [] };
}

/** Precedence of pre-releases: semver.org 2.0.0, rule 11. */
function comparePre(a: readonly string[], b: readonly string[]): number {
  if (a.length === 0 || b.length === 0) return Number(a.length === 0) - Number(b.length === 0);
  for (let index = 0; index < Math.max(a.length, b.length); index += 1) {
    const [left, right] = [a[index], b[index]];
    if (left === undefined || right === undefined) return left === undefined ? -1 : 1;
    if (left === right) continue;
    const [leftNumeric, rightNumeric] = [/^\d+$/.test(left), /^\d+$/.test(right)];
    if (leftNumeric && rightNumeric) return Number(left) - Number(right) || 0;
    if (leftNumeric !== rightNumeric) return leftNumeric ? -1 : 1;
    return left < right ? -1 : 1;
  }
  return 0;
}

/** Newest first by number; names without one come last, by name: the vendor's lists of tags have no dates. */
export function newestFirst<T extends { name: string }>(versions: readonly T[]): T[] {
  const numbered = new Map(versions.map((version) => [version, read(version.name)]));
  return [...versions].sort((a, b) => {
    const [left, right] = [numbered.get(a) ?? null, numbered.get(b) ?? null];
    if (left === null || right === null)
      return Number(left === null) - Number(right === null) || (a.name < b.name ? 1 : -1);
    for (let index = 0; index < 4; index += 1) {
      const difference = (right.numbers[index] ?? 0) - (left.numbers[index] ?? 0);
      if (difference !== 0) return difference;
    }
    return comparePre(right.pre, left.pre) || (a.name < b.name ? 1 : -1);
  });
}

/** A pattern with * and ? as a test of whole names. */
export function nameMatcher(pattern: string): (name: string) => boolean {
  const source = [...pattern].map((char) => {
    if (char === '*') return '.*';
    return char === '?' ? '.' : char.replace(/[\\^$.+()[\]{}|]/g, '\\$&');
  });
  const expression = new RegExp(`^${source.join('')}$`, 'su');
  return (name) => expression.test(name);
}
