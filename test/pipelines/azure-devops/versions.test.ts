import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { nameMatcher, newestFirst } from '../../../src/pipelines/azure-devops/order.ts';
import { errorOf, type Opened, open } from './helpers.ts';

let system: Opened;
beforeEach(async () => {
  system = await open();
});
afterEach(async () => {
  await system.close();
  expect(system.fake.unknown()).toEqual([]);
});

describe('versions from tags', () => {
  const tag = (name: string) => system.fake.git.tags.set(name, { commit: system.fake.shas['1.0.0'], annotated: false });

  it('go through all pages', async () => {
    for (let index = 0; index < 1200; index += 1) tag(`0.0.${index}`);
    const all = await system.versions().list({ limit: 2000 });
    expect(all).toHaveLength(1203);
    expect(all.at(-1)?.name).toBe('0.0.0');
  });

  it('are those that match', async () => {
    for (const name of ['shop/2.0.0', 'api/3.0.0', 'nightly']) tag(name);
    const source = system.versions({ tags: 'shop/*' });
    expect((await source.list({ limit: 9 })).map(({ name }) => name)).toEqual(['shop/2.0.0']);
    expect(await source.resolve('api/3.0.0')).toBeNull();
    expect(await source.resolve('shop/2.0.0')).toMatchObject({ sha: system.fake.shas['1.0.0'] });
    expect(await system.versions({ tags: 'web/*' }).check()).toEqual([
      { level: 'warning', message: expect.stringMatching(/No tag of the repository storefront matches "web\/\*"/) },
    ]);
  });

  it('ask only for the beginning of a name that is resolved', async () => {
    expect(await system.versions().resolve('1.1.0')).toMatchObject({ sha: system.fake.shas['1.1.0'] });
    expect(system.fake.lastQuery.get('filter')).toBe('tags/1.1.0');
    tag('v2.0.0');
    expect(await system.versions().resolve('2.0.0')).toMatchObject({ name: 'v2.0.0' });
  });

  it.each([
    [{ repository: 'gone' }, /no repository "gone" in the project Web Shop/],
    [{ repository: undefined }, /no repository "Web Shop"/],
    [{ 'azure-devops': 'Gone' }, /no project "Gone"/],
  ])('say what is wrong with %j', async (config, words) => {
    const source = system.versions(config);
    const message = expect.stringMatching(words);
    expect(await source.check()).toEqual([{ level: 'error', message }]);
    expect(await errorOf(source.resolve('1.1.0'))).toMatchObject({ code: 'VERSIONS_UNAVAILABLE', message });
    const { '1.0.0': from, '1.1.0': to } = system.fake.shas;
    expect(await errorOf(source.compare(from, to, { limit: 1 }))).toMatchObject({
      code: 'VERSIONS_UNAVAILABLE',
      message,
    });
  });

  it('stay in their repository, whatever its name is', async () => {
    for (const repository of ['../storefront', 'storefront/refs?x=', 'a#b', 'a%2Fb', '*'])
      expect(await system.versions({ repository }).check()).toEqual([
        { level: 'error', message: expect.stringContaining(`no repository ${JSON.stringify(repository)}`) },
      ]);
  });

  it('compare with the newest first, as many as are wanted', async () => {
    const { '1.0.0': from, '1.10.0': to } = system.fake.shas;
    const subjects = async (limit: number) =>
      (await system.versions().compare(from, to, { limit })).commits.map(({ subject }) => subject);
    expect(await subjects(10)).toEqual(['Release 1.10.0', 'Work for 1.10.0', 'Release 1.1.0', 'Work for 1.1.0']);
    expect(await subjects(0)).toEqual([]);
    expect(await subjects(-1)).toEqual([]);
    const back = await system.versions().compare(to, from, { limit: 10 });
    expect(back.commits.map(({ subject }) => subject)).toEqual(await subjects(10));
  });
});

describe('commits that are not there', () => {
  it('are named, as far as the vendor names them', async () => {
    const { '1.0.0': from } = system.fake.shas;
    const gone = 'f'.repeat(40);
    for (const pair of [
      [from, gone],
      [gone, from],
    ] as const)
      expect((await errorOf(system.versions().compare(...pair, { limit: 1 }))).message).toBe(
        'The repository storefront has no commit "ffffffffffff", so the versions can\'t be compared.',
      );
    const asked = system.fake.requests().length;
    for (const odd of ['HEAD', '--output=x', 'abcdef1', gone.toUpperCase(), ''])
      expect(await errorOf(system.versions().compare(from, odd, { limit: 1 }))).toMatchObject({
        code: 'VERSION_UNKNOWN',
      });
    for (const odd of ['--help', '*', 'a b', '../x', '\0']) await system.versions().resolve(odd);
    for (const each of system.fake.requests().slice(asked)) expect(each).toMatch(/^GET .*\/refs$/);
    expect(system.fake.lastQuery.get('filter')).toBe('tags/v--help');
    system.fake.instead.set('/diffs/commits', { status: 404, body: { message: 'gone' } });
    expect(await errorOf(system.versions().compare(from, gone, { limit: 1 }))).toMatchObject({
      code: 'VERSION_UNKNOWN',
      message: expect.stringMatching(/no such commits/),
    });
    system.fake.instead.set('/diffs/commits', { status: 400, body: { message: 'odd' } });
    expect(await errorOf(system.versions().compare(from, gone, { limit: 1 }))).toMatchObject({
      code: 'VERSIONS_UNAVAILABLE',
    });
  });
});

describe('versions from builds', () => {
  const builds = (more: object = {}) =>
    system.versions({ from: 'builds', pipeline: 'build-storefront', repository: 'storefront', ...more });

  it('are called by their numbers, newest first, with the commits that were built', async () => {
    const { shas } = system.fake;
    expect(await builds().list({ limit: 2 })).toEqual([
      { name: '20260901.3', sha: shas['1.10.0'], createdAt: '2026-09-01T02:05:00.000Z' },
      { name: '20260901.2', sha: shas['1.1.0'], createdAt: '2026-09-01T01:05:00.000Z' },
    ]);
    expect(await builds().resolve('20260901.1')).toMatchObject({ sha: shas['1.0.0'] });
    expect(await builds().search('.2', { limit: 5 })).toMatchObject([{ name: '20260901.2' }]);
    expect(await builds().compare(shas['1.0.0'], shas['1.1.0'], { limit: 5 })).toMatchObject({ total: 2 });
    expect(await builds().check()).toEqual([]);
  });

  it('take no pattern for a number', async () => {
    for (const name of ['2026*', '*', '20260901', '20260901.', '']) expect(await builds().resolve(name)).toBeNull();
  });

  it('take only the very number that was asked for', async () => {
    const body = { value: [{ id: 1, buildNumber: 'RC1', status: 'completed', sourceVersion: 'x' }] };
    system.fake.instead.set('/builds', { status: 200, body });
    expect(await builds().resolve('rc1')).toBeNull();
  });

  it('are those of a branch where one is named', async () => {
    expect(await builds({ branch: 'refs/heads/next' }).list({ limit: 5 })).toEqual([]);
    expect(await builds({ branch: 'refs/heads/next' }).check()).toEqual([
      { level: 'warning', message: expect.stringMatching(/no successful run of refs\/heads\/next/) },
    ]);
    expect(await builds({ branch: 'refs/heads/main' }).list({ limit: 5 })).toHaveLength(3);
  });

  it('say that there is no such pipeline', async () => {
    expect(await builds({ pipeline: 'gone' }).check()).toEqual([
      { level: 'error', message: expect.stringMatching(/no pipeline "gone"/) },
    ]);
  });

  it('count a number once that was used twice', async () => {
    const one = (id: number, sourceVersion: string) => ({ id, buildNumber: 'x', status: 'completed', sourceVersion });
    system.fake.instead.set('/builds', {
      status: 200,
      body: { value: [one(2, 'new'), one(1, 'old'), { id: 3, status: 'completed' }] },
    });
    expect(await builds().list({ limit: 5 })).toEqual([{ name: 'x', sha: 'new' }]);
  });
});

describe('the order of names', () => {
  const order = (...names: string[]) => newestFirst(names.map((name) => ({ name }))).map(({ name }) => name);

  it('is that of semantic versions, with all others behind', () => {
    expect(
      order(
        'nightly',
        '1.0.0',
        'v1.10.0',
        '1.10.0-rc.2',
        '1.10.0-rc.10',
        '1.2',
        'shop/1.9.0',
        'alpha',
        '1.10.0-rc.2.1',
      ),
    ).toEqual([
      'v1.10.0',
      '1.10.0-rc.10',
      '1.10.0-rc.2.1',
      '1.10.0-rc.2',
      'shop/1.9.0',
      '1.2',
      '1.0.0',
      'nightly',
      'alpha',
    ]);
    expect(order('1.0.0-1', '1.0.0-a', '1.0.0-b')).toEqual(['1.0.0-b', '1.0.0-a', '1.0.0-1']);
  });

  it('is one order, whatever the names are', () => {
    const part = fc.constantFrom('1', '2', '10', 'rc', 'a', 'v1', '1.2', '1.2.3', '1.2.3-rc.1', '1.2.3-1', 'x/1.0', '');
    fc.assert(
      fc.property(
        fc.uniqueArray(
          fc.array(part, { maxLength: 3 }).map((parts) => parts.join('-')),
          { maxLength: 12 },
        ),
        (names) => {
          expect(order(...[...names].reverse())).toEqual(order(...names));
        },
      ),
    );
  });

  it('of patterns means what it says', () => {
    expect(nameMatcher('v*')('v1.0')).toBe(true);
    expect(nameMatcher('v?.0')('v10.0')).toBe(false);
    for (const odd of ['a.c', '(x', '[a', 'a+', '^$']) {
      expect(nameMatcher(odd)(odd)).toBe(true);
      expect(nameMatcher(odd)('abc')).toBe(false);
    }
  });
});
