import { beforeEach, describe, expect, it } from '@jest/globals';
import { createMemoryStore, type MemoryStore } from '../helpers/memory-store.ts';
import { type Bench, createBench } from './bench.ts';

/** Two replicas on one store whose clocks differ: the one is two minutes ahead. Jobs are the ahead one's. */
const MINUTE = 60_000;
let store: MemoryStore;
let right: Bench;
let ahead: Bench;
beforeEach(async () => {
  let now = () => new Date();
  store = createMemoryStore({ now: () => now() });
  right = createBench({ openStore: () => store });
  ahead = createBench({ openStore: () => store });
  ahead.tick(2 * MINUTE);
  // Jobs become due on the clock of the one that takes them.
  now = ahead.now;
  await right.knowApprovals();
});
const pass = (ms: number) => {
  right.tick(ms);
  ahead.tick(ms);
};
const started = () => [...right.pipeline.triggered, ...ahead.pipeline.triggered].length;

describe('clocks that differ', () => {
  it('start a scheduled deploy once', async () => {
    const at = new Date(right.now().getTime() + 10 * MINUTE).toISOString();
    const asked = await right.asking({ scheduledFor: at });
    for (let minute = 0; minute < 20; minute += 1) {
      await store.runDue();
      // The other replica takes the same job again, as after a kill.
      await right.later.due({ id: asked.id });
      pass(MINUTE);
    }
    await store.runDue();
    expect(started()).toBe(1);
    expect((await right.get(asked.id)).state).toBe('running');
  });

  it('let nobody approve what has expired for one of them', async () => {
    const asked = await right.asking({ environment: 'production' });
    pass(4 * 60 * MINUTE - MINUTE);
    expect(await ahead.decide(asked, 'alex')).toMatchObject({ ok: false, code: 'APPROVAL_EXPIRED' });
    pass(3 * MINUTE);
    await store.runDue();
    expect((await right.get(asked.id)).state).toBe('expired');
    expect(await right.decide(asked, 'alex')).toMatchObject({ ok: false, code: 'NOT_PENDING' });
    expect(started()).toBe(0);
  });

  it('do not expire it before its time for the one that is behind', async () => {
    const asked = await ahead.asking({ environment: 'production' });
    pass(4 * 60 * MINUTE - MINUTE);
    await right.jobs.expire({ id: asked.id });
    expect((await right.get(asked.id)).state).toBe('awaiting_approval');
    expect(await right.decide(asked, 'alex')).toMatchObject({ ok: true });
  });

  it('keep the audit in one chain, in the order in which it was written', async () => {
    await right.asking();
    await ahead.asking({ environment: 'production', origin: 'message:a' });
    await right.asking({ environment: 'production', origin: 'message:b' });
    const { audit } = store.snapshot();
    expect(audit.map(({ seq }) => seq)).toEqual(audit.map((_, index) => index + 1));
  });
});
