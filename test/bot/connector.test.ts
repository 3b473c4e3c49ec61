import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createConnector } from '../../src/bot/connector.ts';
import { createThrottle } from '../../src/bot/throttle.ts';
import type { Connector, Outgoing } from '../../src/bot/types.ts';
import { createLogger, createRedactor } from '../../src/logger.ts';
import type { ConversationRef } from '../../src/store/types.ts';
import type { Trouble } from '../fakes/teams/connector.ts';
import { type FakeTeams, startFakeTeams } from '../fakes/teams/index.ts';

const logger = createLogger({ level: 'error', redact: createRedactor() });
const hello: Outgoing = { text: 'hello', summary: 'hello' };
let teams: FakeTeams;
let connector: Connector;
let renewals: boolean[];
let clock = 0;

beforeEach(async () => {
  teams = await startFakeTeams({ tenant: 'tenant', appId: 'app' });
  renewals = [];
  clock = 0;
  connector = createConnector({
    token: async ({ renew }) => {
      renewals.push(renew);
      return renewals.length === 1 && teams.botUrl === 'stale' ? 'stale-token' : 'outbound-token';
    },
    mayCall: (url) => url.startsWith(teams.origin) || url.startsWith('http://127.0.0.1:9/'),
    logger,
    now: () => clock,
    timeoutMs: 300,
  });
});
afterEach(async () => {
  await connector.close();
  await teams.close();
});

const ref = (more: Partial<ConversationRef> = {}): ConversationRef => ({
  conversationId: 'a:1',
  kind: 'personal',
  serviceUrl: teams.serviceUrl,
  channelId: 'msteams',
  tenantId: 'tenant',
  bot: { id: '28:app', name: 'Shipmate' },
  ...more,
});

describe('a POST', () => {
  it.each<[Trouble, string]>([
    [{ status: 429 }, 'retry'],
    [{ status: 429, retryAfter: 7 }, 'retry'],
    [{ status: 412 }, 'retry'],
    [{ status: 503 }, 'retry'],
    [{ status: 500 }, 'unknown'],
    [{ status: 502 }, 'unknown'],
    [{ status: 504 }, 'unknown'],
    [{ cut: true }, 'unknown'],
    [{ status: 404 }, 'gone'],
    [{ status: 403 }, 'forbidden'],
    [{ status: 400 }, 'invalid'],
    [{ status: 413 }, 'invalid'],
  ])('that ends with %j is sorted as %s and never repeated', async (trouble, kind) => {
    teams.trouble(trouble);
    const result = await connector.post(ref(), 'a:1', hello);
    expect(result.kind).toBe(kind);
    expect(teams.state.calls).toHaveLength(1);
    if ('retryAfter' in trouble) expect(result).toMatchObject({ afterMs: 7_000 });
  });

  it('to nobody may be tried again: it was not sent', async () => {
    expect(await connector.post(ref({ serviceUrl: 'http://127.0.0.1:9/' }), 'a:1', hello)).toMatchObject({
      kind: 'retry',
    });
  });

  it('never goes, nor does the token, to an origin that is not allowed', async () => {
    expect(await connector.post(ref({ serviceUrl: 'https://evil.example/' }), 'a:1', hello)).toMatchObject({
      kind: 'forbidden',
    });
    expect(renewals).toEqual([]);
  });

  it('asks for a new token once when the old one is refused', async () => {
    teams.botUrl = 'stale';
    expect(await connector.post(ref(), 'a:1', hello)).toMatchObject({ kind: 'sent' });
    expect(renewals).toEqual([false, true]);
  });

  it('makes a root post in a channel and keeps its activity id', async () => {
    const channel = ref({ conversationId: '19:c@thread.tacv2', kind: 'channel' });
    const root = await connector.post(channel, '19:c@thread.tacv2', hello);
    if (root.kind !== 'sent') throw new Error(root.message);
    expect(root.conversationId).toBe(`19:c@thread.tacv2;messageid=${root.activityId}`);
    const reply = await connector.post(channel, root.conversationId, hello);
    expect(reply).toMatchObject({ kind: 'sent', conversationId: root.conversationId });
    expect(await connector.update(channel, root.conversationId, root.activityId, { text: 'changed' })).toMatchObject({
      kind: 'sent',
    });
    expect(teams.texts('19:c@thread.tacv2')).toEqual(['changed', 'hello']);
    expect(teams.state.complaints).toEqual([]);
  });
});

describe('an edit', () => {
  it('is repeated after an unknown end, since that is safe', async () => {
    const posted = await connector.post(ref(), 'a:1', hello);
    if (posted.kind !== 'sent') throw new Error(posted.message);
    teams.trouble({ status: 500 }, { cut: true });
    expect(await connector.update(ref(), 'a:1', posted.activityId, { text: 'new' })).toMatchObject({ kind: 'sent' });
    expect(teams.state.calls.filter(({ method }) => method === 'PUT')).toHaveLength(3);
    expect(teams.texts('a:1')).toEqual(['new']);
  });

  it('of what is not there says so', async () => {
    expect(await connector.update(ref(), 'a:1', '77', hello)).toMatchObject({ kind: 'gone' });
  });
});

describe('a personal chat', () => {
  it('is opened by the id that Teams knows the person by', async () => {
    expect(await connector.openPersonal(ref(), { id: 'oid', channelUserId: '29:x' })).toEqual({
      kind: 'opened',
      conversationId: 'a:opened-29:x',
    });
    expect(await connector.openPersonal(ref(), { id: 'oid' })).toEqual({
      kind: 'opened',
      conversationId: 'a:opened-oid',
    });
  });
});

describe('the limits of Teams', () => {
  it('are kept per thread: seven in a second, eight in two, sixty in thirty', () => {
    let now = 0;
    const throttle = createThrottle(() => now);
    for (let sent = 0; sent < 7; sent += 1) expect(throttle.take('a')).toBe(0);
    expect(throttle.take('a')).toBe(1_000);
    expect(throttle.take('b')).toBe(0);
    now = 1_000;
    expect(throttle.take('a')).toBe(0);
    expect(throttle.take('a')).toBe(1_000);
    let sent = 8;
    for (now = 2_000; now < 30_000; now += 100) if (throttle.take('a') === 0) sent += 1;
    expect(sent).toBe(60);
  });

  it('hold a message back instead of sending it', async () => {
    for (let sent = 0; sent < 7; sent += 1) await connector.post(ref(), 'a:1', hello);
    expect(await connector.post(ref(), 'a:1', hello)).toMatchObject({ kind: 'retry', afterMs: 1_000 });
    expect(teams.state.calls).toHaveLength(7);
  });
});
