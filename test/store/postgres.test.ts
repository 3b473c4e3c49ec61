import { randomUUID } from 'node:crypto';
import { expect, it } from '@jest/globals';
import pg from 'pg';
import { verifyChain } from '../../src/audit/chain.ts';
import { createStore } from '../../src/store/index.ts';
import { silentLogger, until } from '../contract/harness/deps.ts';
import { describeStore, onServer, openTestStore } from '../helpers/store.ts';

describeStore('postgres', 'several replicas', () => {
  it('may bring one empty database up to date at once', async () => {
    const database = `shipmate_test_${randomUUID().replaceAll('-', '')}`;
    await onServer(`create database ${database}`);
    const url = Object.assign(new URL(process.env.SHIPMATE_TEST_PG ?? ''), { pathname: `/${database}` }).href;
    const open = () => createStore({ url, dataDir: '/nonexistent', logger: silentLogger });
    const opened = await Promise.allSettled([open(), open(), open()]);
    try {
      expect(opened.map(({ status }) => status)).toEqual(['fulfilled', 'fulfilled', 'fulfilled']);
    } finally {
      for (const each of opened) if (each.status === 'fulfilled') await each.value.stop();
      await onServer(`drop database ${database} with (force)`);
    }
  }, 30_000);

  it('share jobs, each done once', async () => {
    const { close, reopen, store } = await openTestStore('postgres');
    try {
      const other = await reopen();
      const done: string[] = [];
      for (const each of [store, other]) {
        each.work('deploy.trigger', async ({ id }) => void done.push(id));
        await each.start();
      }
      const ids = Array.from({ length: 30 }, (_, index) => String(index));
      await Promise.all(ids.map((id) => store.transaction((tx) => tx.jobs.send('deploy.trigger', { id }))));
      await until(
        async () => done.length,
        (count) => count >= 30,
      );
      expect(done.toSorted((a, b) => Number(a) - Number(b))).toEqual(ids);
    } finally {
      await close();
    }
  }, 30_000);

  it('leave no connection when they stop', async () => {
    const { close, store, url = '' } = await openTestStore('postgres');
    const database = new URL(url).pathname.slice(1);
    const count = async () =>
      Number((await onServer(`select count(*) as n from pg_stat_activity where datname = '${database}'`)).rows[0].n);
    try {
      store.work('deploy.trigger', async () => {});
      await store.start();
      await Promise.all(Array.from({ length: 30 }, () => store.transaction((tx) => tx.settings.set('a', 'b'))));
      expect(await count()).toBeGreaterThan(1);
      await store.stop();
      expect(await until(count, (n) => n === 0)).toBe(0);
    } finally {
      await close();
    }
  }, 30_000);
});

describeStore('postgres', 'an audit row that somebody made unreadable', () => {
  it('is named, and the rest can still be read', async () => {
    const { close, store, url } = await openTestStore('postgres');
    const client = new pg.Client({ connectionString: url });
    await client.connect();
    try {
      const record = {
        actor: { id: 'system', tenantId: '', name: '' },
        action: 'x',
        outcome: 'done',
        code: 'OK',
      } as const;
      for (let row = 0; row < 3; row += 1) await store.transaction((tx) => tx.audit.append(record, new Date()));
      // By somebody who owns the database: no trigger holds them.
      await client.query('alter table audit disable trigger all');
      await client.query("update audit set entry = 'gone' where seq = 2");
      const entries = await store.read((tx) => tx.audit.page({ after: 0, limit: 10 }));
      expect(entries.map(({ action, seq }) => `${seq} ${action}`)).toEqual(['1 x', '2 unreadable', '3 x']);
      const { breaks, ok } = await verifyChain(entries);
      expect([ok, JSON.stringify(breaks)]).toEqual([false, expect.stringMatching(/\b2\b/)]);
    } finally {
      await client.end();
      await close();
    }
  }, 30_000);
});

describeStore('postgres', 'the audit table', () => {
  it.each(['update audit set entry = $$x$$', 'delete from audit', 'truncate audit'])(
    'refuses: %s',
    async (statement) => {
      const { close, store, url } = await openTestStore('postgres');
      const client = new pg.Client({ connectionString: url });
      await client.connect();
      try {
        await store.transaction((tx) =>
          tx.audit.append(
            { actor: { id: 'system', tenantId: '', name: '' }, action: 'x', outcome: 'done', code: 'OK' },
            new Date(),
          ),
        );
        await expect(client.query(statement)).rejects.toThrow('append-only');
        expect(await store.read((tx) => tx.audit.page({ after: 0, limit: 10 }))).toHaveLength(1);
      } finally {
        await client.end();
        await close();
      }
    },
    30_000,
  );
});
