import { spawn } from 'node:child_process';
import { linkSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir, readdir, stat } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import { startMark } from '../../../src/pipelines/command/process.ts';
import { until } from '../../contract/harness/deps.ts';
import { finished, openCommand } from './helpers.ts';

let system: Awaited<ReturnType<typeof openCommand>>;
afterEach(() => system.close());

const HANG = `
require('node:fs').writeFileSync('pid', String(process.pid));
console.log('::stage build');
setInterval(() => undefined, 1000);
`;
const STUBBORN = `process.on('SIGTERM', () => console.log('no')); ${HANG}`;
// Starts a grandchild in its own group that holds the output open, then does \`last\`.
const withGrandchild = (last: string) => `
const { spawn } = require('node:child_process');
const child = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1000)'], { stdio: 'inherit' });
require('node:fs').writeFileSync('grandchild', String(child.pid));
console.log('::stage build');
${last}
`;
const readPid = (name: string) => Number(readFileSync(join(system.folder, name), 'utf8'));
const isGone = (pid: number) =>
  until(
    () => startMark(pid),
    (mark) => mark === null,
  );
const record = <T>(folder: string, name: string) => JSON.parse(readFileSync(join(folder, name), 'utf8')) as T;

async function startHanging(program: string, config = {}) {
  system = await openCommand(program);
  const pipeline = system.create(config);
  const request = system.request();
  const run = await pipeline.trigger(request);
  await until(
    () => pipeline.status(run),
    ({ stages }) => stages.length > 0,
  );
  return { pipeline, request, run, folder: system.runFolder(request) };
}

describe('a program that can’t be started', () => {
  it('is refused in clear words before anything is recorded', async () => {
    system = await openCommand('');
    const request = system.request();
    const missing = system.create({ command: 'no-such-program --version {version}' });
    await expect(missing.trigger(request)).rejects.toMatchObject({
      code: 'PIPELINE_REJECTED',
      sent: 'no',
      message: expect.stringContaining('"no-such-program" was not found in PATH'),
    });
    expect(await missing.findByKey(request.key)).toBeNull();
    expect(await missing.check()).toMatchObject([{ level: 'error' }]);
    const notExecutable = system.create({ command: './program.cjs' });
    await expect(notExecutable.trigger(request)).rejects.toThrow(/not executable/);
    const noFolder = system.create({ cwd: 'nowhere' });
    await expect(noFolder.trigger(request)).rejects.toThrow(/working folder .*nowhere does not exist/);
  });

  it('fails its run when only the system finds out', async () => {
    system = await openCommand('');
    const script = join(system.folder, 'script');
    writeFileSync(script, '#!/no/such/interpreter\n', { mode: 0o755 });
    const pipeline = system.create({ command: './script' });
    const status = await finished(pipeline, await pipeline.trigger(system.request()));
    expect(status).toMatchObject({ state: 'failed', error: expect.stringContaining('could not be started') });
  });
});

describe('a program that misbehaves', () => {
  it('is stopped with all that it started when its time is up', async () => {
    const { pipeline, run } = await startHanging(withGrandchild('setInterval(() => undefined, 1000);'), {
      timeout: '1s',
    });
    const grandchild = readPid('grandchild');
    const status = await finished(pipeline, run);
    expect(status).toMatchObject({ state: 'failed', error: 'stopped after 1 s' });
    expect(status.stages).toMatchObject([{ name: 'build', state: 'failed' }]);
    await isGone(grandchild);
  });

  it('is killed when it does not stop', async () => {
    const { pipeline, run } = await startHanging(STUBBORN, { stopGrace: '1s' });
    await pipeline.cancel(run);
    const status = await finished(pipeline, run);
    expect(status.state).toBe('cancelled');
    expect(status.tail).toContain('no');
    await isGone(readPid('pid'));
  });

  it('does not fill the disk, and keeps its beginning and end', async () => {
    system = await openCommand(`
      const line = 'x'.repeat(99) + '\\n';
      process.stdout.write('first line\\n');
      const block = line.repeat(10000);
      let count = 0;
      const more = () => {
        while (count < 100) { count += 1; if (!process.stdout.write(block)) return process.stdout.once('drain', more); }
        process.stdout.write('::stage end\\nlast line\\n');
      };
      more();
    `);
    const pipeline = system.create();
    const request = system.request();
    const run = await pipeline.trigger(request);
    const status = await finished(pipeline, run);
    expect(status.state).toBe('succeeded');
    expect(status.tail.at(-1)).toBe('last line');
    expect(status.stages).toMatchObject([{ name: 'end' }]);
    const folder = system.runFolder(request);
    const outputs = (await readdir(folder)).filter((name) => name.startsWith('output.'));
    const sizes = await Promise.all(outputs.map(async (name) => (await stat(join(folder, name))).size));
    expect(sizes.reduce((sum, size) => sum + size, 0)).toBeLessThanOrEqual(11 * 1024 * 1024);
    expect(readFileSync(join(folder, 'output.0.log'), 'utf8').startsWith('first line\n')).toBe(true);
    expect(record<{ droppedBytes: number }>(folder, 'result.json').droppedBytes).toBeGreaterThan(85_000_000);
    expect((await pipeline.logs(run, { lines: 5000 })).length).toBe(5000);
  });

  it('is told apart when it dies by a signal', async () => {
    system = await openCommand('console.log("on my way"); process.kill(process.pid, "SIGKILL");');
    const pipeline = system.create();
    const status = await finished(pipeline, await pipeline.trigger(system.request()));
    expect(status).toMatchObject({ state: 'failed', error: 'the program was ended by SIGKILL: on my way' });
  });

  it('is over when it ends, even if something that it started holds its output open', async () => {
    system = await openCommand(withGrandchild('process.exit(0);'));
    const pipeline = system.create();
    const run = await pipeline.trigger(system.request());
    expect((await finished(pipeline, run)).state).toBe('succeeded');
    process.kill(readPid('grandchild'), 'SIGKILL');
  });
});

describe('a wrapper that was killed', () => {
  it('leaves the run running while its program runs, and lost when that is gone', async () => {
    const { pipeline, run, folder } = await startHanging(HANG);
    process.kill(record<{ pid: number }>(folder, 'claim.json').pid, 'SIGKILL');
    await isGone(record<{ pid: number }>(folder, 'claim.json').pid);
    expect((await pipeline.status(run)).state).toBe('running');
    process.kill(readPid('pid'), 'SIGKILL');
    const status = await finished(pipeline, run);
    expect(status).toMatchObject({ state: 'failed', error: expect.stringContaining('lost its wrapper') });
    expect(await system.create().status(run)).toEqual(status);
  });

  it('finds the program by its environment when its id was never written', async () => {
    if (process.platform !== 'linux') return;
    const { pipeline, run, folder } = await startHanging(HANG);
    process.kill(record<{ pid: number }>(folder, 'claim.json').pid, 'SIGKILL');
    await isGone(record<{ pid: number }>(folder, 'claim.json').pid);
    rmSync(join(folder, 'program.json'));
    expect((await pipeline.status(run)).state).toBe('running');
    await pipeline.cancel(run);
    expect((await pipeline.status(run)).state).toBe('cancelled');
    await isGone(readPid('pid'));
  });

  it('is not taken for another process that has its id now', async () => {
    const { pipeline, run, folder } = await startHanging(HANG);
    const claim = record<{ pid: number; start: string }>(folder, 'claim.json');
    process.kill(claim.pid, 'SIGKILL');
    process.kill(readPid('pid'), 'SIGKILL');
    await isGone(claim.pid);
    await isGone(readPid('pid'));
    const stranger = spawn(process.execPath, ['-e', 'setInterval(() => undefined, 1000)'], {
      detached: true,
      stdio: 'ignore',
    });
    for (const name of ['claim.json', 'program.json']) {
      const before = record<object>(folder, name);
      writeFileSync(join(folder, name), JSON.stringify({ ...before, pid: stranger.pid }));
    }
    expect((await pipeline.status(run)).state).toBe('failed');
    rmSync(join(folder, 'result.json'));
    await pipeline.cancel(run);
    expect(await startMark(stranger.pid ?? 0)).not.toBeNull();
    stranger.kill('SIGKILL');
  });
});

describe('a bot that died', () => {
  it('between recording and starting: the same key starts the run, once', async () => {
    const { pipeline, request, run, folder } = await startHanging(HANG);
    await pipeline.cancel(run);
    await finished(pipeline, run);
    // The folder as it was before any wrapper.
    for (const name of ['claim.json', 'program.json', 'progress.json', 'result.json', 'cancel', 'stopping'])
      rmSync(join(folder, name), { force: true });
    rmSync(join(system.folder, 'pid'));
    writeFileSync(
      join(folder, 'request.json'),
      JSON.stringify({ ...record<object>(folder, 'request.json'), createdAt: new Date().toISOString() }),
    );
    expect((await system.create().status(run)).state).toBe('queued');
    const again = await system.create().trigger(request);
    expect(again).toEqual(run);
    await until(
      async () => readdir(system.folder),
      (names) => names.includes('pid'),
    );
    expect((await pipeline.status(run)).state).toBe('running');
  });

  it('and was not asked again: it certainly never starts, and says so', async () => {
    const { pipeline, request, run, folder } = await startHanging(HANG);
    await pipeline.cancel(run);
    await finished(pipeline, run);
    for (const name of ['claim.json', 'program.json', 'progress.json', 'result.json', 'cancel', 'stopping'])
      rmSync(join(folder, name), { force: true });
    rmSync(join(system.folder, 'pid'));
    writeFileSync(
      join(folder, 'request.json'),
      JSON.stringify({ ...record<object>(folder, 'request.json'), createdAt: '2026-01-01T00:00:00.000Z' }),
    );
    const status = await pipeline.status(run);
    expect(status).toMatchObject({ state: 'failed', error: expect.stringContaining('before the program was started') });
    await pipeline.trigger(request);
    expect(await pipeline.status(run)).toEqual(status);
    expect(await readdir(system.folder)).not.toContain('pid');
  });

  it('leaves half a folder: that is no run', async () => {
    system = await openCommand(HANG);
    const request = system.request();
    await mkdir(join(system.runFolder(request), '..', `.${request.key}.abc`), { recursive: true });
    const pipeline = system.create();
    expect(await pipeline.findByKey(request.key)).toBeNull();
    await pipeline.trigger(request);
    expect(await pipeline.findByKey(request.key)).toEqual({ id: `${request.key}@${hostname()}` });
  });
});

describe('a run of another time or place', () => {
  it('is lost here when it belongs to another machine, and says which', async () => {
    const { pipeline, run, folder } = await startHanging(HANG);
    const claim = record<object>(folder, 'claim.json');
    renameSync(join(folder, 'claim.json'), join(folder, 'kept'));
    writeFileSync(join(folder, 'claim.json'), JSON.stringify({ ...claim, host: 'blue-7' }));
    const lost = { code: 'PIPELINE_LOST', message: expect.stringContaining('blue-7') };
    await expect(pipeline.status(run)).rejects.toMatchObject(lost);
    await expect(pipeline.cancel(run)).rejects.toMatchObject(lost);
    await expect(pipeline.status({ id: 'deploy-2026-11@blue-8' })).rejects.toThrow(/started on blue-8/);
    rmSync(join(folder, 'claim.json'));
    linkSync(join(folder, 'kept'), join(folder, 'claim.json'));
  });

  it('failed when the machine was restarted since', async () => {
    if (process.platform !== 'linux') return;
    const { pipeline, run, folder } = await startHanging(HANG);
    const claim = record<{ pid: number }>(folder, 'claim.json');
    writeFileSync(join(folder, 'claim.json'), JSON.stringify({ ...claim, boot: 'an earlier one' }));
    expect(await pipeline.status(run)).toMatchObject({
      state: 'failed',
      error: expect.stringContaining('machine was restarted'),
    });
    process.kill(claim.pid, 'SIGTERM');
    await isGone(claim.pid);
  });
});
