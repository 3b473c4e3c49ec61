import { beforeEach, describe, expect, it } from '@jest/globals';
import { verifyChain } from '../../src/audit/chain.ts';
import { parseWindow } from '../../src/calendar/windows.ts';
import type { Deployment, EnvironmentPolicy } from '../../src/deploys/types.ts';
import { PipelineError } from '../../src/errors.ts';
import { person } from '../helpers/deployments.ts';
import { approval } from '../helpers/policies.ts';
import { APPROVALS, type Bench, CHANNEL, createBench, OPS, sha } from './bench.ts';

const HOUR = 3_600_000;
const window = (entry: Parameters<typeof parseWindow>[0]) => {
  const parsed = parseWindow(entry, 'UTC');
  if (typeof parsed === 'string') throw new Error(parsed);
  return parsed;
};

let bench: Bench;
const start = async (options: Parameters<typeof createBench>[0] = {}) => {
  bench = createBench(options);
  await bench.knowApprovals();
};
beforeEach(() => start());

const codeOf = async (more: Parameters<Bench['ask']>[0] = {}) => {
  const result = await bench.ask(more);
  return result.ok ? result.deployment.state : result.code;
};
const audit = () => bench.store.snapshot().audit;
const messages = (conversation: string) =>
  Object.values(bench.store.snapshot().outbox).flatMap(({ conversation: to, payload }) =>
    to === conversation && payload.kind === 'message' ? [payload.text] : [],
  );
/** Ends the run of a deployment. */
const end = async (it: Deployment, state: 'succeeded' | 'failed' = 'succeeded') => {
  const ended = await bench.finish(it.id, { state });
  await bench.store.runDue();
  return ended;
};
const lock = (more: object = {}) =>
  bench.deploys.lock({
    person: person('alex'),
    service: 'storefront',
    environment: 'staging',
    reason: 'db migration',
    version: null,
    conversation: CHANNEL,
    ...more,
  });
const unlock = (name: string, more: object = {}) =>
  bench.deploys.unlock({
    person: person(name),
    service: 'storefront',
    environment: 'staging',
    conversation: CHANNEL,
    ...more,
  });

describe('a lock', () => {
  it('keeps deploys and rollbacks out until it is taken away, with who and why', async () => {
    await end(await bench.asking({ version: '1.0.0' }));
    expect(await lock()).toMatchObject({ ok: true });
    expect(await bench.ask()).toMatchObject({
      code: 'ENV_LOCKED',
      rule: 'lock',
      message: expect.stringContaining('alex locked staging of storefront: db migration'),
    });
    expect(await codeOf({ kind: 'rollback', version: '1.1.0', sha: sha('1') })).toBe('ENV_LOCKED');
    expect(await codeOf({ environment: 'production' })).toBe('awaiting_approval');
    expect(await unlock('alex')).toMatchObject({ ok: true });
    expect(await codeOf()).toBe('queued');
  });

  it.each([
    ['of everything', { service: '', environment: '' }],
    ['of an environment of every service', { service: '' }],
    ['of a service', { environment: '' }],
  ])('%s holds there too', async (_what, place) => {
    await lock(place);
    expect(await codeOf()).toBe('ENV_LOCKED');
  });

  it('is bound to person and change: only the one who locked, only that version', async () => {
    await lock({ version: '1.1.0' });
    expect(await codeOf({ person: person('dana'), version: '1.1.0' })).toBe('ENV_LOCKED');
    expect(await codeOf({ person: person('alex'), version: '1.0.0' })).toBe('ENV_LOCKED');
    expect(await codeOf({ person: person('alex'), version: '1.1.0' })).toBe('queued');
  });

  it('is there once, needs a reason, and is taken away by whoever may', async () => {
    expect(await lock({ reason: ' ' })).toMatchObject({ code: 'ARGUMENT_MISSING' });
    await lock();
    expect(await lock()).toMatchObject({ code: 'LOCK_HELD' });
    bench.denied.add('dana unlock');
    expect(await unlock('dana')).toMatchObject({ code: 'ACCESS_DENIED' });
    bench.denied.add('alex unlock'); // one's own needs no more than the right to lock
    expect(await unlock('alex')).toMatchObject({ ok: true });
    bench.denied.clear();
    expect(await unlock('alex')).toMatchObject({ code: 'LOCK_UNKNOWN' });
    expect(audit().map(({ action, code }) => `${action} ${code}`)).toEqual([
      'lock.add ARGUMENT_MISSING',
      'lock.add OK',
      'lock.add LOCK_HELD',
      'lock.remove ACCESS_DENIED',
      'lock.remove OK',
      'lock.remove LOCK_UNKNOWN',
    ]);
  });

  it('that came after the request stops it at the approval, and at the trigger', async () => {
    const asked = await bench.asking({ environment: 'production' });
    await lock({ environment: 'production' });
    expect(await bench.decide(asked, 'robin')).toMatchObject({ code: 'ENV_LOCKED' });
    expect((await bench.get(asked.id)).state).toBe('awaiting_approval');
    const queued = await bench.asking();
    await lock();
    await bench.store.runDue();
    expect(await bench.get(queued.id)).toMatchObject({ state: 'blocked', problem: { code: 'ENV_LOCKED' } });
    expect(bench.pipeline.triggered).toEqual([]);
  });
});

describe('a freeze', () => {
  const frozen: Partial<EnvironmentPolicy> = { freeze: [window({ from: '11:00', to: '14:00' })] };

  it('keeps deploys out, says until when, and lets a rollback through', async () => {
    await start({ staging: frozen });
    expect(await bench.ask()).toMatchObject({ code: 'FROZEN', until: '2026-11-24T14:00:00.000Z', who: ['oncall'] });
    expect(await codeOf({ kind: 'rollback', version: '1.0.0', sha: sha('0') })).toBe('queued');
  });

  it('is over when it is over', async () => {
    await start({ staging: frozen });
    bench.tick(2 * HOUR);
    expect(await codeOf()).toBe('queued');
  });

  it('that began between the request and the trigger blocks it', async () => {
    await start({ staging: { freeze: [window({ from: '12:01', to: '14:00' })] } });
    const queued = await bench.asking();
    bench.tick(60_000);
    await bench.store.runDue();
    expect(await bench.get(queued.id)).toMatchObject({ state: 'blocked', problem: { code: 'FROZEN' } });
  });
});

describe('the order of environments', () => {
  beforeEach(() => start({ production: { promoteFrom: 'staging' } }));

  it('lets in only what runs well on the environment before', async () => {
    expect(await codeOf({ environment: 'production' })).toBe('NOT_PROMOTED');
    await end(await bench.asking({ version: '1.0.0' }));
    expect(await codeOf({ environment: 'production' })).toBe('NOT_PROMOTED');
    await end(await bench.asking());
    expect(await codeOf({ environment: 'production' })).toBe('awaiting_approval');
  });

  it('a newer failure outranks an older success', async () => {
    await end(await bench.asking());
    bench.tick(1_000);
    await end(await bench.asking({ version: '1.2.0' }), 'failed');
    expect(await bench.ask({ environment: 'production' })).toMatchObject({
      code: 'NOT_PROMOTED',
      message: expect.stringMatching(/failed \(#2/),
    });
  });

  it('is asked again at the trigger', async () => {
    await end(await bench.asking());
    const asked = await bench.asking({ environment: 'production' });
    bench.tick(1_000);
    await end(await bench.asking({ version: '1.2.0' }));
    await bench.decide(asked, 'robin');
    await bench.store.runDue();
    expect(await bench.get(asked.id)).toMatchObject({ state: 'blocked', problem: { code: 'NOT_PROMOTED' } });
  });

  it('does not hold back a rollback', async () => {
    expect(await codeOf({ kind: 'rollback', environment: 'production', version: '1.0.0', sha: sha('0') })).toBe(
      'queued',
    );
  });
});

describe('while another deploy runs there', () => {
  it('the next waits its turn, in order, and knows its place', async () => {
    await start({ staging: { concurrency: 'queue' } });
    const first = await bench.asking();
    const second = await bench.asking({ version: '1.2.0' });
    const third = await bench.asking({ version: '1.0.0' });
    await bench.store.runDue();
    expect([second.state, third.state]).toEqual(['waiting', 'waiting']);
    expect((await bench.deploys.view(third, 'requester')).position).toBe(2);
    await end(first);
    expect((await bench.get(second.id)).state).toBe('running');
    expect((await bench.deploys.view(await bench.get(third.id), 'requester')).position).toBe(1);
    await end(await bench.get(second.id), 'failed');
    await end(await bench.get(third.id));
    expect(bench.pipeline.triggered.map(({ version }) => version)).toEqual(['1.1.0', '1.2.0', '1.0.0']);
  });

  it('latest: the newest takes the place of what waits, never of what runs', async () => {
    await start({ staging: { concurrency: 'latest' } });
    const first = await bench.asking();
    const second = await bench.asking({ version: '1.2.0' });
    const third = await bench.asking({ version: '1.0.0' });
    expect(await bench.get(second.id)).toMatchObject({ state: 'cancelled', problem: { code: 'SUPERSEDED' } });
    await bench.store.runDue();
    expect((await bench.get(first.id)).state).toBe('running');
    await end(first);
    expect((await bench.get(third.id)).state).toBe('running');
  });

  it('what waits can be taken back, and the next moves up', async () => {
    await start({ staging: { concurrency: 'queue' } });
    const first = await bench.asking();
    const second = await bench.asking({ version: '1.2.0' });
    const third = await bench.asking({ version: '1.0.0' });
    await bench.deploys.cancel({ person: person('dana'), id: second.id, reason: null, conversation: 'a:dana' });
    await bench.store.runDue();
    await end(first);
    expect((await bench.get(third.id)).state).toBe('running');
    expect(await bench.get(second.id)).toMatchObject({ state: 'cancelled', problem: { code: 'WITHDRAWN' } });
  });

  it('an approval that is complete waits too', async () => {
    await start({ production: { concurrency: 'queue' } });
    const [one, two] = [
      await bench.asking({ environment: 'production' }),
      await bench.asking({ environment: 'production', version: '1.2.0' }),
    ];
    await bench.decide(one, 'robin');
    await bench.decide(two, 'robin');
    expect((await bench.get(two.id)).state).toBe('waiting');
    await bench.store.runDue();
    await end(await bench.get(one.id));
    expect((await bench.get(two.id)).state).toBe('running');
  });
});

describe('a request', () => {
  it('is taken back by whoever asked, without any right; others need the right to cancel', async () => {
    const asked = await bench.asking({ environment: 'production' });
    bench.denied.add('dana cancel').add('kim cancel');
    const cancel = (name: string) =>
      bench.deploys.cancel({ person: person(name), id: asked.id, reason: 'not today', conversation: 'a:x' });
    expect(await cancel('kim')).toMatchObject({ code: 'ACCESS_DENIED' });
    expect(await cancel('dana')).toMatchObject({ ok: true, deployment: { state: 'cancelled' } });
    expect(await bench.decide(asked, 'robin')).toMatchObject({ code: 'NOT_PENDING' });
    expect(await cancel('dana')).toMatchObject({ ok: false });
    expect(audit().map(({ action, code }) => `${action} ${code}`)).toContain('deploy.withdraw WITHDRAWN');
  });

  it('that is older is void when a newer one for the same place is approved', async () => {
    const old = await bench.asking({ environment: 'production' });
    const newer = await bench.asking({ environment: 'production', version: '1.2.0' });
    await bench.decide(newer, 'robin');
    expect(await bench.get(old.id)).toMatchObject({ state: 'cancelled', problem: { code: 'SUPERSEDED' } });
    expect(await bench.decide(old, 'robin')).toMatchObject({ code: 'NOT_PENDING' });
  });

  it('reminds the approvers once before it expires', async () => {
    await bench.asking({ environment: 'production' });
    await bench.pass(3.4 * HOUR, HOUR / 10);
    expect(messages(APPROVALS)).toEqual([]);
    await bench.pass(HOUR / 5, HOUR / 10);
    expect(messages(APPROVALS)).toEqual([expect.stringMatching(/still waits for approval, and expires in \d+ min/)]);
  });

  it('may be approved by the requester only where that is configured', async () => {
    await start({ production: { approval: approval({ own: true }) } });
    const asked = await bench.asking({ environment: 'production' });
    expect(await bench.decide(asked, 'dana')).toMatchObject({ ok: true });
  });
});

describe('a run', () => {
  it('is asked to stop once, by those who may, and ends as the pipeline says', async () => {
    const asked = await bench.asking();
    await bench.store.runDue();
    bench.denied.add('kim cancel');
    const cancel = (name: string) =>
      bench.deploys.cancel({ person: person(name), id: asked.id, reason: 'wrong one', conversation: 'a:x' });
    expect(await cancel('kim')).toMatchObject({ code: 'ACCESS_DENIED' });
    await cancel('alex');
    await cancel('alex');
    await bench.store.runDue();
    expect(bench.pipeline.cancelled).toHaveLength(1);
    expect((await bench.get(asked.id)).state).toBe('running');
    await bench.finish(asked.id, { state: 'cancelled' });
    expect(await bench.get(asked.id)).toMatchObject({
      state: 'cancelled',
      problem: { code: 'CANCELLED', message: 'Cancelled by alex: wrong one' },
    });
  });

  it('that waits for a person gets one answer, not from the requester, and nobody is asked twice', async () => {
    const asked = await bench.asking({ environment: 'production' });
    await bench.decide(asked, 'robin');
    await bench.store.runDue();
    const run = (await bench.get(asked.id)).run?.id ?? '';
    const gate = { id: 'canary', question: 'Go on with all of it?' };
    bench.pipeline.runs.set(run, { state: 'running', stages: [], tail: [], gate });
    await bench.poll(asked.id);
    expect((await bench.get(asked.id)).gate).toEqual({ ...gate, answer: null });
    expect(messages(APPROVALS).join()).toMatch(/waits for an answer: Go on with all of it\?/);
    const answer = (name: string, approved = true) =>
      bench.deploys.answerGate({
        person: person(name),
        id: asked.id,
        gate: 'canary',
        approved,
        conversation: APPROVALS,
      });
    expect(await answer('dana')).toMatchObject({ code: 'OWN_DEPLOY' });
    expect(await answer('robin')).toMatchObject({ ok: true });
    expect(await answer('alex', false)).toMatchObject({ code: 'GATE_UNKNOWN' });
    await bench.store.runDue();
    expect(bench.pipeline.answers).toEqual([['canary', true, expect.any(String)]]);
  });
});

describe('the log of a run', () => {
  const read = (id: string, name = 'alex') =>
    bench.deploys.runLog({ person: person(name), id, lines: 3, conversation: CHANNEL });

  it('is read by who may read logs there, and that is audited before it is shown', async () => {
    const asked = await bench.asking();
    expect(await read(asked.id)).toMatchObject({ ok: false, code: 'LOGS_UNAVAILABLE' });
    await bench.store.runDue();
    bench.pipeline.logs = async (_run, { lines }) => Array.from({ length: lines }, (_, at) => `line ${at}`);
    expect(await read(asked.id)).toMatchObject({ ok: true, lines: ['line 0', 'line 1', 'line 2'] });
    expect(bench.trail()).toContain('run.log done OK');
    bench.denied.add('kim logs');
    expect(await read(asked.id, 'kim')).toMatchObject({ ok: false, code: 'ACCESS_DENIED', audited: true });
    expect(await read('99')).toMatchObject({ ok: false, code: 'DEPLOYMENT_UNKNOWN' });
  });

  it('that the pipeline does not give is said', async () => {
    const asked = await bench.asking();
    await bench.store.runDue();
    bench.pipeline.logs = async () => {
      throw new PipelineError('PIPELINE_UNAVAILABLE', 'GitHub did not answer.');
    };
    expect(await read(asked.id)).toMatchObject({
      ok: false,
      code: 'LOGS_UNAVAILABLE',
      message: 'GitHub did not answer.',
    });
  });
});

describe('a rollback', () => {
  it('keeps the bad version out there until somebody lifts that', async () => {
    await end(await bench.asking({ version: '1.0.0' }));
    bench.tick(1_000);
    await end(await bench.asking({ version: '1.1.0' }));
    await end(await bench.asking({ kind: 'rollback', version: '1.0.0', sha: sha('0') }));
    expect(await bench.ask({ version: '1.1.0' })).toMatchObject({ code: 'VERSION_BLOCKED' });
    expect(await codeOf({ version: '1.1.0', environment: 'production' })).toBe('awaiting_approval');
    const lift = (name: string) =>
      bench.deploys.unblock({
        person: person(name),
        service: 'storefront',
        environment: 'staging',
        version: '1.1.0',
        conversation: CHANNEL,
      });
    bench.denied.add('kim deploy');
    expect(await lift('kim')).toMatchObject({ code: 'ACCESS_DENIED' });
    expect(await lift('dana')).toMatchObject({ ok: true });
    expect(await lift('dana')).toMatchObject({ code: 'BLOCK_UNKNOWN' });
    expect(await codeOf({ version: '1.1.0' })).toBe('queued');
  });

  it('needs the approval where that is configured', async () => {
    await start({ production: { rollbackApproval: true } });
    expect(await codeOf({ kind: 'rollback', environment: 'production', version: '1.0.0', sha: sha('0') })).toBe(
      'awaiting_approval',
    );
  });
});

describe('breaking the glass', () => {
  const broken = { environment: 'production', breakGlass: 'checkout is down' };
  beforeEach(() => start({ production: { promoteFrom: 'staging', freeze: [window({ from: '11:00', to: '14:00' })] } }));

  it('goes past freeze, order and approval, is told at once, and stays open until a second person looked', async () => {
    const asked = await bench.asking(broken);
    expect(asked).toMatchObject({ state: 'queued', breakGlass: { broken: ['freeze', 'promotion', 'approval'] } });
    expect(messages(CHANNEL).join()).toMatch(/dana broke the glass[\s\S]*checkout is down/);
    expect(messages(OPS).join()).toMatch(/dana broke the glass/);
    await end(asked);
    expect(await bench.get(asked.id)).toMatchObject({ state: 'succeeded' });
    expect((await bench.deploys.unreviewed()).map(({ id }) => id)).toEqual([asked.id]);
    const review = (name: string, note = 'fine') =>
      bench.deploys.review({ person: person(name), id: asked.id, note, conversation: APPROVALS });
    expect(await review('dana')).toMatchObject({ code: 'REVIEW_OWN' });
    expect(await review('robin', ' ')).toMatchObject({ code: 'ARGUMENT_MISSING' });
    expect(await review('robin')).toMatchObject({ ok: true });
    expect(await review('alex')).toMatchObject({ code: 'NOT_PENDING' });
    expect(await bench.deploys.unreviewed()).toEqual([]);
    expect(audit().map(({ action, code }) => `${action} ${code}`)).toEqual(
      expect.arrayContaining(['deploy.request BREAK_GLASS', 'glass.review OK']),
    );
  });

  it('is reminded of every day, and told to those who run it after three', async () => {
    const asked = await bench.asking(broken);
    await end(asked);
    const before = messages(OPS).length;
    await bench.pass(3 * 24 * HOUR, HOUR);
    expect(messages(APPROVALS).filter((text) => text.includes('Nobody has reviewed'))).toHaveLength(3);
    expect(messages(OPS)).toHaveLength(before);
    await bench.pass(24 * HOUR, HOUR);
    expect(messages(OPS)).toHaveLength(before + 1);
    await bench.deploys.review({ person: person('robin'), id: asked.id, note: 'ok', conversation: APPROVALS });
    await bench.pass(3 * 24 * HOUR, HOUR);
    expect(messages(OPS)).toHaveLength(before + 1);
  });

  it('needs the right and a reason, and leaves locks and a running deploy in the way', async () => {
    expect(await codeOf({ ...broken, breakGlass: ' ' })).toBe('ARGUMENT_MISSING');
    bench.denied.add('dana break-glass');
    expect(await codeOf(broken)).toBe('ACCESS_DENIED');
    bench.denied.clear();
    await lock({ environment: 'production' });
    expect(await codeOf(broken)).toBe('ENV_LOCKED');
    await unlock('alex', { environment: 'production' });
    await bench.asking(broken);
    expect(await codeOf(broken)).toBe('ENV_BUSY');
  });

  it('is worth nothing when the right was lost before the trigger', async () => {
    const asked = await bench.asking(broken);
    bench.denied.add('dana break-glass');
    await bench.store.runDue();
    expect(await bench.get(asked.id)).toMatchObject({ state: 'blocked', problem: { code: 'ACCESS_DENIED' } });
  });
});

describe('a schedule', () => {
  const at = '2026-11-24T22:00:00.000Z';

  it('starts once at its time, after every rule was asked again', async () => {
    const asked = await bench.asking({ scheduledFor: at });
    expect(asked.state).toBe('scheduled');
    await bench.pass(9.9 * HOUR, HOUR / 10);
    expect(bench.pipeline.triggered).toEqual([]);
    await bench.pass(HOUR / 5, HOUR / 10);
    await bench.pass(HOUR, HOUR / 10);
    expect(bench.pipeline.triggered).toHaveLength(1);
  });

  it('is stopped by a lock that is there then, not by one that is there now', async () => {
    await lock();
    const asked = await bench.asking({ scheduledFor: at });
    await bench.pass(10.1 * HOUR, HOUR / 10);
    expect(await bench.get(asked.id)).toMatchObject({ state: 'blocked', problem: { code: 'ENV_LOCKED' } });
  });

  it('is refused when it would start in a freeze', async () => {
    await start({ staging: { freeze: [window({ from: '21:00', to: '23:00' })] } });
    expect(await codeOf({ scheduledFor: at })).toBe('FROZEN');
  });

  it('with approval waits for both; what is not approved by then expires', async () => {
    const soon = new Date(bench.now().getTime() + HOUR).toISOString();
    const good = await bench.asking({ environment: 'production', scheduledFor: soon });
    await bench.decide(good, 'robin');
    expect((await bench.get(good.id)).state).toBe('scheduled');
    const late = await bench.asking({ environment: 'production', version: '1.2.0', scheduledFor: soon });
    expect(late.approval?.expiresAt).toBe(soon);
    await bench.pass(1.1 * HOUR, HOUR / 10);
    expect((await bench.get(good.id)).state).toBe('running');
    expect((await bench.get(late.id)).state).toBe('expired');
  });

  it('is taken back like any request', async () => {
    const asked = await bench.asking({ scheduledFor: at });
    await bench.deploys.cancel({ person: person('dana'), id: asked.id, reason: null, conversation: 'a:dana' });
    await bench.pass(11 * HOUR, HOUR / 2);
    expect(bench.pipeline.triggered).toEqual([]);
  });
});

describe('a declared command', () => {
  it('passes the same gates, holds the environment, brings no version and is no rollback target', async () => {
    const command = { name: 'restart', inputs: { mode: 'rolling' } };
    await end(await bench.asking({ version: '1.0.0' }));
    const asked = await bench.asking({ kind: 'command', version: '', command });
    expect(asked).toMatchObject({ state: 'queued', version: '1.0.0', command });
    expect(await codeOf()).toBe('ENV_BUSY');
    await end(asked);
    expect(bench.pipeline.triggered.at(-1)).toMatchObject({ inputs: { mode: 'rolling' } });
    expect(await bench.deploys.rollbackTarget('storefront', 'staging')).toMatchObject({ code: 'NO_ROLLBACK_TARGET' });
    bench.denied.add('dana run');
    expect(await codeOf({ kind: 'command', version: '', command })).toBe('ACCESS_DENIED');
    bench.denied.clear();
    const guarded = await bench.asking({ kind: 'command', environment: 'production', version: '', command });
    expect(guarded.state).toBe('awaiting_approval');
    expect(guarded.digest).not.toBe(
      (
        await bench.asking({
          kind: 'command',
          environment: 'production',
          version: '',
          command: { name: 'restart', inputs: {} },
        })
      ).digest,
    );
  });
});

describe('what is seen afterwards', () => {
  const policy = { check: { kind: 'url', url: 'http://x/' } as const, forMs: 60_000, everyMs: 10_000, failures: 3 };

  it('a service that stays well is told to be healthy when its time is over', async () => {
    await start({ staging: { watch: policy } });
    const asked = await bench.asking();
    await end(asked);
    expect((await bench.get(asked.id)).watch?.state).toBe('watching');
    await bench.pass(90_000);
    expect((await bench.get(asked.id)).watch?.state).toBe('healthy');
  });

  it('so many bad answers in a row make it unhealthy, once; a good one in between starts anew', async () => {
    await start({ staging: { watch: policy } });
    const asked = await bench.asking();
    await end(asked);
    bench.seen.health = 'It answered 503.';
    await bench.pass(15_000);
    bench.seen.health = null;
    await bench.pass(10_000);
    expect((await bench.get(asked.id)).watch).toMatchObject({ state: 'watching', failures: 0 });
    bench.seen.health = 'It answered 503.';
    await bench.pass(40_000);
    expect((await bench.get(asked.id)).watch).toMatchObject({ state: 'unhealthy', problem: 'It answered 503.' });
    expect(audit().filter(({ code }) => code === 'UNHEALTHY')).toHaveLength(1);
    expect(messages(CHANNEL).filter((text) => text.includes('unhealthy'))).toHaveLength(1);
  });

  it('a deploy around the bot is told once, and voids what waits for approval', async () => {
    await start({ production: { versionUrl: 'http://x/version' } });
    bench.seen.version = { version: '1.0.0' };
    await bench.drift();
    const asked = await bench.asking({ environment: 'production' });
    await bench.drift();
    expect((await bench.get(asked.id)).state).toBe('awaiting_approval');
    bench.seen.version = { version: '9.9.9' };
    await bench.drift();
    await bench.drift();
    expect(await bench.get(asked.id)).toMatchObject({ state: 'cancelled', problem: { code: 'OUT_OF_BAND' } });
    expect(messages(CHANNEL).filter((text) => text.includes('which I did not deploy'))).toHaveLength(1);
    expect(audit().filter(({ action }) => action === 'deploy.out-of-band')).toHaveLength(1);
  });

  it('our own deploy is none', async () => {
    await start({ staging: { versionUrl: 'http://x/version' } });
    bench.seen.version = { version: '1.0.0' };
    await bench.drift();
    await end(await bench.asking());
    bench.seen.version = { version: '1.1.0' };
    await bench.drift();
    expect(audit().filter(({ action }) => action === 'deploy.out-of-band')).toEqual([]);
  });
});

it('after all of it the audit is whole and every entry has a digest or says why not', async () => {
  await end(await bench.asking());
  const { ok } = await verifyChain(audit());
  expect(ok).toBe(true);
  for (const { action, deployment, digest } of audit())
    if (deployment) expect(`${action} ${digest?.length}`).toBe(`${action} 64`);
});
