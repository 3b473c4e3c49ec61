import {
  appendFile,
  type FileHandle,
  mkdir,
  mkdtemp,
  open,
  readFile,
  rename,
  rm,
  stat,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { openLines } from '../../src/audit/lines.ts';
import { createFileSink } from '../../src/audit/sinks/file.ts';
import { silentLogger } from '../contract/harness/deps.ts';
import { chainOf, linesOf } from './harness.ts';

let folder: string;
let file: string;
beforeEach(async () => {
  folder = await mkdtemp(path.join(tmpdir(), 'shipmate-sink-'));
  file = path.join(folder, 'audit.jsonl');
});
afterEach(() => rm(folder, { recursive: true, force: true }));

const entries = chainOf(6);
const sinkOf = () => createFileSink(file, { logger: silentLogger });

describe('the file sink', () => {
  it('appends one line of canonical JSON per entry, to a file of its own', async () => {
    const sink = sinkOf();
    expect(sink.name).toBe(`file:${file}`);
    await sink.write(entries.slice(0, 2));
    await sink.write(entries.slice(2, 3));
    await sink.close();
    const lines = await linesOf(file);
    expect(lines.map((line) => JSON.parse(line))).toEqual(entries.slice(0, 3));
    expect(lines[0]).toMatch(/^\{"action":"deploy\.request","actor":\{"id":/);
    expect((await stat(file)).mode & 0o777).toBe(0o600);
  });

  it('goes on where it was after a restart, and keeps what is there', async () => {
    await writeFile(file, 'kept\n', { mode: 0o640 });
    for (const entry of entries.slice(0, 2)) {
      const sink = sinkOf();
      await sink.write([entry]);
      await sink.close();
    }
    expect(await linesOf(file)).toEqual([
      'kept',
      expect.stringContaining('"seq":1'),
      expect.stringContaining('"seq":2'),
    ]);
    expect((await stat(file)).mode & 0o777).toBe(0o640);
  });

  it('writes to the new file after a rotation, and to one that was emptied in place', async () => {
    const sink = sinkOf();
    await sink.write(entries.slice(0, 1));
    await rename(file, `${file}.1`);
    await sink.write(entries.slice(1, 2));
    // As logrotate does with "create".
    await rename(file, `${file}.2`);
    await writeFile(file, '');
    await sink.write(entries.slice(2, 3));
    await truncate(file, 0);
    await sink.write(entries.slice(3, 4));
    await sink.close();
    const seqs = async (name: string) => (await linesOf(name)).map((line) => (JSON.parse(line) as { seq: number }).seq);
    expect(await seqs(`${file}.1`)).toEqual([1]);
    expect(await seqs(`${file}.2`)).toEqual([2]);
    expect(await seqs(file)).toEqual([4]);
  });

  it('begins a new line after half a line, also one that another process left', async () => {
    await writeFile(file, '{"action":"deploy.req');
    const sink = sinkOf();
    await sink.write(entries.slice(0, 1));
    await appendFile(file, '{"act');
    await sink.write(entries.slice(1, 3));
    await sink.close();
    expect(await linesOf(file)).toEqual([
      '{"action":"deploy.req',
      expect.stringMatching(/^\{"action":"deploy\.request".*"seq":1,/),
      '{"act',
      expect.stringMatching(/^\{"action":"deploy\.request".*"seq":2,/),
      expect.stringMatching(/^\{"action":"deploy\.request".*"seq":3,/),
    ]);
  });

  it('fails where it can not write, and recovers', async () => {
    const missing = path.join(folder, 'logs', 'audit.jsonl');
    const sink = createFileSink(missing, { logger: silentLogger });
    await expect(sink.write(entries.slice(0, 1))).rejects.toMatchObject({ code: 'ENOENT' });
    await mkdir(path.join(folder, 'logs'));
    await sink.write(entries.slice(0, 1));
    expect(await linesOf(missing)).toHaveLength(1);
    await rm(missing);
    await mkdir(missing);
    await expect(sink.write(entries.slice(1, 2))).rejects.toMatchObject({ code: 'EISDIR' });
    await rm(missing, { recursive: true });
    await sink.write(entries.slice(1, 2));
    expect(await linesOf(missing)).toHaveLength(1);
    await sink.close();
  });

  it('fails when the disk is full, and says so of a device', async () => {
    // Every write to it is ENOSPC; it is no file, so that nothing would be kept either.
    await symlink('/dev/full', file);
    await expect(sinkOf().write(entries.slice(0, 1))).rejects.toThrow(/no ordinary file/);
  });

  it('has written and synced before it resolves, the name of a new file too', async () => {
    const handle = await open(folder);
    const prototype = Object.getPrototypeOf(handle) as FileHandle;
    await handle.close();
    const [append, datasync, sync] = (['appendFile', 'datasync', 'sync'] as const).map((name) =>
      jest.spyOn(prototype, name),
    );
    const sink = sinkOf();
    try {
      await sink.write(entries.slice(0, 1));
      await sink.write(entries.slice(1, 2));
      const order = (spy: typeof append) => spy?.mock.invocationCallOrder ?? [];
      expect([order(append).length, order(datasync).length, order(sync).length]).toEqual([2, 2, 1]);
      for (const [index, call] of order(append).entries()) expect(order(datasync)[index]).toBeGreaterThan(call);
      datasync?.mockImplementationOnce(() => Promise.reject(new Error('the disk is gone')));
      await expect(sink.write(entries.slice(2, 3))).rejects.toThrow('the disk is gone');
    } finally {
      jest.restoreAllMocks();
      await sink.close();
    }
  });

  it('writes again what was moved away while it was written', async () => {
    const lines = openLines(file);
    await lines.append(['first']);
    const handle = await open(file);
    const prototype = Object.getPrototypeOf(handle) as FileHandle;
    await handle.close();
    const { appendFile: original } = prototype;
    const moving = jest.spyOn(prototype, 'appendFile').mockImplementationOnce(async function (this: FileHandle, data) {
      await original.call(this, data);
      await rename(file, `${file}.1`);
    });
    try {
      expect(await lines.append(['second'])).toEqual({ replaced: true });
    } finally {
      moving.mockRestore();
      await lines.close();
    }
    expect(await readFile(`${file}.1`, 'utf8')).toBe('first\nsecond\n');
    expect(await readFile(file, 'utf8')).toBe('second\n');
  });

  it('keeps the lines of several writers whole', async () => {
    const sinks = Array.from({ length: 4 }, sinkOf);
    await Promise.all(
      sinks.map(async (sink) => {
        for (let round = 0; round < 25; round += 1) await sink.write(entries);
        await sink.close();
      }),
    );
    const lines = (await linesOf(file)).filter((line) => line !== '');
    expect(lines).toHaveLength(4 * 25 * entries.length);
    for (const line of lines) expect(entries).toContainEqual(JSON.parse(line));
  });
});
