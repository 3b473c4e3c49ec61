import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHttp, type Http } from '../../../src/http.ts';
import type { LogSource } from '../../../src/monitoring/types.ts';
import {
  createFakeElastic,
  ECS,
  type ElasticTrouble,
  type FakeElastic,
  type FakeElasticOptions,
} from '../../fakes/elasticsearch/index.ts';
import { all, at, doc, openOn, query, texts } from './open.ts';

let fake: FakeElastic;
let http: Http;
beforeEach(async () => {
  fake = await createFakeElastic();
  http = createHttp();
});
afterEach(async () => {
  await fake.close();
  await http.close();
});
async function instead(options: FakeElasticOptions) {
  await fake.close();
  fake = await createFakeElastic(options);
}
const open = (entry: Parameters<typeof openOn>[2] = {}, more: Record<string, unknown> = {}) =>
  openOn(fake, http, entry, more);

async function pagesOf(source: LogSource, limit: number) {
  let page = await source.query(query({ limit }));
  const seen = texts(page);
  while (page.older !== undefined) {
    expect(page.older.length).toBeLessThan(200);
    page = await source.query(query({ limit, cursor: page.older }));
    seen.unshift(...texts(page));
    expect(page.partial).toBeUndefined();
  }
  const back = texts(page);
  while (page.newer !== undefined) {
    page = await source.query(query({ limit, cursor: page.newer }));
    back.push(...texts(page));
    expect(page.partial).toBeUndefined();
  }
  return { seen, back };
}

describe('lines', () => {
  it('are those of the service and environment, with their level where they have one', async () => {
    fake.add([
      doc(at(0), 'one', { 'log.level': 'INFO' }),
      doc(at(1), 'two'),
      doc(at(2), 'three\nat x\u0000', { 'log.level': 'Fatal' }),
      doc(at(2), 'not ours', { 'service.name': 'billing' }),
      doc(at(2), 'not ours', { 'service.environment': 'production' }),
      { ...doc(at(3), 'not asked'), index: 'audit-1' },
    ]);
    const { lines, partial } = await open().query(query());
    expect(lines.map(({ level, text, time }) => [time, level, text])).toEqual([
      [at(0), 'info', 'one'],
      [at(1), undefined, 'two'],
      [at(2), 'error', 'three ⏎ at x'],
    ]);
    expect(partial).toBeUndefined();
    expect(texts(await open().query(query({ level: 'debug' })))).toHaveLength(3);
    expect(texts(await open().query(query({ level: 'info' })))).toEqual(['one', 'three ⏎ at x']);
  });

  it('show what else is wanted, and that they have no message', async () => {
    fake.remap({ ...ECS, 'http.status': 'long', tags: 'keyword' });
    fake.add([doc(at(0), 'one', { 'http.status': 500, tags: ['a', 'b'] }), doc(at(1), undefined)]);
    expect(texts(await open({ show: ['http.status', 'tags'] }).query(query()))).toEqual([
      'one http.status=500 tags=a, b',
      '[a line without message]',
    ]);
  });

  it('have levels that are numbers where the entry says so', async () => {
    fake.remap({ ...ECS, 'log.level': 'long' });
    fake.add([doc(at(0), 'one', { 'log.level': 30 }), doc(at(1), 'two', { 'log.level': 50 })]);
    const numbers = open({ levels: { debug: [10, 20], info: [30], warn: [40], error: [50, 60] } });
    expect((await numbers.query(query({ level: 'warn' }))).lines).toMatchObject([{ level: 'error', text: 'two' }]);
    await expect(open().query(query({ level: 'warn' }))).rejects.toMatchObject({
      message: expect.stringMatching(/another type than the question needs.*check --online/),
    });
  });

  it('contain words in their order, the last of which may go on', async () => {
    fake.add([doc(at(0), 'Payment timed out: card-17'), doc(at(1), 'Payment of 17 timed in')]);
    const find = async (text: string) => texts(await open().query(query({ text }))).length;
    expect(await find('PAYMENT TIMED OUT')).toBe(1);
    expect(await find('timed')).toBe(2);
    expect(await find('payment t')).toBe(1);
    expect(await find('imed')).toBe(0);
    expect(await find('out timed')).toBe(0);
    for (const nothing of ['*', 'message:*', '.*', '"', '" OR 1=1']) expect(await find(nothing)).toBe(0);
  });

  it('of OpenSearch are read the same way', async () => {
    await instead({ flavour: 'opensearch' });
    fake.add([doc(at(0), 'one', { 'log.level': 'warn' })]);
    expect((await open().query(query({ level: 'warn' }))).lines).toMatchObject([{ level: 'warn', text: 'one' }]);
  });
});

describe('pages', () => {
  it.each(['date', 'date_nanos'] as const)(
    'lose and repeat nothing where many lines have one time (%s)',
    async (type) => {
      fake.remap({ ...ECS, '@timestamp': type });
      const fraction = (index: number) => (type === 'date' ? 'Z' : `${String(index % 3).padStart(6, '0')}Z`);
      const lines = Array.from({ length: 200 }, (_, index) => ({
        ...doc(at(Math.floor(index / 40)).replace('Z', fraction(Math.floor(index / 10))), `n${index}`),
        index: `logs-${index % 2}`,
      }));
      fake.add(lines);
      const { back, seen } = await pagesOf(open(), 7);
      expect(seen).toHaveLength(200);
      expect(new Set(seen).size).toBe(200);
      expect(back).toEqual(seen);
      const places = new Map(lines.map(({ source }) => [source.message, source['@timestamp']]));
      const times = seen.map((text) => places.get(text) ?? '');
      const inOrder = (a: string, b: string) => (a.padEnd(30, '0') < b.padEnd(30, '0') ? -1 : 1);
      expect(times).toEqual(type === 'date' ? times.toSorted() : times.toSorted(inOrder));
    },
  );

  it('keep the order in which lines of one index came', async () => {
    fake.add(Array.from({ length: 25 }, (_, index) => doc(at(5), `at line ${index}`)));
    const { seen } = await pagesOf(open(), 4);
    expect(seen).toEqual(Array.from({ length: 25 }, (_, index) => `at line ${index}`));
  });

  it('ask once where no line shares its time', async () => {
    fake.add(Array.from({ length: 30 }, (_, index) => doc(at(index), `n${index}`)));
    await open().query(query());
    expect(fake.asked()).toHaveLength(1);
    expect(fake.asked()[0]?.body).not.toHaveProperty('from');
  });

  it('say what is missing', async () => {
    fake.add(Array.from({ length: 10 }, (_, index) => doc(at(index), `n${index}`)));
    fake.trouble({ how: 'partial', failed: 1 });
    expect((await open().query(query())).partial).toBe(
      '1 of 1 shards did not answer (circuit_breaking_exception): lines are missing. Look at the health of the cluster.',
    );
    fake.trouble({ how: 'partial', late: true });
    expect((await open().query(query())).partial).toMatch(
      /stopped before it had looked at everything. Ask for a shorter time/,
    );
    fake.trouble({ how: 'partial', skipped: 1 });
    expect((await open().query(query())).partial).toMatch(/Another cluster did not answer/);
    fake.trouble({ how: 'partial', failed: 1 });
    expect((await all(open())).at(-1)).toMatch(/^\[not all lines are here: 1 of 1 shards/);
    fake.trouble(null);
    expect((await open({ elasticsearch: 'nothing-*' }).query(query())).partial).toBe('No index matches nothing-*.');
  });

  it('leave out what has no clear time, and say so', async () => {
    fake.add([doc(at(0), 'one')]);
    fake.trouble({
      how: 'body',
      body: JSON.stringify({
        timed_out: false,
        _shards: { total: 1, failed: 0 },
        hits: {
          hits: [
            { _index: 'l', _id: '1', fields: { '@timestamp': [at(-9000), at(1)], message: ['x'] } },
            { _index: 'l', _id: '2' },
          ],
        },
      }),
    });
    const page = await open().query(query());
    expect(page.lines).toEqual([]);
    expect(page.partial).toMatch(/without one clear time in @timestamp/);
  });

  it('say when one moment has too many lines', async () => {
    fake.add(Array.from({ length: 5100 }, (_, index) => doc(at(5), `n${index}`)));
    expect((await open().query(query())).partial).toMatch(
      /^Only 5000 of the lines of .* could be read; there are more with exactly this time/,
    );
  });
});

describe('a stream', () => {
  const many = () =>
    fake.add(Array.from({ length: 2300 }, (_, index) => doc(at(Math.floor(index / 1500)), `n${index}`)));
  const searches = () => fake.asked().filter(({ path }) => path.endsWith('_search'));

  it.each<[string, FakeElasticOptions, string]>([
    ['Elasticsearch', {}, '/logs-*/_pit'],
    ['Elasticsearch that does not say its version', { mayMonitor: false }, '/logs-*/_pit'],
    ['OpenSearch 3.3', { flavour: 'opensearch' }, '/logs-*/_search/point_in_time'],
  ])('of %s is read out of one point in time, which is closed', async (_name, options, path) => {
    await instead(options);
    many();
    const found = await all(open());
    expect(found).toHaveLength(2300);
    expect(new Set(found).size).toBe(2300);
    expect(fake.asked().map((each) => decodeURIComponent(each.path))).toContain(path);
    expect(searches()).toHaveLength(3);
    expect(searches()[1]?.body).toHaveProperty('search_after');
    expect(fake.pits()).toBe(0);
  });

  it('to the nanosecond has every line once', async () => {
    fake.remap({ ...ECS, '@timestamp': 'date_nanos' });
    fake.add(
      Array.from({ length: 2300 }, (_, index) =>
        doc(at(7).replace('Z', `${String(index % 1000).padStart(6, '0')}Z`), `n${index}`),
      ),
    );
    expect(new Set(await all(open())).size).toBe(2300);
    await instead({ flavour: 'opensearch', mapping: { ...ECS, '@timestamp': 'date_nanos' } });
    fake.add(
      Array.from({ length: 2300 }, (_, index) =>
        doc(at(7).replace('Z', `${String(index % 1000).padStart(6, '0')}Z`), `n${index}`),
      ),
    );
    expect(new Set(await all(open())).size).toBe(2300);
  });

  it.each<[string, FakeElasticOptions, ElasticTrouble | null]>([
    ['OpenSearch before 3.3', { flavour: 'opensearch', version: '2.19.1' }, null],
    ['OpenSearch that does not say its version', { flavour: 'opensearch', mayMonitor: false }, null],
    ['a cluster without points in time', {}, { how: 'no-pit' }],
  ])('of %s is read by its times', async (_name, options, trouble) => {
    await instead(options);
    fake.trouble(trouble);
    many();
    const found = await all(open());
    expect(found).toEqual(Array.from({ length: 2300 }, (_, index) => `n${index}`));
    expect(fake.asked().some(({ body }) => typeof body === 'object' && body !== null && 'pit' in body)).toBe(false);
  });

  it('stops at its number or when the caller goes, and closes what it opened', async () => {
    many();
    const source = open();
    expect(await all(source, { limit: 1 }, 1200)).toHaveLength(1200);
    expect(await all(source, {}, 0)).toEqual([]);
    expect(fake.pits()).toBe(0);
    const gone = new AbortController();
    const reading = (async () => {
      let count = 0;
      for await (const _ of source.stream(query(), { maxLines: 5000, signal: gone.signal })) {
        count += 1;
        if (count === 1100) gone.abort(new Error('the caller has gone'));
      }
    })();
    await expect(reading).rejects.toThrow('the caller has gone');
    expect(fake.pits()).toBe(0);
  });

  it('and a query end at once when the caller goes while nothing is said', async () => {
    fake.trouble({ how: 'hang' });
    const started = Date.now();
    await expect(open().query(query(), AbortSignal.timeout(50))).rejects.toThrow(/abort|timeout/i);
    const stream = open().stream(query(), { maxLines: 5, signal: AbortSignal.timeout(50) });
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toThrow(/abort|timeout/i);
    expect(Date.now() - started).toBeLessThan(1000);
  });

  it('and a query ask for less where lines are long', async () => {
    fake.add(Array.from({ length: 120 }, (_, index) => doc(at(index), `${index} ${'x'.repeat(200_000)}`)));
    const page = await open().query(query({ limit: 1000 }));
    expect(page.lines.length).toBeGreaterThan(10);
    expect(page.older).toBeDefined();
    expect((await all(open())).map((text) => Number.parseInt(text, 10))).toEqual(
      Array.from({ length: 120 }, (_, index) => index),
    );
  });
});
