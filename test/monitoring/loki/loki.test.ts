import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { z } from 'zod';
import { createHttp, type Http } from '../../../src/http.ts';
import { lokiConnectionConfig, lokiLogsConfig } from '../../../src/monitoring/loki/config.ts';
import { createLokiConnection, createLokiLogs } from '../../../src/monitoring/loki/index.ts';
import type { LogPage, LogQuery, LogSource } from '../../../src/monitoring/types.ts';
import { silentLogger } from '../../contract/harness/deps.ts';
import { createFakeLoki, type FakeLoki, type LokiTrouble } from '../../fakes/loki/index.ts';

const START = Date.now() - 600_000;
const ns = (ms: number) => BigInt(START + ms) * 1_000_000n;
const LABELS = { app: 'storefront', env: 'staging' };
const BASE = { loki: { app: '{service}', env: '{environment}' } };

let fake: FakeLoki;
let http: Http;
beforeEach(async () => {
  fake = await createFakeLoki();
  http = createHttp();
});
afterEach(async () => {
  await fake.close();
  await http.close();
});

function connect(more: Record<string, unknown> = {}) {
  const config = lokiConnectionConfig.parse({ ...fake.connection, ...more });
  return createLokiConnection(config, {
    logger: silentLogger,
    baseDir: process.cwd(),
    http: () => http,
    entraToken: null,
    now: () => new Date(),
  });
}
function open(entry: Partial<z.input<typeof lokiLogsConfig>> = {}, more: Record<string, unknown> = {}): LogSource {
  const config = lokiLogsConfig.parse({ ...BASE, ...entry });
  return createLokiLogs(config, { logger: silentLogger, baseDir: process.cwd(), connection: connect(more) });
}
const query = (more: Partial<LogQuery> = {}): LogQuery => ({
  service: 'storefront',
  environment: 'staging',
  since: new Date(START).toISOString(),
  until: new Date(START + 300_000).toISOString(),
  limit: 10,
  ...more,
});
const texts = (page: Pick<LogPage, 'lines'>) => page.lines.map(({ text }) => text);
const push = (...lines: readonly [ms: number, line: string, metadata?: Record<string, string>][]) =>
  fake.push(
    LABELS,
    lines.map(([ms, line, metadata = {}]) => ({ ns: ns(ms), line, metadata })),
  );
async function all(source: LogSource, more: Partial<LogQuery> = {}, maxLines = 100_000) {
  const found = [];
  for await (const line of source.stream(query(more), { maxLines })) found.push(line.text);
  return found;
}

describe('lines', () => {
  it('are those of the service and environment, with their level where they have one', async () => {
    push(
      [0, 'one', { detected_level: 'INFO' }],
      [1, 'two', { detected_level: 'unknown' }],
      [2, 'three'],
      [3, 'four', { detected_level: 'Fatal' }],
    );
    fake.push({ app: 'storefront', env: 'production' }, [{ ns: ns(1), line: 'not ours' }]);
    fake.push({ app: 'billing', env: 'staging' }, [{ ns: ns(1), line: 'not ours' }]);
    const { lines, partial } = await open().query(query());
    expect(lines.map(({ level, text }) => [level, text])).toEqual([
      ['info', 'one'],
      [undefined, 'two'],
      [undefined, 'three'],
      ['error', 'four'],
    ]);
    expect(partial).toBeUndefined();
    expect(texts(await open().query(query({ level: 'debug' })))).toHaveLength(4);
    expect(texts(await open().query(query({ level: 'info' })))).toEqual(['one', 'four']);
    expect(texts(await open({ levels: { warn: ['unknown'] } }).query(query({ level: 'warn' })))).toEqual([
      'two',
      'four',
    ]);
  });

  it('are one line each, without colours and control characters', async () => {
    push([0, '\u001b[31mred\u001b[0m\nsecond\r\n\tthird\u0000\u0007 \u202eend\u2028last  ']);
    expect(texts(await open().query(query()))).toEqual(['red ⏎ second ⏎ third  end ⏎ last']);
    push([1, `${'x'.repeat(50_000)}\n`], [2, 'with its end\n']);
    expect((await open().query(query())).lines[1]?.text).toHaveLength(10_000);
    expect((await open().query(query())).lines[2]?.text).toBe('with its end');
  });

  it('of JSON show as their message and fields, and take their level from a field', async () => {
    const source = open({ parser: 'json' });
    push(
      [0, JSON.stringify({ time: 'x', level: 30, msg: 'Say "hi"\nto all', user: { id: 7 } })],
      [1, JSON.stringify({ level: 'error', message: 'Broken' })],
      [2, 'plain text, no JSON'],
      [3, '{"level":"warn","msg":"cut of'],
    );
    const { lines } = await source.query(query());
    expect(lines.map(({ level, text }) => [level, text])).toEqual([
      ['info', 'Say "hi" ⏎ to all user={"id":7}'],
      ['error', 'Broken'],
      [undefined, 'plain text, no JSON'],
      [undefined, '{"level":"warn","msg":"cut of'],
    ]);
    expect(texts(await source.query(query({ level: 'warn' })))).toEqual(['Broken']);
    expect(await source.query(query({ text: 'SAY "HI"' }))).toMatchObject({ lines: [{ level: 'info' }] });
    expect(texts(await source.query(query({ text: 'no json' })))).toEqual(['plain text, no JSON']);
  });

  it('of JSON have their level where the entry says', async () => {
    push([0, '{"log":{"level":"warn"},"log.level":"error","msg":"a"}']);
    const level = async (path: string) => (await open({ parser: 'json', level: path }).query(query())).lines[0]?.level;
    expect(await level('log.level')).toBe('warn');
    expect(await level('["log.level"]')).toBe('error');
    expect((await open({ parser: 'json', level: '["log.level"]', message: 'msg' }).query(query())).lines[0]?.text).toBe(
      'a log={"level":"warn"}',
    );
  });

  it('of logfmt take their level from a field', async () => {
    push([0, 'ts=1 lvl=warn msg="a b"'], [1, 'nothing of the kind']);
    const source = open({ parser: 'logfmt', level: 'lvl' });
    expect((await source.query(query())).lines.map(({ level }) => level)).toEqual(['warn', undefined]);
    expect(texts(await source.query(query({ level: 'warn' })))).toEqual(['ts=1 lvl=warn msg="a b"']);
  });
});

describe('pages', () => {
  it('lose and repeat nothing where many lines of several streams have one time', async () => {
    for (let index = 0; index < 300; index += 1) {
      const moment = Math.floor(index / 60);
      fake.push({ ...LABELS, pod: `p${index % 3}` }, [
        { ns: ns(moment), line: index % 7 === 0 ? 'the same' : `n${index}` },
      ]);
    }
    const source = open();
    let page = await source.query(query({ limit: 7 }));
    const seen = texts(page);
    while (page.older !== undefined) {
      expect(page.older.length).toBeLessThan(200);
      page = await source.query(query({ limit: 7, cursor: page.older }));
      seen.unshift(...texts(page));
    }
    const whole = await all(source);
    expect(whole).toHaveLength(300);
    expect(whole.filter((text) => text === 'the same')).toHaveLength(43);
    expect(seen).toEqual(whole);
    const back = texts(page);
    while (page.newer !== undefined) {
      page = await source.query(query({ limit: 7, cursor: page.newer }));
      back.push(...texts(page));
    }
    expect(back).toEqual(whole);
  });

  it('keep the order in which lines of one stream came', async () => {
    const lines = Array.from({ length: 25 }, (_, index): [number, string] => [5, `at line ${index}`]);
    push(...lines);
    const page = await open().query(query({ limit: 5 }));
    expect(texts(page)).toEqual(lines.slice(-5).map(([, text]) => text));
    expect(texts(await open().query(query({ limit: 5, cursor: page.older ?? '' })))).toEqual(
      lines.slice(-10, -5).map(([, text]) => text),
    );
  });

  it('show what came later in the moment of the newest line', async () => {
    push([4, 'before'], [5, 'c'], [5, 'a'], [5, 'b']);
    const page = await open().query(query({ until: new Date(Date.now() + 60_000).toISOString() }));
    expect(texts(page)).toEqual(['before', 'c', 'a', 'b']);
    push([5, 'd'], [6, 'e']);
    const until = new Date(Date.now() + 60_000).toISOString();
    const newer = await open().query(query({ until, cursor: page.newer ?? '' }));
    expect(texts(newer)).toEqual(['d', 'e']);
    expect(texts(await open().query(query({ until, cursor: newer.older ?? '' })))).toEqual(['before', 'c', 'a', 'b']);
  });

  it('ask Loki once where no line shares its time', async () => {
    push(...Array.from({ length: 30 }, (_, index): [number, string] => [index, `n${index}`]));
    await open().query(query());
    expect(fake.asked().filter(({ path }) => path.endsWith('query_range'))).toHaveLength(1);
  });

  it('hold as many lines as Loki gives at once', async () => {
    await fake.close();
    fake = await createFakeLoki({ mostEntries: 20 });
    push(...Array.from({ length: 50 }, (_, index): [number, string] => [index, `n${index}`]));
    const source = open();
    const page = await source.query(query({ limit: 1000 }));
    expect(texts(page)).toEqual(Array.from({ length: 19 }, (_, index) => `n${31 + index}`));
    expect(page.older).toBeDefined();
    expect(await all(source)).toHaveLength(50);
    push(...Array.from({ length: 30 }, (_, index): [number, string] => [99, `same ${index}`]));
    expect((await source.query(query({ limit: 5 }))).partial).toMatch(
      /Only 20 of the lines of .* could be read.*Let the shipper send finer times/,
    );
    const found = await all(source);
    expect(found).toHaveLength(50 + 20 + 1);
    expect(found.at(-1)).toMatch(/^\[not all lines are here: Only 20 /);
  });

  it('say what Loki warns of', async () => {
    push([0, 'one']);
    fake.warn(['an ingester did not\nanswer', 'b', 'c', 'd']);
    expect((await open().query(query())).partial).toBe(
      'Loki warns: an ingester did not ⏎ answer Loki warns: b Loki warns: c',
    );
  });

  it('stay within the range and the service whatever a cursor says', async () => {
    push([0, 'ours']);
    fake.push({ app: 'billing', env: 'staging' }, [{ ns: ns(1), line: 'not ours' }]);
    fake.push(LABELS, [{ ns: ns(-5000), line: 'too old' }]);
    for (const at of ['0', '1', String(ns(-5000)), String(ns(1)), '8999999999999999999'])
      for (const to of ['older', 'newer']) {
        const cursor = Buffer.from(JSON.stringify({ to, ns: at, id: 'abc' })).toString('base64url');
        for (const text of texts(await open().query(query({ cursor })))) expect(text).toBe('ours');
      }
  });
});

describe('a stream', () => {
  it('stops at its number, asks in batches, and ends when the caller goes', async () => {
    push(...Array.from({ length: 2500 }, (_, index): [number, string] => [index, `n${index}`]));
    const source = open();
    expect(await all(source, { limit: 1 }, 1200)).toEqual(Array.from({ length: 1200 }, (_, index) => `n${index}`));
    expect(fake.asked().every(({ params }) => Number(params.limit) <= 1000)).toBe(true);
    expect(await all(source, {}, 0)).toEqual([]);
    const gone = new AbortController();
    let count = 0;
    const reading = (async () => {
      for await (const _ of source.stream(query(), { maxLines: 5000, signal: gone.signal })) {
        count += 1;
        if (count === 1100) gone.abort(new Error('the caller has gone'));
      }
    })();
    await expect(reading).rejects.toThrow('the caller has gone');
    expect(count).toBe(1100);
  });

  it('and a query end at once when the caller goes while Loki says nothing', async () => {
    fake.trouble({ how: 'hang' });
    const started = Date.now();
    await expect(open().query(query(), AbortSignal.timeout(50))).rejects.toThrow(/abort|timeout/i);
    const stream = open().stream(query(), { maxLines: 5, signal: AbortSignal.timeout(50) });
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toThrow(/abort|timeout/i);
    expect(Date.now() - started).toBeLessThan(1000);
  });

  it('and a query ask for less where lines are long', async () => {
    push(...Array.from({ length: 120 }, (_, index): [number, string] => [index, `${index} ${'x'.repeat(200_000)}`]));
    const source = open();
    const page = await source.query(query({ limit: 1000 }));
    expect(page.lines.length).toBeGreaterThan(10);
    expect(page.older).toBeDefined();
    expect((await all(source)).map((text) => Number.parseInt(text, 10))).toEqual(
      Array.from({ length: 120 }, (_, index) => index),
    );
  });
});

describe('what goes wrong', () => {
  const status = (code: number, text: string): LokiTrouble => ({ how: 'status', status: code, text });
  it.each<[string, LokiTrouble, RegExp]>([
    ['wrong credentials', status(401, 'Unauthorized'), /refused the credentials \(401\).*"token"/],
    ['no tenant', status(401, 'no org id'), /Put "org"/],
    ['no right', status(403, 'forbidden'), /may not read these logs in Loki \(403\)/],
    ['another path', status(404, '404 page not found'), /"url" of the connection is not Loki/],
    ['a page to sign in', status(302, ''), /sent the bot to another page \(302\), perhaps to sign in/],
    [
      'a page with 200',
      { how: 'body', body: '<!doctype html><title>Sign in</title>', type: 'text/html' },
      /not understood.*page to sign in/,
    ],
    [
      'half an answer',
      { how: 'body', body: '{"status":"success","data":{"resultType":"streams","result":[{"str' },
      /not understood/,
    ],
    [
      'another answer',
      { how: 'body', body: '{"status":"success","data":{"resultType":"matrix","result":[]}}' },
      /not understood/,
    ],
    [
      'times that are none',
      {
        how: 'body',
        body: '{"status":"success","data":{"resultType":"streams","result":[{"stream":{},"values":[["1e9","x"]]}]}}',
      },
      /not understood/,
    ],
    [
      'rubbish',
      { how: 'body', body: Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 37) % 256)) },
      /not understood/,
    ],
    ['a connection that is cut', { how: 'cut' }, /can not be reached.*"url"/],
    ['a million lines', { how: 'endless' }, /more than the bot reads at once/],
    [
      'too long a time',
      status(400, 'the query time range exceeds the limit (query length: 745h, limit: 30d1h)'),
      /shorter one, or raise max_query_length.*Loki says: the query time/,
    ],
    [
      'too much to read',
      status(400, 'the query would read too many bytes (query: 5GB, limit: 1GB)'),
      /would read too much there/,
    ],
    [
      'labels that it wants',
      status(400, 'stream selector is missing required matchers [namespace]'),
      /Add those that it names to "loki".*\[namespace\]/,
    ],
    ['an old Loki', status(400, 'parse error at line 1, col 30: syntax error: unexpected IDENTIFIER'), /before 2\.8/],
    ['a query that takes too long', status(504, 'context deadline exceeded'), /took too long. Ask for a shorter time/],
    ['a busy Loki', status(429, 'too many outstanding requests'), /too much to do \(429\)/],
    ['a broken Loki', status(500, 'unexpected error'), /Loki failed \(500\). Look at its log.*unexpected error/],
  ])('with %s is said, with what to do', async (_name, trouble, message) => {
    fake.trouble(trouble);
    const before = process.memoryUsage().rss;
    const error = await open({}, { timeout: '5s' })
      .query(query())
      .catch((thrown: unknown) => thrown);
    expect(error).toMatchObject({ code: 'LOGS_UNAVAILABLE' });
    expect((error as Error).message).toMatch(message);
    expect((error as Error).message).not.toContain('http://');
    expect(process.memoryUsage().rss - before).toBeLessThan(300 * 1024 * 1024);
  });

  it('is no secret, also where Loki says it back', async () => {
    const [password = '', basic = ''] = fake.secrets;
    fake.trouble(status(500, `bad header Authorization: Basic ${basic} of shipmate:${password}`));
    const error = await open()
      .query(query())
      .catch((thrown: unknown) => thrown);
    expect((error as Error).message).toMatch(/\[redacted\]/);
    for (const secret of fake.secrets) expect((error as Error).message).not.toContain(secret);
  });

  it('for a moment is tried again within the time', async () => {
    push([0, 'one']);
    fake.trouble({ how: 'status', status: 429, text: 'too many', times: 2, headers: { 'retry-after': '0' } });
    expect(texts(await open().query(query()))).toEqual(['one']);
    fake.trouble({ how: 'status', status: 503, text: 'later', headers: { 'retry-after': '60' } });
    const started = Date.now();
    await expect(open({}, { timeout: '1s' }).query(query())).rejects.toMatchObject({ code: 'LOGS_UNAVAILABLE' });
    expect(Date.now() - started).toBeLessThan(2000);
  });

  it('is a Loki that hangs, for no longer than the connection says', async () => {
    fake.trouble({ how: 'hang' });
    const started = Date.now();
    await expect(open({}, { timeout: '1s' }).query(query())).rejects.toMatchObject({
      code: 'LOGS_UNAVAILABLE',
      message: expect.stringMatching(/did not answer in time/),
    });
    expect(Date.now() - started).toBeLessThan(2000);
  });

  it('is a range that is none', async () => {
    await expect(open().query(query({ since: 'yesterday' }))).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
    expect((await open().query(query({ since: query().until }))).lines).toEqual([]);
    expect(fake.asked()).toEqual([]);
  });
});

describe('the check', () => {
  const messages = async (source: { check(): Promise<readonly { level: string; message: string }[]> }) =>
    (await source.check()).map(({ level, message }) => `${level}: ${message}`);
  it('is content with what is right', async () => {
    push([0, 'one', { detected_level: 'info' }]);
    expect(await open().check()).toEqual([]);
    expect(await connect().check()).toEqual([]);
  });
  it('names labels that are not there, and what there is', async () => {
    push([0, 'one']);
    expect(await messages(open({ loki: { service: '{service}' } }))).toEqual([
      'error: No log in Loki has the label service. Correct it in "loki"; there are app, env.',
      'warning: No label in "loki" has {environment}: logs of all environments are shown as one.',
    ]);
  });
  it('looks for the level', async () => {
    push([0, '{"severity":"info"}']);
    expect(await messages(open())).toEqual([
      expect.stringMatching(/^warning: The newest lines have no label detected_level/),
    ]);
    expect(await messages(open({ parser: 'json' }))).toEqual([
      expect.stringMatching(/^warning: The newest lines have no field level/),
    ]);
    expect(await messages(open({ parser: 'json', level: 'severity' }))).toEqual([]);
  });
  it('says that there is nothing, or no way there', async () => {
    expect(await messages(open())).toEqual([expect.stringMatching(/^warning: Loki has had no logs since yesterday/)]);
    expect(await messages(connect({ password: 'wrong' }))).toEqual([
      expect.stringMatching(/^error: Loki refused the credentials/),
    ]);
    expect(await messages(connect({ org: undefined }))).toEqual([expect.stringMatching(/^error: .*Put "org"/)]);
    expect(await messages(connect({ url: fake.url.replace('/observe', '') }))).toEqual([
      expect.stringMatching(/^error: "url" of the connection is not Loki/),
    ]);
    fake.trouble({ how: 'cut' });
    expect(await messages(open())).toEqual([expect.stringMatching(/^error: Loki can not be reached/)]);
  });
});
