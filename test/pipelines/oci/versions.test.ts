import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { digestOf, REPOSITORY } from '../../fakes/oci/images.ts';
import { type Opened, open } from './harness.ts';

let system: Opened;
beforeEach(async () => {
  system = await open();
});
afterEach(() => system.close());

const names = async (entry: Record<string, unknown> = {}, limit = 20) =>
  (await system.versions(entry).list({ limit })).map(({ name }) => name);
const digest = (tag: string) => system.fake.images.tags.get(tag);
const manifests = () =>
  system.fake.requests().filter((each) => each.includes('/manifests/') || each.includes('/blobs/'));

describe('tags as versions', () => {
  it('are sorted by their number over all pages; then come others by when they were made', async () => {
    const { images } = system.fake;
    images.push('v2.0.0-rc.2', { created: '2026-01-03T00:00:00Z' });
    images.push('v2.0.0-rc.10', { created: '2026-01-02T00:00:00Z' });
    images.push('main', { created: '2026-03-01T00:00:00Z' });
    images.push('20260101', { created: '2026-02-01T00:00:00Z' });
    images.push('old', { kind: 'chart' });
    expect(await names({ pattern: undefined })).toEqual([
      'v2.0.0-rc.10',
      'v2.0.0-rc.2',
      '1.10.0',
      '1.1.0',
      '1.0.0',
      'main',
      '20260101',
      'latest',
      'old',
    ]);
    expect(await names({ pattern: undefined }, 2)).toEqual(['v2.0.0-rc.10', 'v2.0.0-rc.2']);
    expect(await names({ pattern: undefined }, 0)).toEqual([]);
    expect(system.fake.unknown()).toEqual([]);
  });
  it('leave out what lies beside an image', async () => {
    system.fake.images.push(`sha256-${'b'.repeat(64)}`, {});
    system.fake.images.push(`sha256-${'b'.repeat(64)}.att`, {});
    system.fake.images.push('_private', {});
    expect(await names({ pattern: undefined })).toEqual(['1.10.0', '1.1.0', '1.0.0', 'latest']);
    expect(await system.versions({ pattern: undefined }).resolve('_private')).toBeNull();
  });
  it('are matched as a whole', async () => {
    system.fake.images.push('x1.0.0', {});
    system.fake.images.push('1.0.0x', {});
    expect(await names({ pattern: '1\\.0\\.0|1\\.1\\.0' })).toEqual(['1.1.0', '1.0.0']);
    expect(await system.versions().resolve('latest')).toBeNull();
  });
  it('are none where nothing matches', async () => {
    expect(await system.versions({ pattern: 'release-.*' }).check()).toEqual([
      { level: 'warning', message: expect.stringContaining('No tag of acme/storefront matches release-.*') },
    ]);
    expect(await system.versions().check()).toEqual([]);
  });
});

describe('what a version is bound to', () => {
  it('is the commit that the image names: in a label, in an annotation, in one image of an index', async () => {
    for (const version of ['1.0.0', '1.1.0', '1.10.0'] as const)
      expect((await system.versions().resolve(version))?.sha).toBe(system.fake.shas[version]);
    expect(await system.versions().resolve('1.1.0')).toMatchObject({ createdAt: '2026-01-01T00:00:00.000Z' });
  });
  it('is the digest where it names none, or something that is no commit', async () => {
    system.fake.images.push('3.0.0', {});
    system.fake.images.push('3.0.1', { revision: { at: 'labels', commit: 'main' } });
    system.fake.images.push('3.0.2', { kind: 'chart' });
    for (const tag of ['3.0.0', '3.0.1', '3.0.2'])
      expect((await system.versions().resolve(tag))?.sha).toBe(digest(tag));
  });
  it('is always the digest, where said: of an index the whole', async () => {
    for (const tag of ['1.0.0', '1.1.0']) {
      expect((await system.versions({ sha: 'digest' }).resolve(tag))?.sha).toBe(digest(tag));
      expect(digest(tag)).toMatch(/^sha256:[0-9a-f]{64}$/);
    }
  });
  it('has no time where the build has hidden it', async () => {
    system.fake.images.push('3.0.0', { created: '1970-01-01T00:00:00Z' });
    expect(await system.versions().resolve('3.0.0')).toEqual({ name: '3.0.0', sha: digest('3.0.0') });
  });
});

describe('what is asked for', () => {
  it('is the digest alone, once the image is known', async () => {
    await system.versions().resolve('1.1.0');
    const before = manifests().length;
    await system.versions().resolve('1.1.0');
    expect(manifests().slice(before)).toEqual([`HEAD /v2/${REPOSITORY}/manifests/1.1.0`]);
  });
  it('is never a name that could lead elsewhere', async () => {
    for (const name of ['../../token', 'a/b', '1.0.0?x', '', ' ', 'sha256:abc', '.', '..', 'a..b', 'ü', 'v/x'])
      expect(await system.versions({ pattern: undefined }).resolve(name)).toBeNull();
    expect(system.fake.requests()).toEqual([]);
  });
  it('is found where HEAD is not served', async () => {
    for (const status of [405, 200, 500]) {
      system.fake.instead(/manifests/, { status }, 'HEAD');
      expect((await system.versions().resolve('1.1.0'))?.sha).toBe(system.fake.shas['1.1.0']);
    }
  });
});

describe('content', () => {
  it('that is not what its digest says is not believed', async () => {
    const right = digest('1.0.0') ?? '';
    const stored = system.fake.images.manifests.get(right);
    if (!stored) throw new Error('no manifest');
    system.fake.images.manifests.set(right, { ...stored, text: stored.text.replace('layers', 'Layers') });
    const refused = system.versions().resolve('1.0.0');
    await expect(refused).rejects.toMatchObject({ code: 'VERSIONS_UNAVAILABLE', retryable: false });
    await expect(refused).rejects.toThrow(/something else/);
  });
  it('of a configuration neither', async () => {
    for (const [key, text] of system.fake.images.blobs)
      system.fake.images.blobs.set(key, text.replaceAll(/[0-9a-f]{40}/g, 'f'.repeat(40)));
    await expect(system.versions().resolve('1.0.0')).rejects.toThrow(/something else/);
    // What needs no configuration is there all the same; the time is in it, though.
    await expect(system.versions().resolve('1.10.0')).resolves.toMatchObject({ sha: system.fake.shas['1.10.0'] });
  });
  it('that is gone is said to be', async () => {
    system.fake.images.blobs.clear();
    await expect(system.versions().resolve('1.0.0')).rejects.toThrow(/does not have all of the image/);
  });
  it('that is no manifest is not understood', async () => {
    for (const text of ['', '[]', '{"manifests": 5}', '<html>']) {
      const key = digestOf(text);
      system.fake.images.manifests.set(key, { type: 'application/vnd.oci.image.manifest.v1+json', text });
      system.fake.images.tags.set('4.0.0', key);
      await expect(system.versions().resolve('4.0.0')).rejects.toMatchObject({ code: 'VERSIONS_UNAVAILABLE' });
    }
  });
});

it('a registry knows no commits to compare', async () => {
  await expect(system.versions().compare('a', 'b', { limit: 1 })).rejects.toMatchObject({
    code: 'VERSIONS_UNAVAILABLE',
    retryable: false,
    message: expect.stringContaining('knows images and no commits'),
  });
});
