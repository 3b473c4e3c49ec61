import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { PipelineError } from '../../src/errors.ts';
import { findHarnesses } from './harness/find.ts';
import type { VersionsHarness } from './harness/types.ts';

const harnesses = await findHarnesses('versions');

it('there is a version source', () => {
  expect(harnesses.length).toBeGreaterThan(0);
});

describe.each(harnesses)('version source $name', ({ name, harness }) => {
  let system: Awaited<ReturnType<VersionsHarness['open']>>;
  beforeEach(async () => {
    system = await harness.open();
  });
  afterEach(() => system.close());

  it('lists newest first, up to the limit', async () => {
    expect(system.source.kind).toBe(name);
    const names = (await system.source.list({ limit: 10 })).map((version) => version.name);
    expect(names).toEqual(['1.10.0', '1.1.0', '1.0.0']);
    expect(await system.source.list({ limit: 1 })).toHaveLength(1);
    expect(await system.source.check()).toEqual([]);
  });

  it('searches within names', async () => {
    const names = async (text: string) => (await system.source.search(text, { limit: 10 })).map(({ name }) => name);
    expect(await names('1.1')).toEqual(['1.10.0', '1.1.0']);
    expect(await names('.*')).toEqual([]);
    expect(await names('')).toHaveLength(3);
  });

  it('resolves exact names, with or without "v", to commits', async () => {
    expect(await system.source.resolve('1.1.0')).toMatchObject({ name: '1.1.0', sha: system.shas['1.1.0'] });
    expect(await system.source.resolve('v1.1.0')).toMatchObject({ name: '1.1.0', sha: system.shas['1.1.0'] });
    for (const none of ['1.1', '9.9.9', '', '--help', '*', 'a b', '../x', '1.1.0^{commit}', '\0'])
      expect(await system.source.resolve(none)).toBeNull();
  });

  it('sees at once that a name has moved', async () => {
    await system.source.list({ limit: 1 });
    await system.moveTag();
    expect((await system.source.resolve('1.1.0'))?.sha).toBe(system.shas['1.10.0']);
  });

  const compares = !harness.without?.includes('compare');

  it('says so where it can not compare', async () => {
    if (compares) return;
    const { '1.0.0': oldest, '1.10.0': newest } = system.shas;
    await expect(system.source.compare(oldest, newest, { limit: 2 })).rejects.toMatchObject({
      code: 'VERSIONS_UNAVAILABLE',
    });
  });

  it('compares forwards, backwards and with itself', async () => {
    if (!compares) return;
    const { '1.0.0': oldest, '1.10.0': newest } = system.shas;
    const forwards = await system.source.compare(oldest, newest, { limit: 2 });
    expect(forwards).toMatchObject({ total: 4, backwards: false });
    expect(forwards.commits.map(({ subject }) => subject)).toEqual(['Release 1.10.0', 'Work for 1.10.0']);
    expect(forwards.commits[0]).toMatchObject({ sha: newest, author: 'Ana Ruiz' });
    expect(await system.source.compare(newest, oldest, { limit: 1 })).toMatchObject({ total: 4, backwards: true });
    expect(await system.source.compare(newest, newest, { limit: 5 })).toEqual({
      commits: [],
      total: 0,
      backwards: false,
    });
  });

  it('refuses to compare what it does not have', async () => {
    if (!compares) return;
    for (const hostile of ['f'.repeat(40), '--output=/tmp/x', 'HEAD'])
      await expect(system.source.compare(system.shas['1.0.0'], hostile, { limit: 5 })).rejects.toMatchObject({
        code: 'VERSION_UNKNOWN',
      });
  });

  it('throws when the system is away, rather than to answer from memory', async () => {
    await system.source.list({ limit: 1 });
    await system.breakIt();
    await expect(system.source.resolve('1.1.0')).rejects.toBeInstanceOf(PipelineError);
    await expect(system.source.resolve('1.1.0')).rejects.toMatchObject({ code: 'VERSIONS_UNAVAILABLE' });
    expect(await system.source.check()).toMatchObject([{ level: 'error' }]);
  });
});
