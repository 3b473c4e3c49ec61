import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createHttp, type Http } from '../../../src/http.ts';
import {
  createFakeElastic,
  type ElasticTrouble,
  type FakeElastic,
  type FakeElasticOptions,
} from '../../fakes/elasticsearch/index.ts';
import { all, at, connectTo, doc, openOn, query, texts } from './open.ts';

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
const connect = (more: Record<string, unknown> = {}) => connectTo(fake, http, more);

describe('what goes wrong', () => {
  const refused = (status: number, type: string, reason: string): ElasticTrouble => ({
    how: 'status',
    status,
    body: {
      error: { root_cause: [{ type, reason }], type: 'search_phase_execution_exception', reason: 'all shards failed' },
      status,
    },
  });
  it.each<[string, ElasticTrouble, RegExp]>([
    [
      'wrong credentials',
      refused(401, 'security_exception', 'unable to authenticate'),
      /refused the credentials \(401\). Correct "key"/,
    ],
    [
      'no right',
      refused(403, 'security_exception', 'action [indices:data/read/search] is unauthorized'),
      /Grant it "read" on the indices.*indices:data\/read\/search/,
    ],
    [
      'an index that is gone',
      refused(404, 'index_not_found_exception', 'no such index [logs]'),
      /index in "elasticsearch" is not there.*no such index/,
    ],
    [
      'another server',
      { how: 'status', status: 404, body: 'Not found' },
      /"url" of the connection is not Elasticsearch/,
    ],
    ['Kibana', { how: 'status', status: 302, body: '' }, /another page \(302\).*not Kibana/],
    [
      'a page with 200',
      { how: 'body', body: '<!doctype html><title>Elastic</title>', type: 'text/html' },
      /not understood.*not Kibana/,
    ],
    ['half an answer', { how: 'body', body: '{"took":3,"timed_out":false,"hits":{"hi' }, /not understood/],
    [
      'rubbish',
      { how: 'body', body: Buffer.from(Array.from({ length: 5000 }, (_, index) => (index * 37) % 256)) },
      /not understood/,
    ],
    ['a connection that is cut', { how: 'cut' }, /can not be reached.*"url"/],
    ['a million lines', { how: 'endless' }, /more than the bot reads at once/],
    [
      'a field for whole values only',
      refused(400, 'query_shard_exception', 'Can only use phrase prefix queries on text fields - not on [message]'),
      /can not be searched for words. Name one of the type text/,
    ],
    [
      'a window that is too large',
      refused(400, 'illegal_argument_exception', 'Result window is too large'),
      /raise index\.max_result_window/,
    ],
    [
      'no date',
      refused(400, 'query_shard_exception', 'No mapping found for [@timestamp] in order to sort on'),
      /field in "time" is no date/,
    ],
    [
      'a busy cluster',
      refused(429, 'es_rejected_execution_exception', 'rejected execution'),
      /too much to do, or is not ready \(429\)/,
    ],
    ['a broken cluster', refused(500, 'exception', 'x'), /failed \(500\). Look at the health/],
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

  it('is no secret, also where it is said back', async () => {
    const [secret = '', key = ''] = fake.secrets;
    fake.trouble(refused(500, 'exception', `bad header Authorization: ApiKey ${key} (${secret})`));
    const error = await open()
      .query(query())
      .catch((thrown: unknown) => thrown);
    expect((error as Error).message).toMatch(/\[redacted\]/);
    for (const each of fake.secrets) expect((error as Error).message).not.toContain(each);
  });

  it('for a moment is tried again within the time', async () => {
    fake.add([doc(at(0), 'one')]);
    fake.trouble({ how: 'status', status: 429, body: {}, times: 2, headers: { 'retry-after': '0' } });
    expect(texts(await open().query(query()))).toEqual(['one']);
    fake.trouble({ how: 'hang' });
    const started = Date.now();
    await expect(open({}, { timeout: '1s' }).query(query())).rejects.toMatchObject({
      code: 'LOGS_UNAVAILABLE',
      message: expect.stringMatching(/did not answer in time/),
    });
    expect(Date.now() - started).toBeLessThan(2000);
  });

  it('before a stream is said, not passed over', async () => {
    fake.trouble(refused(500, 'exception', 'x'));
    await expect(all(open())).rejects.toMatchObject({ code: 'LOGS_UNAVAILABLE' });
  });
});

describe('the check', () => {
  const messages = async (source: { check(): Promise<readonly { level: string; message: string }[]> }) =>
    (await source.check()).map(({ level, message }) => `${level}: ${message}`);

  it('is content with what is right, with no more rights than it needs', async () => {
    fake.add([doc(at(0), 'one')]);
    expect(await open().check()).toEqual([]);
    expect(await connect().check()).toEqual([]);
    await instead({ mayMonitor: false });
    expect(await connect().check()).toEqual([]);
  });

  it('names fields that are not there or of another type', async () => {
    fake.add([doc(at(0), 'one')]);
    fake.remap({
      '@timestamp': 'keyword',
      'service.name': 'text',
      'service.name.keyword': 'keyword',
      message: 'keyword',
      'log.level': 'long',
    });
    expect(await messages(open())).toEqual([
      'error: The field @timestamp is keyword, and no date. Correct "time".',
      'error: The field service.name is text, of which whole values are not found. Set service: service.name.keyword.',
      'error: No index of logs-* has the field service.environment: nothing is found. Correct "environment".',
      'warning: The field message is keyword: text=… can not look into it. Name one of the type text.',
      expect.stringMatching(/^error: The field log.level is a number. Say in "levels"/),
    ]);
    fake.remap({ 'service.name': 'text', 'service.environment': 'text' });
    expect(await messages(open())).toEqual([
      'error: No index of logs-* has the field @timestamp. Correct "time".',
      expect.stringMatching(/Set service: a field of the type keyword/),
      expect.stringMatching(/Set environment: a field of the type keyword/),
      'error: No index of logs-* has the field message. Correct "message".',
      'warning: No index of logs-* has the field log.level: level=error finds nothing. Correct "level".',
    ]);
  });

  it('says that there is no index, or no way there', async () => {
    expect(await messages(open())).toEqual([
      'error: No index matches logs-*. Correct "elasticsearch", or grant the bot "read" on them.',
    ]);
    expect(await messages(connect({ key: 'abcdefghijklmnop' }))).toEqual([
      expect.stringMatching(/^error: Elasticsearch refused the credentials/),
    ]);
    fake.trouble({ how: 'body', body: '<html>', type: 'text/html' });
    expect(await messages(connect())).toEqual([expect.stringMatching(/^error: What answered is not understood/)]);
    fake.trouble({ how: 'cut' });
    expect(await messages(open())).toEqual([expect.stringMatching(/^error: Elasticsearch can not be reached/)]);
  });
});
