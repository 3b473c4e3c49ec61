import { beforeEach, describe, expect, it } from '@jest/globals';
import type { Deployment } from '../../src/deploys/types.ts';
import { PipelineError } from '../../src/errors.ts';
import type { ForeignRun } from '../../src/pipelines/types.ts';
import { person } from '../helpers/deployments.ts';
import { APPROVALS, type Bench, CHANNEL, createBench, sha } from './bench.ts';

let bench: Bench;
beforeEach(async () => {
  bench = createBench();
  await bench.knowApprovals();
});

/** A run that waits at the vendor's guard of an environment. */
function waits(more: Partial<ForeignRun> = {}): ForeignRun {
  const run = { id: 'v-1', url: 'https://ci.example/runs/1' };
  bench.pipeline.runs.set(run.id, {
    state: 'running',
    stages: [],
    tail: [],
    gate: { id: 'guard', question: 'production?', environment: 'production' },
  });
  return {
    run,
    environment: 'production',
    version: '1.1.0',
    sha: sha('1'),
    startedBy: 'octo-ana',
    startedAt: bench.now().toISOString(),
    state: 'running',
    gate: { id: 'guard', question: 'production?', environment: 'production' },
    ...more,
  };
}

const atStaging = {
  environment: 'staging',
  gate: { id: 'guard', question: 'staging?', environment: 'staging' },
} as const;

/** One that runs without asking. */
function runs(more: Partial<ForeignRun> = {}): ForeignRun {
  const { gate: _gate, ...rest } = waits({ run: { id: 'v-9' }, ...more });
  return rest;
}

async function adopted(run: ForeignRun): Promise<Deployment> {
  bench.pipeline.foreign = [run];
  await bench.look();
  const [found] = await bench.store.read((tx) => tx.deployments.list({ limit: 1 }));
  if (!found) throw new Error('nothing was adopted');
  return found;
}

describe('a run that waits at the vendor', () => {
  it('is asked about in our channels, once, with one approval more when nobody knows who started it', async () => {
    const deployment = await adopted(waits());
    await bench.look();
    expect(await bench.store.read((tx) => tx.deployments.list({ limit: 10 }))).toHaveLength(1);
    expect(deployment).toMatchObject({
      state: 'awaiting_approval',
      requestedIn: CHANNEL,
      requestedBy: { id: 'scripted:octo-ana', name: 'octo-ana' },
      approval: { count: 2, groups: ['g-leads'] },
      foreign: { run: { id: 'v-1' }, gate: 'guard', vendor: 'scripted', startedBy: 'octo-ana', known: false },
    });
    expect(bench.cards()).toContain('deploy:1:approvals');
    expect(bench.trail()).toContain('deploy.adopt done OK');
    expect(bench.pipeline.answers).toEqual([]);
  });

  it('is asked about for the environment that is guarded, whatever the run says of itself', async () => {
    const deployment = await adopted(waits({ environment: 'staging', startedBy: 'octo-dana' }));
    expect(deployment).toMatchObject({ environment: 'production', state: 'awaiting_approval' });
    expect(bench.pipeline.answers).toEqual([]);
  });

  it('goes on there when enough people have approved, as that run and no other', async () => {
    const deployment = await adopted(waits());
    await bench.decide(deployment, 'alex');
    await bench.store.runDue();
    expect(bench.pipeline.answers).toEqual([]);
    await bench.decide(deployment, 'robin');
    const ended = await bench.finish(deployment.id);
    expect(bench.pipeline.answers).toEqual([['guard', true, 'alex, robin']]);
    expect(bench.pipeline.triggered).toEqual([]);
    expect(ended).toMatchObject({ state: 'succeeded', run: { id: 'v-1' } });
  });

  it('is turned away there when somebody rejects it, with their name', async () => {
    const deployment = await adopted(waits());
    await bench.decide(deployment, 'alex', 'reject', { reason: 'not today' });
    await bench.store.runDue();
    expect(bench.pipeline.answers).toEqual([['guard', false, 'alex']]);
  });

  it('is turned away when nobody decides in time', async () => {
    await adopted(waits());
    await bench.pass(4 * 3_600_000 + 60_000, 60_000);
    expect((await bench.get('1')).state).toBe('expired');
    expect(bench.pipeline.answers).toEqual([['guard', false, 'nobody: it expired']]);
  });

  it('of somebody we know is theirs: they do not approve it, and need the right to deploy', async () => {
    const deployment = await adopted(waits({ startedBy: 'octo-dana' }));
    expect(deployment).toMatchObject({ requestedBy: { id: person('dana').id }, approval: { count: 1 } });
    expect(await bench.decide(deployment, 'dana')).toMatchObject({ ok: false, code: 'OWN_DEPLOY' });

    bench.denied.add('dana deploy');
    const other = await adopted(waits({ startedBy: 'octo-dana', run: { id: 'v-2' } }));
    expect(other).toMatchObject({ state: 'blocked', problem: { code: 'ACCESS_DENIED' } });
    await bench.store.runDue();
    expect(bench.pipeline.answers).toEqual([['guard', false, expect.stringContaining('No.')]]);
  });

  it('is turned away by a lock, and says so in the channel', async () => {
    await bench.deploys.lock({
      person: person('alex'),
      service: 'storefront',
      environment: 'production',
      reason: 'db migration',
      version: null,
      conversation: CHANNEL,
    });
    const deployment = await adopted(waits());
    await bench.store.runDue();
    expect(deployment).toMatchObject({ state: 'blocked', problem: { code: 'ENV_LOCKED' } });
    expect(bench.pipeline.answers).toEqual([['guard', false, expect.stringContaining('db migration')]]);
    expect(bench.trail()).toContain('deploy.adopt refused ENV_LOCKED');
    expect(bench.texts().join('\n')).toContain('was blocked');
    await bench.look();
    expect(await bench.store.read((tx) => tx.deployments.list({ limit: 10 }))).toHaveLength(1);
  });

  it('where no approval is asked for needs somebody who may deploy there', async () => {
    const deployment = await adopted(waits(atStaging));
    expect(deployment.approval).toMatchObject({ groups: ['g-deploy'], count: 1, permission: 'deploy' });
    bench.denied.add('sam deploy');
    expect(await bench.decide(deployment, 'sam')).toMatchObject({ code: 'ACCESS_DENIED' });
    bench.denied.add('alex approve'); // not the right that is asked for
    expect(await bench.decide(deployment, 'alex')).toMatchObject({ ok: true });
    await bench.store.runDue();
    expect(bench.pipeline.answers).toEqual([['guard', true, 'alex']]);
  });

  it('of somebody we know goes on by itself where no approval is asked for', async () => {
    await adopted(waits({ ...atStaging, startedBy: 'octo-dana' }));
    await bench.store.runDue();
    expect(bench.pipeline.answers).toEqual([['guard', true, 'the rules: no approval is needed']]);
  });

  it('is left alone while nobody can be asked, and taken up later', async () => {
    bench = createBench();
    bench.pipeline.foreign = [waits()];
    await bench.look();
    expect(await bench.store.read((tx) => tx.deployments.list({ limit: 10 }))).toEqual([]);
    expect(bench.pipeline.answers).toEqual([]);
    expect(bench.texts().join('\n')).toContain("I can't ask anybody yet");
    await bench.look();
    expect(bench.texts()).toHaveLength(1);
    await bench.knowApprovals();
    expect((await adopted(waits())).state).toBe('awaiting_approval');
  });

  it('is asked about no more when it was answered at the vendor', async () => {
    const deployment = await adopted(waits());
    bench.pipeline.foreign = [];
    bench.pipeline.runs.set('v-1', { state: 'running', stages: [], tail: [] });
    await bench.look();
    expect(await bench.get(deployment.id)).toMatchObject({ state: 'cancelled', problem: { code: 'PIPELINE_FOREIGN' } });
  });

  it('stays when the vendor lists it no more but it still waits', async () => {
    const deployment = await adopted(waits());
    bench.pipeline.foreign = [];
    await bench.look();
    expect((await bench.get(deployment.id)).state).toBe('awaiting_approval');
  });

  it('is answered again when the vendor was away, and fails when it was answered otherwise', async () => {
    const deployment = await adopted(waits({ startedBy: 'octo-dana' }));
    bench.pipeline.answerFails = new PipelineError('PIPELINE_UNAVAILABLE', 'away', {
      retryable: true,
      sent: 'unknown',
    });
    await bench.decide(deployment, 'alex');
    await bench.pass(4_000);
    expect((await bench.get(deployment.id)).state).toBe('queued');
    bench.pipeline.answerFails = null;
    await bench.pass(4_000);
    expect((await bench.get(deployment.id)).state).toBe('running');

    const second = await adopted(waits({ ...atStaging, run: { id: 'v-2' }, startedBy: 'octo-dana' }));
    bench.pipeline.answerFails = new PipelineError('PIPELINE_REJECTED', 'It was rejected there already.');
    await bench.store.runDue();
    expect(await bench.get(second.id)).toMatchObject({ state: 'failed', problem: { code: 'PIPELINE_REJECTED' } });
  });

  it('asks for the groups again when it starts', async () => {
    const deployment = await adopted(waits({ startedBy: 'octo-dana' }));
    await bench.decide(deployment, 'alex');
    bench.denied.add('alex approve');
    await bench.store.runDue();
    expect((await bench.get(deployment.id)).state).toBe('blocked');
    expect(bench.pipeline.answers).toEqual([['guard', false, expect.stringContaining('alex')]]);
  });

  it('stops when the run says that it deploys something else', async () => {
    const deployment = await adopted(waits({ startedBy: 'octo-dana' }));
    await bench.decide(deployment, 'alex');
    await bench.store.runDue();
    bench.pipeline.runs.set('v-1', { state: 'running', stages: [], tail: [], sha: sha('f') });
    await bench.poll(deployment.id);
    expect(await bench.get(deployment.id)).toMatchObject({ state: 'failed', problem: { code: 'PIPELINE_MISMATCH' } });
    expect(bench.pipeline.cancelled).toEqual(['v-1']);
  });
});

describe('a run that did not ask', () => {
  it('is told once and audited, and what waits for approval is void; the first look only learns', async () => {
    bench.pipeline.foreign = [runs({ run: { id: 'old' } })];
    await bench.look();
    expect(bench.texts()).toEqual([]);
    const pending = await bench.asking({ environment: 'production' });
    bench.pipeline.foreign = [runs()];
    await bench.look();
    await bench.look();
    const told = Object.values(bench.store.snapshot().outbox).filter(
      ({ payload }) => payload.kind === 'message' && payload.text.includes('started at scripted by octo-ana'),
    );
    expect(told.map(({ conversation }) => conversation).sort()).toEqual([APPROVALS, CHANNEL].sort());
    expect(bench.trail().filter((line) => line.startsWith('deploy.out-of-band'))).toHaveLength(1);
    expect(await bench.get(pending.id)).toMatchObject({ state: 'cancelled', problem: { code: 'OUT_OF_BAND' } });
  });

  it('is none of ours', async () => {
    await bench.look();
    const ours = await bench.asking();
    await bench.store.runDue();
    const id = (await bench.get(ours.id)).run?.id ?? '';
    bench.pipeline.foreign = [runs({ run: { id }, environment: 'staging' })];
    await bench.look();
    expect(bench.trail().filter((line) => line.startsWith('deploy.out-of-band'))).toEqual([]);
  });

  it('waits until ours has started, since it may be that one', async () => {
    await bench.look();
    bench.pipeline.script = ['lost answer'];
    bench.pipeline.finds = [null];
    const ours = await bench.asking();
    await bench.store.runDue();
    expect(await bench.get(ours.id)).toMatchObject({ state: 'queued', triggerStartedAt: expect.any(String) });
    bench.pipeline.foreign = [runs({ run: { id: 'run-1' }, environment: 'staging' })];
    await bench.look();
    await bench.pass(10_000);
    expect((await bench.get(ours.id)).state).toBe('running');
    expect(bench.trail().filter((line) => line.startsWith('deploy.out-of-band'))).toEqual([]);
  });

  it('is asked for seldom where the vendor tells', async () => {
    const service = bench.services.get('storefront');
    if (!service) throw new Error('no service');
    service.hears = true;
    await bench.look(false);
    bench.pipeline.foreign = [runs()];
    await bench.look(false);
    expect(bench.trail()).toEqual([]);
    await bench.hear([], true);
    await bench.store.runDue();
    expect(bench.trail()).toContain('deploy.out-of-band done OUT_OF_BAND');
  });
});

describe('what a vendor tells', () => {
  it('makes a running one of ours be looked at at once', async () => {
    const ours = await bench.asking();
    await bench.store.runDue();
    const { run } = await bench.get(ours.id);
    bench.pipeline.runs.set(run?.id ?? '', { state: 'succeeded', stages: [], tail: [] });
    bench.store.work('deploy.poll', bench.jobs.poll);
    await bench.hear(['other-run']);
    await bench.hear([run?.id ?? '']);
    await bench.store.runDue();
    expect((await bench.get(ours.id)).state).toBe('succeeded');
  });
});

describe("the vendor's guard of the environment", () => {
  it('is answered by the approval that was given here', async () => {
    const deployment = await bench.asking({ environment: 'production' });
    await bench.decide(deployment, 'alex');
    await bench.store.runDue();
    const { run } = await bench.get(deployment.id);
    const gate = { id: 'guard', question: 'production?', environment: 'production' };
    bench.pipeline.runs.set(run?.id ?? '', { state: 'running', stages: [], tail: [], gate });
    await bench.poll(deployment.id);
    await bench.store.runDue();
    expect(bench.pipeline.answers).toEqual([['guard', true, 'alex']]);
    expect(bench.trail()).toContain('gate.approve done OK');
  });

  it('of another environment is not answered by this approval, nor shown on this card', async () => {
    const deployment = await bench.asking({ environment: 'production' });
    await bench.decide(deployment, 'alex');
    await bench.store.runDue();
    const { run } = await bench.get(deployment.id);
    const gate = { id: 'guard', question: 'europe?', environment: 'europe' };
    bench.pipeline.runs.set(run?.id ?? '', { state: 'running', stages: [], tail: [], gate });
    await bench.poll(deployment.id);
    await bench.store.runDue();
    expect(bench.pipeline.answers).toEqual([]);
    expect((await bench.get(deployment.id)).gate).toBeNull();
  });
});

describe('a retry', () => {
  const failed = async () => {
    const first = await bench.asking();
    return bench.finish(first.id, { state: 'failed', error: 'it is broken' });
  };

  it('lets the failed run go on where the pipeline can', async () => {
    const { run, sha: commit } = await failed();
    const rerun = { id: 'run-1.2' };
    bench.pipeline.rerun = async () => rerun;
    bench.pipeline.runs.set(rerun.id, { state: 'running', stages: [], tail: [], sha: commit });
    const again = await bench.asking({ kind: 'retry', ...(run ? { rerun: { run, sha: commit } } : {}) });
    const ended = await bench.finish(again.id);
    expect(ended).toMatchObject({ state: 'succeeded', run: rerun });
    expect(bench.pipeline.triggered).toHaveLength(1);
  });

  it('starts a new one when the version is another commit now', async () => {
    const { run, sha: commit } = await failed();
    bench.pipeline.rerun = async () => ({ id: 'run-1.2' });
    bench.tags.set('1.1.0', sha('e'));
    const again = await bench.asking({ kind: 'retry', ...(run ? { rerun: { run, sha: commit } } : {}) });
    expect((await bench.finish(again.id)).state).toBe('succeeded');
    expect(bench.pipeline.triggered).toHaveLength(2);
  });

  it('starts a new one where that one is too old', async () => {
    const { run, sha: commit } = await failed();
    bench.pipeline.rerun = async () => {
      throw new PipelineError('PIPELINE_REJECTED', 'It is too old.');
    };
    const again = await bench.asking({ kind: 'retry', ...(run ? { rerun: { run, sha: commit } } : {}) });
    expect((await bench.finish(again.id)).state).toBe('succeeded');
    expect(bench.pipeline.triggered).toHaveLength(2);
  });
});
