import { canonicalJson } from './canonical.ts';
import type { AuditEntry } from './types.ts';

/** One entry as one line of JSON, without a line break. */
export function toJsonl(entry: AuditEntry): string {
  return canonicalJson(entry);
}

const COLUMNS = [
  ['seq', (entry) => String(entry.seq)],
  ['at', (entry) => entry.at],
  ['actorId', (entry) => entry.actor.id],
  ['actorTenant', (entry) => entry.actor.tenantId],
  ['actorName', (entry) => entry.actor.name],
  ['action', (entry) => entry.action],
  ['outcome', (entry) => entry.outcome],
  ['code', (entry) => entry.code],
  ['service', (entry) => entry.service ?? ''],
  ['environment', (entry) => entry.environment ?? ''],
  ['version', (entry) => entry.version ?? ''],
  ['deployment', (entry) => entry.deployment ?? ''],
  ['conversation', (entry) => entry.conversation ?? ''],
  ['digest', (entry) => entry.digest ?? ''],
  ['run', (entry) => entry.run ?? ''],
  ['details', (entry) => (entry.details ? canonicalJson(entry.details) : '')],
  ['prevHash', (entry) => entry.prevHash],
  ['hash', (entry) => entry.hash],
] as const satisfies readonly (readonly [string, (entry: AuditEntry) => string])[];

export const CSV_HEADER = COLUMNS.map(([name]) => name).join(',');

/** One entry as one CSV line (RFC 4180). A cell that a spreadsheet would take for a formula gets an apostrophe before it. */
export function toCsv(entry: AuditEntry): string {
  return COLUMNS.map(([, read]) => cell(read(entry))).join(',');
}

function cell(text: string): string {
  // Full-width forms too: some locales' spreadsheets take them for the plain ones. Blanks before them are skipped.
  const safe = /^\s*[=+\-@\uff1d\uff0b\uff0d\uff20]|^[\t\r\n]/.test(text) ? `'${text}` : text;
  return /[",\r\n]/.test(safe) ? `"${safe.replaceAll('"', '""')}"` : safe;
}
