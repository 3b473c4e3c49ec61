/**
 * JSON with sorted keys and no spaces, so that the same facts always give the same bytes. `undefined` members are left
 * out, as JSON.stringify does; what JSON can't hold (functions, bigints) throws a TypeError.
 */
export function canonicalJson(value: unknown): string {
  if (Array.isArray(value))
    return `[${value.map((item) => canonicalJson(item === undefined ? null : item)).join(',')}]`;
  if (typeof value === 'object' && value !== null) {
    const members = Object.entries(value)
      .filter(([, member]) => member !== undefined)
      .sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0))
      .map(([key, member]) => `${JSON.stringify(key)}:${canonicalJson(member)}`);
    return `{${members.join(',')}}`;
  }
  const json = JSON.stringify(value);
  if (json === undefined) throw new TypeError(`can't be written as JSON: ${typeof value}`);
  return json;
}
