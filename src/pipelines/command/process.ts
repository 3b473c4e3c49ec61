import { execFile } from 'node:child_process';
import { readdir, readFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { promisify } from 'node:util';

/** Whether an error of the system has one of these codes, such as ENOENT. */
export function hasCode(error: unknown, ...codes: string[]): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && codes.includes(String(error.code));
}

const execute = promisify(execFile);
const ON_LINUX = process.platform === 'linux';

/** The machine and its current boot: process ids mean something only there. */
export interface Machine {
  host: string;
  /** Linux's boot id; empty on systems that have none. */
  boot: string;
}

export async function thisMachine(): Promise<Machine> {
  const boot = ON_LINUX ? await readFile('/proc/sys/kernel/random/boot_id', 'utf8').catch(() => '') : '';
  return { host: hostname(), boot: boot.trim() };
}

interface ProcessStat {
  zombie: boolean;
  group: number;
  start: string;
}

/** Fields of /proc/<pid>/stat (proc(5)): the name may hold spaces and brackets, so counting begins after the last ')'. */
async function readStat(pid: number | string): Promise<ProcessStat | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => null);
  if (text === null) return null;
  const fields = text.slice(text.lastIndexOf(')') + 2).split(' ');
  const [state = '', , group = '0'] = fields;
  return { zombie: state === 'Z' || state === 'X', group: Number(group), start: fields[19] ?? '' };
}

/** The same from `ps`, for systems without /proc. */
export async function readStatWithPs(pid: number): Promise<ProcessStat | null> {
  try {
    const { stdout } = await execute('ps', ['-o', 'stat=,pgid=,lstart=', '-p', String(pid)], { timeout: 5000 });
    const [state = '', group = '0', ...start] = stdout.trim().split(/\s+/);
    return state === '' ? null : { zombie: state.startsWith('Z'), group: Number(group), start: start.join(' ') };
  } catch {
    return null;
  }
}

/**
 * When the process with this id started, as a mark to compare (it has no unit); null when there is no such process or
 * it is over already. Process id and mark together name one process: ids are given out again, starts are not.
 */
export async function startMark(pid: number): Promise<string | null> {
  const stat = ON_LINUX ? await readStat(pid) : await readStatWithPs(pid);
  return stat === null || stat.zombie ? null : stat.start;
}

async function everyProcessId(): Promise<string[]> {
  return (await readdir('/proc')).filter((name) => /^\d+$/.test(name));
}

/**
 * Whether a process of this group still works; ones that are over and only wait to be collected don't count. `leader`
 * is the start mark of the group's first process: when another process has its id now, the group is another one too.
 */
export async function groupRuns(group: number, leader: string): Promise<boolean> {
  if (!ON_LINUX) return groupRunsWithPs(group);
  const first = await readStat(group);
  if (first !== null && first.start !== leader) return false;
  for (const pid of await everyProcessId()) {
    const stat = await readStat(pid);
    if (stat !== null && stat.group === group && !stat.zombie) return true;
  }
  return false;
}

export async function groupRunsWithPs(group: number): Promise<boolean> {
  const { stdout } = await execute('ps', ['-A', '-o', 'pgid=,stat='], { timeout: 5000 });
  return stdout.split('\n').some((line) => {
    const [id = '', state = ''] = line.trim().split(/\s+/);
    return Number(id) === group && !state.startsWith('Z');
  });
}

/**
 * The group of a process that was started with this variable in its environment, or null. Finds the program of a
 * wrapper that died in the moment between starting it and writing its id down. Linux only.
 */
export async function findByVariable(name: string, value: string): Promise<{ group: number; start: string } | null> {
  if (!ON_LINUX) return null;
  for (const pid of await everyProcessId()) {
    const environment = await readFile(`/proc/${pid}/environ`, 'latin1').catch(() => '');
    if (!environment.split('\0').includes(`${name}=${value}`)) continue;
    const stat = await readStat(pid);
    if (stat !== null && !stat.zombie) return { group: stat.group, start: (await readStat(stat.group))?.start ?? '' };
  }
  return null;
}

/** Sends a signal to every process of a group; one that is gone already is fine. */
export function signalGroup(group: number, signal: 'SIGTERM' | 'SIGKILL'): void {
  // 0 and 1 would mean our own group and everything.
  if (!Number.isSafeInteger(group) || group <= 1) return;
  try {
    process.kill(-group, signal);
  } catch (error) {
    if (!hasCode(error, 'ESRCH')) throw error;
  }
}
