import { beforeEach, describe, expect, it } from '@jest/globals';
import { canonicalJson } from '../../src/audit/canonical.ts';
import { verifyChain } from '../../src/audit/chain.ts';
import { person } from '../helpers/deployments.ts';
import { APPROVALS, type Bench, createBench, sha } from './bench.ts';

let bench: Bench;
beforeEach(async () => {
  bench = createBench();
  await bench.knowApprovals();
});

describe('a request', () => {
  it('without approval is queued, with its card, its audit entry and its job', async () => {
    const deployment = await bench.asking({ reason: 'hotfix' });
    expect(deployment).toMatchObject({
      id: '1',
      state: 'queued',
      version: '1.1.0',
      sha: sha('1'),
      approval: null,
      reason: 'hotfix',
      votes: [],
      createdAt: bench.now().toISOString(),
    });
    const { audit, outbox } = bench.store.snapshot();
    expect(outbox['deploy:1:requester']).toMatchObject({
      conversation: 'a:dana',
      payload: { kind: 'deployment', id: '1', audience: 'requester' },
    });
    expect(audit).toEqual([
      expect.objectContaining({
        action: 'deploy.request',
        outcome: 'done',
        deployment: '1',
        digest: deployment.digest,
      }),
    ]);
    expect(bench.store.waiting().map(({ queue }) => queue)).toEqual(['outbox.flush', 'deploy.trigger']);
  });
  it('with approval waits, is shown to the approvers, and expires', async () => {
    const deployment = await bench.asking({ environment: 'production', activityId: 'form-1' });
    expect(deployment).toMatchObject({
      state: 'awaiting_approval',
      approval: { groups: ['g-leads'], count: 1, expiresAt: '2026-11-24T16:00:00.000Z' },
    });
    const { jobs, outbox } = bench.store.snapshot();
    expect(outbox['deploy:1:approvals']).toMatchObject({ conversation: APPROVALS });
    expect(outbox['deploy:1:requester']).toMatchObject({ activityId: 'form-1' });
    expect(jobs.filter(({ queue }) => queue.startsWith('deploy'))).toMatchObject([
      { queue: 'deploy.remind', due: Date.parse('2026-11-24T15:30:00.000Z') },
      { queue: 'deploy.expire', due: Date.parse('2026-11-24T16:00:00.000Z') },
    ]);
    await bench.store.runDue();
    expect(bench.pipeline.triggered).toEqual([]);
  });
  it('knows what it replaces and what changes', async () => {
    await bench.finish((await bench.asking({ version: '1.0.0' })).id);
    expect(await bench.asking()).toMatchObject({
      fromVersion: '1.0.0',
      fromSha: sha('0'),
      changesTotal: 3,
      changes: [{ subject: 'Fix the total' }],
    });
  });
  it('from the same origin is the same deployment, and nothing more', async () => {
    const first = await bench.asking({ origin: 'click:1' });
    const before = bench.store.snapshot();
    expect(await bench.ask({ origin: 'click:1' })).toEqual({ ok: true, deployment: first, duplicate: true });
    expect(bench.store.snapshot()).toEqual(before);
  });
  it('that comes fifty times at once makes one', async () => {
    const results = await Promise.all(Array.from({ length: 50 }, () => bench.ask({ origin: 'click:1' })));
    expect(results.filter((each) => each.ok && !each.duplicate)).toHaveLength(1);
    expect(bench.store.snapshot().deployments).toHaveLength(1);
  });
  it.each<[string, (bench: Bench) => void, object, string]>([
    ['without the right', (b) => b.denied.add('dana deploy'), {}, 'ACCESS_DENIED'],
    ['while the directory is down', (b) => Object.assign(b.directory, { down: true }), {}, 'DIRECTORY_UNAVAILABLE'],
    ['for an unknown service', () => {}, { service: 'nothing' }, 'SERVICE_UNKNOWN'],
    ['for an unknown environment', () => {}, { environment: 'moon' }, 'ENVIRONMENT_UNKNOWN'],
    ['for an unknown version', () => {}, { version: '9.9.9' }, 'VERSION_UNKNOWN'],
    ['while versions can not be read', (b) => Object.assign(b.broken, { versions: true }), {}, 'VERSIONS_UNAVAILABLE'],
    ['for a commit that was not confirmed', () => {}, { confirmedSha: sha('f') }, 'VERSION_MOVED'],
  ])('%s is refused and audited, and nothing else happens', async (_what, prepare, more, code) => {
    prepare(bench);
    expect(await bench.ask(more)).toMatchObject({ ok: false, code });
    const { deployments, jobs, outbox } = bench.store.snapshot();
    expect({ deployments, jobs, outbox }).toEqual({ deployments: [], jobs: [], outbox: {} });
    expect(bench.trail()).toEqual([`deploy.request refused ${code}`]);
  });
  it('is refused while the environment is busy, and says by whom', async () => {
    await bench.asking();
    const refusal = await bench.ask({ person: person('robin'), version: '1.2.0' });
    expect(refusal).toMatchObject({ ok: false, code: 'ENV_BUSY', message: expect.stringMatching(/dana.*1\.1\.0.*#1/) });
    expect(bench.trail().at(-1)).toBe('deploy.request refused ENV_BUSY');
    expect((await bench.ask({ environment: 'production' })).ok).toBe(true);
  });
  it('is refused while nobody could see it', async () => {
    await bench.store.transaction((tx) => tx.references.kill(APPROVALS, 'removed'));
    expect(await bench.ask({ environment: 'production' })).toMatchObject({ ok: false, code: 'CHANNEL_UNKNOWN' });
  });
  it('is planned without a trace', async () => {
    const plan = await bench.deploys.plan({
      kind: 'deploy',
      person: person('dana'),
      service: 'storefront',
      environment: 'production',
      version: '1.2.0',
    });
    expect(plan).toMatchObject({ ok: true, approval: { count: 1 }, gathered: { version: { sha: sha('2') } } });
    expect(bench.store.snapshot()).toMatchObject({ audit: [], deployments: [], jobs: [] });
  });
});

describe('a decision', () => {
  const production = () => bench.asking({ environment: 'production' });

  it('of another person queues the deploy', async () => {
    const deployment = await production();
    const result = await bench.decide(deployment, 'alex');
    expect(result).toMatchObject({ ok: true, deployment: { state: 'queued', votes: [{ person: { name: 'alex' } }] } });
    expect(bench.trail()).toEqual(['deploy.request done OK', 'deploy.approve done OK']);
    expect(bench.store.snapshot().outbox['deploy:1:approvals']).toMatchObject({ version: 2 });
    await bench.store.runDue();
    expect(bench.pipeline.triggered).toMatchObject([{ version: '1.1.0', sha: sha('1'), requestedBy: 'dana' }]);
  });
  it('asks the directory afresh', async () => {
    await bench.decide(await production(), 'alex');
    expect(bench.asked.at(-1)).toEqual({ name: 'alex', permission: 'approve', fresh: true });
  });
  it.each<[string, string, (bench: Bench) => void, object, string]>([
    ['of the requester', 'dana', () => {}, {}, 'OWN_DEPLOY'],
    ['without the right', 'kim', (b) => b.denied.add('kim approve'), {}, 'ACCESS_DENIED'],
    [
      'while the directory is down',
      'alex',
      (b) => Object.assign(b.directory, { down: true }),
      {},
      'DIRECTORY_UNAVAILABLE',
    ],
    ['that is too late', 'alex', (b) => b.tick(4 * 3_600_000), {}, 'APPROVAL_EXPIRED'],
    ['on an older card', 'alex', () => {}, { digest: 'other' }, 'DIGEST_CHANGED'],
    ['after the rules changed', 'alex', (b) => Object.assign(b.rules, { hash: 'policy-2' }), {}, 'DIGEST_CHANGED'],
    ['on what is not there', 'alex', () => {}, { id: '99' }, 'DEPLOYMENT_UNKNOWN'],
  ])('%s is refused, audited, and leaves no vote', async (_what, name, prepare, more, code) => {
    const deployment = await production();
    prepare(bench);
    expect(await bench.decide(deployment, name, 'approve', more)).toMatchObject({ ok: false, code });
    expect(await bench.get(deployment.id)).toEqual(deployment);
    expect(bench.trail()).toEqual(['deploy.request done OK', `deploy.approve refused ${code}`]);
  });
  it('to reject ends it, and the requester hears why', async () => {
    const deployment = await production();
    expect(await bench.decide(deployment, 'alex', 'reject', { reason: 'not on Friday' })).toMatchObject({
      ok: true,
      deployment: { state: 'rejected', problem: { code: 'APPROVAL_REJECTED', message: 'not on Friday' } },
    });
    expect(bench.texts()).toEqual([
      'Deployment of storefront 1.1.0 to production was rejected by alex: not on Friday.',
    ]);
    expect(await bench.decide(deployment, 'robin')).toMatchObject({
      ok: false,
      code: 'NOT_PENDING',
      message: expect.stringContaining('rejected by alex'),
      deployment: { state: 'rejected', votes: [{ person: { name: 'alex' } }] },
    });
  });
  it('is made once, of fifty clicks', async () => {
    const deployment = await production();
    const results = await Promise.all(Array.from({ length: 50 }, () => bench.decide(deployment, 'alex')));
    expect(results.filter(({ ok }) => ok)).toHaveLength(1);
    expect(bench.store.waiting().filter(({ queue }) => queue === 'deploy.trigger')).toHaveLength(1);
  });
  it('needs as many people as the environment asks for', async () => {
    bench = createBench({ count: 2 });
    await bench.knowApprovals();
    const deployment = await production();
    expect(await bench.decide(deployment, 'alex')).toMatchObject({ deployment: { state: 'awaiting_approval' } });
    expect(await bench.decide(deployment, 'alex')).toMatchObject({ ok: false, code: 'ALREADY_VOTED' });
    await bench.store.runDue();
    expect(bench.pipeline.triggered).toEqual([]);
    expect(await bench.decide(deployment, 'robin')).toMatchObject({ deployment: { state: 'queued' } });
    await bench.store.runDue();
    expect(bench.pipeline.triggered).toHaveLength(1);
  });
  it('of two people at once counts both', async () => {
    bench = createBench({ count: 2 });
    await bench.knowApprovals();
    const deployment = await production();
    await Promise.all([bench.decide(deployment, 'alex'), bench.decide(deployment, 'robin')]);
    expect(await bench.get(deployment.id)).toMatchObject({ state: 'queued', votes: [{}, {}] });
    expect(bench.store.waiting().filter(({ queue }) => queue === 'deploy.trigger')).toHaveLength(1);
  });
  it('that meets a busy environment leaves no vote, and can be made again', async () => {
    const [first, second] = [await production(), await production()];
    await bench.decide(first, 'alex');
    expect(await bench.decide(second, 'alex')).toMatchObject({
      ok: false,
      code: 'ENV_BUSY',
      deployment: { id: second.id, state: 'awaiting_approval', votes: [] },
    });
    expect(await bench.get(second.id)).toEqual(second);
    await bench.finish(first.id);
    expect(await bench.decide(second, 'alex')).toMatchObject({ ok: true, deployment: { state: 'queued' } });
    expect(bench.trail()).toContain('deploy.approve refused ENV_BUSY');
  });
  it('that meets an environment taken since it looked leaves no vote either', async () => {
    const [first, second] = [await production(), await production()];
    await bench.decide(first, 'alex');
    const { transaction } = bench.store;
    // As on another replica: the holder commits after this transaction looked, before it writes.
    bench.store.transaction = (fn) =>
      transaction((tx) => fn({ ...tx, deployments: { ...tx.deployments, holder: async () => null } }));
    expect(await bench.decide(second, 'robin')).toMatchObject({
      ok: false,
      code: 'ENV_BUSY',
      deployment: { id: second.id, votes: [] },
    });
    expect(await bench.get(second.id)).toEqual(second);
    expect(bench.trail().at(-1)).toBe('deploy.approve refused ENV_BUSY');
  });
  it('of two on one environment at once lets one through, the other without a vote', async () => {
    const [first, second] = [await production(), await production()];
    const results = await Promise.all([bench.decide(first, 'alex'), bench.decide(second, 'robin')]);
    expect(results.map(({ ok }) => ok)).toEqual([true, false]);
    expect((await bench.get(second.id)).votes).toEqual([]);
  });
});

describe('a rollback', () => {
  const target = () => bench.deploys.rollbackTarget('storefront', 'staging');
  const done = async (version: string, more: object = {}) =>
    bench.finish((await bench.asking({ version, ...more })).id);

  it('has nowhere to go before a second version succeeded', async () => {
    expect(await target()).toMatchObject({ ok: false, code: 'NO_ROLLBACK_TARGET' });
    await done('1.0.0');
    expect(await target()).toMatchObject({ ok: false, code: 'NO_ROLLBACK_TARGET' });
  });
  it('goes to the last good one, past what failed and what was left behind', async () => {
    await done('1.0.0');
    await done('1.1.0');
    expect(await target()).toEqual({ version: '1.0.0', sha: sha('0') });
    await bench.finish((await bench.asking({ version: '1.2.0' })).id, { state: 'failed' });
    expect(await target()).toEqual({ version: '1.0.0', sha: sha('0') });
    await done('1.2.0');
    expect(await target()).toEqual({ version: '1.1.0', sha: sha('1') });
    await done('1.1.0', { kind: 'rollback', sha: sha('1') });
    expect(await target()).toEqual({ version: '1.0.0', sha: sha('0') });
  });
  it('needs no approval, and brings the commit back though its tag is gone', async () => {
    const rollback = await bench.asking({
      kind: 'rollback',
      environment: 'production',
      version: '1.0.0',
      sha: sha('9'),
    });
    expect(rollback).toMatchObject({ state: 'queued', approval: null, sha: sha('9') });
    bench.tags.delete('1.0.0');
    await bench.store.runDue();
    expect(bench.pipeline.triggered).toMatchObject([{ sha: sha('9') }]);
    expect(bench.asked.map(({ permission }) => permission)).toEqual(['rollback', 'rollback']);
    expect(bench.trail()[0]).toBe('rollback.request done OK');
  });
  it('is refused without its own right', async () => {
    bench.denied.add('dana rollback');
    expect(await bench.ask({ kind: 'rollback', sha: sha('1') })).toMatchObject({ ok: false, code: 'ACCESS_DENIED' });
  });
});

describe('a view', () => {
  it('loses its buttons when a newer deploy is there, and knows where a rollback goes', async () => {
    const first = await bench.finish((await bench.asking({ version: '1.0.0' })).id);
    const second = await bench.finish((await bench.asking()).id);
    expect(await bench.deploys.view(first, 'requester')).toMatchObject({ outdated: true, rollbackTo: null });
    expect(await bench.deploys.view(second, 'requester')).toMatchObject({ outdated: false, rollbackTo: '1.0.0' });
  });
});

it('writes one unbroken audit, whatever happens', async () => {
  const deployment = await bench.asking({ environment: 'production', reason: 'x\0\ud800' });
  await bench.decide(deployment, 'dana');
  await bench.decide(deployment, 'alex');
  await bench.finish(deployment.id);
  const { audit } = bench.store.snapshot();
  const stored = audit.map((entry) => JSON.parse(canonicalJson(entry)));
  expect(await verifyChain(stored)).toMatchObject({ ok: true, entries: 5 });
  expect(bench.trail()).toEqual([
    'deploy.request done OK',
    'deploy.approve refused OWN_DEPLOY',
    'deploy.approve done OK',
    'deploy.start done OK',
    'deploy.end done OK',
  ]);
});
