/**
 * JSON that PostgreSQL's jsonb takes: it refuses NUL and lone surrogates, and what programs print, commit subjects and
 * chat hold may have either. Both become U+FFFD.
 */
export function storable(value: unknown): string {
  return JSON.stringify(value, (_key, member: unknown) =>
    typeof member === 'string' ? member.toWellFormed().replaceAll('\0', '\ufffd') : member,
  );
}
