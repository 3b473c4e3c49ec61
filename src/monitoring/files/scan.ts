import { LOG_LEVELS, type LogLevel, type LogLine } from '../types.ts';
import type { OpenFile } from './discover.ts';
import type { ParsedLine } from './parse.ts';
import { type RawLine, readBackward, readForward } from './read.ts';

// Several writers of one file may be a little out of order: a search stops only this far beyond its range.
export const JITTER_MS = 60_000;
const MOST_WAITING = 500;
// So many lines in a row beyond the range end a scan: one with a wrong clock or a strange number for a time does not.
const STRAYS = 20;

/** What is looked for; times in milliseconds since 1970. */
export interface Filter {
  since: number;
  until: number;
  level?: LogLevel;
  text?: string;
}

export interface Entry {
  line: LogLine;
  /** Place in the order of time; a line without a time takes that of the line it belongs to. */
  sort: number;
  start: number;
  end: number;
}

/** One file, read in one direction, giving only the lines that match. */
export interface Scan {
  readonly file: OpenFile;
  /** The next matching line, or null at the end of the file or range, or when time is up. */
  peek(): Promise<Entry | null>;
  take(): void;
  /** Whether the last look ended because time was up: there may be more. */
  stopped(): boolean;
  /** Where a later scan in the same direction goes on: after what was taken. */
  boundary(): number;
}

export interface ScanOptions {
  file: OpenFile;
  filter: Filter;
  parse: (raw: string) => ParsedLine;
  /** Whether to give up, asked after each piece of the file; throws when the caller has gone. */
  expired: () => boolean;
}

function createMatcher(filter: Filter): {
  mayMatch: (raw: string) => boolean;
  matches: (line: LogLine, time: number | null, level: LogLevel | undefined) => boolean;
} {
  const wanted = filter.text?.toLowerCase() ?? '';
  // Words that stand in JSON as they are: a line without them need not be parsed.
  const words = wanted.split(' ').every((word) => /^[a-z0-9_.:-]*$/.test(word))
    ? wanted.split(' ').filter((word) => word !== '')
    : [];
  const lowest = filter.level === undefined ? 0 : LOG_LEVELS.indexOf(filter.level);
  return {
    mayMatch(raw) {
      if (words.length === 0 || raw.includes('\u001b')) return true; // colours may stand within a word
      const lower = raw.toLowerCase();
      return words.every((word) => lower.includes(word));
    },
    matches(line, time, level) {
      if (line.text === '') return false;
      if (time !== null && (time < filter.since || time >= filter.until)) return false;
      if (lowest > 0 && (level === undefined || LOG_LEVELS.indexOf(level) < lowest)) return false;
      return wanted === '' || line.text.toLowerCase().includes(wanted);
    },
  };
}

/** Reads from `from`, the end of a line, towards the beginning. */
export function scanBackward({ file, filter, parse, expired }: ScanOptions, from: number): Scan {
  const pieces = readBackward(file.handle, from);
  const { mayMatch, matches } = createMatcher(filter);
  const queue: Entry[] = [];
  let taken = 0;
  let waiting: { raw: RawLine; parsed: ParsedLine }[] = []; // lines without a time, until the one they belong to
  let position = from;
  let last = Number.POSITIVE_INFINITY;
  let strays = 0;
  let done = false;

  function settleWaiting(time: number | null, level: LogLevel | undefined): void {
    const known = time ?? (Number.isFinite(last) ? last : null);
    const sort = Math.min(known ?? file.changedAt, last);
    for (const { raw, parsed } of waiting)
      if (matches(parsed.line, known, parsed.line.level ?? level))
        queue.push({ line: parsed.line, sort, start: raw.start, end: raw.end });
    waiting = [];
  }

  function read(raw: RawLine, mustParse: boolean): void {
    if (!mustParse && waiting.length === 0 && !mayMatch(raw.text)) return;
    const parsed = parse(raw.text);
    if (parsed.time === null) {
      waiting.push({ raw, parsed });
      if (waiting.length >= MOST_WAITING) settleWaiting(null, undefined);
      return;
    }
    settleWaiting(parsed.time, parsed.line.level);
    const beyond = parsed.time < filter.since - JITTER_MS;
    strays = beyond ? strays + 1 : 0;
    if (strays >= STRAYS) done = true;
    if (beyond) return;
    last = Math.min(parsed.time, last);
    if (matches(parsed.line, parsed.time, parsed.line.level))
      queue.push({ line: parsed.line, sort: last, start: raw.start, end: raw.end });
  }

  return {
    file,
    async peek() {
      while (taken >= queue.length && !done && !expired()) {
        queue.length = 0;
        taken = 0;
        const piece = await pieces.next();
        if (piece.done) {
          done = true;
          settleWaiting(null, undefined);
          break;
        }
        const { lines } = piece.value;
        for (const [index, raw] of lines.entries()) {
          if (done) break;
          read(raw, index === lines.length - 1); // at least one time per piece, to see when the range is left
        }
        position = piece.value.position;
      }
      return queue[taken] ?? null;
    },
    take() {
      taken += 1;
    },
    stopped: () => !done && taken >= queue.length && expired(),
    boundary: () => queue[taken]?.end ?? waiting[0]?.raw.end ?? position,
  };
}

/** Reads from `from`, the start of a line, to `to`. */
export function scanForward({ file, filter, parse, expired }: ScanOptions, from: number, to: number): Scan {
  const pieces = readForward(file.handle, from, to);
  const { mayMatch, matches } = createMatcher(filter);
  const queue: Entry[] = [];
  let taken = 0;
  let position = from;
  let last = Number.NEGATIVE_INFINITY;
  let lastLevel: LogLevel | undefined;
  let strays = 0;
  let done = false;

  function read(raw: RawLine): void {
    // A line that can't match is parsed all the same when it may be the head of ones that follow without a time.
    if (!mayMatch(raw.text) && /^[\s\p{Cc}]/u.test(raw.text)) return;
    const parsed = parse(raw.text);
    if (parsed.time !== null) {
      const beyond = parsed.time >= filter.until + JITTER_MS;
      strays = beyond ? strays + 1 : 0;
      if (strays >= STRAYS) done = true;
      lastLevel = parsed.line.level;
      if (beyond) return;
      last = Math.max(parsed.time, last);
    }
    const known = parsed.time ?? (Number.isFinite(last) ? last : null);
    if (matches(parsed.line, known, parsed.line.level ?? lastLevel)) {
      const sort = Number.isFinite(last) ? last : file.changedAt;
      queue.push({ line: parsed.line, sort, start: raw.start, end: raw.end });
    }
  }

  return {
    file,
    async peek() {
      while (taken >= queue.length && !done && !expired()) {
        queue.length = 0;
        taken = 0;
        const piece = await pieces.next();
        if (piece.done) {
          done = true;
          break;
        }
        for (const raw of piece.value.lines) {
          if (done) break;
          read(raw);
        }
        position = piece.value.position;
      }
      return queue[taken] ?? null;
    },
    take() {
      taken += 1;
    },
    stopped: () => !done && taken >= queue.length && expired(),
    boundary: () => queue[taken]?.start ?? position,
  };
}

/**
 * The next line of all scans in their common direction, already taken; null when none has one. Ties go to the file
 * that was changed last when reading backward, and to the other when reading forward.
 */
export async function nextOf(scans: readonly Scan[], direction: 'backward' | 'forward'): Promise<Entry | null> {
  let best: { scan: Scan; entry: Entry } | null = null;
  for (const scan of direction === 'backward' ? scans : scans.toReversed()) {
    const entry = await scan.peek();
    if (entry === null) continue;
    const ahead =
      best === null || (direction === 'backward' ? entry.sort > best.entry.sort : entry.sort < best.entry.sort);
    if (ahead) best = { scan, entry };
  }
  // What a stopped scan has not seen may come before what another one has.
  if (scans.some((scan) => scan.stopped())) return null;
  best?.scan.take();
  return best?.entry ?? null;
}
