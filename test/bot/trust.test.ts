import { Writable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { exportJWK, generateKeyPair, SignJWT } from 'jose';
import { createTrustGate, type IncomingRequest, type TeamsTrust, type TrustGate } from '../../src/bot/trust.ts';
import { createHttp, type Http } from '../../src/http.ts';
import { createLogger, createRedactor } from '../../src/logger.ts';
import { type FakeTeams, type Person, startFakeTeams } from '../fakes/teams/index.ts';

const TENANT = '7e7a7000-0000-4000-8000-00000000aaaa';
const APP = 'a9900000-0000-4000-8000-00000000aaaa';
const HOUR_MS = 3_600_000;
const stream = new Writable({ write: (_chunk, _encoding, done) => done() });
const logger = createLogger({ level: 'error', redact: createRedactor(), stream });

let teams: FakeTeams;
let dana: Person;
let http: Http;
let clock: number;
let fetches: string[];
/** The key server does not answer. */
let down: boolean;
let gate: TrustGate;

const makeGate = (more: Partial<TeamsTrust> = {}): TrustGate =>
  createTrustGate(
    {
      mode: 'teams',
      appId: APP,
      tenants: [TENANT],
      openIdMetadataUrl: teams.openIdMetadataUrl,
      serviceOrigins: [teams.origin],
      ...more,
    },
    {
      logger,
      now: () => clock,
      http: {
        request: async (wanted) => {
          fetches.push(new URL(wanted.url).pathname);
          if (down) throw new Error('down');
          return http.request(wanted);
        },
        fetch: () => Promise.reject(new Error('not here')),
        close: async () => {},
      },
    },
  );

beforeEach(async () => {
  teams = await startFakeTeams({ tenant: TENANT, appId: APP });
  dana = teams.person({ name: 'Dana', id: 'd0000000-0000-4000-8000-00000000aaa1' });
  http = createHttp();
  clock = Date.now();
  fetches = [];
  down = false;
  gate = makeGate();
});
afterEach(async () => {
  await http.close();
  await teams.close();
});

const request = (token: string, fields: Record<string, unknown> = {}): IncomingRequest => ({
  authorization: `Bearer ${token}`,
  contentType: 'application/json; charset=utf-8',
  remoteAddress: '127.0.0.1',
  body: Buffer.from(JSON.stringify({ ...dana.activity({ type: 'message', text: 'help' }), ...fields })),
});
const code = async (asked: IncomingRequest, by = gate): Promise<string> => {
  const verdict = await by.check(asked);
  return verdict.ok ? 'OK' : verdict.code;
};

describe('a token that was verified before', () => {
  it('costs no second look at the keys', async () => {
    const token = await teams.tokens.mint();
    for (let turn = 0; turn < 5; turn += 1) expect(await code(request(token))).toBe('OK');
    expect(fetches).toEqual(['/metadata', '/keys']);
  });

  it('is still refused with another service URL, another channel, another tenant', async () => {
    const token = await teams.tokens.mint();
    expect(await code(request(token))).toBe('OK');
    expect(await code(request(token, { serviceUrl: `${teams.origin}/amer/` }))).toBe('TRUST_SERVICE_URL');
    expect(await code(request(token, { channelId: 'directline' }))).toBe('TRUST_CHANNEL');
    expect(await code(request(token, { channelData: { tenant: { id: 'other' } } }))).toBe('TRUST_TENANT');
  });

  it('is refused once it is over, with five minutes for clocks that differ', async () => {
    const token = await teams.tokens.mint({ expiresIn: 60 });
    expect(await code(request(token))).toBe('OK');
    clock += 60_000 + 290_000;
    expect(await code(request(token))).toBe('OK');
    clock += 20_000;
    expect(await code(request(token))).toBe('TRUST_TOKEN_EXPIRED');
  });

  it('is verified anew when the keys changed: one of a withdrawn key is worth nothing', async () => {
    const old = await teams.tokens.mint();
    expect(await code(request(old))).toBe('OK');
    await teams.tokens.rotate();
    clock += 61_000;
    expect(await code(request(await teams.tokens.mint()))).toBe('OK');
    expect(await code(request(old))).toBe('TRUST_TOKEN_INVALID');
  });

  it('is not confused with one whose signature was changed', async () => {
    const token = await teams.tokens.mint();
    expect(await code(request(token))).toBe('OK');
    const [head, body, signature = ''] = token.split('.');
    const flipped = `${head}.${body}.${signature.startsWith('A') ? 'B' : 'A'}${signature.slice(1)}`;
    expect(await code(request(flipped))).toBe('TRUST_TOKEN_INVALID');
  });
});

describe('the signing keys', () => {
  it('are asked for at most once a minute, however many unknown keys are named', async () => {
    expect(await code(request(await teams.tokens.mint()))).toBe('OK');
    for (let turn = 0; turn < 20; turn += 1)
      expect(await code(request(await teams.tokens.mint({ kid: `unknown-${turn}` })))).toBe('TRUST_TOKEN_INVALID');
    expect(fetches).toHaveLength(2);
    clock += 61_000;
    await code(request(await teams.tokens.mint({ kid: 'unknown' })));
    expect(fetches).toHaveLength(4);
  });

  it('are fetched once for many who ask at the same time', async () => {
    const tokens = await Promise.all(Array.from({ length: 8 }, (_, n) => teams.tokens.mint({ expiresIn: 600 + n })));
    expect(await Promise.all(tokens.map((token) => code(request(token))))).toEqual(tokens.map(() => 'OK'));
    expect(fetches).toHaveLength(2);
  });

  it('that can not be had mean no, for now: 503, and soon asked for again', async () => {
    down = true;
    const token = await teams.tokens.mint();
    expect(await gate.check(request(token))).toEqual({ ok: false, status: 503, code: 'TRUST_KEYS_UNAVAILABLE' });
    const asked = fetches.length;
    expect(await code(request(token))).toBe('TRUST_KEYS_UNAVAILABLE');
    expect(fetches).toHaveLength(asked);
    down = false;
    clock += 2_500;
    expect(await code(request(token))).toBe('OK');
  });

  it('that are a day old and can not be renewed are good for another day, and no longer', async () => {
    expect(await code(request(await teams.tokens.mint()))).toBe('OK');
    down = true;
    clock += 25 * HOUR_MS;
    // Tokens of then; several at once and right after each other, as they come.
    const later = () => teams.tokens.mint({ expiresIn: 60 * 3_600 + Math.round(Math.random() * 1_000) });
    for (let turn = 0; turn < 4; turn += 1) expect(await code(request(await later()))).toBe('OK');
    clock += 24 * HOUR_MS;
    expect(await code(request(await later()))).toBe('TRUST_KEYS_UNAVAILABLE');
    clock += 500;
    expect(await code(request(await later()))).toBe('TRUST_KEYS_UNAVAILABLE');
  });
});

describe('a token made with care', () => {
  const mint = async (claims: Record<string, unknown>, header: Record<string, unknown> = {}) => {
    const { privateKey, publicKey } = await generateKeyPair('RS256', { extractable: true });
    const jwk = { ...(await exportJWK(publicKey)), kid: 'own', endorsements: ['msteams'] };
    const answers: Record<string, unknown> = {
      '/metadata': { jwks_uri: `${teams.origin}/keys` },
      '/keys': { keys: [jwk] },
    };
    const own = createTrustGate(
      {
        mode: 'teams',
        appId: APP,
        tenants: [TENANT],
        openIdMetadataUrl: teams.openIdMetadataUrl,
        serviceOrigins: [teams.origin],
      },
      {
        logger,
        now: () => clock,
        http: {
          request: async ({ url }) => ({
            status: 200,
            headers: {},
            text: '',
            json: () => answers[new URL(url).pathname],
          }),
          fetch: () => Promise.reject(new Error('not here')),
          close: async () => {},
        },
      },
    );
    const now = Math.floor(clock / 1000);
    const full = {
      iss: 'https://api.botframework.com',
      aud: APP,
      exp: now + 600,
      nbf: now - 60,
      serviceurl: teams.serviceUrl,
      ...claims,
    };
    const token = await new SignJWT(full as never)
      .setProtectedHeader({ alg: 'RS256', kid: 'own', ...header })
      .sign(privateKey);
    return code(request(token), own);
  };

  it.each<[string, Record<string, unknown>, string]>([
    ['is fine as it should be', {}, 'OK'],
    ['may spell its service URL as Microsoft did before', { serviceurl: undefined, serviceUrl: 'SAME' }, 'OK'],
    ['must say until when it is good', { exp: undefined }, 'TRUST_TOKEN_INVALID'],
    ['may not be from the future', { nbf: Math.floor(Date.now() / 1000) + 3_600 }, 'TRUST_TOKEN_INVALID'],
    ['may not be for us and others', { aud: [APP, 'x'] }, 'TRUST_AUDIENCE'],
    ['may not be of an emulator', { iss: `https://sts.windows.net/${TENANT}/`, appid: APP }, 'TRUST_ISSUER'],
    ['must be issued by somebody', { iss: undefined }, 'TRUST_ISSUER'],
    ['must name its service URL as text', { serviceurl: ['x'] }, 'TRUST_SERVICE_URL'],
  ])('%s', async (_what, claims, expected) => {
    const full = claims.serviceUrl === 'SAME' ? { ...claims, serviceUrl: teams.serviceUrl } : claims;
    expect(await mint(full)).toBe(expected);
  });

  it('that demands an extension we do not know is refused', async () => {
    expect(await mint({}, { crit: ['exp2'], exp2: 1 }).catch(() => 'TRUST_TOKEN_INVALID')).toBe('TRUST_TOKEN_INVALID');
  });

  it('is refused when it is longer than any token', async () => {
    expect(await code(request(`a.${'b'.repeat(20_000)}.c`))).toBe('TRUST_TOKEN_MISSING');
  });
});

describe('what else is looked at', () => {
  it('a flood of one address, before anything is verified; others are not held up', async () => {
    const strict = makeGate({ requestsPerSecond: 5 });
    const asked = request('not.a.token');
    const codes: string[] = [];
    for (let turn = 0; turn < 12; turn += 1) codes.push(await code(asked, strict));
    expect(codes.filter((each) => each === 'TRUST_TOKEN_INVALID')).toHaveLength(10);
    expect(codes.slice(10)).toEqual(['REQUEST_RATE', 'REQUEST_RATE']);
    expect(await code({ ...asked, remoteAddress: '10.0.0.2' }, strict)).toBe('TRUST_TOKEN_INVALID');
    clock += 1_000;
    expect(await code(asked, strict)).toBe('TRUST_TOKEN_INVALID');
    expect(fetches).toEqual([]);
  });

  it('the tenant, whose case means nothing', async () => {
    const token = await teams.tokens.mint();
    expect(await code(request(token, { channelData: { tenant: { id: TENANT.toUpperCase() } } }))).toBe('OK');
  });

  it.each([undefined, '', 'text/plain', 'application/jsonp', 'multipart/form-data; application/json'])(
    'the kind of the body: not %j',
    async (contentType) => {
      expect(await code({ ...request(await teams.tokens.mint()), contentType })).toBe('REQUEST_MEDIA_TYPE');
    },
  );

  it('no body at all is parsed without a token', async () => {
    expect(await code({ ...request(''), authorization: undefined, body: Buffer.from('{') })).toBe(
      'TRUST_TOKEN_MISSING',
    );
  });

  it.each<[string, boolean]>([
    ['https://smba.trafficmanager.net/emea/', true],
    ['http://smba.trafficmanager.net/emea/', false],
    ['https://smba.trafficmanager.net:444/emea/', false],
    ['https://user@smba.trafficmanager.net/', false],
    ['https://smba.trafficmanager.net.evil.example/', false],
    ['https://evil.example/smba.trafficmanager.net', false],
    ['https://smba.trafficmanager.net@evil.example/', false],
    ['https://sub.smba.trafficmanager.net/', false],
    ['javascript:alert(1)', false],
    ['', false],
    ['//smba.trafficmanager.net', false],
  ])('who is called with the token: %j %j', (url, allowed) => {
    expect(gate.mayCall(url)).toBe(allowed);
  });
});

describe('playground mode', () => {
  const playground = () =>
    createTrustGate(
      { mode: 'playground', tenants: [TENANT], serviceOrigins: [teams.origin] },
      { logger, http, now: () => clock },
    );
  it.each<[string, string]>([
    ['127.0.0.1', 'OK'],
    ['::1', 'OK'],
    ['::ffff:127.0.0.1', 'OK'],
    ['192.168.1.7', 'TRUST_NOT_LOOPBACK'],
    ['127.0.0.1.evil.example', 'TRUST_NOT_LOOPBACK'],
    ['', 'TRUST_NOT_LOOPBACK'],
  ])('answers %s with %s', async (remoteAddress, expected) => {
    expect(await code({ ...request('x.y.z'), authorization: undefined, remoteAddress }, playground())).toBe(expected);
  });

  it("calls exactly the clients' origins", async () => {
    const gate_ = playground();
    expect(gate_.mayCall(`${teams.origin}/_connector`)).toBe(true);
    for (const url of ['https://smba.trafficmanager.net/emea/', 'http://127.0.0.1:1/', 'http://localhost/'])
      expect(gate_.mayCall(url)).toBe(false);
    expect(await code(request('x.y.z', { serviceUrl: 'http://127.0.0.1:1/' }), gate_)).toBe('TRUST_SERVICE_URL');
  });
});
