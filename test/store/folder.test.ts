import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { DurableFs, durableParams, lockFolder } from '../../src/store/folder.ts';
import { temporaryFolder } from '../contract/harness/deps.ts';

let temporary: Awaited<ReturnType<typeof temporaryFolder>>;
let folder: string;
let lock: string;
beforeEach(async () => {
  temporary = await temporaryFolder();
  folder = path.join(temporary.folder, 'pgdata');
  lock = `${folder}.pid`;
});
afterEach(() => temporary.remove());

const inUse = (pid: number) =>
  expect.objectContaining({ code: 'STORE_IN_USE', message: expect.stringContaining(`process ${pid}.`) });
const thrown = (act: () => unknown): unknown => {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error('nothing was thrown');
};
/** Field 22 of /proc/PID/stat. */
const startOf = (pid: number) =>
  readFileSync(`/proc/${pid}/stat`, 'utf8')
    .replace(/^.*\) /, '')
    .split(' ')[19];
async function deadPid(): Promise<number> {
  const child = spawn(process.execPath, ['-e', '']);
  await once(child, 'exit');
  return child.pid ?? 0;
}

describe('the lock of a data folder', () => {
  it('is refused to a second owner, names the first, and is free after it', () => {
    const first = lockFolder(folder);
    expect(readFileSync(lock, 'utf8')).toBe(`${process.pid} ${startOf(process.pid)}\n`);
    expect(thrown(() => lockFolder(folder))).toEqual(inUse(process.pid));
    first.release();
    expect(existsSync(lock)).toBe(false);
    lockFolder(folder).release();
    expect(readdirSync(temporary.folder)).toEqual([]);
  });
  it('is not taken from a process that lives, however old the file is', () => {
    writeFileSync(lock, `${process.ppid} ${startOf(process.ppid)}\n`);
    expect(thrown(() => lockFolder(folder))).toEqual(inUse(process.ppid));
  });
  it('is taken from a dead process', async () => {
    writeFileSync(lock, `${await deadPid()} 12345\n`);
    lockFolder(folder).release();
  });
  it('is taken when the pid belongs to another process by now', () => {
    writeFileSync(lock, `${process.ppid} 1\n`);
    const taken = lockFolder(folder);
    expect(readFileSync(lock, 'utf8')).toMatch(new RegExp(`^${process.pid} `));
    taken.release();
  });
  it.each(['', 'garbage', '-1 5', '0', '\0\0\0'])('is taken when it says %j', (content) => {
    writeFileSync(lock, content);
    lockFolder(folder).release();
    expect(readdirSync(temporary.folder)).toEqual([]);
  });
  it('leaves alone a lock that is not its own any more', () => {
    const first = lockFolder(folder);
    writeFileSync(lock, '1 1\n');
    first.release();
    expect(readFileSync(lock, 'utf8')).toBe('1 1\n');
  });
  it('goes to one of several processes that find a dead owner at once', async () => {
    writeFileSync(lock, `${await deadPid()} 12345\n`);
    const source = path.resolve(import.meta.dirname, '../../src/store/folder.ts');
    const program = `
      const { lockFolder } = await import(${JSON.stringify(source)});
      process.stdout.write('.');
      await new Promise((resolve) => process.stdin.once('data', resolve));
      try { lockFolder(${JSON.stringify(folder)}); console.log('mine'); } catch (error) { console.log(error.code); }
      process.stdin.once('data', () => process.exit());`;
    const { NODE_OPTIONS: _, ...env } = process.env;
    const children = Array.from({ length: 6 }, () =>
      spawn(process.execPath, ['--input-type=module', '-e', program], { env, stdio: ['pipe', 'pipe', 'ignore'] }),
    );
    try {
      const next = async () =>
        (await Promise.all(children.map((child) => once(child.stdout, 'data')))).map((data) => String(data));
      await next();
      for (const child of children) child.stdin.write('go');
      const answers = (await next()).map((answer) => answer.trim());
      expect(answers.toSorted()).toEqual([...Array(5).fill('STORE_IN_USE'), 'mine']);
    } finally {
      for (const child of children) child.kill('SIGKILL');
    }
  });
});

describe('the embedded database', () => {
  it('forces every commit to the disk', async () => {
    const fs = new DurableFs(folder);
    const db = await PGlite.create({ fs, startParams: durableParams(PGlite.defaultStartParams) });
    try {
      const { rows } = await db.query<{ name: string; setting: string }>(
        "select name, setting from pg_settings where name in ('fsync', 'synchronous_commit', 'wal_sync_method') order by name",
      );
      expect(rows.map(({ setting }) => setting)).toEqual(['on', 'on', 'fsync']);
      await db.exec('create table t (n int)');
      for (let each = 0; each < 5; each += 1) {
        const before = fs.syncs;
        await db.query('insert into t values ($1)', [each]);
        expect(fs.syncs).toBeGreaterThan(before);
      }
    } finally {
      await db.close();
    }
  }, 60_000);
});
