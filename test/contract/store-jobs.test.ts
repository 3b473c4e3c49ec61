import { afterEach, beforeEach, expect, it } from '@jest/globals';
import type { Store } from '../../src/store/types.ts';
import { deployment } from '../helpers/deployments.ts';
import { createMemoryStore, describeStore, openTestStore } from '../helpers/store.ts';
import { until } from './harness/deps.ts';

/** Waits for a state of things; the memory store runs its jobs by hand meanwhile. */
interface Bench {
  store: Store;
  eventually(isSo: () => boolean): Promise<void>;
  /** Lets time pass: the clock of the memory store, real time otherwise. */
  pass(ms: number): Promise<void>;
  /** Null where nothing outlives the process. */
  reopen: (() => Promise<Store>) | null;
  close(): Promise<void>;
}

async function open(kind: 'memory' | 'pglite' | 'postgres'): Promise<Bench> {
  if (kind !== 'memory') {
    const { close, reopen, store } = await openTestStore(kind);
    return {
      store,
      eventually: async (isSo) => void (await until(async () => isSo(), Boolean)),
      pass: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
      reopen,
      close,
    };
  }
  let clock = Date.now();
  const store = createMemoryStore({ now: () => new Date(clock) });
  const turn = () => store.runDue().catch(() => undefined);
  return {
    store,
    async eventually(isSo) {
      await until(async () => {
        // In the background: a handler may wait for what the test does next.
        void turn();
        await new Promise((resolve) => setImmediate(resolve));
        return isSo();
      }, Boolean);
    },
    async pass(ms) {
      clock += ms;
      await turn();
    },
    reopen: null,
    close: () => store.stop(),
  };
}

for (const kind of ['memory', 'pglite', 'postgres'] as const)
  describeStore(kind, 'jobs', () => {
    let bench: Bench;
    let store: Store;
    beforeEach(async () => {
      bench = await open(kind);
      store = bench.store;
    }, 60_000);
    afterEach(() => bench.close(), 20_000);
    const send = (id: string, options?: { delayMs?: number }) =>
      store.transaction((tx) => tx.jobs.send('deploy.trigger', { id }, options));
    const put = (key: string) =>
      store.transaction((tx) => tx.outbox.put({ key, conversation: 'c', payload: { kind: 'message', text: 'x' } }));

    it('reach their handler once, with their data', async () => {
      const got: string[] = [];
      store.work('deploy.trigger', async ({ id }) => void got.push(id));
      store.work('deploy.poll', async ({ id }) => void got.push(`poll ${id}`));
      await store.start();
      await send('1');
      await bench.eventually(() => got.length > 0);
      await store.transaction((tx) => tx.jobs.send('deploy.poll', { id: '2' }));
      await bench.eventually(() => got.length > 1);
      expect(got).toEqual(['1', 'poll 2']);
    });

    it('of a transaction that throws never run', async () => {
      const got: string[] = [];
      store.work('deploy.trigger', async ({ id }) => void got.push(id));
      await store.start();
      await expect(
        store.transaction(async (tx) => {
          await tx.jobs.send('deploy.trigger', { id: 'undone' });
          throw new Error('no');
        }),
      ).rejects.toThrow('no');
      await send('after');
      await bench.eventually(() => got.length > 0);
      await bench.pass(100);
      expect(got).toEqual(['after']);
    });

    it('see what their transaction wrote', async () => {
      const seen: (string | undefined)[] = [];
      store.work('deploy.trigger', async ({ id }) => {
        seen.push((await store.transaction((tx) => tx.deployments.get(id)))?.service);
      });
      await store.start();
      const { id: _, revision: __, votes: ___, ...wanted } = deployment();
      await store.transaction(async (tx) => {
        const { deployment: inserted } = await tx.deployments.insert(wanted);
        await tx.jobs.send('deploy.trigger', { id: inserted.id });
      });
      await bench.eventually(() => seen.length > 0);
      expect(seen).toEqual(['storefront']);
    });

    it('wait until they are due', async () => {
      const got: string[] = [];
      store.work('deploy.trigger', async ({ id }) => void got.push(id));
      await store.start();
      await send('late', { delayMs: 700 });
      await send('early');
      await bench.eventually(() => got.length > 0);
      expect(got).toEqual(['early']);
      await bench.pass(750);
      await bench.eventually(() => got.length > 1);
      expect(got).toEqual(['early', 'late']);
    });

    it('of one key wait once', async () => {
      let flushed: string[] = [];
      store.work('outbox.flush', async ({ key }) => void flushed.push(key));
      for (let each = 0; each < 20; each += 1) await put('a');
      await put('b');
      await store.start();
      await bench.eventually(() => flushed.length >= 2);
      await bench.pass(100);
      expect(flushed.sort()).toEqual(['a', 'b']);
      flushed = [];
      await put('a');
      await bench.eventually(() => flushed.length > 0);
      expect(flushed).toEqual(['a']);
    });

    it('that run do not swallow the next of their key', async () => {
      const versions: (number | undefined)[] = [];
      let release = () => {};
      const gate = new Promise<void>((resolve) => {
        release = resolve;
      });
      store.work('outbox.flush', async ({ key }) => {
        versions.push((await store.transaction((tx) => tx.outbox.get(key)))?.version);
        if (versions.length === 1) await gate;
      });
      await store.start();
      await put('a');
      await bench.eventually(() => versions.length === 1);
      await put('a');
      await put('a');
      release();
      await bench.eventually(() => versions.includes(3));
      // How many runs there are between is the workers' business; the last sees the newest.
      expect(versions[0]).toBe(1);
      expect(versions.at(-1)).toBe(3);
    });

    it('that fail are tried again', async () => {
      let attempts = 0;
      store.work('deploy.trigger', async () => {
        attempts += 1;
        if (attempts < 2) throw new Error('not yet');
      });
      await store.start();
      await send('1');
      await bench.eventually(() => attempts >= 2);
      expect(attempts).toBe(2);
    });

    if (kind !== 'memory')
      it('and everything else outlive a restart', async () => {
        const { reopen } = bench;
        if (!reopen) throw new Error('this store must reopen');
        await store.transaction(async (tx) => {
          await tx.settings.set('kept', 'yes');
          await tx.audit.append(
            { actor: { id: 'system', tenantId: '', name: '' }, action: 'x', outcome: 'done', code: 'OK' },
            new Date(),
          );
        });
        await send('kept');
        await put('kept');
        await store.stop();
        const again = await reopen();
        const got: string[] = [];
        again.work('deploy.trigger', async ({ id }) => void got.push(id));
        again.work('outbox.flush', async ({ key }) => void got.push(`flush ${key}`));
        await again.start();
        await bench.eventually(() => got.length > 1);
        expect(got.sort()).toEqual(['flush kept', 'kept']);
        expect(await again.transaction((tx) => tx.settings.get('kept'))).toBe('yes');
        expect((await again.transaction((tx) => tx.audit.head())).seq).toBe(1);
      });

    if (kind !== 'memory')
      it('that run when the store stops are waited for', async () => {
        let ended = false;
        let began = false;
        store.work('deploy.trigger', async ({ id }) => {
          began = true;
          await bench.pass(100);
          await store.transaction((tx) => tx.settings.set('job', id));
          ended = true;
        });
        await store.start();
        await send('1');
        await bench.eventually(() => began);
        await store.stop();
        expect(ended).toBe(true);
      });
  });
