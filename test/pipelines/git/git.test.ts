import { mkdir, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { gitConfig, isRefName, isRemote, tagMatcher } from '../../../src/pipelines/git/config.ts';
import { createGitVersions } from '../../../src/pipelines/git/index.ts';
import { newestFirst } from '../../../src/pipelines/git/order.ts';
import { pipelineDeps, temporaryFolder } from '../../contract/harness/deps.ts';
import { createRepository } from '../../contract/harness/repository.ts';

describe('versions from git', () => {
  let folder: string;
  let remove: () => Promise<void>;
  let repository: ReturnType<typeof createRepository>;
  beforeEach(async () => {
    ({ folder, remove } = await temporaryFolder());
    repository = createRepository(join(folder, 'repo'));
  });
  afterEach(() => remove());

  const open = (config: object = {}) =>
    createGitVersions(gitConfig.parse({ git: 'repo', ...config }), pipelineDeps(folder));
  const names = async (config: object = {}) => (await open(config).list({ limit: 20 })).map(({ name }) => name);

  it('reads a folder at once: tags, annotated or not, as commits', async () => {
    const first = repository.commit('First');
    repository.git('tag', 'v1.0.0');
    const source = open();
    expect(await source.list({ limit: 5 })).toMatchObject([{ name: 'v1.0.0', sha: first }]);
    const second = repository.commit('Second');
    repository.git('tag', '--annotate', '-m', 'x', 'v1.1.0');
    repository.git('tag', 'tree', 'HEAD^{tree}');
    expect(await source.list({ limit: 5 })).toMatchObject([
      { name: 'v1.1.0', sha: second, createdAt: '2026-09-01T00:02:00.000Z' },
      { name: 'v1.0.0', sha: first },
    ]);
    expect(await source.resolve('1.1.0')).toMatchObject({ name: 'v1.1.0', sha: second });
    expect(await source.resolve('tree')).toBeNull();
  });

  it('takes only the configured tags and branch', async () => {
    repository.commit('First');
    for (const name of ['shop/1.0.0', 'api/1.0.0', 'nightly']) repository.git('tag', name);
    repository.git('checkout', '--quiet', '-b', 'next');
    repository.commit('Second');
    repository.git('tag', 'shop/2.0.0');
    expect(await names({ tags: 'shop/*' })).toEqual(['shop/2.0.0', 'shop/1.0.0']);
    expect(await names({ tags: 'shop/*', branch: 'main' })).toEqual(['shop/1.0.0']);
    expect(await open({ tags: 'shop/*' }).resolve('nightly')).toBeNull();
    expect(await open({ branch: 'main' }).resolve('shop/2.0.0')).toBeNull();
    expect(await open({ tags: 'web/*' }).check()).toMatchObject([{ level: 'warning' }]);
    expect(await open({ branch: 'gone' }).check()).toMatchObject([{ level: 'error' }]);
  });

  it('gives hostile and endless subjects as they are, but not endlessly', async () => {
    const from = repository.commit('First');
    repository.commit(`<at>all</at> [x](http://x) \${title} \u202e ${'y'.repeat(5000)}`);
    const to = repository.commit('::stage x');
    const { commits, total } = await open().compare(from, to, { limit: 10 });
    expect(total).toBe(2);
    expect(commits[0]?.subject).toBe('::stage x');
    expect(commits[1]?.subject).toMatch(/^<at>all<\/at> \[x\]\(http:\/\/x\) \$\{title\}/);
    expect(commits[1]?.subject.length).toBeLessThanOrEqual(400);
  });

  it('compares branches that went apart as what would be added', async () => {
    repository.commit('First');
    repository.git('checkout', '--quiet', '-b', 'hotfix');
    const hotfix = repository.commit('Hotfix');
    repository.git('checkout', '--quiet', 'main');
    const main = repository.commit('Feature');
    const comparison = await open().compare(hotfix, main, { limit: 5 });
    expect(comparison).toMatchObject({ total: 1, backwards: false, commits: [{ subject: 'Feature' }] });
  });

  it('fetches a remote for each resolve, and at most every 30 seconds for lists', async () => {
    repository.commit('First');
    repository.git('tag', '1.0.0');
    const source = open({ git: `file://${repository.folder}` });
    expect(await source.list({ limit: 5 })).toHaveLength(1);
    repository.git('tag', '2.0.0');
    repository.git('tag', '--delete', '1.0.0');
    expect(await source.list({ limit: 5 })).toHaveLength(1);
    const [found, gone] = await Promise.all([source.resolve('2.0.0'), source.resolve('1.0.0')]);
    expect(found).toMatchObject({ name: '2.0.0' });
    expect(gone).toBeNull();
    // A second service with the same repository shares the mirror.
    const other = open({ git: `file://${repository.folder}` });
    await Promise.all([other.resolve('2.0.0'), source.resolve('2.0.0'), other.list({ limit: 1 })]);
  });

  it('says what is wrong with a folder', async () => {
    await mkdir(join(folder, 'empty'));
    expect(await open({ git: 'empty' }).check()).toMatchObject([
      { message: expect.stringContaining('not a git repo') },
    ]);
    expect(await open({ git: 'gone' }).check()).toMatchObject([{ message: expect.stringContaining('does not exist') }]);
    // Within another repository, it is still none.
    await mkdir(join(repository.folder, 'inner'));
    expect(await open({ git: 'repo/inner' }).check()).toMatchObject([{ level: 'error' }]);
    await rename(repository.folder, join(folder, 'moved'));
    await expect(open().list({ limit: 1 })).rejects.toMatchObject({ code: 'VERSIONS_UNAVAILABLE', retryable: true });
  });
});

describe('names', () => {
  it('knows git’s rules', () => {
    for (const good of ['1.2.3', 'v1', 'release/1.2', 'storefront@2', 'ü']) expect(isRefName(good)).toBe(true);
    for (const bad of [
      '',
      '-x',
      '/x',
      '.x',
      'a..b',
      'a b',
      'a~1',
      'a^',
      'a:b',
      'a?',
      'a*',
      'a[',
      'a\\',
      'a.',
      'a/',
      '@',
    ])
      expect(isRefName(bad)).toBe(false);
    for (const bad of ['a//b', 'a/.b', 'a.lock', 'a.lock/b', 'a@{b', 'a\u0000', 'a\u007f', 'a\n', 'a'.repeat(201)])
      expect(isRefName(bad)).toBe(false);
  });

  it('tells remotes from folders, and refuses helpers that run programs', () => {
    expect(['https://x/y', 'ssh://x/y', 'git@github.com:a/b.git', 'file:///x'].every(isRemote)).toBe(true);
    expect(['./x', '/x', 'x/y', 'C:x'].some(isRemote)).toBe(false);
    for (const bad of ['-x', 'ext::sh -c id', '']) expect(gitConfig.safeParse({ git: bad }).success).toBe(false);
  });

  it('matches tags literally but for * and ?', () => {
    expect(tagMatcher('v1.?')('v1.2')).toBe(true);
    expect(tagMatcher('v1.?')('v1x2')).toBe(false);
    fc.assert(
      fc.property(fc.string(), (name) => tagMatcher('*')(name) && tagMatcher(name.replace(/[*?]/g, '?'))(name)),
    );
  });

  it('orders by number, pre-releases before their release, and the rest by date', () => {
    const at = (name: string, day: number) => ({ name, sha: name, createdAt: `2026-09-0${day}T00:00:00.000Z` });
    const shuffled = [
      at('nightly', 9),
      at('v1.9.0', 1),
      at('1.10.0-rc.2', 5),
      at('1.10.0', 2),
      at('1.10.0-rc.10', 3),
      at('old', 1),
      at('shop/2.0', 4),
    ];
    expect(newestFirst(shuffled).map(({ name }) => name)).toEqual([
      'shop/2.0',
      '1.10.0',
      '1.10.0-rc.10',
      '1.10.0-rc.2',
      'v1.9.0',
      'nightly',
      'old',
    ]);
  });
});
