import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { pipelineDeps, until } from '../../contract/harness/deps.ts';
import { errorOf, isOver, type Opened, open, untilOver } from './helpers.ts';

let system: Opened;
beforeEach(async () => {
  system = await open();
});
afterEach(async () => {
  await system.close();
  expect(system.fake.unknown()).toEqual([]);
});

const posted = (end = '/runs') => system.fake.bodies.filter(({ path }) => path.endsWith(end)).map(({ body }) => body);
const asked = (word: string) => system.fake.requests().filter((each) => each.includes(word)).length;

describe('looking at a run', () => {
  it('is two requests when nothing new was printed', async () => {
    const pipeline = system.pipeline();
    system.fake.behave('hang');
    const run = await pipeline.trigger(system.request());
    await until(
      () => pipeline.status(run),
      ({ stages, tail }) => stages[1]?.state === 'running' && tail.length > 0,
    );
    await pipeline.status(run);
    const from = system.fake.requests().length;
    await pipeline.status(run);
    expect(
      system.fake
        .requests()
        .slice(from)
        .map((each) => each.split('/').at(-1)),
    ).toEqual([run.id, 'timeline']);
  });

  it('is four requests at most, however much was printed', async () => {
    const run = await system.pipeline().trigger(system.request());
    await untilOver(system.pipeline(), run);
    const other = system.connect();
    const pipeline = system.pipeline({}, { ...pipelineDeps('/nowhere'), connection: other });
    const tails: string[][] = [];
    for (const most of [4, 4, 2]) {
      const from = system.fake.requests().length;
      tails.push((await pipeline.status(run)).tail);
      expect(system.fake.requests().length - from).toBe(most);
    }
    expect(tails.map((tail) => tail[0])).toEqual([
      'Starting: Deploy',
      'Starting: Build package',
      'Starting: Build package',
    ]);
  });

  it('shows the end of what was printed, without times, marks and colours', async () => {
    const pipeline = system.pipeline();
    system.fake.behave('fail');
    const run = await pipeline.trigger(system.request());
    const status = await untilOver(pipeline, run);
    expect(status).toMatchObject({ state: 'failed', error: "Deploy: Bash exited with code '1'." });
    expect(status.tail.slice(-7)).toEqual([
      'Starting: Deploy',
      'Deploying 1.1.0 to Staging',
      'password=[redacted]',
      'using [redacted]',
      'smoke test',
      'it is broken',
      'Finishing: Deploy',
    ]);
    const all = await pipeline.logs(run, { lines: 1000 });
    expect(all.slice(-7)).toEqual(status.tail.slice(-7));
    expect(all[0]).toBe('Starting: Build package');
    for (const lines of [0, -1]) expect(await pipeline.logs(run, { lines })).toEqual([]);
    expect(await pipeline.logs(run, { lines: 2 })).toEqual(['it is broken', 'Finishing: Deploy']);
  });

  it('reads no more of a long log than is asked for', async () => {
    const pipeline = system.pipeline();
    const run = await pipeline.trigger(system.request());
    await untilOver(pipeline, run);
    const long = Array.from({ length: 50_000 }, (_, index) => `2026-09-01T00:00:00.0000000Z line ${index}`);
    system.fake.runs.find(Number(run.id)).logs.set(6, long);
    expect(await pipeline.logs(run, { lines: 3 })).toEqual(['line 49997', 'line 49998', 'line 49999']);
    expect(system.fake.lastQuery.get('startLine')).toBe('49997');
  });

  it('is failed when nobody let it in, though Azure DevOps says that it succeeded', async () => {
    const pipeline = system.pipeline();
    system.fake.behave('ask');
    const run = await pipeline.trigger(system.request());
    await until(
      () => pipeline.status(run),
      ({ gate }) => gate !== undefined,
    );
    const found = system.fake.runs.find(Number(run.id));
    system.fake.runs.answer(found, 'timedOut', '');
    expect(found.result).toBe('succeeded');
    expect(await pipeline.status(run)).toMatchObject({
      state: 'failed',
      error: 'The approval or check of Deploy was rejected, or ran out of time.',
    });
    for (const requests of [2, 1]) {
      const from = system.fake.requests().length;
      const [listed] = (await pipeline.recent?.({ since: new Date(0) })) ?? [];
      expect(listed).toMatchObject({ run: { id: run.id }, state: 'failed' });
      expect(system.fake.requests().length - from).toBe(requests);
    }
  });

  it.each(['0', '-1', '1e3', '../42', '99999999999999999999', 'x', ''])('says that %j is no run', async (id) => {
    const pipeline = system.pipeline();
    for (const work of [pipeline.status({ id }), pipeline.cancel({ id }), pipeline.logs({ id }, { lines: 1 })])
      expect(await errorOf(work)).toMatchObject({ code: 'PIPELINE_LOST' });
    expect(system.fake.requests()).toEqual([]);
  });

  it('says that a run is gone', async () => {
    for (const work of [system.pipeline().status({ id: '999' }), system.pipeline().logs({ id: '999' }, { lines: 1 })]) {
      const error = await errorOf(work);
      expect(error).toMatchObject({ code: 'PIPELINE_LOST', retryable: false });
      expect(error.message).toMatch(/retention/);
    }
  });
});

describe('a second attempt', () => {
  const failed = async () => {
    const pipeline = system.pipeline();
    system.fake.behave('fail');
    const run = await pipeline.trigger(system.request());
    await untilOver(pipeline, run);
    system.fake.behave('succeed');
    return { pipeline, run };
  };

  it('is of the stage that failed, and of it alone', async () => {
    const { pipeline, run } = await failed();
    await pipeline.rerun?.(run);
    expect(posted('/stages/Deploy')).toEqual([{ state: 'retry', forceRetryAllJobs: false }]);
    expect(asked('/stages/Prepare')).toBe(0);
    expect((await untilOver(pipeline, run)).state).toBe('succeeded');
    // It went on, and ended well: whoever asks again is told so.
    expect(await pipeline.rerun?.(run)).toEqual(run);
  });

  it('is one when two ask at once', async () => {
    const { pipeline, run } = await failed();
    const all = await Promise.all([pipeline.rerun?.(run), system.pipeline().rerun?.(run)]);
    expect(all).toEqual([run, run]);
    expect((await untilOver(pipeline, run)).state).toBe('succeeded');
    expect(system.fake.runs.find(Number(run.id)).stages[1]?.attempt).toBe(2);
  });

  it('is refused when somebody let the run go on in another way meanwhile', async () => {
    const { pipeline, run } = await failed();
    const body = { id: Number(run.id), status: 'completed', result: 'failed' };
    system.fake.instead.set(`/builds/${run.id}`, { status: 200, body });
    system.fake.runs.find(Number(run.id)).status = 'inProgress';
    expect(await errorOf(pipeline.rerun?.(run) ?? Promise.resolve())).toMatchObject({ code: 'PIPELINE_REJECTED' });
  });

  it('is refused while the run is under way, and when it was cancelled', async () => {
    const pipeline = system.pipeline();
    system.fake.behave('hang');
    const run = await pipeline.trigger(system.request());
    expect((await errorOf(pipeline.rerun?.(run) ?? Promise.resolve())).message).toMatch(/still under way/);
    await pipeline.cancel(run);
    await until(() => pipeline.status(run), isOver);
    expect((await errorOf(pipeline.rerun?.(run) ?? Promise.resolve())).message).toMatch(/was cancelled/);
  });

  it('is refused with the vendor’s words when it is too late', async () => {
    const { pipeline, run } = await failed();
    system.fake.instead.set('/stages/Deploy', { status: 400, body: { message: 'The run is retained.' } });
    const error = await errorOf(pipeline.rerun?.(run) ?? Promise.resolve());
    expect(error).toMatchObject({ code: 'PIPELINE_REJECTED' });
    expect(error.message).toMatch(/Start a new deployment\..*The run is retained\./);
  });
});

describe('approvals', () => {
  const waiting = async () => {
    const pipeline = system.pipeline();
    system.fake.behave('ask');
    const run = await pipeline.trigger(system.request());
    const { gate } = await until(
      () => pipeline.status(run),
      (status) => status.gate !== undefined,
    );
    return { pipeline, run, id: gate?.id ?? '' };
  };

  it('carry the name of the person, as one line', async () => {
    const { id, pipeline, run } = await waiting();
    await pipeline.answer?.(run, id, { approved: true, by: `Ana\r\n##vso[task]\u0000 Ruiz${'x'.repeat(500)}` });
    const [body] = posted('/pipelines/approvals') as [{ comment: string }[]];
    expect(body).toEqual([
      {
        approvalId: id,
        status: 'approved',
        comment: expect.stringMatching(/^Approved in Teams by Ana ##vso\[task\] {2}Ruizx+$/),
      },
    ]);
    expect(body[0]?.comment.length).toBeLessThan(130);
  });

  it('of one run open no other', async () => {
    const { id, pipeline } = await waiting();
    const other = await pipeline.trigger(system.request());
    const error = await errorOf(pipeline.answer?.(other, id, { approved: true, by: 'Ana Ruiz' }) ?? Promise.resolve());
    expect(error).toMatchObject({ code: 'PIPELINE_REJECTED' });
    expect(system.fake.answers()).toEqual([]);
  });

  it('say what to do when the bot is no approver', async () => {
    const { id, pipeline, run } = await waiting();
    const answer = () => errorOf(pipeline.answer?.(run, id, { approved: true, by: 'Ana Ruiz' }) ?? Promise.resolve());
    system.fake.instead.set('/pipelines/approvals', { status: 400, body: { message: 'You are not an approver.' } });
    expect((await answer()).message).toMatch(/Make it an approver.*You are not an approver\./);
    system.fake.trouble('no-right');
    expect((await answer()).message).toMatch(/permission "Approver" of the environment/);
  });

  it('that somebody gave at the same moment are fine when they say the same', async () => {
    const { id, pipeline, run } = await waiting();
    const answer = (approved: boolean) => pipeline.answer?.(run, id, { approved, by: 'Ana Ruiz' }) ?? Promise.resolve();
    system.fake.runs.answer(system.fake.runs.find(Number(run.id)), 'approved', 'by Ben Okafor');
    const pending = { status: 200, body: { id, status: 'pending' } };
    system.fake.instead.set(`/approvals/${id}`, pending);
    await answer(true);
    system.fake.instead.set(`/approvals/${id}`, pending);
    expect(await errorOf(answer(false))).toMatchObject({
      code: 'PIPELINE_REJECTED',
      message: expect.stringMatching(/approved already/),
    });
    expect(posted('/pipelines/approvals')).toHaveLength(2);
    expect(system.fake.answers()).toMatchObject([{ comment: 'by Ben Okafor' }]);
  });

  it('that another person has to give as well keep waiting', async () => {
    const { id, pipeline, run } = await waiting();
    system.fake.instead.set('/pipelines/approvals', { status: 200, body: { value: [{ id, status: 'pending' }] } });
    await pipeline.answer?.(run, id, { approved: true, by: 'Ana Ruiz' });
    expect((await pipeline.status(run)).gate?.id).toBe(id);
  });
});

describe('stopping', () => {
  it('says which permission is missing, and leaves alone what ended at that moment', async () => {
    const pipeline = system.pipeline();
    system.fake.behave('hang');
    const run = await pipeline.trigger(system.request());
    system.fake.trouble('no-right');
    expect((await errorOf(pipeline.cancel(run))).message).toMatch(/permission "Stop builds"/);
    system.fake.trouble(null);
    const body = { id: Number(run.id), status: 'inProgress' };
    system.fake.instead.set(`/builds/${run.id}`, { status: 200, body });
    await pipeline.cancel(run);
    await until(() => pipeline.status(run), isOver);
    // It ended between the look and the word.
    system.fake.instead.set(`/builds/${run.id}`, { status: 200, body });
    await pipeline.cancel(run);
  });
});

describe('runs of others', () => {
  it('are listed with one request once their end is known', async () => {
    const pipeline = system.pipeline();
    for (const version of ['1.1.0', '1.10.0'] as const) {
      const id = system.fake.foreign({ environment: 'production', version, by: 'octo-ana' });
      await untilOver(pipeline, { id });
    }
    await pipeline.recent?.({ since: new Date(0) });
    const from = system.fake.requests().length;
    const found = await pipeline.recent?.({ since: new Date(0) });
    expect(system.fake.requests().length - from).toBe(1);
    expect(found?.map(({ sha, state, version }) => [version, sha, state])).toEqual([
      ['1.10.0', system.fake.shas['1.10.0'], 'succeeded'],
      ['1.1.0', system.fake.shas['1.1.0'], 'succeeded'],
    ]);
  });

  it('are of the name that people sign in with, else of the one that is shown', async () => {
    const by = async (requestedFor: object | null) => {
      const body = {
        id: 1,
        status: 'inProgress',
        queueTime: '2026-11-25T10:00:00Z',
        requestedFor,
        templateParameters: { environment: 'Staging' },
      };
      system.fake.instead.set('/builds', { status: 200, body: { value: [body] } });
      system.fake.instead.set('/timeline', { status: 204 });
      return (await system.pipeline().recent?.({ since: new Date(0) }))?.[0]?.startedBy;
    };
    expect(await by({ displayName: 'Ana Ruiz', uniqueName: 'ana@acme.example' })).toBe('ana@acme.example');
    expect(await by({ displayName: 'Ana\n Ruiz', uniqueName: '' })).toBe('Ana  Ruiz');
    expect(await by(null)).toBeNull();
  });

  it('are left out when nobody knows where they go', async () => {
    const place = { sourceBranch: 'refs/heads/main', sourceVersion: 'x', by: 'x', reason: 'individualCI' };
    system.fake.runs.start({ ...place, parameters: {} }, 'hang');
    system.fake.runs.start({ ...place, parameters: { environment: 'production' } }, 'hang');
    const pipeline = system.pipeline({ environments: { production: 'Prod-EU' } });
    expect(await pipeline.recent?.({ since: new Date(0) })).toEqual([]);
  });

  it('are looked at in a bounded number', async () => {
    const place = { sourceBranch: 'refs/heads/main', sourceVersion: 'x', by: 'x', reason: 'manual' };
    for (let index = 0; index < 40; index += 1)
      system.fake.runs.start({ ...place, parameters: { environment: 'Staging' } }, 'hang');
    const found = await system.pipeline().recent?.({ since: new Date(0) });
    expect(found?.length).toBe(10);
    expect(system.fake.requests().length).toBe(1 + 1 + 10);
  });
});
