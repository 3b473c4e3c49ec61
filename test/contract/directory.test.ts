import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { Person } from '../../src/access/types.ts';
import { createGraphDirectory } from '../../src/directory/graph/index.ts';
import { createStaticDirectory } from '../../src/directory/static/index.ts';
import type { Directory } from '../../src/directory/types.ts';
import { createHttp } from '../../src/http.ts';
import { startFakeGraph } from '../fakes/graph/index.ts';
import { silentLogger } from './harness/deps.ts';

const id = (number: number) => `30000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
const group = (number: number) => `40000000-0000-4000-8000-${String(number).padStart(12, '0')}`;
const person = (number: number): Person => ({ id: id(number), tenantId: 't', name: 'Somebody' });
const PEOPLE = [
  { id: id(1), groups: [group(1), group(2)] },
  { id: id(2), groups: [] },
  { id: id(3), groups: Array.from({ length: 50 }, (_, at) => group(at * 2)) },
];

interface Opened {
  directory: Directory;
  close(): Promise<void>;
}

const directories: [string, () => Promise<Opened>][] = [
  ['static', async () => ({ directory: createStaticDirectory(PEOPLE), close: async () => undefined })],
  [
    'graph',
    async () => {
      const graph = await startFakeGraph(PEOPLE);
      const http = createHttp();
      const directory = createGraphDirectory({
        credential: graph.credential,
        http,
        logger: silentLogger,
        baseUrl: graph.url,
      });
      return { directory, close: async () => void (await Promise.all([http.close(), graph.close()])) };
    },
  ],
];

describe.each(directories)('directory %s', (kind, open) => {
  let opened: Opened;
  beforeEach(async () => {
    opened = await open();
  });
  afterEach(() => opened.close());
  const memberOf = async (who: Person, groups: readonly string[], fresh = false) =>
    [...(await opened.directory.memberOf(who, groups, { fresh }))].sort();

  it('says its kind and that all is well', async () => {
    expect(opened.directory.kind).toBe(kind);
    expect(await opened.directory.check()).toEqual([]);
  });

  it('counts the people of a group', async () => {
    expect(await opened.directory.size(group(1))).toBe(1);
    expect(await opened.directory.size(group(2))).toBe(2);
    // A fixed list knows no groups, only people in them.
    expect(await opened.directory.size(group(99))).toBe(kind === 'graph' ? null : 0);
  });

  it('answers the groups that were asked for, no others', async () => {
    for (const fresh of [false, true, false]) {
      expect(await memberOf(person(1), [group(1), group(2), group(3)], fresh)).toEqual([group(1), group(2)]);
      expect(await memberOf(person(1), [group(2)], fresh)).toEqual([group(2)]);
      expect(await memberOf(person(1), [group(3)], fresh)).toEqual([]);
      expect(await memberOf(person(1), [], fresh)).toEqual([]);
      expect(await memberOf(person(2), [group(1)], fresh)).toEqual([]);
    }
  });

  it('knows no groups of whom it does not know', async () => {
    for (const stranger of ['', 'id', '../me', id(99), "' or 1=1", 'constructor'])
      expect(await memberOf({ ...person(1), id: stranger }, [group(1)], true)).toEqual([]);
  });

  it('takes an id in capitals for the same person', async () => {
    expect(await memberOf({ ...person(1), id: id(1).toUpperCase() }, [group(1)])).toEqual([group(1)]);
  });

  it('goes by the id, whatever the name', async () => {
    expect(await memberOf({ ...person(2), name: id(1) }, [group(1)])).toEqual([]);
  });

  it('answers about many groups', async () => {
    const all = Array.from({ length: 100 }, (_, at) => group(at));
    expect(await memberOf(person(3), all)).toEqual(all.filter((_, at) => at % 2 === 0));
  });

  it('answers many people at once', async () => {
    const answers = await Promise.all(
      Array.from({ length: 30 }, (_, at) => memberOf(person((at % 3) + 1), [group(1), group(2)])),
    );
    expect(answers).toEqual(answers.map((_, at) => [[group(1), group(2)], [], [group(2)]][at % 3]));
  });
});
