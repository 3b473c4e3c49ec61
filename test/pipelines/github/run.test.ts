import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { linesOf } from '../../../src/pipelines/github/logs.ts';
import { parseRunId, refId } from '../../../src/pipelines/github/ref.ts';
import { stagesOf, stateOf } from '../../../src/pipelines/github/run.ts';
import type { Job } from '../../../src/pipelines/github/schema.ts';
import { latest } from '../../fakes/github/runs.ts';
import { openSystem, type System, until } from './helpers.ts';

let system: System;
beforeEach(async () => {
  system = await openSystem();
});
afterEach(() => system.close());

const theRun = (id: string) => {
  const run = system.fake.world.runs.get(Number(id));
  if (!run) throw new Error('no run');
  return run;
};

describe('a look at a run', () => {
  it('reads the commit that the run says it deployed', async () => {
    const run = await system.pipeline.trigger(system.request());
    theRun(run.id).deploys = system.fake.shas['1.0.0'];
    expect(await system.end(run)).toMatchObject({ state: 'succeeded', sha: system.fake.shas['1.0.0'] });
  });

  it('knows no commit where the run says none, and never takes the one of the workflow file for it', async () => {
    const run = await system.pipeline.trigger(system.request());
    theRun(run.id).deploys = null;
    expect(await system.end(run)).not.toHaveProperty('sha');
  });

  it('believes only notes of our title, of the right level and form', async () => {
    const run = await system.pipeline.trigger(system.request());
    theRun(run.id).deploys = null;
    await system.end(run);
    const job = latest(theRun(run.id)).jobs[1];
    const sha = system.fake.shas['1.1.0'];
    job?.annotations.push(
      { level: 'warning', title: 'shipmate-sha', message: sha },
      { level: 'notice', title: 'other', message: sha },
      { level: 'notice', title: 'shipmate-sha', message: `${sha}; and more` },
    );
    expect(await system.pipeline.status(run)).not.toHaveProperty('sha');
    job?.annotations.push({ level: 'notice', title: 'shipmate-sha', message: ` ${sha}\n` });
    expect((await system.pipeline.status(run)).sha).toBe(sha);
  });

  it('goes without the commit when the App may not read checks', async () => {
    delete system.fake.world.permissions.checks;
    const run = await system.pipeline.trigger(system.request());
    const status = await system.end(run);
    expect(status.state).toBe('succeeded');
    expect(status).not.toHaveProperty('sha');
  });

  it('names the step that failed and what it said, and shows its lines only', async () => {
    system.fake.behave('fail');
    const run = await system.pipeline.trigger(system.request());
    const status = await system.end(run);
    expect(status.error).toBe('"Run ./deploy.sh" of the job "deploy" failed: Process completed with exit code 3.');
    expect(status.tail.slice(-2)).toEqual(['it is broken', 'Process completed with exit code 3.']);
    expect(status.tail.join('\n')).toContain('using [redacted]');
    expect(status.stages).toMatchObject([
      { name: 'build', state: 'succeeded' },
      { name: 'deploy', state: 'failed' },
    ]);
  });

  it('costs nothing while nothing changes: GitHub confirms what is known', async () => {
    const { fake, pipeline } = system;
    fake.behave('hang');
    const run = await pipeline.trigger(system.request());
    await until(
      () => pipeline.status(run),
      ({ stages }) => stages.at(-1)?.state === 'running',
    );
    const first = await pipeline.status(run);
    const { remaining } = fake.world.rate;
    const before = fake.requests().length;
    expect(await pipeline.status(run)).toEqual(first);
    expect(fake.requests().length - before).toBe(2);
    expect(fake.world.rate.remaining).toBe(remaining);
  });

  it('refuses runs of another workflow', async () => {
    const run = await system.pipeline.trigger(system.request());
    const { pipeline } = system.other({ deploy: { workflow: 'other.yml' } });
    await expect(pipeline.status(run)).rejects.toMatchObject({
      code: 'PIPELINE_LOST',
      message: expect.stringContaining('one of .github/workflows/deploy.yml, not of other.yml'),
    });
  });

  it('answers something that is not understood with an error, not with a guess', async () => {
    const run = await system.pipeline.trigger(system.request());
    Object.assign(theRun(run.id), { title: 7 });
    await expect(system.pipeline.status(run)).rejects.toMatchObject({
      code: 'PIPELINE_UNAVAILABLE',
      message: expect.stringContaining('not understood ("display_title")'),
    });
  });

  it('sends the log’s file server no credentials', async () => {
    const run = await system.pipeline.trigger(system.request());
    await system.end(run);
    expect((await system.pipeline.logs(run, { lines: 100 })).at(-1)).toBe('done');
    expect(await system.pipeline.logs(run, { lines: 0 })).toEqual([]);
    expect(system.fake.complaints()).toEqual([]);
  });

  it('has no log of a job that runs, and one of it when it was stopped', async () => {
    system.fake.behave('hang');
    const run = await system.pipeline.trigger(system.request());
    expect(await system.pipeline.logs(run, { lines: 10 })).toEqual([]);
    await until(
      () => system.pipeline.status(run),
      ({ stages }) => stages.at(-1)?.state === 'running',
    );
    expect(await system.pipeline.logs(run, { lines: 100 })).toContain('Run ./build.sh');
    await system.pipeline.cancel(run);
    expect(await system.pipeline.logs(run, { lines: 100 })).toContain('Run ./deploy.sh');
  });
});

describe('cancelling', () => {
  it('is fine when the run ends in the same moment', async () => {
    const { fake, pipeline } = system;
    fake.behave('hang');
    const run = await pipeline.trigger(system.request());
    fake.world.endsBeforeCancel = true;
    await pipeline.cancel(run);
    expect(fake.exchanges().at(-1)).toMatchObject({ method: 'POST', status: 409 });
  });
});

describe('attempts', () => {
  it('are told apart: the first stays failed, cancelling it leaves the second alone', async () => {
    const { fake, pipeline } = system;
    fake.behave('fail');
    const run = await pipeline.trigger(system.request());
    await system.end(run);
    fake.behave('hang');
    const again = await pipeline.rerun?.(run);
    if (!again) throw new Error('no re-run');
    expect(again.id).toBe(`${run.id}.2`);
    await pipeline.cancel(run);
    await until(
      () => pipeline.status(again),
      ({ state }) => state === 'running',
    );
    expect((await pipeline.status(run)).state).toBe('failed');
    await pipeline.cancel(again);
    expect((await pipeline.status(again)).state).toBe('cancelled');
    await expect(pipeline.rerun?.(again)).rejects.toMatchObject({ code: 'PIPELINE_REJECTED' });
    expect(await pipeline.status({ id: `${run.id}.3` }).catch((error: unknown) => error)).toMatchObject({
      code: 'PIPELINE_LOST',
    });
  });

  it('begin once when two ask at the same time', async () => {
    const { fake, pipeline } = system;
    fake.behave('fail');
    const run = await pipeline.trigger(system.request());
    await system.end(run);
    fake.behave('succeed');
    const other = system.other().pipeline;
    // With a token already, so that both ask before either has begun.
    await other.status(run);
    const [first, second] = await Promise.all([pipeline.rerun?.(run), other.rerun?.(run)]);
    expect(second).toEqual(first);
    expect(theRun(run.id).attempts).toHaveLength(2);
  });

  it('have ids of a strict form', () => {
    for (const id of ['', '0', '1.0', '1.', '.1', '1.1.1', '1e3', ' 1', '1\n', '../1', '9'.repeat(16), '１'])
      expect(() => parseRunId({ id })).toThrow(expect.objectContaining({ code: 'PIPELINE_LOST' }));
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 1e14 }), fc.integer({ min: 1, max: 999 }), (run, attempt) => {
        expect(parseRunId({ id: refId(String(run), attempt) })).toEqual({ run, attempt });
      }),
    );
  });
});

describe('stages and states', () => {
  const step = (name: string, status: string, conclusion: string | null = null) => ({
    name,
    number: 1,
    status,
    conclusion,
    started_at: '2026-11-25T10:00:00Z',
    completed_at: null,
  });
  const job = (more: Partial<Job>): Job => ({
    id: '1',
    name: 'deploy',
    status: 'in_progress',
    conclusion: null,
    started_at: '2026-11-25T10:00:00Z',
    completed_at: null,
    check_run_url: '',
    ...more,
  });

  it('are the steps of a single job, without what the runner does', () => {
    const steps = [
      step('Set up job', 'completed', 'success'),
      step('Build', 'completed', 'success'),
      step('Deploy', 'in_progress'),
      step('Test', 'queued'),
      step('Post Run actions/checkout@v5', 'queued'),
      step('Complete job', 'queued'),
    ];
    expect(stagesOf([job({ steps })]).map(({ name, state }) => [name, state])).toEqual([
      ['Build', 'succeeded'],
      ['Deploy', 'running'],
      ['Test', 'waiting'],
    ]);
  });

  it('leaves nothing running in a job that is over', () => {
    const steps = [step('Build', 'in_progress'), step('Deploy', 'queued')];
    const [build, deploy] = stagesOf([job({ steps, status: 'completed', conclusion: 'cancelled' })]);
    expect([build?.state, deploy?.state]).toEqual(['skipped', 'skipped']);
  });

  it('are the jobs, where there are several', () => {
    const jobs = [
      job({ name: 'build', status: 'completed', conclusion: 'success' }),
      job({ name: 'deploy\u202e', status: 'waiting' }),
      job({ name: '', status: 'completed', conclusion: 'skipped' }),
      job({ name: 'late', status: 'completed', conclusion: 'timed_out' }),
    ];
    expect(stagesOf(jobs).map(({ name, state }) => [name, state])).toEqual([
      ['build', 'succeeded'],
      ['deploy', 'waiting'],
      ['unnamed', 'skipped'],
      ['late', 'failed'],
    ]);
  });

  it.each([
    ['queued', null, 'queued'],
    ['requested', null, 'queued'],
    ['pending', null, 'queued'],
    [null, null, 'queued'],
    ['in_progress', null, 'running'],
    ['waiting', null, 'running'],
    ['completed', 'success', 'succeeded'],
    ['completed', 'neutral', 'succeeded'],
    ['completed', 'cancelled', 'cancelled'],
    ['completed', 'failure', 'failed'],
    ['completed', 'timed_out', 'failed'],
    ['completed', 'startup_failure', 'failed'],
    // Every job was skipped: nothing was deployed.
    ['completed', 'skipped', 'failed'],
    ['completed', null, 'failed'],
  ])('%s and %s is %s', (status, conclusion, state) => {
    expect(stateOf({ status, conclusion })).toBe(state);
  });
});

describe('lines of a log', () => {
  const steps = (started: string, completed: string): Pick<Job, 'steps'> => ({
    steps: [
      {
        name: 'Deploy',
        number: 2,
        status: 'completed',
        conclusion: 'failure',
        started_at: started,
        completed_at: completed,
      },
    ],
  });
  const text = [
    '\uFEFF2026-11-25T10:00:00.1234567Z ##[group]Run make',
    '2026-11-25T10:00:01.0000000Z \u001b[32mbuilt\u001b[0m',
    '2026-11-25T10:00:05.1000000Z ##[error]it is broken',
    'and this goes on',
    '2026-11-25T10:00:09.0000000Z Cleaning up',
  ].join('\r\n');

  it('are those of the failing step', () => {
    expect(linesOf(text, steps('2026-11-25T10:00:05Z', '2026-11-25T10:00:05Z'))).toEqual([
      'it is broken',
      'and this goes on',
    ]);
  });

  it('are all, where the times tell nothing', () => {
    const all = ['Run make', 'built', 'it is broken', 'and this goes on', 'Cleaning up'];
    expect(linesOf(text, {})).toEqual(all);
    expect(linesOf(text, steps('2025-01-01T00:00:00Z', '2025-01-01T00:00:00Z'))).toEqual(all);
  });

  it('are single lines without anything that a terminal or a card could obey', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (odd) => {
        for (const line of linesOf(odd, {})) {
          expect(line).not.toMatch(/[\p{Cc}\p{Cf}\u2028\u2029]/u);
          expect(line.isWellFormed()).toBe(true);
          expect(line).not.toBe('');
        }
      }),
    );
  });
});
