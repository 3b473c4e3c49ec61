import { beforeEach, expect, it } from '@jest/globals';
import type { OutboxRow } from '../../src/store/types.ts';
import { APPROVALS, type Bench, createBench } from './bench.ts';

let bench: Bench;
beforeEach(async () => {
  bench = createBench();
  await bench.knowApprovals();
  await bench.asking({ environment: 'production' });
});
const row = (key: string): OutboxRow => {
  const found = bench.store.snapshot().outbox[key];
  if (!found) throw new Error(`no row ${key}`);
  return found;
};
const KEY = 'deploy:1:approvals';
const card = { activityId: 'act-7', conversation: `${APPROVALS};messageid=act-7` };
/** A process that is killed between the POST and its answer leaves this. */
const killed = () => bench.store.transaction((tx) => tx.outbox.beginPost(KEY));

it('a card whose poster was killed is known once somebody acts on it, and is brought up to date', async () => {
  await killed();
  const { version } = row(KEY);
  await bench.deploys.seen('1', card);
  expect(row(KEY)).toMatchObject({ activityId: 'act-7', posting: false, version: version + 1, dead: null });
  await bench.deploys.seen('1', card);
  expect(row(KEY).version).toBe(version + 1);
});

it('one that was posted anew meanwhile lives beside the other', async () => {
  await bench.store.transaction((tx) => tx.outbox.sent(KEY, { version: 1, activityId: 'act-8' }));
  await bench.deploys.seen('1', card);
  const extra = 'deploy:1:seen:act-7';
  expect(row(extra)).toMatchObject({ activityId: 'act-7', conversation: APPROVALS, payload: row(KEY).payload });
  const { version } = row(extra);
  const [deployment] = bench.store.snapshot().deployments;
  if (!deployment) throw new Error('no deployment');
  await bench.decide(deployment, 'alex');
  expect(row(extra).version).toBeGreaterThan(version);
});

it('is nothing where no card of it is', async () => {
  const before = JSON.stringify(bench.store.snapshot().outbox);
  await bench.deploys.seen('1', { activityId: 'x', conversation: 'a:elsewhere' });
  await bench.deploys.seen('99', card);
  expect(JSON.stringify(bench.store.snapshot().outbox)).toBe(before);
});
