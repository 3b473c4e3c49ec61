import { beforeEach, describe, expect, it } from '@jest/globals';
import { PipelineError } from '../../src/errors.ts';
import type { ForeignRun } from '../../src/pipelines/types.ts';
import { person } from '../helpers/deployments.ts';
import { type Bench, createBench, refused, sha, unknown } from './bench.ts';

/** What a hostile reviewer tried against runs that begin at the vendor. */
let bench: Bench;
beforeEach(async () => {
  bench = createBench();
  await bench.knowApprovals();
});
const gateProd = { id: 'g-prod', question: 'May this run go on to production?', environment: 'production' };
function run(more: Partial<ForeignRun> = {}): ForeignRun {
  return {
    run: { id: 'v-1' },
    environment: 'production',
    version: '1.1.0',
    sha: sha('1'),
    startedBy: 'octo-ana',
    startedAt: bench.now().toISOString(),
    state: 'running',
    ...more,
  };
}
const all = () => bench.store.read((tx) => tx.deployments.list({ limit: 50 }));

describe('the gate of production is not answered by the rules of staging', () => {
  it('of a chat deploy to staging: whoever may not approve does not open production', async () => {
    const d = await bench.asking({ environment: 'staging' });
    await bench.store.runDue();
    bench.pipeline.runs.set('run-1', { state: 'running', stages: [], tail: [], gate: gateProd });
    await bench.poll(d.id);
    expect((await bench.get(d.id)).gate).toBeNull();
    bench.denied.add('dana approve');
    await bench.deploys.lock({
      person: person('lee'),
      service: 'storefront',
      environment: 'production',
      reason: 'db',
      version: null,
      conversation: 'x',
    } as never);
    const result = await bench.deploys.answerGate({
      person: person('dana'),
      id: d.id,
      gate: 'g-prod',
      approved: true,
      conversation: 'a:dana',
    });
    await bench.store.runDue();
    expect({ ok: result.ok, answers: bench.pipeline.answers }).toEqual({ ok: false, answers: [] });
  });
  it('of a run that began at the vendor', async () => {
    bench.pipeline.foreign = [
      run({
        environment: 'staging',
        startedBy: 'octo-dana',
        gate: { id: 'g-st', question: '?', environment: 'staging' },
      }),
    ];
    bench.pipeline.runs.set('v-1', {
      state: 'running',
      stages: [],
      tail: [],
      gate: { id: 'g-st', question: '?', environment: 'staging' },
    });
    await bench.look();
    await bench.store.runDue();
    const [d] = await all();
    expect(d?.state).toBe('running');
    bench.pipeline.runs.set('v-1', { state: 'running', stages: [], tail: [], gate: gateProd });
    bench.pipeline.foreign = [run({ environment: 'production', startedBy: 'octo-dana', gate: gateProd })];
    await bench.look();
    await bench.poll(d?.id ?? '');
    bench.denied.add('dana approve');
    const result = await bench.deploys.answerGate({
      person: person('dana'),
      id: d?.id ?? '',
      gate: 'g-prod',
      approved: true,
      conversation: 'a:dana',
    });
    await bench.store.runDue();
    expect({
      adopted: (await all()).map((x) => x.environment),
      ok: result.ok,
      prod: bench.pipeline.answers.filter(([g]) => g === 'g-prod'),
    }).toEqual({ adopted: expect.arrayContaining(['production']), ok: false, prod: [] });
  });
});

describe('a guard of no known environment', () => {
  it('is not judged as the environment that the run names for itself', async () => {
    bench.pipeline.foreign = [
      run({
        environment: 'staging',
        startedBy: 'octo-dana',
        gate: { id: 'g-x', question: 'The stage Deploy live waits' },
      }),
    ];
    bench.pipeline.runs.set('v-1', {
      state: 'running',
      stages: [],
      tail: [],
      gate: { id: 'g-x', question: 'The stage Deploy live waits' },
    });
    await bench.look();
    await bench.store.runDue();
    expect(bench.pipeline.answers).toEqual([]);
  });
});

describe('a run that comes to its guard late', () => {
  it('is adopted, though it began 15 minutes ago', async () => {
    const late = run({ startedAt: bench.now().toISOString() });
    // As GitHub, Azure DevOps and Jenkins list: by when the run was made.
    bench.pipeline.recent = async ({ since }) =>
      bench.pipeline.foreign.filter((r) => Date.parse(r.startedAt) >= since.getTime());
    bench.pipeline.foreign = [];
    await bench.look();
    // It builds and tests for 15 minutes, without an environment; looked at every minute.
    for (let i = 0; i < 15; i += 1) {
      bench.tick(60_000);
      await bench.look();
    }
    bench.pipeline.foreign = [{ ...late, gate: gateProd }];
    bench.pipeline.runs.set('v-1', { state: 'running', stages: [], tail: [], gate: gateProd });
    for (let i = 0; i < 5; i += 1) {
      await bench.look();
      bench.tick(60_000);
    }
    expect((await all()).length).toBe(1);
  });
  it('is told, when it has no guard', async () => {
    const late = run({ startedAt: bench.now().toISOString() });
    bench.pipeline.recent = async ({ since }) =>
      bench.pipeline.foreign.filter((r) => Date.parse(r.startedAt) >= since.getTime());
    await bench.look();
    for (let i = 0; i < 15; i += 1) {
      bench.tick(60_000);
      await bench.look();
    }
    bench.pipeline.foreign = [late];
    for (let i = 0; i < 5; i += 1) {
      await bench.look();
      bench.tick(60_000);
    }
    expect(bench.trail()).toContain('deploy.out-of-band done OUT_OF_BAND');
  });
  it('that could not be judged (directory away) is judged when the directory is back 15 minutes later', async () => {
    bench.pipeline.recent = async ({ since }) =>
      bench.pipeline.foreign.filter((r) => Date.parse(r.startedAt) >= since.getTime());
    await bench.look();
    bench.pipeline.foreign = [run({ startedBy: 'octo-dana', gate: gateProd })];
    bench.pipeline.runs.set('v-1', { state: 'running', stages: [], tail: [], gate: gateProd });
    bench.directory.down = true;
    for (let i = 0; i < 15; i += 1) {
      await bench.look();
      bench.tick(60_000);
    }
    bench.directory.down = false;
    for (let i = 0; i < 5; i += 1) {
      await bench.look();
      bench.tick(60_000);
    }
    expect((await all()).length).toBe(1);
  });
});

describe('the same run id again (GitLab, Azure DevOps)', () => {
  it('a run without a guard that goes on from staging to production is told for both', async () => {
    await bench.look();
    bench.tick(1000);
    bench.pipeline.foreign = [run({ environment: 'staging' })];
    await bench.look();
    bench.pipeline.foreign = [run({ environment: 'production' }), run({ environment: 'staging' })];
    await bench.look();
    const told = bench.store
      .snapshot()
      .audit.filter((a) => a.code === 'OUT_OF_BAND')
      .map((a) => a.environment);
    expect(told.sort()).toEqual(['production', 'staging']);
  });
  it('an old run of ours whose job is repeated at the vendor is told', async () => {
    await bench.look();
    const d = await bench.asking({ environment: 'staging' });
    await bench.finish(d.id);
    const d2 = await bench.asking({ environment: 'staging', version: '1.2.0' });
    await bench.finish(d2.id);
    bench.tick(3_600_000);
    bench.pipeline.foreign = [run({ run: { id: 'run-1' }, environment: 'staging' })];
    await bench.look();
    expect(bench.trail()).toContain('deploy.out-of-band done OUT_OF_BAND');
  });
  it('an old run of ours that waits again, for a new approval there, is asked about', async () => {
    await bench.look();
    const d = await bench.asking({ environment: 'staging' });
    await bench.finish(d.id);
    bench.tick(3_600_000);
    bench.pipeline.foreign = [run({ run: { id: 'run-1' }, gate: { ...gateProd, id: 'new' } })];
    bench.pipeline.runs.set('run-1', { state: 'running', stages: [], tail: [], gate: { ...gateProd, id: 'new' } });
    await bench.look();
    expect((await all()).length).toBe(2);
  });
});

describe('a blocked version', () => {
  it('stays out when the vendor does not say the commit', async () => {
    await bench.store.transaction((tx) =>
      tx.blocks.add({
        service: 'storefront',
        environment: 'staging',
        sha: sha('1'),
        version: '1.1.0',
        person: person('lee'),
        deployment: '1',
        at: bench.now().toISOString(),
      }),
    );
    bench.pipeline.foreign = [
      run({
        environment: 'staging',
        sha: null,
        startedBy: 'octo-dana',
        gate: { id: 'g', question: '?', environment: 'staging' },
      }),
    ];
    bench.pipeline.runs.set('v-1', {
      state: 'running',
      stages: [],
      tail: [],
      gate: { id: 'g', question: '?', environment: 'staging' },
    });
    await bench.look();
    await bench.store.runDue();
    expect(bench.pipeline.answers.filter(([, ok]) => ok)).toEqual([]);
  });
  it('a run that calls itself 1.1.0 but runs another commit is shown by its commit', async () => {
    bench.pipeline.foreign = [run({ version: '1.1.0', sha: sha('e'), gate: gateProd })];
    bench.pipeline.runs.set('v-1', { state: 'running', stages: [], tail: [], gate: gateProd });
    await bench.look();
    expect((await all())[0]).toMatchObject({ version: sha('e').slice(0, 7), sha: sha('e') });
  });
});

describe('the answer to the guard is in doubt', () => {
  const begin = async () => {
    bench.pipeline.foreign = [
      run({ environment: 'staging', startedBy: 'octo-dana', gate: { id: 'g', question: '?', environment: 'staging' } }),
    ];
    bench.pipeline.runs.set('v-1', {
      state: 'running',
      stages: [],
      tail: [],
      gate: { id: 'g', question: '?', environment: 'staging' },
    });
    await bench.look();
  };
  it('taken, its answer lost, then the vendor is away for a minute: it is not called failed while it runs', async () => {
    await begin();
    let n = 0;
    bench.pipeline.answer = async (_r, g, { approved, by }) => {
      n += 1;
      if (n === 1) {
        bench.pipeline.answers.push([g, approved, by]);
        throw unknown();
      }
      throw refused();
    };
    await bench.pass(120_000);
    const [d] = await all();
    expect(d?.state).not.toBe('failed');
  });
  it('taken, its answer lost, then refused because nothing waits any more: a person is asked, and it is not called failed', async () => {
    await begin();
    let n = 0;
    bench.pipeline.answer = async () => {
      n += 1;
      throw n === 1 ? unknown() : new PipelineError('PIPELINE_REJECTED', 'The run does not wait for this any more.');
    };
    await bench.pass(30_000);
    expect((await all())[0]?.state).toBe('attention');
  });
  it('never known: a person is asked in the end, and the environment is not held for ever', async () => {
    await begin();
    bench.pipeline.answer = async () => {
      throw unknown();
    };
    await bench.pass(3_600_000, 10_000);
    const [d] = await all();
    const cancel = await bench.deploys.cancel({
      person: person('lee'),
      id: d?.id ?? '',
      reason: null,
      conversation: 'x',
    });
    expect([d?.state, cancel.ok]).toEqual(['attention', expect.anything()]);
  });
});

describe('a run that fails at its end', () => {
  it('after it deployed around us is told', async () => {
    await bench.look();
    bench.tick(60_000);
    bench.pipeline.foreign = [run({ state: 'failed' })];
    await bench.look();
    expect(bench.trail()).toContain('deploy.out-of-band done OUT_OF_BAND');
  });
});

describe('webhooks', () => {
  it('200 of them ask the vendor for its runs less than 200 times', async () => {
    let asked = 0;
    bench.pipeline.recent = async () => {
      asked += 1;
      return [];
    };
    for (let i = 0; i < 200; i += 1) {
      await bench.hear([], true);
      await bench.store.runDue();
    }
    expect(asked).toBeLessThan(20);
  });
});

describe('two services of one workflow', () => {
  it("a run of the one in chat is not foreign to the other, and the other's rules do not open its gate", async () => {
    // "lax" is deployed by the same workflow (same pipeline object lists the same runs) and asks for no approval.
    const strict = bench.services.get('storefront');
    if (!strict) throw new Error('no service');
    strict.alone = false;
    bench.services.set('lax', {
      ...strict,
      name: 'lax',
      environments: strict.environments.map((e) => ({ ...e, approval: null })),
    });
    bench.pipeline.foreign = [run({ startedBy: 'octo-dana', gate: gateProd })];
    bench.pipeline.runs.set('v-1', { state: 'running', stages: [], tail: [], gate: gateProd });
    // createForeign of the bench is bound to storefront; its worker takes any service
    await bench.store.transaction((tx) => tx.jobs.send('deploy.foreign', { service: 'lax', heard: true }));
    await bench.store.transaction((tx) => tx.jobs.send('deploy.foreign', { service: 'storefront', heard: true }));
    await bench.store.runDue();
    await bench.store.runDue();
    expect(bench.pipeline.answers).toEqual([]);
  });
});

describe('a run that goes through staging to production', () => {
  it('is asked about for production by the rules of production, with staging behind it', async () => {
    bench = createBench({ production: { promoteFrom: 'staging' } });
    await bench.knowApprovals();
    const staging = await bench.asking({ environment: 'staging' });
    await bench.store.runDue();
    bench.pipeline.runs.set('run-1', { state: 'running', stages: [], tail: [], gate: gateProd });
    bench.pipeline.foreign = [run({ run: { id: 'run-1' }, startedBy: 'shipmate[bot]', gate: gateProd })];
    await bench.look();
    const [asked] = await all();
    expect(asked).toMatchObject({ environment: 'production', state: 'awaiting_approval', approval: { count: 2 } });
    for (const name of ['alex', 'robin']) await bench.decide(asked ?? staging, name);
    await bench.store.runDue();
    expect(bench.pipeline.answers).toEqual([['g-prod', true, 'alex, robin']]);
    bench.pipeline.runs.set('run-1', { state: 'succeeded', stages: [], tail: [] });
    for (const { id } of await all()) await bench.poll(id);
    expect((await all()).map(({ environment, state }) => `${environment} ${state}`)).toEqual([
      'production succeeded',
      'staging succeeded',
    ]);
  });

  it('that has not been on staging is turned away', async () => {
    bench = createBench({ production: { promoteFrom: 'staging' } });
    await bench.knowApprovals();
    bench.pipeline.foreign = [run({ gate: gateProd })];
    await bench.look();
    expect((await all())[0]).toMatchObject({ state: 'blocked', problem: { code: 'NOT_PROMOTED' } });
  });
});
