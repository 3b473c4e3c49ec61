import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type Opened, open } from './harness.ts';

let system: Opened;
beforeEach(async () => {
  system = await open();
});
afterEach(() => system.close());

const release = (name: string) => {
  const found = system.fake.releases.find((each) => each.name === name);
  if (!found) throw new Error(`no release ${name}`);
  return found;
};
const names = async (versions = system.versions()) =>
  (await versions.list({ limit: 50 })).map(({ name, sha }) => `${name} ${sha.slice(0, 4)}`);
const short = (version: '1.0.0' | '1.1.0' | '1.10.0') => system.fake.shas[version].slice(0, 4);

describe('builds as versions', () => {
  it('are those that went well, with when they were made', async () => {
    expect(await names()).toEqual([`1.10.0 ${short('1.10.0')}`, `1.1.0 ${short('1.1.0')}`, `1.0.0 ${short('1.0.0')}`]);
    const [newest] = await system.versions().list({ limit: 1 });
    expect(newest).toEqual({
      name: '1.10.0',
      sha: system.fake.shas['1.10.0'],
      createdAt: '2023-11-14T22:27:20.000Z',
    });
    expect(system.fake.unknown()).toEqual([]);
  });
  it('are named by their number, where said', async () => {
    const versions = system.versions({ name: 'number' });
    expect(await names(versions)).toEqual([`14 ${short('1.10.0')}`, `13 ${short('1.1.0')}`, `11 ${short('1.0.0')}`]);
    expect(await versions.resolve('#13')).toMatchObject({ name: '13' });
    expect(await versions.resolve('12')).toBeNull();
  });
  it('lose the # of a name that Jenkins gave', async () => {
    release('1.10.0').name = '#14';
    expect((await names())[0]).toMatch(/^14 /);
  });
  it('have no name that a deploy would refuse', async () => {
    release('1.10.0').name = 'Release of the day';
    release('1.0.0').name = '--help';
    expect(await names()).toEqual([`1.1.0 ${short('1.1.0')}`]);
  });
  it('are named by nobody who says nothing', async () => {
    release('1.10.0').name = 'v';
    expect(await system.versions().resolve('')).toBeNull();
    expect(await system.versions().resolve('v')).toMatchObject({ name: 'v' });
    release('1.0.0').name = 'v1.0.0';
    expect(await system.versions().resolve('1.0.0')).toMatchObject({ name: 'v1.0.0' });
  });
  it('of the same name are one: the newest', async () => {
    system.fake.moveTag('1.1.0', '1.10.0');
    expect(await names()).toEqual([`1.1.0 ${short('1.10.0')}`, `1.10.0 ${short('1.10.0')}`, `1.0.0 ${short('1.0.0')}`]);
  });
});

describe('the commit of a build', () => {
  it('is not guessed where a build checks out several repositories', async () => {
    const versions = system.versions({ repository: undefined });
    expect(await names(versions)).toEqual([]);
    expect(await versions.check()).toEqual([
      { level: 'warning', message: expect.stringContaining('Set "repository"') },
    ]);
    expect(await names(system.versions({ repository: 'acme/nothing' }))).toEqual([]);
    expect(await names(system.versions({ repository: 'pipeline-library' }))).toHaveLength(3);
  });
});

describe('check', () => {
  it('says what is missing', async () => {
    const messageOf = async () => (await system.versions().check()).map(({ level, message }) => `${level}: ${message}`);
    expect(await messageOf()).toEqual([]);
    for (const each of system.fake.releases) each.name = 'Not a version';
    expect(await messageOf()).toEqual([expect.stringMatching(/^warning: .*displayName/)]);
    system.fake.releases.length = 0;
    expect(await messageOf()).toEqual([expect.stringMatching(/^warning: No build .* has gone well/)]);
    const gone = system.versions({ jenkins: 'build/gone' });
    expect(await gone.check()).toEqual([{ level: 'error', message: expect.stringContaining('no job build/gone') }]);
    await expect(gone.resolve('1.0.0')).rejects.toMatchObject({ code: 'VERSIONS_UNAVAILABLE', retryable: false });
    system.fake.trouble('denied');
    expect(await messageOf()).toEqual([expect.stringMatching(/^error: Jenkins refused the API token/)]);
  });
});

describe('a comparison', () => {
  const between = (from: string, to: string) => system.versions().compare(from, to, { limit: 50 });
  it('has what came into builds that failed', async () => {
    const { '1.0.0': from, '1.1.0': to } = system.fake.shas;
    expect((await between(from, to)).commits.map(({ subject }) => subject)).toEqual([
      'Release 1.1.0',
      'Work for 1.1.0',
    ]);
  });
  it('goes from the first build of a commit, also when it was built again', async () => {
    const { '1.0.0': from, '1.1.0': to } = system.fake.shas;
    system.fake.releases.push({ ...release('1.0.0'), number: 30, commits: [] });
    expect(await between(from, to)).toMatchObject({ total: 2, backwards: false });
  });
  it('lists a commit once, of a set by time', async () => {
    const { '1.1.0': from, '1.10.0': to } = system.fake.shas;
    const last = release('1.10.0');
    const [first] = last.commits;
    if (!first) throw new Error('no commit');
    last.commits = [
      ...last.commits,
      { commitId: 'd'.repeat(40), msg: 'Late\nlines', timestamp: first.timestamp - 5000 },
      first,
    ];
    const { commits, total } = await between(from, to);
    expect(total).toBe(3);
    expect(commits.at(-1)).toEqual({ sha: 'd'.repeat(40), subject: 'Late lines', author: 'Ana Ruiz' });
  });
  it('is cut to what was asked for', async () => {
    const { '1.0.0': from, '1.10.0': to } = system.fake.shas;
    for (const limit of [-1, 0, 0.5])
      expect((await system.versions().compare(from, to, { limit })).commits).toEqual([]);
    expect((await system.versions().compare(from, to, { limit: 1 })).total).toBe(4);
  });
});
