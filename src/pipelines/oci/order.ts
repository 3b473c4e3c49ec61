interface Parsed {
  numbers: number[];
  /** Parts of the pre-release; none is newer than any. */
  pre: string[];
}

/** The version in a tag: "1.2.3", "v1.2", "2.0.0-rc.1"; null when it is none. A tag has no "+": builds are told by "_". */
function parse(tag: string): Parsed | null {
  const match = /^v?(\d{1,9}(?:\.\d{1,9}){0,3})(?:-([0-9A-Za-z.-]+))?(?:_[0-9A-Za-z._-]+)?$/.exec(tag);
  if (!match) return null;
  const numbers = (match[1] ?? '').split('.').map(Number);
  // "20250101" and "7" are dates, builds or commits: not to be told from versions by their form.
  return numbers.length === 1 ? null : { numbers, pre: match[2]?.split('.') ?? [] };
}

export function isVersion(tag: string): boolean {
  return parse(tag) !== null;
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

/** Tags that are versions, the highest first. */
export function highestFirst(tags: readonly string[]): string[] {
  const parsed = tags.flatMap((tag) => {
    const version = parse(tag);
    return version === null ? [] : [{ tag, version }];
  });
  return parsed
    .sort((a, b) => {
      for (let index = 0; index < 4; index += 1) {
        const difference = (b.version.numbers[index] ?? 0) - (a.version.numbers[index] ?? 0);
        if (difference !== 0) return difference;
      }
      return comparePre(b.version.pre, a.version.pre) || (a.tag < b.tag ? 1 : -1);
    })
    .map(({ tag }) => tag);
}
