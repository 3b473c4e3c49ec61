import net from 'node:net';
import { expect, it } from '@jest/globals';
import { createStore } from '../../src/store/index.ts';
import type { Store } from '../../src/store/types.ts';
import { silentLogger, until } from '../contract/harness/deps.ts';
import { describeStore, openTestStore } from '../helpers/store.ts';

/** A way to the database on which everything can fall silent: no answer, no refusal, as when a cable is cut. */
async function openWay(
  url: string,
): Promise<{ url: string; silent(is: boolean): void; slow(ms: number): void; close(): Promise<void> }> {
  const { hostname, port } = new URL(url);
  const pairs: [net.Socket, net.Socket][] = [];
  let cut = false;
  let slowness = 0;
  const pass = (data: Buffer, on: net.Socket): void => {
    if (cut) return;
    if (slowness === 0) on.write(data);
    else setTimeout(() => on.destroyed || on.write(data), slowness);
  };
  const server = net.createServer((from) => {
    const to = net.connect(Number(port), hostname);
    pairs.push([from, to]);
    from.on('data', (data) => pass(data, to));
    to.on('data', (data) => pass(data, from));
    for (const [one, other] of [
      [from, to],
      [to, from],
    ] as const) {
      one.on('error', () => other.destroy());
      one.on('close', () => other.destroy());
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  const through = new URL(url);
  through.port = String(address.port);
  return {
    url: through.href,
    silent: (is) => {
      cut = is;
    },
    slow: (ms) => {
      slowness = ms;
    },
    close: async () => {
      for (const pair of pairs) for (const socket of pair) socket.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

describeStore('postgres', 'a network that falls silent', () => {
  it('fails what is asked within ten seconds, in a transaction and in a read, and heals', async () => {
    const bench = await openTestStore('postgres');
    const way = await openWay(bench.url ?? '');
    let store: Store | null = null;
    try {
      const opened = await createStore({ url: way.url, dataDir: bench.dataDir, logger: silentLogger, pool: 3 });
      store = opened;
      await opened.transaction((tx) => tx.settings.set('k', 'v'));
      let fallsSilent = () => {};
      const silence = new Promise<void>((resolve) => {
        fallsSilent = resolve;
      });
      const begun = opened.transaction(async (tx) => {
        await tx.settings.set('k', 'begun');
        way.silent(true);
        fallsSilent();
        await tx.settings.set('k', 'after');
      });
      await silence;
      const started = performance.now();
      const asked = [
        begun,
        opened.transaction((tx) => tx.settings.set('k', 'w')),
        opened.read((tx) => tx.settings.get('k')),
        // More than there are connections: these wait for one.
        ...Array.from({ length: 4 }, () => opened.transaction((tx) => tx.settings.set('k', 'x'))),
      ];
      const results = await Promise.allSettled(asked);
      expect(performance.now() - started).toBeLessThan(10_000);
      for (const result of results)
        expect(result).toMatchObject({ status: 'rejected', reason: { code: 'STORE_UNAVAILABLE', retryable: true } });
      way.silent(false);
      await until(
        () => opened.health(),
        (health) => health === null,
      );
      await opened.transaction((tx) => tx.settings.set('k', 'y'));
    } finally {
      await Promise.all([store?.stop({ graceMs: 1_000 }), way.close()]);
      await bench.close();
    }
  }, 60_000);
});

describeStore('postgres', 'a database that is slow', () => {
  it('takes its time, and does everything once', async () => {
    const bench = await openTestStore('postgres');
    const way = await openWay(bench.url ?? '');
    const store = await createStore({ url: way.url, dataDir: bench.dataDir, logger: silentLogger, pool: 3 });
    try {
      const done: string[] = [];
      store.work('deploy.trigger', async ({ id }) => void done.push(id));
      await store.start();
      // A fifth of a second for every word there and back.
      way.slow(100);
      const later = new Date(Date.now() + 60_000);
      const claimed = await Promise.all(
        Array.from({ length: 6 }, (_, at) =>
          store.transaction(async (tx) => {
            if (!(await tx.claims.claim(`slow:${at % 3}`, later))) return false;
            await tx.jobs.send('deploy.trigger', { id: String(at % 3) });
            return true;
          }),
        ),
      );
      expect(claimed.filter(Boolean)).toHaveLength(3);
      expect(await store.health()).toBeNull();
      await until(
        async () => done.length,
        (count) => count >= 3,
      );
      way.slow(0);
      expect([...done].sort()).toEqual(['0', '1', '2']);
    } finally {
      await store.stop({ graceMs: 5_000 });
      await way.close();
      await bench.close();
    }
  }, 60_000);
});
