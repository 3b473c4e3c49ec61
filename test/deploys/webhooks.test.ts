import { expect, it } from '@jest/globals';
import { createWebhooks } from '../../src/deploys/webhooks.ts';
import { ShipmateError } from '../../src/errors.ts';
import type { Connection, WebhookRequest, WebhookVerdict } from '../../src/pipelines/types.ts';
import { silentLogger } from '../contract/harness/deps.ts';
import { createMemoryStore } from '../helpers/memory-store.ts';

const NOW = new Date('2026-11-24T12:00:00.000Z');
const accepted: WebhookVerdict = { ok: true, delivery: 'd-1', runs: ['8'], look: true };

function open(verdict: WebhookVerdict | null) {
  const store = createMemoryStore({ now: () => NOW });
  const asked: WebhookRequest[] = [];
  const connection: Connection = {
    kind: 'scripted',
    ...(verdict === null
      ? {}
      : {
          webhook: (request: WebhookRequest) => {
            asked.push(request);
            return verdict;
          },
        }),
    check: async () => [],
  };
  const events: unknown[] = [];
  store.work('pipeline.event', async (event) => void events.push(event));
  const receive = createWebhooks({
    store,
    connections: () => new Map([['ci', connection]]),
    logger: silentLogger,
    now: () => NOW,
  });
  return { store, asked, events, receive };
}
const request = { headers: { a: 'b' }, body: Buffer.from('{}') };

it('is verified, stored, then acknowledged', async () => {
  const { asked, events, receive, store } = open(accepted);
  expect(await receive('ci', request)).toEqual({ status: 202, code: 'OK' });
  expect(asked).toEqual([{ ...request, now: NOW }]);
  await store.runDue();
  expect(events).toEqual([{ connection: 'ci', runs: ['8'], look: true }]);
});

it('does nothing the second time, and says so', async () => {
  const { events, receive, store } = open(accepted);
  await receive('ci', request);
  expect(await receive('ci', request)).toEqual({ status: 202, code: 'DUPLICATE' });
  await store.runDue();
  expect(events).toHaveLength(1);
});

it('is acknowledged and forgotten when it is about nothing of ours', async () => {
  const { events, receive, store } = open({ ...accepted, runs: [], look: false });
  expect(await receive('ci', request)).toEqual({ status: 202, code: 'OK' });
  await store.runDue();
  expect(events).toEqual([]);
});

it.each([
  ['WEBHOOK_UNSIGNED', 401],
  ['WEBHOOK_FORGED', 401],
  ['WEBHOOK_STALE', 401],
  ['REQUEST_MALFORMED', 400],
] as const)('is refused: %s', async (code, status) => {
  const { events, receive, store } = open({ ok: false, code });
  expect(await receive('ci', request)).toEqual({ status, code });
  await store.runDue();
  expect(events).toEqual([]);
});

it('is refused where nothing takes it', async () => {
  expect(await open(accepted).receive('other', request)).toEqual({ status: 404, code: 'WEBHOOK_UNKNOWN' });
  expect(await open(null).receive('ci', request)).toEqual({ status: 404, code: 'WEBHOOK_UNKNOWN' });
});

it('is not acknowledged when it could not be stored', async () => {
  const { receive, store } = open(accepted);
  store.transaction = () => Promise.reject(new ShipmateError('STORE_UNAVAILABLE', 'away'));
  expect(await receive('ci', request)).toEqual({ status: 503, code: 'STORE_UNAVAILABLE' });
});
