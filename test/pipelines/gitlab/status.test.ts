import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createRedactor } from '../../../src/logger.ts';
import { cleanLog, deployedSha } from '../../../src/pipelines/gitlab/logs.ts';
import type { GitlabJob, GitlabRun } from '../../../src/pipelines/gitlab/schema.ts';
import { failureOf, latestJobs, stagesOf, stateOf, tellingJob } from '../../../src/pipelines/gitlab/status.ts';
import { until } from '../../contract/harness/deps.ts';
import { end, type Opened, openGitlab } from './helpers.ts';

const run = (status: string, more: Partial<GitlabRun> = {}): GitlabRun => ({ id: 1, status, ...more });
let id = 0;
const job = (name: string, stage: string, status: string, more: Partial<GitlabJob> = {}): GitlabJob => {
  id += 1;
  return { id, name, stage, status, allow_failure: false, ...more };
};

describe('states', () => {
  it.each([
    ['created', 'queued'],
    ['waiting_for_resource', 'queued'],
    ['preparing', 'queued'],
    ['pending', 'queued'],
    ['scheduled', 'queued'],
    ['running', 'running'],
    ['canceling', 'running'],
    ['manual', 'running'],
    ['success', 'succeeded'],
    ['failed', 'failed'],
    ['canceled', 'cancelled'],
    ['skipped', 'failed'],
    ['something_new', 'queued'],
  ])('%s is %s', (theirs, ours) => {
    expect(stateOf(run(theirs), [])).toBe(ours);
  });

  it('stays running between two stages, and is cancelled when what waited beside it was', () => {
    expect(stateOf(run('pending', { started_at: '2026-11-25T09:00:00Z' }), [])).toBe('running');
    expect(stateOf(run('manual'), [job('a', 's', 'manual'), job('b', 's', 'canceled')])).toBe('cancelled');
  });

  it('says why it failed, in one line without secrets', () => {
    const failed = (failure_reason: string) =>
      failureOf(run('failed'), [job('ship\nit', 's', 'failed', { failure_reason })], String);
    expect(failed('script_failure')).toBe('The job ship it failed: its script ended with an error.');
    expect(failed('some_new_reason')).toBe('The job ship it failed: some new reason.');
    expect(failed('constructor')).toBe('The job ship it failed: constructor.');
    expect(failureOf(run('skipped'), [], String)).toMatch(/skipped/);
    expect(failureOf(run('failed'), [], String)).toMatch(/Look at it in GitLab/);
    const secret = 'glpat-0123456789abcdefghij';
    const long = run('failed', { yaml_errors: `${'x'.repeat(270)}${secret} more` });
    expect(failureOf(long, [], createRedactor([secret]))).not.toContain(secret.slice(0, 8));
  });
});

describe('stages', () => {
  const states = (...jobs: GitlabJob[]) => stagesOf(latestJobs(jobs)).map(({ name, state }) => `${name} ${state}`);

  it('come in the order of the first attempts, with the state of the last ones', () => {
    const first = job('build', 'build', 'failed');
    const deploy = job('deploy', 'deploy', 'success');
    const again = job('build', 'build', 'success');
    // GitLab gives the newest first.
    expect(states(again, deploy, first)).toEqual(['build succeeded', 'deploy succeeded']);
  });

  it.each([
    ['waiting', [job('a', 's', 'created'), job('b', 's', 'pending')]],
    ['running', [job('a', 's', 'success'), job('b', 's', 'created')]],
    ['running', [job('a', 's', 'running'), job('b', 's', 'created')]],
    ['waiting', [job('a', 's', 'manual')]],
    ['failed', [job('a', 's', 'success'), job('b', 's', 'failed')]],
    ['failed', [job('a', 's', 'canceled', { started_at: '2026-11-25T09:00:00Z' })]],
    ['skipped', [job('a', 's', 'canceled')]],
    ['skipped', [job('a', 's', 'skipped')]],
    ['skipped', [job('a', 's', 'manual', { allow_failure: true })]],
    ['succeeded', [job('a', 's', 'success'), job('b', 's', 'manual', { allow_failure: true })]],
    ['succeeded', [job('a', 's', 'success'), job('b', 's', 'failed', { allow_failure: true })]],
    ['succeeded', [job('a', 's', 'failed', { allow_failure: true })]],
    ['succeeded', [job('a', 's', 'success'), job('b', 's', 'skipped')]],
  ])('are %s', (state, jobs) => {
    expect(states(...jobs)).toEqual([`s ${state}`]);
  });

  it('take the log of the job that tells most', () => {
    const at = (hour: number) => ({
      started_at: `2026-11-25T0${hour}:00:00Z`,
      finished_at: `2026-11-25T0${hour}:30:00Z`,
    });
    const early = job('a', 's', 'success', at(1));
    const late = job('b', 's', 'success', at(3));
    const broken = job('c', 's', 'failed', at(2));
    const harmless = job('d', 's', 'failed', { ...at(2), allow_failure: true });
    expect(tellingJob([late, early, harmless])).toBe(late);
    expect(tellingJob([early, broken, late])).toBe(broken);
    expect(tellingJob([early, job('e', 's', 'created')])).toBe(early);
    expect(tellingJob([job('e', 's', 'created')])).toBeUndefined();
  });
});

describe('logs', () => {
  const same = (text: string) => text;

  it('lose colours, sections, times and what was written over', () => {
    const time = '2026-11-25T09:00:00.123456Z';
    const raw = [
      '\u001b[0KRunning\u001b[0;m on a runner\r',
      'section_start:1764000000:step_script\r\u001b[0K\u001b[36;1mExecuting\u001b[0;m',
      `${time} 00O section_start:1764000000:x[collapsed=true]\r\u001b[0K${time} 00O+A title`,
      `${time} 01O ten per`,
      `${time} 01O+ cent`,
      `${time} 01E\u0020`,
      ' 10 %\r 50 %\r100 %',
      'a\tb\u0000c\u200b \u001b]0;title\u0007d',
      'section_end:1764000001:step_script\r\u001b[0K',
      '',
    ].join('\n');
    expect(cleanLog(raw, same)).toEqual([
      'Running on a runner',
      'Executing',
      'A title',
      'ten per cent',
      '',
      '100 %',
      'a  bc d',
    ]);
  });

  it('lose secrets, also of several lines, in colours, or cut in two by the runner', () => {
    const redact = createRedactor(['hunter2-hunter2']);
    const time = '2026-11-25T09:00:00.123456Z';
    const raw = `a hunter2\u001b[0m-hunter2\n-----BEGIN PRIVATE KEY-----\nMIIabc\n-----END PRIVATE KEY-----\n${time} 01O hunter2\n${time} 01O+-hunter2`;
    const text = cleanLog(raw, redact).join('\n');
    expect(text).not.toMatch(/hunter2|MIIabc/);
  });

  it('are whole lines without control characters, whatever is printed', () => {
    const piece = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 30 }),
      fc.constantFrom(
        '\u001b[31m',
        '\r',
        '\n',
        'section_start:1:x\r',
        '2026-11-25T09:00:00.123456Z 00O+',
        'hunter2-hunter2',
        '\u001b',
      ),
    );
    const redact = createRedactor(['hunter2-hunter2']);
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 30 }), (pieces) => {
        for (const line of cleanLog(pieces.join(''), redact)) {
          expect(line).not.toMatch(/[\p{Cc}\p{Cf}]/u);
          expect(line).not.toContain('hunter2-hunter2');
        }
      }),
      { numRuns: 500 },
    );
  });

  it('say the commit on a line of its own; the last one counts', () => {
    const sha = 'a'.repeat(40);
    expect(
      deployedSha([
        `$ echo "shipmate-sha: ${'b'.repeat(40)}"`,
        `shipmate-sha: ${'c'.repeat(40)}`,
        `shipmate-sha: ${sha}`,
      ]),
    ).toBe(sha);
    expect(deployedSha([`shipmate-sha: ${sha}x`, 'shipmate-sha:', `x shipmate-sha: ${sha}`])).toBeUndefined();
  });
});

describe('on a server', () => {
  let system: Opened;
  beforeEach(async () => {
    system = await openGitlab();
  });
  afterEach(() => system.close());

  it('reports the commit that the log says, so that another one shows', async () => {
    const { fake } = system;
    const pipeline = system.pipeline();
    const good = await end(pipeline, await pipeline.trigger(system.request()));
    expect(good.sha).toBe(fake.shas['1.1.0']);
    fake.knobs.says = 'other';
    const other = await end(pipeline, await pipeline.trigger(system.request()));
    expect(other.sha).toBe(fake.shas['1.0.0']);
    fake.knobs.says = null;
    expect((await end(pipeline, await pipeline.trigger(system.request()))).sha).toBeUndefined();
  });

  it('reads it from the job that the entry names, when that is not the last one', async () => {
    system.fake.knobs.lastJob = true;
    const named = system.pipeline({ job: 'deploy' });
    const request = system.request();
    const started = await named.trigger(request);
    expect((await end(named, started)).sha).toBe(request.sha);
    expect((await system.pipeline().status(started)).sha).toBeUndefined();
  });

  it('does not call a run good whose log can not be read', async () => {
    const pipeline = system.pipeline();
    const started = await pipeline.trigger(system.request());
    await until(
      async () => system.fake.world.runs[0]?.last,
      (last) => last === 'success',
    );
    system.fake.knobs.brokenLogs = true;
    await expect(system.pipeline().status(started)).rejects.toMatchObject({ code: 'PIPELINE_UNAVAILABLE' });
    system.fake.behave('hang');
    const other = await pipeline.trigger(system.request());
    const status = await until(
      () => pipeline.status(other),
      ({ state }) => state === 'running',
    );
    expect(status.tail).toEqual([]);
  });

  it('asks for what has not changed by its ETag, and for a log no more than it has to', async () => {
    const pipeline = system.pipeline();
    system.fake.behave('hang');
    const started = await pipeline.trigger(system.request());
    await until(
      () => pipeline.status(started),
      ({ state }) => state === 'running',
    );
    await pipeline.status(started);
    const [before, asked] = [system.fake.unchanged(), system.fake.requests().length];
    const status = await pipeline.status(started);
    expect(system.fake.unchanged() - before).toBe(2);
    expect(system.fake.requests().length - asked).toBe(2);
    expect(status.stages.map(({ name }) => name)).toEqual(['build', 'deploy']);
    await pipeline.cancel(started);
  });

  it('reads all pages of jobs', async () => {
    system.fake.knobs.pageSize = 1;
    const pipeline = system.pipeline();
    const status = await end(pipeline, await pipeline.trigger(system.request()));
    expect(status.stages).toHaveLength(2);
  });

  it('keeps the order of stages after a repeated job, and repeats once', async () => {
    const { fake } = system;
    fake.behave('fail');
    const pipeline = system.pipeline();
    const started = await pipeline.trigger(system.request());
    const failed = await end(pipeline, started);
    expect(failed.error).toBe('The job deploy failed: its script ended with an error.');
    expect(failed.tail.at(-1)).toBe('ERROR: Job failed: exit code 3');
    fake.behave('succeed');
    expect(await pipeline.rerun?.(started)).toEqual(await pipeline.rerun?.(started));
    const status = await end(pipeline, started);
    expect(status.stages.map(({ name, state }) => `${name} ${state}`)).toEqual(['build succeeded', 'deploy succeeded']);
    expect(fake.world.runs[0]?.jobs.filter(({ name }) => name === 'deploy')).toHaveLength(2);
    expect(await pipeline.rerun?.(started)).toEqual(started);
  });

  it('repeats none that still runs', async () => {
    system.fake.behave('hang');
    const pipeline = system.pipeline();
    const started = await pipeline.trigger(system.request());
    await expect(pipeline.rerun?.(started)).rejects.toMatchObject({ code: 'PIPELINE_REJECTED' });
    await pipeline.cancel(started);
    // One that was cancelled goes on.
    system.fake.behave('succeed');
    await pipeline.rerun?.(started);
    expect((await end(pipeline, started)).state).toBe('succeeded');
  });

  it('looks less often when the limit is near', async () => {
    const pipeline = system.pipeline();
    expect(pipeline.pollMs).toBe(4_000);
    system.fake.knobs.remaining = 6;
    await pipeline.findByKey('a-key-that-is-none');
    expect(pipeline.pollMs).toBeGreaterThan(20_000);
    expect(pipeline.pollMs).toBeLessThanOrEqual(60_000);
    system.later(120_000);
    expect(pipeline.pollMs).toBe(4_000);
    system.fake.knobs.remaining = 1_900;
    system.fake.trouble('429');
    await expect(pipeline.findByKey('a-key-that-is-none')).rejects.toMatchObject({ retryable: true });
    expect(pipeline.pollMs).toBe(4_000);
    system.fake.trouble('429-bare');
    await expect(pipeline.findByKey('a-key-that-is-none')).rejects.toMatchObject({ retryable: true });
    expect(pipeline.pollMs).toBe(30_000);
  });

  it('shows the end of a very long log', async () => {
    system.fake.knobs.prints = `${'z'.repeat(70_000)}\n`.repeat(12);
    const pipeline = system.pipeline();
    const started = await pipeline.trigger(system.request());
    await end(pipeline, started);
    const lines = await pipeline.logs(started, { lines: 100 });
    expect(lines.at(-1)).toBe('Job succeeded');
    expect(lines.length).toBeLessThan(10);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(1_001);
    expect(await pipeline.logs(started, { lines: 0 })).toEqual([]);
  });

  it('hides what the log prints by mistake', async () => {
    const { token } = system.fake.config.connection as { token: string };
    system.fake.knobs.prints = `curl -H "PRIVATE-TOKEN: ${token}"\nother glrt-t1_0123456789abcdefghij.01.0w1234567`;
    const pipeline = system.pipeline();
    const started = await pipeline.trigger(system.request());
    const status = await end(pipeline, started);
    const shown = JSON.stringify([status, await pipeline.logs(started, { lines: 500 })]);
    for (const secret of [...system.fake.secrets(), '0w1234567']) expect(shown).not.toContain(secret);
    expect(shown).toContain('deploying 1.1.0 with [redacted] by mistake');
  });

  it('leaves out half a line where a long log is cut, which could be half a secret', async () => {
    const { token } = system.fake.config.connection as { token: string };
    const pipeline = system.pipeline();
    const started = await pipeline.trigger(system.request());
    await end(pipeline, started);
    const job = system.fake.world.runs[0]?.jobs[1];
    if (!job) throw new Error('no job');
    // The last 256 KB begin in the middle of the token.
    const rest = `\n${`${'z'.repeat(999)}\n`.repeat(300)}`.slice(0, 262_144 - (token.length - 10));
    job.trace = `x${token}${rest}`;
    const lines = await system.pipeline().logs(started, { lines: 2_000 });
    expect(lines.length).toBeGreaterThan(200);
    expect(lines.every((line) => /^z*$/.test(line))).toBe(true);
  });

  it('says of odd ids that there is no such run', async () => {
    const pipeline = system.pipeline();
    for (const odd of ['', '0', '-1', '1e3', '1\n', '1/jobs', '../1', '9'.repeat(30)])
      await expect(pipeline.status({ id: odd })).rejects.toMatchObject({ code: 'PIPELINE_LOST' });
    await expect(pipeline.logs({ id: '999' }, { lines: 5 })).rejects.toMatchObject({ code: 'PIPELINE_LOST' });
    await expect(pipeline.cancel({ id: '999' })).rejects.toMatchObject({ code: 'PIPELINE_LOST' });
    expect(system.fake.requests().filter((each) => each.includes('..'))).toEqual([]);
  });
});
