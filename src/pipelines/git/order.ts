import type { Version } from '../types.ts';

interface Parsed {
  numbers: number[];
  /** Parts of the pre-release; none is newer than any. */
  pre: string[];
}

/** The version in a tag's name: "1.2.3", "v1.2.3-rc.1", "storefront/2.0"; null when there is none. */
function parse(name: string): Parsed | null {
  const match =
    /(?:^|[^0-9A-Za-z.]|(?:^|[^A-Za-z])v)(\d{1,9}(?:\.\d{1,9}){1,3})(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$/.exec(
      name,
    );
  if (!match) return null;
  return { numbers: (match[1] ?? '').split('.').map(Number), pre: match[2]?.split('.') ?? [] };
}

/** Precedence of pre-release parts as semver.org 2.0.0 has it in rule 11. */
function comparePre(a: readonly string[], b: readonly string[]): number {
  if (a.length === 0 || b.length === 0) return Number(a.length === 0) - Number(b.length === 0);
  for (let index = 0; index < Math.max(a.length, b.length); index += 1) {
    const [left, right] = [a[index], b[index]];
    if (left === undefined || right === undefined) return left === undefined ? -1 : 1;
    if (left === right) continue;
    const [leftNumeric, rightNumeric] = [/^\d+$/.test(left), /^\d+$/.test(right)];
    if (leftNumeric && rightNumeric) return Number(left) - Number(right);
    if (leftNumeric !== rightNumeric) return leftNumeric ? -1 : 1;
    return left < right ? -1 : 1;
  }
  return 0;
}

function compareParsed(a: Parsed, b: Parsed): number {
  for (let index = 0; index < 4; index += 1) {
    const difference = (a.numbers[index] ?? 0) - (b.numbers[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return comparePre(a.pre, b.pre);
}

/** Newest first: numbered versions by their number, then all others by their date; equal ones by name. */
export function newestFirst(versions: readonly Version[]): Version[] {
  const parsed = new Map(versions.map((version) => [version, parse(version.name)]));
  return [...versions].sort((a, b) => {
    const [left, right] = [parsed.get(a) ?? null, parsed.get(b) ?? null];
    if ((left === null) !== (right === null)) return left === null ? 1 : -1;
    const byNumber = left !== null && right !== null ? compareParsed(right, left) : 0;
    if (byNumber !== 0) return byNumber;
    const byDate = Date.parse(b.createdAt ?? '') - Date.parse(a.createdAt ?? '');
    return byDate || (a.name < b.name ? 1 : -1);
  });
}
