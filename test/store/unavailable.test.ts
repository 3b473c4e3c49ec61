import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import pg from 'pg';
import { createStore } from '../../src/store/index.ts';
import type { Store } from '../../src/store/types.ts';
import { silentLogger, temporaryFolder, until } from '../contract/harness/deps.ts';
import { describeStore, onServer, openTestStore } from '../helpers/store.ts';

const write = (store: Store) => store.transaction((tx) => tx.settings.set('k', 'v'));
const UNAVAILABLE = { code: 'STORE_UNAVAILABLE', retryable: true };

/** A server between the store and PostgreSQL that can go away and come back on the same port. */
async function startProxy(target: string): Promise<{ url: string; cut(): Promise<void>; restore(): Promise<void> }> {
  const { hostname, port } = new URL(target);
  const sockets = new Set<Socket>();
  let server: Server | null = null;
  let ownPort = 0;
  const cut = async () => {
    const closing = server;
    server = null;
    for (const socket of sockets) socket.destroy();
    if (closing) await new Promise((resolve) => closing.close(resolve));
  };
  const restore = async () => {
    if (server) return;
    const opened = createServer((client) => {
      const upstream = connect(Number(port), hostname);
      for (const socket of [client, upstream]) {
        sockets.add(socket);
        socket.on('error', () => undefined);
        socket.on('close', () => {
          sockets.delete(socket);
          client.destroy();
          upstream.destroy();
        });
      }
      client.pipe(upstream).pipe(client);
    });
    await new Promise<void>((resolve) => opened.listen(ownPort, '127.0.0.1', resolve));
    server = opened;
    ownPort = (opened.address() as AddressInfo).port;
  };
  await restore();
  return { url: Object.assign(new URL(target), { port: String(ownPort) }).href, cut, restore };
}

async function took(act: () => Promise<unknown>): Promise<number> {
  const started = performance.now();
  await act();
  return performance.now() - started;
}

for (const kind of ['pglite', 'postgres'] as const)
  describeStore(kind, 'a store that is closed', () => {
    it('says so at once', async () => {
      const { close, store } = await openTestStore(kind);
      try {
        await store.stop();
        await store.stop();
        expect(
          await took(async () => {
            await expect(write(store)).rejects.toMatchObject(UNAVAILABLE);
            await expect(store.read((tx) => tx.settings.get('k'))).rejects.toMatchObject(UNAVAILABLE);
            expect(await store.health()).toBe('the store is closed');
          }),
        ).toBeLessThan(500);
      } finally {
        await close();
      }
    }, 30_000);
    it('finishes what has begun', async () => {
      const { close, reopen, store } = await openTestStore(kind);
      try {
        const writes = Array.from({ length: 20 }, () => write(store));
        await store.stop();
        await Promise.all(writes);
        expect(await (await reopen()).read((tx) => tx.settings.get('k'))).toBe('v');
      } finally {
        await close();
      }
    }, 30_000);
  });

describe('an embedded store', () => {
  it('that can not be opened says where it is', async () => {
    const { folder, remove } = await temporaryFolder();
    try {
      const { mkdir, writeFile } = await import('node:fs/promises');
      await mkdir(path.join(folder, 'pgdata'));
      await writeFile(path.join(folder, 'pgdata', 'PG_VERSION'), 'not a version');
      await expect(createStore({ dataDir: folder, logger: silentLogger })).rejects.toMatchObject({
        code: 'STORE_UNAVAILABLE',
        message: expect.stringContaining(folder),
      });
    } finally {
      await remove();
    }
  }, 30_000);
});

describe('a PostgreSQL that is not there', () => {
  it('is named at the start, without its password', async () => {
    const server = createServer();
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : 0;
    await new Promise((resolve) => server.close(resolve));
    const url = `postgres://shipmate:s3cret-pw@127.0.0.1:${port}/x`;
    const error: unknown = await createStore({ url, dataDir: '/nonexistent', logger: silentLogger }).catch((e) => e);
    expect(error).toMatchObject(UNAVAILABLE);
    expect(String(error)).toContain('ECONNREFUSED');
    expect(String(error)).not.toContain('s3cret-pw');
  });
});

describeStore('postgres', 'a PostgreSQL that goes away', () => {
  it('is said within two seconds, and comes back by itself', async () => {
    const { close, url = '' } = await openTestStore('postgres');
    const proxy = await startProxy(url);
    const store = await createStore({ url: proxy.url, dataDir: '/nonexistent', logger: silentLogger });
    try {
      await write(store);
      await proxy.cut();
      expect(await took(() => expect(write(store)).rejects.toMatchObject(UNAVAILABLE))).toBeLessThan(2_000);
      expect(await took(async () => expect(await store.health()).toEqual(expect.any(String)))).toBeLessThan(2_500);
      await proxy.restore();
      await until(
        () => store.health(),
        (health) => health === null,
      );
      await write(store);
    } finally {
      await proxy.restore();
      await store.stop({ graceMs: 1_000 });
      await proxy.cut();
      await close();
    }
  }, 30_000);

  it('in the middle of a transaction fails that one and nothing else', async () => {
    const { close, store, url = '' } = await openTestStore('postgres');
    const database = new URL(url).pathname.slice(1);
    try {
      const cut = store.transaction(async (tx) => {
        await tx.settings.set('half', 'done');
        await onServer(
          `select pg_terminate_backend(pid) from pg_stat_activity where datname = '${database}' and state like 'idle in%'`,
        );
        await new Promise((resolve) => setTimeout(resolve, 50));
        await tx.settings.set('other', 'half');
      });
      await expect(cut).rejects.toMatchObject(UNAVAILABLE);
      await write(store);
      expect(await store.read((tx) => tx.settings.get('half'))).toBeNull();
    } finally {
      await close();
    }
  }, 30_000);

  it('and is locked by somebody does not hang the health', async () => {
    const { close, store, url } = await openTestStore('postgres');
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      await client.query('begin');
      await client.query('lock table settings in access exclusive mode');
      const ms = await took(async () => expect(await store.health()).toContain('no answer within 2 s'));
      expect(ms).toBeLessThan(2_500);
      await client.query('rollback');
      expect(await store.health()).toBeNull();
    } finally {
      await client.end();
      await close();
    }
  }, 30_000);
});
