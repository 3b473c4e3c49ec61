import type { JobName, Jobs, Store, Tx } from '../../src/store/types.ts';
import type { MemoryJob, MemoryState, MemoryStore } from './memory-store.ts';
import type { TestStore } from './store.ts';

/**
 * A real store whose jobs are run by hand, on the test's clock: what a transaction sends is queued in memory once it has
 * committed. So the model runs the same histories on PGlite and PostgreSQL as on the store in memory. Jobs outlive a
 * restart here as they do there.
 */
export function createHybridStore(
  real: TestStore,
  { now }: { now: () => Date },
): MemoryStore & { restart(): Promise<void> } {
  let store: Store = real.store;
  let queue: MemoryJob[] = [];
  let seen: MemoryState = {
    deployments: [],
    locks: [],
    blocks: [],
    nextId: 1,
    claims: {},
    audit: [],
    jobs: [],
    outbox: {},
    references: [],
    settings: {},
  };
  const handlers = new Map<JobName, (data: never) => Promise<void>>();

  async function look(): Promise<MemoryState> {
    return store.read(async (tx) => {
      const outbox = await tx.outbox.list('');
      return {
        ...seen,
        deployments: (await tx.deployments.list({ limit: 10_000 })).reverse(),
        locks: await tx.locks.all(),
        audit: await tx.audit.page({ after: 0, limit: 100_000 }),
        outbox: Object.fromEntries(outbox.map((row) => [row.key, row])),
      };
    });
  }

  /** As the real engine: one that waits under a key takes the place of another. */
  const jobsInto = (sent: MemoryJob[]): Jobs => ({
    async send(name, data, { delayMs = 0, singletonKey } = {}) {
      const same = (job: MemoryJob) => job.queue === name && job.singletonKey === singletonKey;
      if (singletonKey !== undefined && [...queue, ...sent].some(same)) return;
      const due = now().getTime() + Math.max(0, delayMs);
      sent.push({ queue: name, data, due, ...(singletonKey === undefined ? {} : { singletonKey }) } as MemoryJob);
    },
  });

  const transaction = async <T>(fn: (tx: Tx) => Promise<T>): Promise<T> => {
    const sent: MemoryJob[] = [];
    const result = await store.transaction((tx) => {
      sent.length = 0;
      return fn({ ...tx, jobs: jobsInto(sent) });
    });
    queue = [...queue, ...sent].sort((a, b) => a.due - b.due);
    seen = await look();
    return result;
  };

  return {
    kind: 'memory',
    transaction,
    read: (fn) => store.read(fn),
    work: (name, handler) => void handlers.set(name, handler as (data: never) => Promise<void>),
    start: () => Promise.resolve(),
    stop: () => store.stop(),
    health: () => store.health(),
    waiting: () => structuredClone(queue),
    async runDue() {
      for (;;) {
        const job = queue.find(({ due, queue: name }) => due <= now().getTime() && handlers.has(name));
        if (!job) return;
        queue = queue.filter((each) => each !== job);
        await handlers.get(job.queue)?.(structuredClone(job.data) as never);
      }
    },
    snapshot: () => structuredClone(seen),
    breakWith: () => {
      throw new Error('a real store is not broken by a word');
    },
    async restart() {
      await store.stop({ graceMs: 1_000 });
      store = await real.reopen();
      seen = await look();
    },
  };
}
