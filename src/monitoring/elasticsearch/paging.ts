import { z } from 'zod';
import { ShipmateError } from '../../errors.ts';
import { HttpError } from '../../http.ts';
import type { LogLine, LogPage, LogQuery } from '../types.ts';

/** A line with its place. */
export interface Entry {
  /** Nanoseconds since 1970. */
  ns: bigint;
  /** Which of the lines of this moment it is; the same whenever it is read. */
  id: string;
  line: LogLine;
}

/** Nanoseconds since 1970; `from` is in it, `to` is not. */
export interface Range {
  from: bigint;
  to: bigint;
}

/** What paging needs of a system that keeps lines by their time, many of which may have the same one. */
export interface Reader {
  /**
   * The newest (backward) or oldest (forward) entries of a range, oldest first both times. `full`: they are as many as
   * were asked for, or as could be had at once, so that there may be more.
   */
  read(range: Range, direction: 'backward' | 'forward', limit: number): Promise<{ entries: Entry[]; full: boolean }>;
  /** Every entry of one moment, in an order that stays. */
  at(ns: bigint): Promise<Entry[]>;
}

/**
 * Where a page ends. Without an id: older is what is before `ns`, newer is what is at `ns` or after. With one, the line
 * of that id at `ns` is the border, and was shown.
 */
interface Place {
  to: 'older' | 'newer';
  ns: bigint;
  id?: string | undefined;
}

const cursorShape = z.strictObject({
  to: z.enum(['older', 'newer']),
  ns: z.string().regex(/^\d{1,18}$|^[1-8]\d{18}$/),
  id: z
    .string()
    .regex(/^[\w.-]{1,40}$/)
    .optional(),
});

function writeCursor({ id, ns, to }: Place): string {
  return Buffer.from(JSON.stringify({ to, ns: String(ns), ...(id === undefined ? {} : { id }) })).toString('base64url');
}

/** @throws ShipmateError ARGUMENT_INVALID */
function readCursor(text: string): Place {
  try {
    const { ns, ...place } = cursorShape.parse(
      JSON.parse(Buffer.from(text.slice(0, 500), 'base64url').toString('utf8')),
    );
    return { ...place, ns: BigInt(ns) };
  } catch (cause) {
    throw new ShipmateError('ARGUMENT_INVALID', 'This page of the logs can’t be found again. Ask for the logs anew.', {
      cause,
    });
  }
}

const MILLION = 1_000_000n;

/**
 * The range of a query.
 * @throws ShipmateError ARGUMENT_INVALID
 */
export function rangeOf({ since, until }: Pick<LogQuery, 'since' | 'until'>): Range {
  const [from, to] = [Date.parse(since), Date.parse(until)];
  if (Number.isNaN(from) || Number.isNaN(to) || from < 0)
    throw new ShipmateError(
      'ARGUMENT_INVALID',
      'The time range of the logs is not valid. Give times such as 15m or 2h.',
    );
  return { from: BigInt(from) * MILLION, to: BigInt(to) * MILLION };
}

/** ISO 8601 in milliseconds; empty for a time that is none. */
export function isoTime(ns: bigint): string {
  const ms = Number(ns / MILLION);
  return Math.abs(ms) > 8.64e15 ? '' : new Date(ms).toISOString();
}

interface Piece {
  entries: Entry[];
  /** Where it goes on; null at the end. */
  next: Place | null;
}

/** At most `want` entries before a place. */
async function before(reader: Reader, range: Range, start: Place | null, want: number): Promise<Piece> {
  const inside = start !== null && start.ns < range.to;
  const to = inside ? start.ns : range.to;
  let rest: Entry[] = [];
  if (inside && start.id !== undefined && start.ns >= range.from) {
    const group = await reader.at(start.ns);
    rest = group.slice(
      0,
      Math.max(
        0,
        group.findIndex(({ id }) => id === start.id),
      ),
    );
  }
  if (rest.length > want) {
    const entries = rest.slice(-want);
    return { entries, next: { to: 'older', ns: to, id: entries[0]?.id } };
  }
  const { entries, full } = await reader.read({ from: range.from, to }, 'backward', want - rest.length + 1);
  if (!full) return { entries: [...entries, ...rest], next: null };
  // One more was asked for, to see whether the border goes through lines of one moment.
  const [extra, ...kept] = entries;
  const border = kept[0]?.ns;
  if (border === undefined) return { entries: rest, next: { to: 'older', ns: to } };
  if (extra?.ns !== border) return { entries: [...kept, ...rest], next: { to: 'older', ns: border } };
  const whole = kept.filter(({ ns }) => ns !== border);
  const group = await reader.at(border);
  const part = group.slice(whole.length - kept.length);
  const first = part.length < group.length ? part[0]?.id : undefined;
  return { entries: [...part, ...whole, ...rest], next: { to: 'older', ns: border, id: first } };
}

/** At most `want` entries after a place. */
async function after(reader: Reader, range: Range, start: Place, want: number): Promise<Piece> {
  const inside = start.ns >= range.from;
  const known = inside && start.id !== undefined;
  const from = known ? start.ns + 1n : inside ? start.ns : range.from;
  let rest: Entry[] = [];
  if (known && start.ns < range.to) {
    const group = await reader.at(start.ns);
    const index = group.findIndex(({ id }) => id === start.id);
    rest = index < 0 ? [] : group.slice(index + 1);
  }
  const place = (entry: Entry | undefined): Place => (entry ? { to: 'newer', ns: entry.ns, id: entry.id } : start);
  if (rest.length > want) return { entries: rest.slice(0, want), next: place(rest[want - 1]) };
  const { entries, full } = await reader.read({ from, to: range.to }, 'forward', want - rest.length + 1);
  if (!full) return { entries: [...rest, ...entries], next: null };
  const kept = entries.slice(0, -1);
  const border = kept.at(-1)?.ns;
  if (border === undefined) return { entries: rest, next: place(rest.at(-1)) };
  if (entries.at(-1)?.ns !== border) return { entries: [...rest, ...kept], next: place(kept.at(-1)) };
  const whole = kept.filter(({ ns }) => ns !== border);
  const group = await reader.at(border);
  const part = group.slice(0, kept.length - whole.length);
  return { entries: [...rest, ...whole, ...part], next: place(part.at(-1) ?? whole.at(-1)) };
}

/**
 * A page: the newest lines, or those beside another page. A cursor can only choose another place within the range.
 * `now`: milliseconds; a range that ends later may still grow.
 * @throws ShipmateError ARGUMENT_INVALID for a cursor that is none
 */
export async function readPage(
  reader: Reader,
  range: Range,
  { cursor, limit }: Pick<LogQuery, 'cursor' | 'limit'>,
  now: number,
): Promise<Omit<LogPage, 'partial'>> {
  const start = cursor === undefined ? null : readCursor(cursor);
  const mayGrow = range.to > BigInt(now) * MILLION;
  const beside = (to: Place['to'], entry: Entry | undefined, otherwise: bigint): Place =>
    entry ? { to, ns: entry.ns, id: entry.id } : { to, ns: otherwise };
  const page = (entries: readonly Entry[], older: Place | null, newer: Place | null) => ({
    lines: entries.map(({ line }) => line),
    ...(older ? { older: writeCursor(older) } : {}),
    ...(newer ? { newer: writeCursor(newer) } : {}),
  });
  if (start?.to === 'newer') {
    const { entries, next } = await after(reader, range, start, limit);
    const older = beside('older', entries[0], start.id === undefined ? start.ns : start.ns + 1n);
    const last = entries.at(-1);
    const newer = next ?? (mayGrow ? (last ? beside('newer', last, 0n) : start) : null);
    return page(entries, older, newer);
  }
  const { entries, next } = await before(reader, range, start, limit);
  const newer = start !== null || mayGrow ? beside('newer', entries.at(-1), start?.ns ?? range.from) : null;
  return page(entries, next, newer);
}

/** Every entry of a range, oldest first, at most `batch` at a time in memory, or those of one moment. */
export async function* readAll(reader: Reader, range: Range, batch: number): AsyncGenerator<Entry[]> {
  let { from } = range;
  while (from < range.to) {
    const { entries, full } = await reader.read({ from, to: range.to }, 'forward', batch);
    if (!full) {
      yield entries;
      return;
    }
    const border = entries.at(-1)?.ns ?? range.to;
    const whole = entries.filter(({ ns }) => ns < border);
    yield whole.length > 0 ? whole : await reader.at(border);
    from = whole.length > 0 ? border : border + 1n;
  }
}

/** Whether an answer was larger than what is read at once. */
export function isTooLarge(error: unknown): boolean {
  return error instanceof ShipmateError && error.cause instanceof HttpError && error.cause.kind === 'too-large';
}

/**
 * Asks for fewer at a time while the answer is too large.
 * @throws what `ask` throws, when two are still too large
 */
export async function askForLess<T>(limit: number, ask: (limit: number) => Promise<T>): Promise<T> {
  for (let size = limit; ; size = Math.max(2, Math.floor(size / 4)))
    try {
      return await ask(size);
    } catch (error) {
      if (!isTooLarge(error) || size <= 2) throw error;
    }
}

/**
 * The answer, unless the caller goes first.
 * @throws the reason of the signal
 */
export async function unlessAborted<T>(answer: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (signal === undefined) return answer;
  let stop = () => {};
  const gone = new Promise<never>((_resolve, reject) => {
    stop = () => reject(signal.reason);
    signal.addEventListener('abort', stop, { once: true });
    if (signal.aborted) stop();
  });
  // Nobody waits for the one that comes second.
  answer.catch(() => {});
  try {
    return await Promise.race([answer, gone]);
  } finally {
    signal.removeEventListener('abort', stop);
  }
}
