import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { deployment } from '../helpers/deployments.ts';
import { openTestStore } from '../helpers/store.ts';

let opened: Awaited<ReturnType<typeof openTestStore>>;
beforeAll(async () => {
  opened = await openTestStore('pglite');
}, 60_000);
afterAll(async () => {
  await opened.close();
});

it('a read after a write never gives the answer from before it', async () => {
  const { store } = opened;
  const { id: _, revision: __, votes: ___, ...fresh } = deployment({ state: 'queued', origin: 'first' });
  const holder = () => store.read((tx) => tx.deployments.holder('storefront', 'production'));
  expect(await holder()).toBeNull();
  expect(await holder()).toBeNull();
  const inserted = await store.transaction((tx) => tx.deployments.insert(fresh));
  const { id } = inserted.deployment;
  expect((await holder())?.id).toBe(id);
  // Writes and reads that are on their way at the same time are answered in turn.
  const answers = await Promise.all([
    holder(),
    store.transaction((tx) => tx.deployments.change(id, { from: ['queued'] }, { state: 'running' })),
    holder(),
    store.transaction((tx) => tx.deployments.change(id, { from: ['running'] }, { state: 'succeeded' })),
    holder(),
  ]);
  expect([answers[0], answers[2], answers[4]].map((each) => (each && 'state' in each ? each.state : each))).toEqual([
    'queued',
    'running',
    null,
  ]);
  expect((await store.read((tx) => tx.deployments.lastSucceeded('storefront', 'production')))?.id).toBe(id);
});

it('a transaction that is given up leaves nothing behind', async () => {
  const { store } = opened;
  const failing = store.transaction(async (tx) => {
    await tx.references.save({
      conversationId: 'a:1',
      kind: 'personal',
      serviceUrl: 'x',
      channelId: 'msteams',
      tenantId: 't',
      bot: { id: 'b', name: 'B' },
    });
    throw new Error('given up');
  });
  await expect(failing).rejects.toThrow('given up');
  expect(await store.read((tx) => tx.references.get('a:1'))).toBeNull();
});
