/**
 * What changed between two normalised configurations, one line each, like "environments.production.approve: leads → sec".
 * At most 50 lines; values are cut, since they go into the audit.
 */
export function diffConfig(before: unknown, after: unknown): string[] {
  const lines: string[] = [];
  compare(before, after, '', lines);
  return lines.length > 50 ? [...lines.slice(0, 49), `and ${lines.length - 49} more`] : lines;
}

function compare(before: unknown, after: unknown, at: string, lines: string[]): void {
  if (JSON.stringify(before) === JSON.stringify(after)) return;
  if (isRecord(before) && isRecord(after)) {
    for (const key of new Set([...Object.keys(before), ...Object.keys(after)]))
      compare(before[key], after[key], at === '' ? key : `${at}.${key}`, lines);
    return;
  }
  if (before === undefined) lines.push(`${at}: added ${short(after)}`);
  else if (after === undefined) lines.push(`${at}: removed ${short(before)}`);
  else lines.push(`${at}: ${short(before)} \u2192 ${short(after)}`);
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function short(value: unknown): string {
  const text = JSON.stringify(value) ?? '';
  return text.length > 80 ? `${text.slice(0, 79)}\u2026` : text;
}
