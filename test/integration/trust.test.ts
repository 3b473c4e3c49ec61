import net from 'node:net';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { TokenChanges } from '../fakes/teams/tokens.ts';
import { eventually, startTestApp, type TestApp } from '../helpers/app.ts';

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
}, 60_000);
afterAll(async () => {
  await t?.stop();
});

const DEPLOY = 'deploy storefront 1.2.3 to staging';
const bearer = async (changes?: TokenChanges) => ({ authorization: `Bearer ${await t.teams.tokens.mint(changes)}` });
const rejections = async () => {
  const entries = await t.app.store.read((tx) => tx.audit.page({ after: 0, limit: 10_000 }));
  return entries.filter(({ action }) => action === 'trust.reject');
};

/** Sends it, and asserts that it was turned away with exactly one audit line and nothing else. */
async function turnedAway(
  send: () => Promise<{ status: number; text: string }>,
  status: number,
  code: string,
): Promise<void> {
  const before = (await rejections()).length;
  const activities = t.teams.state.activities.length;
  const answer = await send();
  expect(answer.status).toBe(status);
  expect(JSON.parse(answer.text)).toEqual({ error: { code } });
  const after = await eventually(async () => {
    const found = await rejections();
    return found.length > before ? found : null;
  });
  expect(after).toHaveLength(before + 1);
  expect(after.at(-1)).toMatchObject({ outcome: 'refused', code, actor: { id: '' } });
  expect(t.teams.state.activities).toHaveLength(activities);
  expect(await t.app.store.read((tx) => tx.deployments.list({ limit: 1 }))).toEqual([]);
}

const message = (fields: Record<string, unknown> = {}) =>
  JSON.stringify({ ...t.dana.activity({ type: 'message', text: DEPLOY }), ...fields });

describe('a request with a bad token', () => {
  it.each<[string, TokenChanges, number, string]>([
    ['of a key that nobody published', { kid: 'unknown' }, 401, 'TRUST_TOKEN_INVALID'],
    ['signed with another key', { wrongKey: true }, 401, 'TRUST_TOKEN_INVALID'],
    ['for another bot', { audience: 'a9900000-0000-4000-8000-00000000ffff' }, 401, 'TRUST_AUDIENCE'],
    ['of another issuer', { issuer: 'https://sts.windows.net/7e7a7000/' }, 401, 'TRUST_ISSUER'],
    ['that is over', { expiresIn: -3_600 }, 401, 'TRUST_TOKEN_EXPIRED'],
    ['without a service URL', { serviceUrl: null }, 403, 'TRUST_SERVICE_URL'],
    ['for another service URL', { serviceUrl: 'https://smba.trafficmanager.net/emea/' }, 403, 'TRUST_SERVICE_URL'],
    ['without a signature', { algorithm: 'none' }, 401, 'TRUST_TOKEN_INVALID'],
    ['signed with the public key as a secret', { algorithm: 'HS256' }, 401, 'TRUST_TOKEN_INVALID'],
  ])('%s is turned away', async (_what, changes, status, code) => {
    await turnedAway(async () => t.teams.raw(message(), await bearer(changes)), status, code);
  });

  it.each([undefined, 'Bearer', 'Bearer a.b', 'Basic eDp5'])('%j is turned away', async (authorization) => {
    await turnedAway(
      () => t.teams.raw(message(), authorization === undefined ? {} : { authorization }),
      401,
      'TRUST_TOKEN_MISSING',
    );
  });

  it('is turned away when its key does not speak for Teams', async () => {
    await t.teams.tokens.rotate();
    const endorsed = t.teams.tokens.endorsements.splice(0);
    await t.restart(); // forget the keys
    await turnedAway(async () => t.teams.raw(message(), await bearer()), 403, 'TRUST_CHANNEL');
    t.teams.tokens.endorsements.push(...endorsed);
    await t.restart();
  });
});

describe('a request with a good token', () => {
  it.each<[string, Record<string, unknown>, number, string]>([
    ['of another channel', { channelId: 'webchat' }, 403, 'TRUST_CHANNEL'],
    ['by the door of the streaming path', { channelId: 'AseChannel' }, 403, 'TRUST_CHANNEL'],
    ['with another service URL in the body', { serviceUrl: 'https://evil.example/' }, 403, 'TRUST_SERVICE_URL'],
    [
      'of another tenant',
      { channelData: { tenant: { id: '99999999-0000-4000-8000-000000000000' } } },
      403,
      'TRUST_TENANT',
    ],
    ['of no tenant', { channelData: {}, conversation: { id: 'a:x' } }, 403, 'TRUST_TENANT'],
    ['without a type', { type: undefined }, 400, 'REQUEST_MALFORMED'],
    ['with a type that is none', { type: { a: 1 } }, 400, 'REQUEST_MALFORMED'],
    ['without a sender', { from: undefined }, 400, 'REQUEST_MALFORMED'],
    ['with a conversation that is a list', { conversation: [] }, 400, 'REQUEST_MALFORMED'],
    ['with an object for an id', { id: {} }, 400, 'REQUEST_MALFORMED'],
    ['without an id', { id: undefined }, 400, 'REQUEST_MALFORMED'],
    ['with an id that no database takes', { id: 'a\u0000b' }, 400, 'REQUEST_MALFORMED'],
    ['with an id without an end', { id: 'x'.repeat(2_001) }, 400, 'REQUEST_MALFORMED'],
    ['with a name that is none', { recipient: { id: '28:bot', name: {} } }, 400, 'REQUEST_MALFORMED'],
  ])('%s is turned away', async (_what, fields, status, code) => {
    await turnedAway(async () => t.teams.raw(message(fields), await bearer()), status, code);
  });

  it.each<[string, string, Record<string, string>, number, string]>([
    ['that is no JSON', '{"type": ', {}, 400, 'REQUEST_MALFORMED'],
    ['that is a list', '[]', {}, 400, 'REQUEST_MALFORMED'],
    ['that is empty', '', {}, 400, 'REQUEST_MALFORMED'],
    [
      'of another kind',
      'type=message',
      { 'content-type': 'application/x-www-form-urlencoded' },
      415,
      'REQUEST_MEDIA_TYPE',
    ],
    ['of 300 KB', `{"pad":"${'x'.repeat(300 * 1024)}"}`, {}, 413, 'REQUEST_TOO_LARGE'],
  ])('and a body %s is turned away', async (_what, body, headers, status, code) => {
    await turnedAway(async () => t.teams.raw(body, { ...(await bearer()), ...headers }), status, code);
  });

  it('and a body that grows without saying how long it gets is cut off', async () => {
    const answer = await new Promise<string>((resolve, reject) => {
      const socket = net.connect(t.port, '127.0.0.1');
      let text = '';
      socket.on('data', (chunk) => {
        text += chunk.toString();
        if (text.includes('\r\n\r\n')) socket.destroy();
      });
      socket.on('close', () => resolve(text));
      socket.on('error', (error: NodeJS.ErrnoException) =>
        error.code === 'ECONNRESET' || error.code === 'EPIPE' ? resolve(text) : reject(error),
      );
      socket.write(
        'POST /api/messages HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n',
      );
      const chunk = `10000\r\n${'x'.repeat(0x10000)}\r\n`;
      for (let piece = 0; piece < 8; piece += 1) socket.write(chunk);
    });
    expect(answer).toMatch(/^HTTP\/1\.1 413/);
  });

  it('deep JSON and a polluted prototype do no harm', async () => {
    const deep = `${'{"a":'.repeat(5_000)}1${'}'.repeat(5_000)}`;
    const body = message().replace('{', `{"__proto__":{"polluted":true},"entities":[${deep}],`);
    const answer = await t.teams.raw(body.replace(DEPLOY, 'help'), await bearer());
    expect([200, 400]).toContain(answer.status);
    expect(({} as Record<string, unknown>).polluted).toBeUndefined();
  });

  it('gets in, again and again, also after the keys changed', async () => {
    expect((await t.dana.says('help')).status).toBe(200);
    expect((await t.dana.says('help')).status).toBe(200);
    // A new key is asked for at most once a minute; a bot that starts has not asked yet.
    await t.teams.tokens.rotate();
    await t.restart();
    expect((await t.dana.says('help')).status).toBe(200);
  });
});

describe('when the store is gone', () => {
  it('readiness is off and nothing is acknowledged', async () => {
    const app = await startTestApp();
    const internal = Number(/"internalPort":(\d+)/.exec(app.log())?.[1]);
    const ready = async () => (await fetch(`http://127.0.0.1:${internal}/readyz`)).status;
    expect(await ready()).toBe(200);
    await app.app.store.stop();
    expect(await ready()).toBe(503);
    expect((await app.dana.says(DEPLOY)).status).toBe(503);
    expect(app.teams.state.activities).toEqual([]);
    await app.stop();
  }, 30_000);
});

describe('the listeners', () => {
  it('tell nothing of what they are, and keep health inside', async () => {
    const internal = Number(
      /"internalPort":(\d+)/.exec(
        t
          .log()
          .split('\n')
          .findLast((line) => line.includes('internalPort')) ?? '',
      )?.[1],
    );
    const get = (port: number, path: string) => fetch(`http://127.0.0.1:${port}${path}`);
    for (const path of ['/', '/healthz', '/readyz', '/metrics', '/api/messages/../metrics', '/favicon.ico']) {
      const answer = await get(t.port, path);
      expect([404, 405]).toContain(answer.status);
      expect(Object.keys((await answer.json()) as object)).toEqual(['error']);
      expect(answer.headers.get('server')).toBeNull();
    }
    expect((await get(t.port, '/files/x')).status).toBe(403);
    await t.dana.says('help');
    expect((await get(internal, '/healthz')).status).toBe(200);
    expect((await get(internal, '/readyz')).status).toBe(200);
    expect(await (await get(internal, '/metrics')).text()).toMatch(
      /shipmate_turn_seconds_count\{kind="message",outcome="ok"\} [1-9]/,
    );
    expect((await get(internal, '/api/messages')).status).toBe(404);
  });
});
