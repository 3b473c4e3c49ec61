import { createHash, randomUUID } from 'node:crypto';
import { fdatasyncSync, linkSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { NodeFS } from '@electric-sql/pglite/nodefs';
import { ShipmateError } from '../errors.ts';

/**
 * Makes this process the only owner of a data folder: PGlite has no lock of its own, and two processes on one folder
 * corrupt it silently. The lock is taken over only from a process that is certainly gone, never by age. It knows the
 * processes of one host (one pid namespace): a folder that several hosts mount can't be guarded by it.
 * @throws ShipmateError STORE_IN_USE
 */
export function lockFolder(folder: string): { release(): void } {
  mkdirSync(path.dirname(folder), { recursive: true });
  return acquire(`${folder}.pid`, folder);
}

function acquire(file: string, folder: string): { release(): void } {
  const mine = `${process.pid} ${startOf(process.pid) ?? ''}\n`;
  for (let attempt = 0; attempt < 3; attempt += 1) {
    if (create(file, mine)) return { release: () => release(file, mine) };
    const found = read(file);
    if (found === null) continue;
    const [pid = '', started = ''] = found.trim().split(' ');
    if (isRunning(Number(pid), started))
      throw new ShipmateError(
        'STORE_IN_USE',
        `The data in ${folder} is in use by process ${pid}. Stop that one first, choose another folder (SHIPMATE_DATA), or use PostgreSQL (store:).`,
      );
    // Of several that find the same dead owner, one may remove its lock; without this the second would remove the
    // lock that the first has just taken.
    const owner = createHash('sha256').update(found).digest('hex').slice(0, 12);
    const removal = acquire(`${file}.${owner}`, folder);
    try {
      if (read(file) === found) rmSync(file, { force: true });
    } finally {
      removal.release();
    }
  }
  throw new ShipmateError('STORE_IN_USE', `The lock ${file} can't be taken: another process is starting. Try again.`);
}

/** Makes the file with its content in one step, so that nobody ever reads half a lock. False when it is there. */
function create(file: string, content: string): boolean {
  const draft = `${file}.${process.pid}-${randomUUID()}`;
  try {
    writeFileSync(draft, content, { mode: 0o600, flag: 'wx' });
    linkSync(draft, file);
    return true;
  } catch (error) {
    if (isCode(error, 'EEXIST')) return false;
    throw error;
  } finally {
    rmSync(draft, { force: true });
  }
}

function release(file: string, mine: string): void {
  if (read(file) === mine) rmSync(file, { force: true });
}

/** Null when it is not there. */
function read(file: string): string | null {
  try {
    return readFileSync(file, 'utf8');
  } catch (error) {
    if (isCode(error, 'ENOENT')) return null;
    throw error;
  }
}

/** A pid can be given to another process later: its start time (field 22 of /proc/pid/stat) must be the same too. */
function isRunning(pid: number, started: string): boolean {
  if (!Number.isInteger(pid) || pid <= 0) return false;
  const start = startOf(pid);
  if (start !== null) return started === '' || start === started;
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return isCode(error, 'EPERM');
  }
}

function startOf(pid: number): string | null {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19] ?? null;
  } catch {
    return null;
  }
}

function isCode(error: unknown, code: string): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === code;
}

/**
 * PGlite's file system with real syncs. As shipped, PGlite runs with fsync off and its NODEFS ignores fsync, so that a
 * power cut may cost what was acknowledged. `DURABLE_PARAMS` turn PostgreSQL's side on.
 */
export class DurableFs extends NodeFS {
  /** How often data was forced to disk; a test looks at it. */
  syncs = 0;

  override async init(...args: Parameters<NodeFS['init']>): ReturnType<NodeFS['init']> {
    const result = await super.init(...args);
    const before = result.emscriptenOpts.preRun ?? [];
    const patch = (module: { NODEFS?: { stream_ops: { fsync?: (stream: { nfd?: number }) => number } } }) => {
      if (!module.NODEFS) throw new Error('this PGlite has no NODEFS to patch');
      module.NODEFS.stream_ops.fsync = (stream) => {
        if (stream.nfd) {
          fdatasyncSync(stream.nfd);
          this.syncs += 1;
        }
        return 0;
      };
    };
    return { ...result, emscriptenOpts: { ...result.emscriptenOpts, preRun: [...before, patch as never] } };
  }
}

/** PGlite's own parameters without "-F" (fsync off), and with the sync method that DurableFs implements. */
export function durableParams(defaults: readonly string[]): string[] {
  return [...defaults.filter((parameter) => parameter !== '-F'), '-c', 'fsync=on', '-c', 'wal_sync_method=fsync'];
}
