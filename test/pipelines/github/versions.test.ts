import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { newestFirst } from '../../../src/pipelines/github/order.ts';
import { openSystem, type System } from './helpers.ts';

let system: System;
beforeEach(async () => {
  system = await openSystem();
});
afterEach(() => system.close());

const repo = 'acme/storefront';
const namesOf = async (list: Promise<{ name: string }[]>) => (await list).map(({ name }) => name);

describe('releases', () => {
  it('are never drafts, and pre-releases only where they are asked for', async () => {
    const { world } = system.fake;
    const { '1.10.0': sha } = system.fake.shas;
    for (const name of ['1.11.0', '1.11.0-rc.1']) world.tags.set(name, { commit: sha, object: null });
    world.releases.push(
      { id: 1, tag: '1.11.0', draft: true, prerelease: false, createdAt: '2026-10-02T00:00:00Z' },
      { id: 2, tag: '1.11.0-rc.1', draft: false, prerelease: true, createdAt: '2026-10-01T00:00:00Z' },
    );
    const source = system.versions();
    expect(await namesOf(source.list({ limit: 9 }))).toEqual(['1.10.0', '1.1.0', '1.0.0']);
    expect(await source.resolve('1.11.0')).toBeNull();
    expect(await source.resolve('1.11.0-rc.1')).toBeNull();
    const early = system.versions({ github: 'releases', repo, prerelease: true });
    expect(await namesOf(early.list({ limit: 2 }))).toEqual(['1.11.0-rc.1', '1.10.0']);
    expect(await early.resolve('v1.11.0-rc.1')).toMatchObject({ sha });
    expect(await early.resolve('1.11.0')).toBeNull();
  });

  it('are known with the day of their publication, also when their tag is far down the list', async () => {
    const { world } = system.fake;
    for (let count = 0; count < 130; count += 1)
      world.tags.set(`nightly-${count}`, { commit: system.fake.shas['1.0.0'], object: null });
    expect(await system.versions().list({ limit: 1 })).toEqual([
      { name: '1.10.0', sha: system.fake.shas['1.10.0'], createdAt: '2026-09-01T00:06:00.000Z' },
    ]);
  });

  it('without their tag are no versions', async () => {
    system.fake.world.tags.delete('1.10.0');
    expect(await namesOf(system.versions().list({ limit: 9 }))).toEqual(['1.1.0', '1.0.0']);
    expect(await system.versions().resolve('1.10.0')).toBeNull();
  });
});

describe('tags', () => {
  const entries = [
    { github: 'tags', repo },
    { github: repo, from: 'tags' },
  ];

  it.each(entries)('of %j are ordered by number, whatever GitHub orders them by', async (entry) => {
    const { world } = system.fake;
    for (let count = 0; count < 150; count += 1)
      world.tags.set(`zz-${count}`, { commit: system.fake.shas['1.0.0'], object: null });
    world.tags.set('v2.0.0', { commit: system.fake.shas['1.10.0'], object: null });
    const source = system.versions(entry);
    expect(await namesOf(source.list({ limit: 4 }))).toEqual(['v2.0.0', '1.10.0', '1.1.0', '1.0.0']);
    // Beyond the first page too; without asking for more than is known when nothing has changed.
    expect(await namesOf(source.search('1.0.', { limit: 9 }))).toEqual(['1.0.0']);
    const { remaining } = system.fake.world.rate;
    await source.search('zz-14', { limit: 9 });
    expect(system.fake.world.rate.remaining).toBe(remaining);
    expect(await source.resolve('2.0.0')).toMatchObject({ name: 'v2.0.0' });
  });

  it('are followed to their commit, through tags of tags', async () => {
    const { fake } = system;
    fake.world.tags.set('outer', { commit: fake.world.tags.get('1.1.0')?.object ?? '', object: 'a'.repeat(40) });
    const source = system.versions({ github: 'tags', repo });
    expect(await source.resolve('1.1.0')).toEqual({ name: '1.1.0', sha: fake.shas['1.1.0'] });
    expect(fake.requests().filter((each) => each.includes('/git/tags/'))).toHaveLength(1);
    expect(fake.complaints()).toEqual([]);
  });

  it('are asked for by exact names only, whatever was typed', async () => {
    const source = system.versions({ github: 'tags', repo });
    await fc.assert(
      fc.asyncProperty(fc.string({ unit: 'binary', maxLength: 30 }), async (name) => {
        const found = await source.resolve(name);
        expect(found === null || found.name.replace(/^v/, '') === name.trim().replace(/^v/i, '')).toBe(true);
      }),
      { numRuns: 60 },
    );
    // Nothing that was typed led to another path.
    expect(system.fake.complaints()).toEqual([]);
  });
});

describe('deployments', () => {
  it('are versions by what was deployed there, newest first, each once', async () => {
    const { fake } = system;
    const add = (ref: '1.0.0' | '1.1.0', environment: string, minute: number) =>
      fake.world.deployments.push({
        id: minute,
        run: null,
        sha: fake.shas[ref],
        ref,
        environment,
        createdAt: `2026-10-01T00:0${minute}:00Z`,
        states: ['success'],
      });
    add('1.0.0', 'staging', 1);
    add('1.1.0', 'staging', 2);
    add('1.0.0', 'staging', 3);
    add('1.0.0', 'Production', 4);
    const source = system.versions({ github: 'deployments', repo, environment: 'staging' });
    expect(await source.list({ limit: 9 })).toEqual([
      { name: '1.0.0', sha: fake.shas['1.0.0'], createdAt: '2026-10-01T00:03:00Z' },
      { name: '1.1.0', sha: fake.shas['1.1.0'], createdAt: '2026-10-01T00:02:00Z' },
    ]);
    expect(await source.resolve('v1.1.0')).toMatchObject({ name: '1.1.0', sha: fake.shas['1.1.0'] });
    expect(await source.resolve('1.10.0')).toBeNull();
    const { pipeline } = system;
    await pipeline.trigger(system.request());
    expect(fake.complaints()).toEqual([]);
  });
});

describe('comparing', () => {
  it('reads the newest commits of many, and counts them all', async () => {
    const { world } = system.fake;
    for (let count = 0; count < 230; count += 1)
      world.commits.push({
        sha: count.toString(16).padStart(40, '0'),
        message: `Commit ${count}\n\nwith a body`,
        author: 'Ben Okafor',
        date: '2026-10-01T00:00:00Z',
      });
    const newest = world.commits.at(-1)?.sha ?? '';
    const source = system.versions();
    const compared = await source.compare(system.fake.shas['1.10.0'], newest, { limit: 40 });
    expect(compared.total).toBe(230);
    expect(compared.commits.map(({ subject }) => subject)).toEqual(
      Array.from({ length: 40 }, (_each, index) => `Commit ${229 - index}`),
    );
    expect(await source.compare(newest, system.fake.shas['1.10.0'], { limit: 1 })).toMatchObject({
      total: 230,
      backwards: true,
      commits: [{ subject: 'Commit 229' }],
    });
  });
});

describe('where versions come from', () => {
  it('has to be said: a word needs the repository', () => {
    expect(() => system.versions({ github: 'tags' })).toThrow(/needs the repository: add "repo: owner\/name"/);
  });

  it('says that there is none, and when it may not look', async () => {
    system.fake.world.releases.length = 0;
    expect(await system.versions().check()).toEqual([
      { level: 'warning', message: 'acme/storefront has no releases yet, so there is no version to deploy.' },
    ]);
    expect(await system.versions({ github: 'acme/other' }).check()).toEqual([
      { level: 'error', message: expect.stringContaining('no right to see it') },
    ]);
  });

  it('is an error, and not "no such version", when the repository is not to be seen', async () => {
    await expect(system.versions({ github: 'acme/other' }).resolve('1.0.0')).rejects.toMatchObject({
      code: 'VERSIONS_UNAVAILABLE',
    });
    delete system.fake.world.permissions.contents;
    for (const github of ['releases', 'tags'])
      await expect(system.versions({ github, repo }).resolve('1.0.0')).rejects.toMatchObject({
        code: 'VERSIONS_UNAVAILABLE',
      });
  });
});

describe('the order of names', () => {
  it('is by number, pre-releases before their release, names without a number last', () => {
    const ordered = ['v10.0.0', '2.0', '2.0.0-rc.10', '2.0.0-rc.2', 'web/1.2.3', '1.2', 'nightly', 'main'];
    expect(ordered.toReversed().sort(newestFirst)).toEqual(ordered);
  });

  it('is an order', () => {
    const name = fc.oneof(fc.string(), fc.stringMatching(/^v?\d{1,2}(\.\d{1,2}){0,3}(-[a-z]{1,3}\.\d)?$/));
    fc.assert(
      fc.property(name, name, name, (a, b, c) => {
        expect(Math.sign(newestFirst(a, b))).toBe(-Math.sign(newestFirst(b, a)) + 0);
        if (newestFirst(a, b) <= 0 && newestFirst(b, c) <= 0) expect(newestFirst(a, c)).toBeLessThanOrEqual(0);
      }),
    );
  });
});
