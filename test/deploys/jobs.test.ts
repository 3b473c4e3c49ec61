import { beforeEach, describe, expect, it } from '@jest/globals';
import { PipelineError } from '../../src/errors.ts';
import { person } from '../helpers/deployments.ts';
import { type Bench, CHANNEL, createBench, refused, sha, unknown } from './bench.ts';

let bench: Bench;
beforeEach(async () => {
  bench = createBench();
  await bench.knowApprovals();
});
const approved = async () => {
  const deployment = await bench.asking({ environment: 'production' });
  await bench.decide(deployment, 'alex');
  return deployment;
};

describe('the trigger', () => {
  it('starts the run once, however often the job comes', async () => {
    const { id, runKey } = await bench.asking();
    await Promise.all([bench.jobs.trigger({ id }), bench.jobs.trigger({ id }), bench.jobs.trigger({ id })]);
    await bench.store.runDue();
    expect(bench.pipeline.triggered).toEqual([
      expect.objectContaining({ key: runKey, service: 'storefront', environment: 'staging', sha: sha('1') }),
    ]);
    expect(await bench.get(id)).toMatchObject({
      state: 'running',
      run: { id: 'run-1' },
      startedAt: expect.any(String),
    });
    expect(bench.trail()).toEqual(['deploy.request done OK', 'deploy.start done OK']);
    expect(bench.texts()).toEqual(['Deployment of storefront 1.1.0 to staging started by dana.']);
    expect(bench.store.snapshot().outbox['deploy:1:channel']).toMatchObject({ conversation: CHANNEL });
    expect(bench.store.waiting().filter(({ queue }) => queue === 'deploy.poll')).toHaveLength(1);
  });
  it('asks about everybody afresh', async () => {
    await approved();
    bench.asked.length = 0;
    await bench.store.runDue();
    expect(bench.asked).toEqual([
      { name: 'dana', permission: 'deploy', fresh: true },
      { name: 'alex', permission: 'approve', fresh: true },
    ]);
  });
  it.each<[string, (bench: Bench) => void, string]>([
    ['the requester lost the right', (b) => b.denied.add('dana deploy'), 'ACCESS_DENIED'],
    ['the approver lost the right', (b) => b.denied.add('alex approve'), 'ACCESS_DENIED'],
    ['the directory is down', (b) => Object.assign(b.directory, { down: true }), 'DIRECTORY_UNAVAILABLE'],
    ['the tag moved', (b) => b.tags.set('1.1.0', sha('f')), 'VERSION_MOVED'],
    ['the tag is gone', (b) => b.tags.delete('1.1.0'), 'VERSION_UNKNOWN'],
    ['versions can not be read', (b) => Object.assign(b.broken, { versions: true }), 'VERSIONS_UNAVAILABLE'],
    ['the rules changed', (b) => Object.assign(b.rules, { hash: 'policy-2' }), 'DIGEST_CHANGED'],
    ['the service is gone', (b) => b.services.clear(), 'SERVICE_UNKNOWN'],
  ])('is blocked when %s, and the environment is free again', async (_what, prepare, code) => {
    const { id } = await approved();
    prepare(bench);
    await bench.store.runDue();
    expect(bench.pipeline.triggered).toEqual([]);
    expect(await bench.get(id)).toMatchObject({ state: 'blocked', problem: { code }, finishedAt: expect.any(String) });
    expect(bench.trail().at(-1)).toBe(`deploy.end refused ${code}`);
    expect(bench.texts()).toEqual([expect.stringContaining('was blocked')]);
    expect(bench.ended).toEqual(['blocked']);
    expect(await bench.store.read((tx) => tx.deployments.holder('storefront', 'production'))).toBeNull();
  });
});

describe('a trigger that certainly did not arrive', () => {
  it('is tried again until it does', async () => {
    bench.pipeline.script = [refused(), refused()];
    const { id } = await bench.asking();
    await bench.store.runDue();
    expect(await bench.get(id)).toMatchObject({ state: 'queued', triggerStartedAt: null });
    await bench.pass(10_000);
    expect(bench.pipeline.triggered).toHaveLength(3);
    expect(await bench.get(id)).toMatchObject({ state: 'running' });
  });
  it('fails when the pipeline stays away, and the environment is free again', async () => {
    bench.pipeline.script = Array.from({ length: 100 }, refused);
    const { id } = await bench.asking();
    await bench.store.runDue();
    await bench.pass(50_000);
    expect(await bench.get(id)).toMatchObject({ state: 'queued' });
    await bench.pass(20_000);
    expect(await bench.get(id)).toMatchObject({ state: 'failed', problem: { code: 'PIPELINE_UNAVAILABLE' } });
    expect((await bench.ask()).ok).toBe(true);
  });
  it('fails at once when trying again is no use', async () => {
    bench.pipeline.script = [new PipelineError('PIPELINE_REJECTED', 'There is no such workflow.', { sent: 'no' })];
    const { id } = await bench.asking();
    await bench.store.runDue();
    expect(await bench.get(id)).toMatchObject({
      state: 'failed',
      problem: { code: 'PIPELINE_REJECTED', message: 'There is no such workflow.' },
    });
    expect(bench.pipeline.triggered).toHaveLength(1);
  });
});

describe('a trigger whose answer is lost', () => {
  it('is found by its key, and not made again', async () => {
    bench.pipeline.script = ['lost answer'];
    // It takes the pipeline a while to show it.
    bench.pipeline.finds = [null, null];
    const { id } = await bench.asking();
    await bench.store.runDue();
    await bench.pass(10_000);
    expect(bench.pipeline.triggered).toHaveLength(1);
    expect(await bench.get(id)).toMatchObject({ state: 'running', run: { id: 'run-1' } });
  });
  it.each([
    ['it is nowhere to be found', () => [unknown()], []],
    ['the call failed in a way that nobody foresaw', () => [new TypeError('x')], []],
    ['the pipeline can not be asked either', () => [unknown()], Array.from({ length: 100 }, refused)],
  ])('needs a person when %s', async (_what, script, finds) => {
    bench.pipeline.script = script();
    bench.pipeline.finds = [...finds];
    const { id } = await bench.asking();
    await bench.store.runDue();
    await bench.pass(20_000);
    expect(await bench.get(id)).toMatchObject({ state: 'queued' });
    await bench.pass(20_000);
    expect(bench.pipeline.triggered).toHaveLength(1);
    expect(await bench.get(id)).toMatchObject({
      state: 'attention',
      problem: { code: 'PIPELINE_LOST' },
      finishedAt: null,
    });
    expect(await bench.ask()).toMatchObject({ ok: false, code: 'ENV_BUSY' });
    expect(bench.trail()).toContain('deploy.end failed PIPELINE_LOST');
  });
  it('is looked for after a crash however long it lasted, and more than once', async () => {
    const { id } = await bench.asking();
    // As a process leaves it that died between the mark and the answer.
    await bench.store.transaction((tx) =>
      tx.deployments.change(id, { from: ['queued'] }, { triggerStartedAt: bench.now().toISOString() }),
    );
    bench.tick(3_600_000);
    await bench.store.runDue();
    expect(await bench.get(id)).toMatchObject({ state: 'queued' });
    await bench.pass(40_000);
    expect(bench.pipeline.triggered).toEqual([]);
    expect(await bench.get(id)).toMatchObject({ state: 'attention' });
  });
  it('whose run is stored only at the second try is not made again', async () => {
    const { id } = await bench.asking();
    const { trigger } = bench.pipeline;
    bench.pipeline.trigger = async (request) => {
      const run = await trigger(request);
      bench.store.breakWith(new Error('gone'));
      return run;
    };
    await expect(bench.store.runDue()).rejects.toThrow('gone');
    bench.store.breakWith(null);
    await bench.store.runDue();
    expect(bench.pipeline.triggered).toHaveLength(1);
    expect(await bench.get(id)).toMatchObject({ state: 'running' });
  });
});

describe('what needs a person', () => {
  const stuck = async () => {
    const { id } = await bench.asking();
    bench.pipeline.statusFails = new PipelineError('PIPELINE_LOST', 'The run is gone.');
    await bench.store.runDue();
    await bench.jobs.poll({ id });
    expect(await bench.get(id)).toMatchObject({ state: 'attention' });
    return id;
  };
  const close = (id: string, name: string) =>
    bench.deploys.close({ person: person(name), id, reason: 'looked: nothing runs', conversation: 'a:dana' });

  it('holds the environment until somebody with the right closes it, with a reason', async () => {
    const id = await stuck();
    expect(await bench.ask({ version: '1.2.0' })).toMatchObject({ ok: false, code: 'ENV_BUSY' });
    bench.denied.add('kim cancel');
    expect(await close(id, 'kim')).toMatchObject({ ok: false, code: 'ACCESS_DENIED' });
    expect(await bench.get(id)).toMatchObject({ state: 'attention' });
    expect(await close(id, 'dana')).toMatchObject({ ok: true, deployment: { state: 'failed' } });
    expect(await close(id, 'dana')).toMatchObject({ ok: false, code: 'NOT_PENDING' });
    expect(bench.trail().filter((line) => line.startsWith('deploy.close'))).toEqual([
      'deploy.close refused ACCESS_DENIED',
      'deploy.close done OK',
      'deploy.close refused NOT_PENDING',
    ]);
    expect(await bench.ask({ version: '1.2.0' })).toMatchObject({ ok: true });
  });
});

describe('a pipeline that never starts twice for one key', () => {
  beforeEach(async () => {
    bench = createBench({ idempotentTrigger: true });
    await bench.knowApprovals();
  });
  it('is asked again after a lost answer', async () => {
    bench.pipeline.script = ['lost answer', unknown()];
    bench.pipeline.finds = [null, null];
    const { id, runKey } = await bench.asking();
    await bench.store.runDue();
    await bench.pass(10_000);
    expect(bench.pipeline.triggered.map(({ key }) => key)).toEqual([runKey, runKey, runKey]);
    expect(await bench.get(id)).toMatchObject({ state: 'running', run: { id: 'run-1' } });
    expect(bench.pipeline.runs.size).toBe(1);
  });
  it('needs a person when the answer never comes: something may run', async () => {
    bench.pipeline.script = Array.from({ length: 100 }, unknown);
    const { id } = await bench.asking();
    await bench.store.runDue();
    await bench.pass(90_000);
    expect(await bench.get(id)).toMatchObject({ state: 'attention' });
  });
});

describe('the poll', () => {
  const running = async () => {
    const { id } = await bench.asking();
    await bench.store.runDue();
    return id;
  };
  it('shows what is new, and hands over to the next', async () => {
    const id = await running();
    const stages = [{ name: 'build', state: 'running' as const }];
    bench.pipeline.runs.set('run-1', { state: 'running', stages, tail: ['compiling'] });
    const before = bench.store.snapshot().outbox['deploy:1:requester']?.version ?? 0;
    await bench.poll(id);
    expect(await bench.get(id)).toMatchObject({ state: 'running', stages, tail: ['compiling'] });
    expect(bench.store.snapshot().outbox['deploy:1:requester']?.version).toBe(before + 1);
    expect(bench.store.waiting().filter(({ queue }) => queue === 'deploy.poll').length).toBeGreaterThan(0);
  });
  it.each<[string, object, string, string]>([
    ['succeeded', { state: 'succeeded' }, 'OK', 'succeeded.'],
    ['succeeded', { state: 'succeeded', sha: sha('1') }, 'OK', 'succeeded.'],
    ['failed', { state: 'failed', error: 'smoke test' }, 'PIPELINE_FAILED', 'failed: smoke test.'],
    ['failed', { state: 'succeeded', sha: sha('f') }, 'PIPELINE_MISMATCH', 'not the approved 1111111.'],
    ['failed', { state: 'running', sha: sha('f') }, 'PIPELINE_MISMATCH', 'not the approved 1111111.'],
    ['cancelled', { state: 'cancelled' }, 'PIPELINE_FAILED', 'was cancelled'],
  ])('ends as %s by %j', async (state, status, code, text) => {
    const id = await running();
    const ended = await bench.finish(id, { tail: ['last line'], ...status });
    expect(ended).toMatchObject({ state, tail: ['last line'], finishedAt: expect.any(String) });
    expect(bench.trail().at(-1)).toBe(`deploy.end ${state === 'succeeded' ? 'done' : 'failed'} ${code}`);
    expect(bench.texts().at(-1)).toContain(text);
    expect(bench.ended).toEqual([state]);
    expect((await bench.ask()).ok).toBe(true);
    // A job that comes again changes nothing.
    const before = bench.store.snapshot();
    await bench.poll(id);
    expect(bench.store.snapshot()).toEqual(before);
  });
  it('bears a pipeline that does not answer for a while', async () => {
    const id = await running();
    bench.pipeline.statusFails = refused();
    await bench.poll(id);
    expect(await bench.get(id)).toMatchObject({ state: 'running' });
    bench.pipeline.statusFails = null;
    expect(await bench.finish(id)).toMatchObject({ state: 'succeeded' });
  });
  it('needs a person when the run is gone', async () => {
    const id = await running();
    bench.pipeline.runs.clear();
    await bench.poll(id);
    expect(await bench.get(id)).toMatchObject({ state: 'attention', problem: { code: 'PIPELINE_LOST' } });
  });
  it('tells the card of the deploy before that it is over', async () => {
    const first = await bench.finish(await running());
    const before = bench.store.snapshot().outbox[`deploy:${first.id}:requester`]?.version ?? 0;
    await running();
    expect(bench.store.snapshot().outbox[`deploy:${first.id}:requester`]?.version).toBe(before + 1);
  });
});

describe('the expiry', () => {
  it('ends what nobody decided, once, and not before its time', async () => {
    const { id } = await bench.asking({ environment: 'production' });
    await bench.jobs.expire({ id });
    await bench.pass(4 * 3_600_000 - 1_000, 600_000);
    expect(await bench.get(id)).toMatchObject({ state: 'awaiting_approval' });
    await bench.pass(2_000);
    expect(await bench.get(id)).toMatchObject({ state: 'expired', finishedAt: expect.any(String) });
    await bench.jobs.expire({ id });
    expect(bench.trail()).toEqual(['deploy.request done OK', 'deploy.expire refused APPROVAL_EXPIRED']);
    expect(bench.texts()).toEqual([expect.stringContaining('expires in 30 min'), expect.stringContaining('expired')]);
  });
  it('leaves alone what was approved', async () => {
    const { id } = await approved();
    await bench.pass(5 * 3_600_000, 600_000);
    expect(await bench.get(id)).toMatchObject({ state: 'running' });
  });
});
