import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { ociConnectionConfig, ociSecrets, ociVersionsConfig, tagMatcher } from '../../../src/pipelines/oci/config.ts';
import { highestFirst, isVersion } from '../../../src/pipelines/oci/order.ts';
import { connect } from '../../contract/harness/vendor.ts';

describe('the versions entry', () => {
  it.each(['acme/storefront', 'nginx', 'library/nginx', 'a/b/c/d', 'my-org/my_app', 'a.b/c__d', 'x--y'])(
    'takes %s',
    (oci) => {
      expect(ociVersionsConfig.safeParse({ oci }).success).toBe(true);
    },
  );
  it.each([
    'ghcr.io:443/acme',
    'Acme/storefront',
    'acme/storefront:1.0',
    'a//b',
    '/a',
    'a/',
    '../x',
    './x',
    'a@sha256:b',
    '',
  ])('refuses %s', (oci) => {
    expect(ociVersionsConfig.safeParse({ oci }).success).toBe(false);
  });
  it('refuses a pattern that is none, and a kind of sha that is none', () => {
    expect(ociVersionsConfig.safeParse({ oci: 'a', pattern: '(' }).success).toBe(false);
    expect(ociVersionsConfig.safeParse({ oci: 'a', pattern: 'a)|(b' }).success).toBe(true);
    expect(ociVersionsConfig.safeParse({ oci: 'a', sha: 'tag' }).success).toBe(false);
  });
});

describe('the connection', () => {
  it('has user and token together', () => {
    const url = 'https://ghcr.io';
    expect(ociConnectionConfig.safeParse({ url }).success).toBe(true);
    expect(ociConnectionConfig.safeParse({ url, user: 'x', token: 'y' }).success).toBe(true);
    const [issue] = ociConnectionConfig.safeParse({ url, user: 'x' }).error?.issues ?? [];
    expect(issue).toMatchObject({ path: ['token'], message: '"user" and "token" belong together' });
    expect(ociConnectionConfig.safeParse({ url, token: 'y' }).success).toBe(false);
    for (const odd of ['ghcr.io', 'https://me:pw@ghcr.io', 'https://ghcr.io?x', 'oci://ghcr.io'])
      expect(ociConnectionConfig.safeParse({ url: odd }).success).toBe(false);
  });
  it('says what must never be printed', () => {
    expect(ociSecrets({ url: 'https://ghcr.io' })).toEqual([]);
    expect(ociSecrets({ url: 'https://ghcr.io', user: 'me', token: 'ghp_abc' })).toEqual([
      'ghp_abc',
      'bWU6Z2hwX2FiYw==',
    ]);
  });
  it('is away without saying where', async () => {
    const { close, connection } = connect('oci', { url: 'http://127.0.0.1:9', user: 'x', token: 'a-token-here' });
    expect(await connection.check()).toEqual([
      { level: 'error', message: expect.stringContaining('can not be reached') },
    ]);
    await close();
  });
});

describe('the order of tags', () => {
  it('is that of their numbers', () => {
    const right = ['v2.0.0', '2.0.0-rc.10', '2.0.0-rc.2', '2.0.0-alpha', '1.10.0_7', '1.10', '1.9.9', 'v1.1', '1.0.0'];
    expect(highestFirst([...right].sort())).toEqual(right);
    expect(highestFirst(['main', '7', '20260101', 'sha-1a2b', '1.0.0'])).toEqual(['1.0.0']);
    expect(['1.0', 'v1.0.0', '1.0.0-x', 'x1.0.0', '1', '1.0.0.0.0'].map(isVersion)).toEqual([
      true,
      true,
      true,
      false,
      false,
      false,
    ]);
  });
  it('is the same from any beginning', () => {
    const tag = fc.stringMatching(/^v?\d{1,2}\.\d{1,2}(\.\d{1,2})?(-[a-z0-9]{1,3}(\.\d{1,2})?)?$/);
    fc.assert(
      fc.property(fc.uniqueArray(tag, { maxLength: 12 }), (tags) => {
        expect(highestFirst(tags.toReversed())).toEqual(highestFirst(tags));
        expect(highestFirst(tags)).toHaveLength(tags.length);
      }),
    );
  });
  it('lets only tags through that can stand in a path', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), (text) => {
        if (tagMatcher(undefined)(text)) expect(encodeURIComponent(text)).toBe(text);
      }),
    );
  });
});
