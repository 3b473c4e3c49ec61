import { access, constants } from 'node:fs/promises';
import { dirname, resolve } from 'node:path';
import { ShipmateError } from '../../errors.ts';
import type { LogLine, LogPage, LogQuery, LogSource, MonitoringDeps } from '../types.ts';
import type { FilesConfig } from './config.ts';
import { type Cursor, readCursor, writeCursor } from './cursor.ts';
import { closeFiles, fillPattern, type OpenFile, openFiles } from './discover.ts';
import { createLineParser } from './parse.ts';
import { endOfLastLine, findTime } from './read.ts';
import { type Filter, JITTER_MS, nextOf, type Scan, type ScanOptions, scanBackward, scanForward } from './scan.ts';

const DEADLINE_MS = 5000;
const LOOK_AHEAD_MS = 300;
// A last line without its newline is taken when nobody has written for this long; before, it may be half a line.
const QUIET_MS = 5000;

function toFilter(query: LogQuery): Filter {
  const since = Date.parse(query.since);
  const until = Date.parse(query.until);
  if (Number.isNaN(since) || Number.isNaN(until))
    throw new ShipmateError(
      'ARGUMENT_INVALID',
      'The time range of the logs is not valid. Give times such as 15m or 2h.',
    );
  return { since, until, ...(query.level ? { level: query.level } : {}), ...(query.text ? { text: query.text } : {}) };
}

/**
 * Logs from files on the bot's own host, JSON lines or plain text. Reads from the end in pieces, with bounded memory
 * whatever a file's size. `deadlineMs` is how long a query may look before it answers with what it has.
 */
export function createFilesLogs(
  config: FilesConfig,
  deps: MonitoringDeps,
  options: { deadlineMs?: number } = {},
): LogSource {
  const deadlineMs = options.deadlineMs ?? DEADLINE_MS;
  const parse = createLineParser(config);
  const timeOf = (text: string) => parse(text).time;

  /** Where the complete lines of a file end. */
  async function endOf(file: OpenFile): Promise<number> {
    return Date.now() - file.changedAt > QUIET_MS ? file.size : endOfLastLine(file.handle, file.size);
  }

  async function withFiles<T>(
    query: LogQuery,
    filter: Filter,
    cursor: Cursor | null,
    work: (files: OpenFile[], partial: string[]) => Promise<T>,
  ): Promise<T> {
    const { files, partial } = await openFiles(deps.baseDir, fillPattern(config.files, query), {
      since: filter.since - JITTER_MS,
      keep: new Set(cursor?.offsets.keys()),
    });
    try {
      return await work(files, partial);
    } finally {
      await closeFiles(files);
    }
  }

  /** Where to begin in a file: at the cursor's place in it, or where the range ends or begins. */
  async function startOf(file: OpenFile, filter: Filter, cursor: Cursor | null, partial: Set<string>): Promise<number> {
    const end = await endOf(file);
    const offset = cursor?.offsets.get(file.id);
    if (offset !== undefined) {
      if (offset > file.size) partial.add('A log file was emptied since the page before; lines of it are gone.');
      return Math.min(offset, end);
    }
    if (cursor?.towards === 'newer')
      return findTime(file.handle, end, filter.since - JITTER_MS, { side: 'early', timeOf });
    if (cursor?.towards === 'older') return 0; // it appeared after the first page: all of it is newer
    const reachesBeyond = filter.until + JITTER_MS < file.changedAt;
    return reachesBeyond ? findTime(file.handle, end, filter.until + JITTER_MS, { side: 'late', timeOf }) : end;
  }

  async function readPage(
    query: LogQuery,
    filter: Filter,
    cursor: Cursor | null,
    files: OpenFile[],
    notes: string[],
    signal: AbortSignal | undefined,
  ): Promise<LogPage> {
    let deadline = Date.now() + deadlineMs;
    const partial = new Set(notes);
    let timeIsUp = false;
    const expired = () => {
      signal?.throwIfAborted();
      timeIsUp ||= Date.now() > deadline;
      return timeIsUp;
    };
    const backward = cursor?.towards !== 'newer';
    const starts = new Map<string, number>();
    const scans: Scan[] = [];
    for (const file of files) {
      const start = await startOf(file, filter, cursor, partial);
      starts.set(file.id, start);
      const scanOptions: ScanOptions = { file, filter, parse, expired };
      scans.push(
        backward
          ? scanBackward(scanOptions, start)
          : scanForward(scanOptions, start, Math.max(start, await endOf(file))),
      );
    }
    if (cursor !== null && [...cursor.offsets.keys()].some((id) => !starts.has(id)))
      partial.add('A log file was removed since the page before; lines of it are gone.');

    const direction = backward ? 'backward' : 'forward';
    const lines: LogLine[] = [];
    while (lines.length < query.limit) {
      const entry = await nextOf(scans, direction);
      if (entry === null) break;
      lines.push(entry.line);
    }
    const full = lines.length >= query.limit;
    // Whether there is more is worth a short look only; where that is not enough, the next page will tell.
    if (full) deadline = Math.min(deadline, Date.now() + LOOK_AHEAD_MS);
    const heads = await Promise.all(scans.map((scan) => scan.peek()));
    const more = heads.some((entry) => entry !== null) || scans.some((scan) => scan.stopped());
    const ends = new Map(scans.map((scan) => [scan.file.id, scan.boundary()]));
    if (timeIsUp && !full)
      partial.add(
        `The search was stopped after ${Math.round(deadlineMs / 1000)} seconds; ${backward ? 'older' : 'newer'} lines were not looked at.`,
      );
    const mayGrow = filter.until > Date.now();
    const older = backward ? (more ? ends : null) : starts;
    const newer = backward ? (cursor !== null || mayGrow ? starts : null) : more || mayGrow ? ends : null;
    return {
      lines: backward ? lines.reverse() : lines,
      ...(older ? { older: writeCursor({ towards: 'older', offsets: older }) } : {}),
      ...(newer ? { newer: writeCursor({ towards: 'newer', offsets: newer }) } : {}),
      ...(partial.size > 0 ? { partial: [...partial].join(' ') } : {}),
    };
  }

  return {
    kind: 'files',

    async query(query, signal) {
      const filter = toFilter(query);
      const cursor = query.cursor === undefined ? null : readCursor(query.cursor);
      return withFiles(query, filter, cursor, (files, notes) => readPage(query, filter, cursor, files, notes, signal));
    },

    async *stream(query, { maxLines, signal }) {
      const filter = toFilter(query);
      const pattern = fillPattern(config.files, query);
      const { files } = await openFiles(deps.baseDir, pattern, { since: filter.since - JITTER_MS, keep: new Set() });
      try {
        const expired = () => {
          signal?.throwIfAborted();
          return false;
        };
        const scans: Scan[] = [];
        for (const file of files) {
          const end = await endOf(file);
          const start = await findTime(file.handle, end, filter.since - JITTER_MS, { side: 'early', timeOf });
          scans.push(scanForward({ file, filter, parse, expired }, start, end));
        }
        for (let count = 0; count < maxLines; count += 1) {
          const entry = await nextOf(scans, 'forward');
          if (entry === null) return;
          yield entry.line;
        }
      } finally {
        await closeFiles(files);
      }
    },

    async check() {
      const beforePlaceholder = config.files.split(/[{*]/)[0] ?? '';
      const folder = dirname(resolve(deps.baseDir, `${beforePlaceholder}x`));
      try {
        await access(folder, constants.R_OK | constants.X_OK);
        return [];
      } catch {
        const message = `The folder ${folder} of the log files can't be read. Create it, correct "files", or give the bot's user the right.`;
        return [{ level: 'warning', message }];
      }
    },
  };
}
