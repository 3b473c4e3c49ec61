import { constants } from 'node:fs';
import { type FileHandle, open, readdir } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import { ShipmateError } from '../../errors.ts';

const MOST_FILES = 20;
// file.1 and file-20261124 are what logrotate makes of file.
const ROTATED = /^(?:\.\d{1,3}|[-.]\d{8}(?:-\d{1,10})?)$/;

export interface OpenFile {
  handle: FileHandle;
  path: string;
  /** Stays the same when the file is renamed by a rotation. */
  id: string;
  size: number;
  /** Milliseconds since 1970. */
  changedAt: number;
}

/** The path pattern for one service and environment; `*` is still in it. */
export function fillPattern(pattern: string, values: { service: string; environment: string }): string {
  return pattern.replace(/\{(service|environment)\}/g, (_match, name: 'service' | 'environment') => {
    const value = values[name];
    if (/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/.test(value) && !value.includes('..')) return value;
    throw new ShipmateError(
      'ARGUMENT_INVALID',
      `The ${name} ${JSON.stringify(value.slice(0, 80))} can't be a part of a log file's path. Use a configured ${name}.`,
    );
  });
}

/** Tests whether a name is one of the pattern's files, or a rotated or compressed one of them. */
function nameMatcher(pattern: string): (name: string) => 'file' | 'compressed' | null {
  const source = [...pattern].map((char) => (char === '*' ? '[^/]*' : char.replace(/[\\^$.+?()[\]{}|/-]/g, '\\$&')));
  const expression = new RegExp(`^(?:${source.join('')})(.*)$`, 's');
  const exact = new RegExp(`^${source.join('')}$`, 's');
  const plain = (name: string) => exact.test(name) || ROTATED.test(expression.exec(name)?.[1] ?? 'x');
  return (name) => {
    const bare = name.replace(/\.(?:gz|zst|xz|bz2)$/, '');
    if (bare !== name) return plain(bare) || exact.test(name) ? 'compressed' : null;
    return plain(name) ? 'file' : null;
  };
}

function isMissing(error: unknown): boolean {
  return (
    typeof error === 'object' &&
    error !== null &&
    'code' in error &&
    (error.code === 'ENOENT' || error.code === 'ENOTDIR')
  );
}

function unreadable(path: string, cause: unknown): ShipmateError {
  return new ShipmateError(
    'LOGS_UNAVAILABLE',
    `The logs in ${path} can't be read. Give the bot's user the right to read them.`,
    { cause },
  );
}

/** Opens a regular file; anything else (a pipe would block) and a file that has just gone is null. */
async function openFile(path: string): Promise<OpenFile | null> {
  let handle: FileHandle;
  try {
    handle = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  } catch (error) {
    if (isMissing(error)) return null;
    throw unreadable(path, error);
  }
  const stats = await handle.stat();
  if (!stats.isFile()) {
    await handle.close();
    return null;
  }
  return { handle, path, id: stats.ino.toString(36), size: stats.size, changedAt: stats.mtimeMs };
}

/**
 * Opens the files of a filled pattern that were written to since `since` (milliseconds) or that a page before has
 * read, newest first. The caller closes them. `partial` says what was left out.
 * @throws ShipmateError LOGS_UNAVAILABLE
 */
export async function openFiles(
  baseDir: string,
  pattern: string,
  options: { since: number; keep: ReadonlySet<string> },
): Promise<{ files: OpenFile[]; partial: string[] }> {
  const path = resolve(baseDir, pattern);
  const folder = dirname(path);
  const match = nameMatcher(basename(path));
  let names: string[];
  try {
    names = await readdir(folder);
  } catch (error) {
    if (!isMissing(error)) throw unreadable(folder, error);
    names = [];
  }
  const kinds = new Map(names.map((name) => [name, match(name)]));
  const candidates = names.filter((name) => kinds.get(name) === 'file');
  if (candidates.length === 0) return { files: [], partial: [`There is no log file ${pattern} yet.`] };

  const files: OpenFile[] = [];
  const seen = new Set<string>();
  let oldestRead = true;
  try {
    for (const name of candidates) {
      const file = await openFile(join(folder, name));
      if (file === null) continue;
      // The same file under two names, such as a link to today's, is read once.
      if (seen.has(file.id) || (file.changedAt < options.since && !options.keep.has(file.id))) {
        if (file.changedAt < options.since) oldestRead = false;
        await file.handle.close();
        continue;
      }
      seen.add(file.id);
      files.push(file);
    }
  } catch (error) {
    await closeFiles(files);
    throw error;
  }
  files.sort((a, b) => b.changedAt - a.changedAt);
  const partial: string[] = [];
  if (files.length > MOST_FILES) {
    await closeFiles(files.splice(MOST_FILES));
    partial.push(`Only the ${MOST_FILES} newest of the matching files were read.`);
  }
  // When an uncompressed file is older than what is asked for, the compressed ones are older still.
  if (oldestRead && [...kinds.values()].includes('compressed')) partial.push('Compressed older files were not read.');
  return { files, partial };
}

export async function closeFiles(files: readonly OpenFile[]): Promise<void> {
  await Promise.all(files.map(({ handle }) => handle.close()));
}
