import type { FileHandle } from 'node:fs/promises';

const CHUNK_BYTES = 256 * 1024;
const LONGEST_LINE_BYTES = 256 * 1024;
const KEPT_OF_LONG_BYTES = 64 * 1024;
const PROBE_BYTES = 64 * 1024;
const NEWLINE = 10;

/** A line in a file: [start, end) in bytes, its newline included. */
export interface RawLine {
  start: number;
  end: number;
  text: string;
}

async function readAt(file: FileHandle, start: number, length: number): Promise<Buffer> {
  const buffer = Buffer.allocUnsafe(length);
  let filled = 0;
  while (filled < length) {
    const { bytesRead } = await file.read(buffer, filled, length - filled, start + filled);
    if (bytesRead === 0) break; // shorter than before: it was truncated
    filled += bytesRead;
  }
  return buffer.subarray(0, filled);
}

/** Like lastIndexOf, which takes a negative place as one counted from the end. */
function lastNewline(chunk: Buffer, from: number): number {
  return from < 0 ? -1 : chunk.lastIndexOf(NEWLINE, from);
}

function textOf(bytes: Buffer): string {
  const end = bytes.at(-1) === NEWLINE ? bytes.length - 1 : bytes.length;
  return bytes.toString('utf8', 0, bytes[end - 1] === 13 ? end - 1 : end);
}

/**
 * The lines that end at or before `end`, from the last to the first, in one batch per piece that was read; `end` must
 * be the end of a line. A line longer than 256 KB keeps only its beginning, so memory stays bounded in any file.
 * `position` tells where the reading has got to, between batches as well.
 */
export async function* readBackward(
  file: FileHandle,
  end: number,
): AsyncGenerator<{ lines: RawLine[]; position: number }> {
  let position = end;
  let lineEnd = end;
  let pending: Buffer[] = []; // the end of a line whose beginning is not read yet, in file order
  let pendingBytes = 0;
  while (position > 0) {
    const start = Math.max(0, position - CHUNK_BYTES);
    const chunk = await readAt(file, start, position - start);
    const lines: RawLine[] = [];
    let upper = chunk.length;
    // The newline that ends the last line belongs to it.
    let newline = lastNewline(chunk, start + upper === lineEnd ? upper - 2 : upper - 1);
    while (newline >= 0 && upper > 0) {
      const lineStart = start + newline + 1;
      const part = chunk.subarray(newline + 1, upper);
      const bytes = pending.length === 0 ? part : Buffer.concat([part, ...pending]);
      if (lineEnd > lineStart) lines.push({ start: lineStart, end: lineEnd, text: textOf(bytes) });
      pending = [];
      pendingBytes = 0;
      upper = newline + 1;
      lineEnd = lineStart;
      newline = lastNewline(chunk, upper - 2);
    }
    const rest = Buffer.from(chunk.subarray(0, upper));
    pending.unshift(rest);
    pendingBytes += rest.length;
    const cut = pendingBytes > LONGEST_LINE_BYTES;
    if (cut) {
      pending = [rest.subarray(0, KEPT_OF_LONG_BYTES)];
      pendingBytes = pending[0]?.length ?? 0;
    }
    position = start;
    if (position === 0 && lineEnd > 0) {
      lines.push({ start: 0, end: lineEnd, text: textOf(Buffer.concat(pending)) });
      lineEnd = 0;
    }
    // Within a line that is too long, a later search goes on here instead of at the line's end.
    yield { lines, position: cut ? position : lineEnd };
  }
}

/** The lines of [start, end), first to last; `start` must be the start of a line. Long lines as in readBackward. */
export async function* readForward(
  file: FileHandle,
  start: number,
  end: number,
): AsyncGenerator<{ lines: RawLine[]; position: number }> {
  let position = start;
  let lineStart = start;
  let pending: Buffer[] = [];
  let pendingBytes = 0;
  while (position < end) {
    const chunk = await readAt(file, position, Math.min(CHUNK_BYTES, end - position));
    if (chunk.length === 0) break;
    const lines: RawLine[] = [];
    let lower = 0;
    for (let newline = chunk.indexOf(NEWLINE); newline >= 0; newline = chunk.indexOf(NEWLINE, lower)) {
      const lineEnd = position + newline + 1;
      const part = chunk.subarray(lower, newline + 1);
      const bytes = pending.length === 0 ? part : Buffer.concat([...pending, part]);
      lines.push({ start: lineStart, end: lineEnd, text: textOf(bytes) });
      pending = [];
      pendingBytes = 0;
      lower = newline + 1;
      lineStart = lineEnd;
    }
    if (pendingBytes < LONGEST_LINE_BYTES) {
      const rest = Buffer.from(chunk.subarray(lower));
      pending.push(rest);
      pendingBytes += rest.length;
    }
    position += chunk.length;
    if (position >= end && lineStart < end) {
      lines.push({ start: lineStart, end, text: textOf(Buffer.concat(pending)) });
      lineStart = end;
    }
    yield { lines, position: lineStart };
  }
}

/** Where the last complete line ends. */
export async function endOfLastLine(file: FileHandle, size: number): Promise<number> {
  for (let position = size; position > 0; ) {
    const start = Math.max(0, position - CHUNK_BYTES);
    const newline = (await readAt(file, start, position - start)).lastIndexOf(NEWLINE);
    if (newline >= 0) return start + newline + 1;
    if (size - start > LONGEST_LINE_BYTES * 4) return size; // one endless line: take it as it is
    position = start;
  }
  return 0;
}

/**
 * By halving, the start of a line near `time` in a file whose lines are in the order of time. `early`: no line before
 * it is as new as `time`; `late`: no line from it on is older than `time`. Where there is nothing to go by, such as a
 * stretch without times, it errs to that side.
 */
export async function findTime(
  file: FileHandle,
  size: number,
  time: number,
  options: { side: 'early' | 'late'; timeOf: (text: string) => number | null },
): Promise<number> {
  let low = 0;
  let high = size;
  let early = 0;
  let late = size;
  while (high - low > PROBE_BYTES) {
    const middle = Math.floor((low + high) / 2);
    const probe = await firstTime(file, middle, high, options.timeOf);
    if (probe === null) {
      if (options.side === 'early') high = middle;
      else low = middle;
    } else if (probe.time < time) {
      low = probe.start;
      early = probe.start;
    } else {
      high = middle;
      late = probe.start;
    }
  }
  return options.side === 'early' ? early : late;
}

/** The first line with a time that starts in [from, until), looking at no more than 64 KB. */
async function firstTime(
  file: FileHandle,
  from: number,
  until: number,
  timeOf: (text: string) => number | null,
): Promise<{ time: number; start: number } | null> {
  const chunk = await readAt(file, from, Math.min(PROBE_BYTES, until - from));
  let lower = chunk.indexOf(NEWLINE) + 1;
  if (lower === 0) return null;
  for (let newline = chunk.indexOf(NEWLINE, lower); newline >= 0; newline = chunk.indexOf(NEWLINE, lower)) {
    const time = timeOf(textOf(chunk.subarray(lower, newline + 1)));
    if (time !== null) return { time, start: from + lower };
    lower = newline + 1;
  }
  return null;
}
