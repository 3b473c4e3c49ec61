import { expect, it } from '@jest/globals';
import pg from 'pg';
import { until } from '../helpers/playground.ts';
import { describeStore, openTestStore } from '../helpers/store.ts';

describeStore('postgres', 'health', () => {
  it('says that the jobs do not run, though the store takes writes', async () => {
    const opened = await openTestStore('postgres');
    await opened.store.start();
    expect(await opened.store.health()).toBeNull();
    const client = new pg.Client({ connectionString: opened.url });
    await client.connect();
    await client.query('alter schema jobs rename to hidden');
    await until(async () => /^the job engine: /.test((await opened.store.health()) ?? ''));
    await client.query('alter schema hidden rename to jobs');
    await until(async () => (await opened.store.health()) === null);
    await client.end();
    await opened.close();
  }, 40_000);
});
