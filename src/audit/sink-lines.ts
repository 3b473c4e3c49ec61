import type { AuditEntry } from './types.ts';

/** What one line of a sink's file holds. */
export interface SinkLine {
  /** From 1. */
  number: number;
  entries: AuditEntry[];
  /** Something began like an entry and is none: a line that was cut, or two that ran into each other. */
  half: boolean;
}

/** An entry has at most some 40 KB; whatever wraps it may escape it twice. */
const MAX_LINE_BYTES = 1_048_576;
/** Braces that begin no JSON, in one line, before the rest of it is given up. */
const MAX_TRIES = 64;
/** Each object, list or text within another counts: deep enough for a collector that wraps what a collector wrapped. */
const MAX_DEPTH = 8;

/**
 * Reads a file of JSON lines, or what a syslog server or a log collector made of them: the JSON anywhere in the line, also
 * within other JSON. Lines that are not about an entry have none. Holds one line at a time; of one beyond 1 MiB it says
 * that it is half.
 */
export async function* sinkLines(chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<SinkLine> {
  let number = 0;
  for await (const bytes of splitLines(chunks)) {
    number += 1;
    yield { number, ...(bytes === null ? { entries: [], half: true } : read(bytes.toString('utf8'))) };
  }
}

/** Lines without their end; null for one that is too long. */
async function* splitLines(
  chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<Buffer | null, void, undefined> {
  let pending: Buffer[] = [];
  let size = 0;
  const take = (): Buffer | null => {
    const line = size > MAX_LINE_BYTES ? null : Buffer.concat(pending);
    pending = [];
    size = 0;
    return line;
  };
  for await (const chunk of chunks) {
    let rest = Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength);
    for (let end = rest.indexOf(0x0a); end >= 0; end = rest.indexOf(0x0a)) {
      pending.push(rest.subarray(0, end));
      size += end;
      yield take();
      rest = rest.subarray(end + 1);
    }
    size += rest.length;
    if (size > MAX_LINE_BYTES) pending = [];
    else if (rest.length > 0) pending.push(rest);
  }
  if (size > 0) yield take();
}

function read(line: string): { entries: AuditEntry[]; half: boolean } {
  const { entries, rest } = search(line, 0);
  const begun = entries.length === 0 ? /prevHash|\{\\*"action\\*":|shipmate@32473/ : /"prevHash"|\{"action":/;
  return { entries, half: begun.test(rest) };
}

/** Entries in a text, in order, and the text around them. */
function search(text: string, depth: number): { entries: AuditEntry[]; rest: string } {
  const entries: AuditEntry[] = [];
  let rest = '';
  let after = 0;
  let tries = 0;
  for (let start = text.indexOf('{'); start >= 0 && tries < MAX_TRIES; ) {
    const end = closing(text, start);
    const value = end < 0 ? undefined : parsed(text.slice(start, end));
    const found = value === undefined ? [] : within(value, depth);
    if (found.length > 0) {
      entries.push(...found);
      rest += text.slice(after, start);
      after = end;
    } else if (value === undefined) tries += 1;
    // Of what is JSON nothing is looked at twice: what somebody typed into an entry is no entry.
    start = text.indexOf('{', value === undefined ? start + 1 : end);
  }
  return { entries, rest: rest + text.slice(after) };
}

function within(value: unknown, depth: number): AuditEntry[] {
  if (isEntry(value)) return [value];
  if (depth >= MAX_DEPTH) return [];
  if (typeof value === 'string') return value.includes('{') ? search(value, depth + 1).entries : [];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap((member) => within(member, depth + 1));
}

function isEntry(value: unknown): value is AuditEntry {
  if (typeof value !== 'object' || value === null) return false;
  const { action, hash, prevHash, seq } = value as Partial<Record<keyof AuditEntry, unknown>>;
  return (
    typeof seq === 'number' && typeof hash === 'string' && typeof prevHash === 'string' && typeof action === 'string'
  );
}

/** Index behind the brace that closes the one at `start`; -1 when there is none. */
function closing(text: string, start: number): number {
  let open = 0;
  let quoted = false;
  for (let index = start; index < text.length; index += 1) {
    const character = text[index];
    if (quoted) {
      if (character === '\\') index += 1;
      else if (character === '"') quoted = false;
    } else if (character === '"') quoted = true;
    else if (character === '{') open += 1;
    else if (character === '}') {
      open -= 1;
      if (open === 0) return index + 1;
    }
  }
  return -1;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
