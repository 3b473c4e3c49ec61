/** Numbers of a version, with what follows them; null when a name has none: "v1.2.3-rc.1", "storefront/2.0". */
function parse(name: string): { numbers: number[]; pre: string } | null {
  const match =
    /^v?(\d{1,9})()$/.exec(name) ??
    /(?:^|[^0-9A-Za-z.])v?(\d{1,9}(?:\.\d{1,9}){1,3})(?:-([0-9A-Za-z.-]+))?(?:\+[0-9A-Za-z.-]+)?$/.exec(name);
  return match === null ? null : { numbers: (match[1] ?? '').split('.').map(Number), pre: match[2] ?? '' };
}

/** For sorting names of versions, newest first: by number where there is one, a pre-release before its release. */
export function newestFirst(a: string, b: string): number {
  const [left, right] = [parse(a), parse(b)];
  if (left === null || right === null) {
    if (left === right) return a < b ? 1 : a > b ? -1 : 0;
    return left === null ? 1 : -1;
  }
  for (let index = 0; index < 4; index += 1) {
    const difference = (right.numbers[index] ?? 0) - (left.numbers[index] ?? 0);
    if (difference !== 0) return difference;
  }
  if (left.pre === right.pre) return 0;
  if (left.pre === '' || right.pre === '') return left.pre === '' ? -1 : 1;
  return right.pre.localeCompare(left.pre, 'en', { numeric: true });
}
