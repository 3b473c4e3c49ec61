import { closeSync, openSync, readdirSync, readSync, rmSync, statSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

// Output is kept as output.0.log (its beginning) and numbered pieces after it, of which only the last two stay: at
// most 11 MB, however much is printed. A gap in the numbers shows that something was left out.
const HEAD_BYTES = 1024 * 1024;
const PIECE_BYTES = 5 * 1024 * 1024;
const KEPT_PIECES = 2;
const LONGEST_LINE = 10_000;

const pieceName = (number: number) => `output.${number}.log`;

/** Where a wrapper puts what its program prints. Never throws: a deploy goes on when the disk is full. */
export interface OutputWriter {
  write(chunk: Buffer): void;
  /** Bytes that can't be read any more: left out by the limits, or not taken by the disk. */
  dropped(): number;
  close(): void;
}

export function createOutputWriter(folder: string): OutputWriter {
  let number = 0;
  let used = 0;
  let dropped = 0;
  const sizes = new Map<number, number>();
  let descriptor = open();

  function open(): number | null {
    try {
      return openSync(join(folder, pieceName(number)), 'w', 0o600);
    } catch {
      return null;
    }
  }

  function close(): void {
    if (descriptor !== null) closeSync(descriptor);
    descriptor = null;
  }

  function nextPiece(): void {
    close();
    sizes.set(number, used);
    number += 1;
    used = 0;
    const old = number - KEPT_PIECES;
    if (old > 0) {
      rmSync(join(folder, pieceName(old)), { force: true });
      dropped += sizes.get(old) ?? 0;
      sizes.delete(old);
    }
    descriptor = open();
  }

  function append(data: Buffer): void {
    let written = 0;
    try {
      while (descriptor !== null && written < data.length) written += writeSync(descriptor, data, written);
    } catch {
      // no room on the disk: what could not be written is counted and said
    }
    used += written;
    dropped += data.length - written;
  }

  return {
    write(chunk) {
      let rest = chunk;
      while (rest.length > 0) {
        const room = (number === 0 ? HEAD_BYTES : PIECE_BYTES) - used;
        if (room <= 0) {
          nextPiece();
          continue;
        }
        const part = rest.subarray(0, room);
        const before = used;
        append(part);
        if (used === before) {
          dropped += rest.length - part.length;
          return;
        }
        rest = rest.subarray(part.length);
      }
    },
    dropped: () => dropped,
    close,
  };
}

function readEnd(file: string, bytes: number): { text: Buffer; whole: boolean } {
  const { size } = statSync(file);
  const length = Math.min(size, bytes);
  const buffer = Buffer.alloc(length);
  const descriptor = openSync(file, 'r');
  try {
    const read = readSync(descriptor, buffer, 0, length, size - length);
    return { text: buffer.subarray(0, read), whole: length === size };
  } finally {
    closeSync(descriptor);
  }
}

/** One line as people should see it: what a progress bar shows last, without colours and control characters. */
function plainLine(line: string): string {
  const shown = line.replace(/\r+$/, '').split('\r').at(-1) ?? '';
  return stripVTControlCharacters(shown.slice(-LONGEST_LINE * 2))
    .replace(/\t/g, '  ')
    .replace(/\p{Cc}/gu, '')
    .slice(0, LONGEST_LINE);
}

/**
 * The last `lines` lines of a run's output, oldest first, reading at most `bytes` from its end. Where output was left
 * out, a line in square brackets says so. `redact` sees the text before it is cut into lines; `leaveOut` sees each line
 * as it was printed, but redacted, and says which ones don't count.
 */
export function readOutput(
  folder: string,
  options: {
    lines: number;
    bytes: number;
    redact: (text: string) => string;
    leaveOut?: (line: string) => boolean;
  },
): string[] {
  const numbers = readdirSync(folder)
    .map((name) => /^output\.(\d+)\.log$/.exec(name)?.[1])
    .filter((number) => number !== undefined)
    .map(Number)
    .sort((a, b) => b - a);
  const parts: Buffer[] = [];
  let left = options.bytes;
  let cut = false;
  for (const [index, number] of numbers.entries()) {
    if (left <= 0) {
      cut = true;
      break;
    }
    let piece: ReturnType<typeof readEnd>;
    try {
      piece = readEnd(join(folder, pieceName(number)), left);
    } catch {
      continue; // the wrapper has just removed it: it was the oldest piece
    }
    parts.unshift(piece.text);
    left -= piece.text.length;
    if (!piece.whole) {
      cut = true;
      break;
    }
    const next = numbers[index + 1];
    if (next !== undefined && next !== number - 1)
      parts.unshift(Buffer.from('\n[output was too long: a part of it was left out here]\n'));
  }
  const all = options.redact(Buffer.concat(parts).toString('utf8')).split('\n');
  if (cut && all.length > 1) all.shift(); // begins in the middle of a line
  if (all.at(-1) === '') all.pop();
  const { leaveOut } = options;
  const kept = leaveOut === undefined ? all : all.filter((line) => !leaveOut(line));
  return kept.slice(-options.lines).map(plainLine);
}
