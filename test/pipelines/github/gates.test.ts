import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { openSystem, type System, until } from './helpers.ts';

let system: System;
beforeEach(async () => {
  system = await openSystem();
});
afterEach(() => system.close());

const since = () => new Date(Date.now() - 3_600_000);
const waiting = (run: { id: string }) =>
  until(
    () => system.pipeline.status(run),
    ({ gate, state }) => gate !== undefined || (state !== 'queued' && state !== 'running'),
  );

describe('the guard of an environment', () => {
  it('is a gate with our name of the environment, and takes the name of who answered', async () => {
    const { fake, pipeline } = system;
    fake.behave('ask');
    const run = await pipeline.trigger(system.request({ environment: 'production' }));
    const { gate } = await waiting(run);
    expect(gate).toEqual({
      id: 'env-161088069',
      question: 'May this run go on to Production?',
      environment: 'production',
    });
    await pipeline.answer?.(run, gate?.id ?? '', { approved: true, by: 'Robin\n"Ek" \u202e{x}' });
    expect(fake.answers()).toEqual([{ run: run.id, approved: true, comment: 'Approved in Teams by Robin "Ek"  {x}' }]);
    expect((await system.end(run)).state).toBe('succeeded');
    expect(fake.complaints()).toEqual([]);
  });

  it('is none of ours where the App guards nothing', async () => {
    const { fake, pipeline } = system;
    for (const environment of fake.world.environments) environment.guarded = false;
    fake.behave('ask');
    const run = await pipeline.trigger(system.request());
    const status = await until(
      () => pipeline.status(run),
      ({ stages }) => stages.at(-1)?.state === 'waiting' && stages[0]?.state === 'succeeded',
    );
    expect(status).not.toHaveProperty('gate');
    expect(status.state).toBe('running');
  });

  it('is answered at once: another guard that still waits does not ask again', async () => {
    const { fake, pipeline } = system;
    fake.behave('ask');
    const run = await pipeline.trigger(system.request());
    await waiting(run);
    const held = fake.world.runs.get(Number(run.id));
    const [environment] = fake.world.environments;
    if (!held || !environment) throw new Error('no run');
    // Answered, and people have to review it as well.
    held.approvals.push({ environment, state: 'approved', comment: '', login: 'shipmate-acme[bot]' });
    expect(await system.other().pipeline.status(run)).not.toHaveProperty('gate');
    // What a person said at GitHub is not our word.
    held.approvals.splice(0, 1, { environment, state: 'approved', comment: '', login: 'octo-ana' });
    expect((await system.other().pipeline.status(run)).gate?.id).toBe('env-161088068');
  });

  it('asks again in a second attempt', async () => {
    const { fake, pipeline } = system;
    fake.behave('ask');
    const run = await pipeline.trigger(system.request());
    const first = await waiting(run);
    await pipeline.answer?.(run, first.gate?.id ?? '', { approved: false, by: 'Robin Ek' });
    await system.end(run);
    const again = await pipeline.rerun?.(run);
    if (!again) throw new Error('no re-run');
    const second = await waiting(again);
    expect(second.gate).toEqual(first.gate);
    // What was answered to the first attempt is no answer to this one.
    fake.world.permissions.deployments = 'read';
    await expect(
      pipeline.answer?.(again, second.gate?.id ?? '', { approved: false, by: 'Robin Ek' }),
    ).rejects.toMatchObject({
      message: expect.stringContaining('deployments: write'),
    });
    fake.world.permissions.deployments = 'write';
    await system.other().pipeline.answer?.(again, second.gate?.id ?? '', { approved: true, by: 'Robin Ek' });
    expect((await system.end(again)).state).toBe('succeeded');
  });

  it('names the right that is missing, and can be answered later', async () => {
    const { fake, pipeline } = system;
    fake.behave('ask');
    const run = await pipeline.trigger(system.request());
    const { gate } = await waiting(run);
    fake.world.permissions.deployments = 'read';
    await expect(pipeline.answer?.(run, gate?.id ?? '', { approved: true, by: 'Robin Ek' })).rejects.toMatchObject({
      code: 'PIPELINE_REJECTED',
      message: expect.stringContaining('deployments: write'),
    });
    fake.world.permissions.deployments = 'write';
    await pipeline.answer?.(run, gate?.id ?? '', { approved: true, by: 'Robin Ek' });
    expect((await system.end(run)).state).toBe('succeeded');
  });

  it('may be answered again when GitHub was away', async () => {
    const { fake, pipeline } = system;
    fake.behave('ask');
    const run = await pipeline.trigger(system.request());
    const { gate } = await waiting(run);
    fake.trouble('5xx');
    await expect(pipeline.answer?.(run, gate?.id ?? '', { approved: true, by: 'Robin Ek' })).rejects.toMatchObject({
      code: 'PIPELINE_UNAVAILABLE',
      retryable: true,
    });
    fake.trouble(null);
    await pipeline.answer?.(run, gate?.id ?? '', { approved: true, by: 'Robin Ek' });
    expect(fake.answers()).toHaveLength(1);
  });
});

describe('runs that chat did not start', () => {
  it('are known by the deployment that they made, with the commit and the tag', async () => {
    const { fake, pipeline } = system;
    const id = fake.foreign({ environment: 'production', version: '1.10.0', by: 'octo-ana' });
    const [found] = await until(
      () => pipeline.recent?.({ since: since() }) ?? Promise.resolve([]),
      (runs) => runs.length > 0,
    );
    expect(found).toMatchObject({
      run: { id, url: `${fake.url}/acme/storefront/actions/runs/${id}` },
      environment: 'production',
      version: '1.10.0',
      sha: fake.shas['1.10.0'],
      startedBy: 'octo-ana',
    });
    expect(fake.complaints()).toEqual([]);
  });

  it('are told apart when they deploy the same commit to two places', async () => {
    const { fake, pipeline } = system;
    const staging = fake.foreign({ environment: 'staging', version: '1.10.0', by: 'octo-ana' });
    const production = fake.foreign({ environment: 'production', version: '1.10.0', by: 'octo-ben' });
    const found = await until(
      () => pipeline.recent?.({ since: since() }) ?? Promise.resolve([]),
      (runs) => runs.length === 2,
    );
    expect(found.map(({ environment, run }) => [run.id, environment])).toEqual([
      [production, 'production'],
      [staging, 'staging'],
    ]);
  });

  it('are left out while their environment is not known', async () => {
    const { fake, pipeline } = system;
    fake.foreign({ environment: 'production', version: '1.10.0', by: 'octo-ana' });
    // It is made when the job begins.
    expect(await pipeline.recent?.({ since: since() })).toEqual([]);
  });

  it('are read from the name of a dispatch, and from no commit message', async () => {
    const { fake, pipeline } = system;
    await pipeline.trigger(system.request({ environment: 'production' }));
    const [own] = [...fake.world.runs.values()];
    if (!own) throw new Error('no run');
    fake.world.runs.set(1, { ...own, id: 1, title: 'Deploy 9.9.9 to Production []' });
    fake.world.runs.set(2, { ...own, id: 2, event: 'push', title: 'Deploy 6.6.6 to Production [key-12345]' });
    const found = await pipeline.recent?.({ since: since() });
    expect(found?.map(({ environment, sha, version }) => [environment, version, sha])).toEqual([
      ['production', '9.9.9', null],
      ['production', '1.1.0', null],
    ]);
  });

  it('cost few questions each time, however many there are, and are all known in the end', async () => {
    const { fake, pipeline } = system;
    for (let count = 0; count < 15; count += 1)
      fake.foreign({ environment: 'production', version: count % 2 === 0 ? '1.10.0' : '1.1.0', by: 'octo-ana' });
    await new Promise((resolve) => setTimeout(resolve, 500));
    let most = 0;
    const found = await until(
      async () => {
        const before = fake.requests().filter((each) => !/token|installation/.test(each)).length;
        const runs = (await pipeline.recent?.({ since: since() })) ?? [];
        most = Math.max(most, fake.requests().filter((each) => !/token|installation/.test(each)).length - before);
        return runs;
      },
      (runs) => runs.length === 15,
    );
    expect(most).toBeLessThanOrEqual(6);
    expect(new Set(found.map(({ run }) => run.id)).size).toBe(15);
    const before = fake.requests().length;
    await pipeline.recent?.({ since: since() });
    expect(fake.requests().length - before).toBe(2);
  });

  it('have the id of their attempt', async () => {
    const { fake, pipeline } = system;
    fake.behave('fail');
    const run = await pipeline.trigger(system.request());
    await system.end(run);
    await pipeline.rerun?.(run);
    expect((await pipeline.recent?.({ since: since() }))?.map(({ run: { id } }) => id)).toEqual([`${run.id}.2`]);
  });
});
