import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { nextPage, parseChallenge } from '../../../src/pipelines/oci/auth.ts';
import { connect } from '../../contract/harness/vendor.ts';
import { type Opened, open } from './harness.ts';

describe('a challenge', () => {
  it.each([
    [undefined, null],
    ['', null],
    ['Digest realm="x"', null],
    ['Basic realm="Registry"', { scheme: 'basic' }],
    ['basic', { scheme: 'basic' }],
    ['Bearer realm="not a url"', null],
    [
      'Bearer realm="https://auth.docker.io/token",service="registry.docker.io",scope="repository:a/b:pull"',
      { scheme: 'bearer', realm: 'https://auth.docker.io/token', service: 'registry.docker.io' },
    ],
    ['bearer  realm="https://x/t"', { scheme: 'bearer', realm: 'https://x/t', service: null }],
    [
      'Basic realm="one", Bearer realm="https://x/t",service="s", Digest realm="https://evil/t"',
      { scheme: 'bearer', realm: 'https://x/t', service: 's' },
    ],
    [['Basic realm="one"', 'Bearer realm="https://x/t"'], { scheme: 'bearer', realm: 'https://x/t', service: null }],
  ])('%j is %j', (header, challenge) => {
    expect(parseChallenge(header)).toEqual(challenge);
  });
  it('is read from anything, quickly', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 5000 }), (text) => {
        const challenge = parseChallenge(`Bearer ${text}`);
        if (challenge?.scheme === 'bearer') expect(URL.canParse(challenge.realm)).toBe(true);
      }),
    );
    const began = performance.now();
    parseChallenge(`Bearer ${'a="'.repeat(100_000)}`);
    parseChallenge(','.repeat(100_000));
    expect(performance.now() - began).toBeLessThan(1000);
  });
});

describe('the next page', () => {
  const page = 'https://ghcr.io/v2/a/b/tags/list?n=2';
  it.each([
    [undefined, null],
    ['', null],
    ['</v2/a/b/tags/list?last=x&n=2>; rel="next"', 'https://ghcr.io/v2/a/b/tags/list?last=x&n=2'],
    ['<https://ghcr.io/v2/a/b/tags/list?last=x>;rel=next', 'https://ghcr.io/v2/a/b/tags/list?last=x'],
    ['<https://evil.example/v2/a/b/tags/list?last=x>; rel="next"', null],
    ['<//evil.example/v2>; rel="next"', null],
    ['</v2/x>; rel="prev"', null],
    ['</v2/x>; rel="prev", </v2/y>; rel="next"', 'https://ghcr.io/v2/y'],
    [`<${page}>; rel="next"`, null],
  ])('of %j is %s', (header, next) => {
    expect(nextPage(header, page)).toBe(next);
  });
  it('stays on the registry, whatever it says', () => {
    fc.assert(
      fc.property(fc.string({ maxLength: 200 }), (text) => {
        const next = nextPage(`<${text}>; rel="next"`, page);
        if (next !== null) expect(new URL(next).origin).toBe('https://ghcr.io');
      }),
    );
  });
});

describe('credentials', () => {
  let system: Opened;
  beforeEach(async () => {
    system = await open();
  });
  afterEach(() => system.close());
  const tokens = () => system.fake.requests().filter((each) => each.endsWith('/token')).length;

  it('give one token for one image, until it is over', async () => {
    await system.versions().list({ limit: 3 });
    await system.versions().resolve('1.1.0');
    expect(tokens()).toBe(1);
    system.fake.trouble('expired');
    expect(await system.versions().resolve('1.1.0')).not.toBeNull();
    expect(tokens()).toBe(2);
    await expect(system.versions({ oci: 'acme/other' }).list({ limit: 1 })).rejects.toThrow(/no image acme\/other/);
    expect(tokens()).toBe(3);
  });

  it('are not used after their time by our clock', async () => {
    let now = Date.now();
    const other = await open({ now: () => new Date(now) });
    await other.versions().resolve('1.1.0');
    now += 295_000;
    await other.versions().resolve('1.1.0');
    expect(other.fake.requests().filter((each) => each.endsWith('/token'))).toHaveLength(2);
    await other.close();
  });

  it('go as they are, where the registry wants them so', async () => {
    system.fake.scheme('basic');
    expect(await system.versions().resolve('1.1.0')).not.toBeNull();
    expect(await system.connection.check()).toEqual([]);
    system.fake.trouble('denied');
    await expect(system.versions().resolve('1.1.0')).rejects.toThrow(
      /refused the credentials of the connection \(401\)/,
    );
  });

  it('are not needed where none are asked for', async () => {
    const public_ = await open({ connection: { user: undefined, token: undefined } });
    await expect(public_.versions().resolve('1.1.0')).rejects.toThrow(/wants credentials \(401\)/);
    public_.fake.scheme('none');
    expect(await public_.versions().resolve('1.1.0')).not.toBeNull();
    await public_.close();
  });

  it('are never sent to the storage', async () => {
    // The fake's storage refuses any.
    expect((await system.versions().resolve('1.0.0'))?.sha).toBe(system.fake.shas['1.0.0']);
    expect(system.fake.requests().some((each) => each.includes('/storage/'))).toBe(true);
  });

  it.each([
    ['no-right', /lacks the right to read \(pull\) of acme\/storefront \(403\)/],
    ['denied', /refused the credentials/],
    ['5xx', /failed \(502\)/],
  ] as const)('and the rest are explained: %s', async (trouble, words) => {
    system.fake.trouble(trouble);
    const refused = system.versions().list({ limit: 1 });
    await expect(refused).rejects.toMatchObject({ code: 'VERSIONS_UNAVAILABLE' });
    await expect(refused).rejects.toThrow(words);
    const shown = JSON.stringify([...(await system.versions().check()), ...(await system.connection.check())]);
    expect(shown).toMatch(words);
    for (const secret of system.fake.secrets()) expect(shown).not.toContain(secret);
  });

  it('wait as long as the registry says', async () => {
    system.fake.trouble('429');
    const began = performance.now();
    expect(await system.versions().resolve('1.1.0')).not.toBeNull();
    expect(performance.now() - began).toBeGreaterThan(900);
  });

  it.each([
    [{ status: 200, body: '{}' }, /a token that is not understood/],
    [{ status: 200, body: '{"token":"a\\nb"}' }, /a token that is not understood/],
    [{ status: 200, body: '<html>' }, /a token that is not understood/],
    [{ status: 403 }, /lacks the right/],
    [{ status: 302, headers: { location: 'https://login.example.com' } }, /refused to answer \(302\)/],
  ])('are no use when the token service answers %j', async (answer, words) => {
    system.fake.instead(/^\/token$/, answer);
    await expect(system.versions().resolve('1.1.0')).rejects.toThrow(words);
  });

  it('may come as access_token, as from Azure and from OAuth', async () => {
    await system.versions().resolve('1.1.0');
    const token = system.fake.secrets().at(-1);
    system.fake.instead(/^\/token$/, { status: 200, body: JSON.stringify({ access_token: token }) });
    const other = system.versions();
    expect(await other.resolve('1.1.0')).not.toBeNull();
  });
});

describe('what a registry sends the bot to', () => {
  let system: Opened;
  beforeEach(async () => {
    system = await open();
  });
  afterEach(() => system.close());

  it.each([
    [{ status: 307, headers: { location: '/storage/x' } }, /does not have all/],
    [{ status: 307, headers: {} }, /circle/],
    [{ status: 307, headers: { location: 'file:///etc/passwd' } }, /without encryption/],
    [{ status: 200, body: 'x'.repeat(2 * 1024 * 1024) }, /more than the bot reads/],
  ])('is not followed anywhere: %j', async (answer, words) => {
    system.fake.instead(/\/blobs\//, answer as { status: number });
    await expect(system.versions().resolve('1.0.0')).rejects.toThrow(words);
  });

  it('is not followed in a circle', async () => {
    const location = `${system.fake.url}/v2/acme/storefront/blobs/x`;
    system.fake.instead(/\/blobs\//, { status: 307, headers: { location } });
    await expect(system.versions().resolve('1.0.0')).rejects.toThrow(/circle/);
    expect(system.fake.requests().filter((each) => each.includes('/blobs/')).length).toBeLessThan(6);
  });

  it('has a page /v2/, or is none', async () => {
    system.fake.instead(/^\/v2\/$/, { status: 404 });
    expect(await system.connection.check()).toEqual([
      { level: 'error', message: expect.stringContaining('is no registry') },
    ]);
  });
});

it('a token that goes over the network is warned of', async () => {
  const system = await open();
  system.fake.scheme('basic');
  const url = system.fake.url.replace('127.0.0.1', '0.0.0.0');
  const { close, connection } = connect('oci', { ...system.fake.config.connection, url });
  expect(await connection.check()).toEqual([{ level: 'warning', message: expect.stringContaining('unencrypted') }]);
  await close();
  await system.close();
});
