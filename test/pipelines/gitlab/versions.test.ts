import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type Opened, openGitlab } from './helpers.ts';

let system: Opened;
beforeEach(async () => {
  system = await openGitlab();
});
afterEach(() => system.close());

describe('tags', () => {
  it('are read by the short form too', async () => {
    const names = (entry: Record<string, unknown>) =>
      system
        .versions(entry)
        .list({ limit: 10 })
        .then((all) => all.map(({ name }) => name));
    const all = ['1.10.0', '1.1.0', '1.0.0'];
    expect(await names({ gitlab: 'tags', project: 'acme/storefront' })).toEqual(all);
    expect(await names({ gitlab: 'acme/storefront', from: 'tags' })).toEqual(all);
    expect(await names({ gitlab: 278_964 })).toEqual(all);
  });

  it('are their commits, not themselves, and come from as many pages as are needed', async () => {
    system.fake.knobs.pageSize = 1;
    const source = system.versions();
    const found = await source.list({ limit: 2 });
    expect(found).toEqual([
      { name: '1.10.0', sha: system.fake.shas['1.10.0'], createdAt: expect.stringMatching(/Z$/) },
      { name: '1.1.0', sha: system.fake.shas['1.1.0'], createdAt: expect.any(String) },
    ]);
    expect(system.fake.requests()).toHaveLength(2);
    expect(await source.search('0.0', { limit: 5 })).toHaveLength(2);
  });

  it('are searched by text, not by GitLab’s signs', async () => {
    const source = system.versions();
    for (const sign of ['^1', '0$', '*', '1*0']) expect(await source.search(sign, { limit: 5 })).toEqual([]);
    expect(await source.search(' 1.1 ', { limit: 5 })).toHaveLength(2);
  });

  it('with a slash are one part of the path', async () => {
    const { tags } = system.fake.world;
    const [first] = tags;
    if (first) tags.push({ ...first, name: 'storefront/2.0.0' });
    expect(await system.versions().resolve('storefront/2.0.0')).toMatchObject({ name: 'storefront/2.0.0' });
    expect(system.fake.requests().at(-1)).toMatch(/\/tags\/storefront%2F2\.0\.0$/);
  });

  it('are not "unknown" when the project can not be seen', async () => {
    const source = system.versions({ gitlab: 'acme/nothing' });
    await expect(source.resolve('1.1.0')).rejects.toMatchObject({
      code: 'VERSIONS_UNAVAILABLE',
      message: expect.stringMatching(/sees no repository of acme\/nothing/),
    });
    expect(await source.check()).toEqual([{ level: 'error', message: expect.stringMatching(/acme\/nothing/) }]);
    system.fake.world.tags.length = 0;
    expect(await system.versions().check()).toMatchObject([{ level: 'warning' }]);
  });
});

describe('releases', () => {
  const entry = { gitlab: 'releases', project: 'acme/storefront' };

  it('are listed by date without those to come', async () => {
    const { releases } = system.fake.world;
    const [first] = releases;
    if (first)
      releases.push({ ...first, tag_name: '2.0.0', released_at: '2030-01-01T00:00:00Z', upcoming_release: true });
    const source = system.versions(entry);
    expect((await source.list({ limit: 10 })).map(({ name }) => name)).toEqual(['1.10.0', '1.1.0', '1.0.0']);
    expect((await source.search('1.1', { limit: 1 })).map(({ name }) => name)).toEqual(['1.10.0']);
  });

  it('are resolved to what their tag names now', async () => {
    const source = system.versions(entry);
    expect(await source.resolve('v1.1.0')).toMatchObject({ name: '1.1.0', sha: system.fake.shas['1.1.0'] });
    system.fake.moveTag('1.1.0', '1.10.0');
    expect(await source.resolve('1.1.0')).toMatchObject({ sha: system.fake.shas['1.10.0'] });
  });

  it('are not there for a tag without one, or before their day', async () => {
    const { releases } = system.fake.world;
    const source = system.versions(entry);
    const second = releases[1];
    if (second) second.upcoming_release = true;
    expect(await source.resolve('1.1.0')).toBeNull();
    releases.length = 0;
    expect(await source.resolve('1.0.0')).toBeNull();
  });
});

describe('a comparison', () => {
  it('counts over several pages', async () => {
    system.fake.knobs.pageSize = 3;
    const { '1.0.0': from, '1.10.0': to } = system.fake.shas;
    expect(await system.versions().compare(from, to, { limit: 1 })).toMatchObject({
      total: 4,
      backwards: false,
      commits: [{ subject: 'Release 1.10.0' }],
    });
    expect(await system.versions().compare(from, to, { limit: 0 })).toMatchObject({ commits: [], total: 4 });
  });

  it('of two branches says what the second one has', async () => {
    const { commits, shas } = system.fake.world;
    const side = 'a'.repeat(40);
    commits.set(side, { id: side, title: 'Beside', parent: shas['1.0.0'], created_at: '2026-11-01T00:00:00Z' });
    const alone = 'b'.repeat(40);
    commits.set(alone, { id: alone, title: 'Alone', parent: null, created_at: '2026-11-01T00:00:00Z' });
    const source = system.versions();
    expect(await source.compare(shas['1.1.0'], side, { limit: 5 })).toMatchObject({ total: 1, backwards: false });
    expect(await source.compare(shas['1.1.0'], alone, { limit: 5 })).toMatchObject({ total: 1, backwards: false });
  });
});
