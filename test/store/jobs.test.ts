import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { Store } from '../../src/store/types.ts';
import { until } from '../contract/harness/deps.ts';
import { describeStore, openTestStore, type TestStore } from '../helpers/store.ts';

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

for (const kind of ['pglite', 'postgres'] as const)
  describeStore(kind, 'sending jobs', () => {
    let bench: TestStore;
    let store: Store;
    beforeEach(async () => {
      bench = await openTestStore(kind);
      store = bench.store;
    }, 60_000);
    afterEach(() => bench.close(), 20_000);

    it('without a key keeps them all', async () => {
      const got: string[] = [];
      store.work('outbox.flush', async ({ key }) => void got.push(key));
      await store.transaction(async (tx) => {
        for (const key of ['a', 'b', 'c']) await tx.jobs.send('outbox.flush', { key });
      });
      await store.start();
      await until(
        async () => got.length,
        (count) => count >= 3,
      );
      expect(got.sort()).toEqual(['a', 'b', 'c']);
    });

    it('with a key keeps one of each queue', async () => {
      const got: string[] = [];
      for (const queue of ['deploy.trigger', 'deploy.poll', 'deploy.expire'] as const) {
        store.work(queue, async ({ id }) => void got.push(`${queue} ${id}`));
        await store.transaction(async (tx) => {
          for (const id of ['1', '2']) await tx.jobs.send(queue, { id }, { singletonKey: 'k' });
        });
      }
      await store.start();
      await until(
        async () => got.length,
        (count) => count >= 3,
      );
      await pause(100);
      expect(got.sort()).toEqual(['deploy.expire 1', 'deploy.poll 1', 'deploy.trigger 1']);
    });

    it('never loses what is written while the waiting job of its key becomes due', async () => {
      const seen: (number | undefined)[] = [];
      store.work('outbox.flush', async ({ key }) => {
        seen.push((await store.transaction((tx) => tx.outbox.get(key)))?.version);
      });
      await store.start();
      await store.transaction((tx) => tx.jobs.send('outbox.flush', { key: 'a' }, { delayMs: 100, singletonKey: 'a' }));
      await store.transaction(async (tx) => {
        await tx.outbox.put({ key: 'a', conversation: 'c', payload: { kind: 'message', text: 'x' } });
        // The job is due now, and a worker looks for it while nothing is committed yet.
        await pause(300);
      });
      await until(async () => seen.length, Boolean);
      expect(seen.at(-1)).toBe(1);
    });
  });
