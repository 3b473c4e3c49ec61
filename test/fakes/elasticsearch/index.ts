import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { compileQuery, compileSort, type Doc, dateOf, type Mapping, object, Refused, writeDate } from './search.ts';

/** What goes wrong with every request, or with the next ones where a number says how many. */
export type ElasticTrouble =
  | { how: 'status'; status: number; body: unknown; times?: number; headers?: Record<string, string> }
  | { how: 'body'; body: string | Buffer; type?: string }
  | { how: 'hang' }
  | { how: 'endless' }
  | { how: 'cut' }
  /** Answers what it has, as when shards fail or time is up. */
  | { how: 'partial'; failed?: number; late?: boolean; skipped?: number }
  /** Points in time can't be had. */
  | { how: 'no-pit' };

export interface FakeElastic {
  url: string;
  connection: Record<string, string>;
  secrets: readonly string[];
  add(docs: readonly { index?: string; source: Record<string, unknown> }[]): void;
  remap(mapping: Mapping): void;
  trouble(what: ElasticTrouble | null): void;
  asked(): readonly { method: string; path: string; body: unknown }[];
  /** Points in time that are open. */
  pits(): number;
  close(): Promise<void>;
}

export interface FakeElasticOptions {
  flavour?: 'elasticsearch' | 'opensearch';
  version?: string;
  /** Whether the bot may ask for the version. */
  mayMonitor?: boolean;
  mapping?: Mapping;
}

export const ECS: Mapping = {
  '@timestamp': 'date',
  'service.name': 'keyword',
  'service.environment': 'keyword',
  'log.level': 'keyword',
  message: 'text',
};

const BODY = [
  'query',
  'fields',
  '_source',
  'track_total_hits',
  'timeout',
  'sort',
  'size',
  'seq_no_primary_term',
  'pit',
  'search_after',
];
const MOST = 10_000;

/** A cluster with an index per day of logs, or what a test adds. */
export async function createFakeElastic(options: FakeElasticOptions = {}): Promise<FakeElastic> {
  const { flavour = 'elasticsearch', mayMonitor = true } = options;
  const isOpenSearch = flavour === 'opensearch';
  const version = options.version ?? (isOpenSearch ? '3.3.0' : '9.2.1');
  const hasShardDoc = !isOpenSearch || Number.parseFloat(version) >= 3.3;
  const secret = randomBytes(12).toString('hex');
  const key = Buffer.from(`VuaCfGcBCdbkQm-e5aOx:${secret}`).toString('base64');
  const basic = Buffer.from(`shipmate:${secret}`).toString('base64');
  let mapping = options.mapping ?? ECS;
  const docs: Doc[] = [];
  const pits = new Map<string, { docs: readonly Doc[]; uses: number }>();
  const asked: { method: string; path: string; body: unknown }[] = [];
  let trouble: ElasticTrouble | null = null;

  const send = (res: ServerResponse, status: number, body: unknown, headers: Record<string, string> = {}) => {
    const product = isOpenSearch ? {} : { 'x-elastic-product': 'Elasticsearch' };
    res.writeHead(status, { 'content-type': 'application/json; charset=UTF-8', ...product, ...headers });
    res.end(JSON.stringify(body));
  };
  const refuse = (res: ServerResponse, { message: reason, status, type }: Refused) =>
    send(res, status, { error: { root_cause: [{ type, reason }], type, reason }, status });

  const indices = (pattern: string): string[] => {
    const parts = pattern.split(',').map((part) => new RegExp(`^${part.replace(/\./g, '\\.').replace(/\*/g, '.*')}$`));
    return [...new Set(docs.map(({ index }) => index))].filter((name) => parts.some((part) => part.test(name)));
  };
  const among = (pattern: string) => {
    const names = indices(pattern);
    return docs.filter(({ index }) => names.includes(index));
  };

  function search(pattern: string | null, given: unknown) {
    const body = object(given, BODY, 'search_source');
    const { fields, query, search_after, seq_no_primary_term, size, sort, timeout } = body;
    if (typeof size !== 'number' || size < 1) throw new Refused('illegal_argument_exception', 'fake: a size');
    if (size > MOST)
      throw new Refused(
        'illegal_argument_exception',
        `Result window is too large, from + size must be less than or equal to: [${MOST}] but was [${size}].`,
      );
    if (!/^\d+ms$/.test(String(timeout))) throw new Refused('parse_exception', 'failed to parse setting [timeout]');
    if (body._source !== false || body.track_total_hits !== false)
      throw new Refused('illegal_argument_exception', 'fake: only fields');
    let found: readonly Doc[];
    let pit: { id: string; uses: number } | null = null;
    if (pattern === null) {
      const { id } = object(body.pit, ['id', 'keep_alive'], 'pit');
      const open = pits.get(String(id).replace(/\+\d+$/, ''));
      if (!open) throw new Refused('search_context_missing_exception', `No search context found for id [${id}]`, 404);
      open.uses += 1;
      found = open.docs;
      pit = { id: String(id), uses: open.uses };
    } else {
      if (body.pit !== undefined)
        throw new Refused('action_request_validation_exception', '[indices] cannot be used with point in time');
      found = among(pattern);
    }
    const shards = pattern === null ? 1 : indices(pattern).length;
    const test = compileQuery(query, mapping);
    const orders = compileSort(sort, { mapping, inPit: pit !== null, isOpenSearch, hasShardDoc });
    if (search_after !== undefined && (!Array.isArray(search_after) || search_after.length !== orders.length))
      throw new Refused('illegal_argument_exception', 'search_after has not as many values as sort');
    const compare = (a: readonly bigint[], b: readonly bigint[]) => {
      for (const [index, { descending }] of orders.entries()) {
        const [one = 0n, other = 0n] = [a[index], b[index]];
        if (one !== other) return one < other !== descending ? -1 : 1;
      }
      return 0;
    };
    const after = search_after as (string | number)[] | undefined;
    const from = after?.map((value) => (typeof value === 'string' ? dateOf(value) : BigInt(value)));
    const hits = found
      // Documents with the same time come in no order that anybody may rely on.
      .toReversed()
      .filter(test)
      .map((doc) => ({ doc, keys: orders.map(({ key: keyOf }) => keyOf(doc, found.indexOf(doc))) }))
      .map((hit) => ({ ...hit, values: hit.keys.map(({ value }) => value) }))
      .filter(({ values }) => from === undefined || compare(values, from) > 0)
      .sort((a, b) => compare(a.values, b.values))
      .slice(0, size);
    if (!Array.isArray(fields)) throw new Refused('parsing_exception', 'fake: fields');
    const partial: { failed?: number; late?: boolean; skipped?: number } = trouble?.how === 'partial' ? trouble : {};
    const kept = partial.late || partial.failed ? hits.slice(0, Math.ceil(hits.length / 2)) : hits;
    return {
      ...(pit ? { pit_id: `${pit.id.replace(/\+\d+$/, '')}+${pit.uses}` } : {}),
      took: 3,
      timed_out: partial.late ?? false,
      _shards: {
        total: shards,
        successful: shards - (partial.failed ?? 0),
        skipped: 0,
        failed: partial.failed ?? 0,
        ...(partial.failed
          ? {
              failures: [
                { shard: 0, index: 'logs-1', reason: { type: 'circuit_breaking_exception', reason: 'Data too large' } },
              ],
            }
          : {}),
      },
      ...(partial.skipped ? { _clusters: { total: 2, successful: 1, skipped: partial.skipped } } : {}),
      hits: {
        max_score: null,
        hits: kept.map(({ doc, keys }) => ({
          _index: doc.index,
          _id: doc.id,
          _score: null,
          ...(seq_no_primary_term ? { _seq_no: doc.seq, _primary_term: 1 } : {}),
          fields: Object.fromEntries(
            fields.flatMap((each) => {
              const name = typeof each === 'string' ? each : String(object(each, ['field', 'format'], 'fields').field);
              const value = doc.source[name];
              if (value === undefined || mapping[name] === undefined) return [];
              const isDate = mapping[name] === 'date' || mapping[name] === 'date_nanos';
              return [
                [name, (Array.isArray(value) ? value : [value]).map((one) => (isDate ? writeDate(dateOf(one)) : one))],
              ];
            }),
          ),
          sort: keys.map(({ written }) => written),
        })),
      },
    };
  }

  function route(method: string, path: string, params: URLSearchParams, body: unknown): unknown {
    const [, first = '', second = '', third = ''] = path.split('/').map(decodeURIComponent);
    const names = (...known: string[]) => {
      const odd = [...params.keys()].find((name) => !known.includes(name));
      if (odd !== undefined)
        throw new Refused('illegal_argument_exception', `request [${path}] contains unrecognized parameter: [${odd}]`);
    };
    const wide = ['ignore_unavailable', 'allow_no_indices'];
    if (method === 'POST' && path === '/_search') {
      names();
      return search(null, body);
    }
    if (method === 'POST' && second === '_search' && third === '') {
      names(...wide);
      return search(first, body);
    }
    const opens = isOpenSearch ? second === '_search' && third === 'point_in_time' : second === '_pit' && third === '';
    if (method === 'POST' && opens && trouble?.how !== 'no-pit') {
      names('keep_alive');
      if (!/^\d+[sm]$/.test(params.get('keep_alive') ?? ''))
        throw new Refused(
          'action_request_validation_exception',
          'Validation Failed: 1: [keep_alive] is not specified;',
        );
      if (body !== undefined) throw new Refused('parsing_exception', 'fake: no body');
      const id = randomBytes(12).toString('base64url');
      pits.set(id, { docs: [...among(first)], uses: 0 });
      return isOpenSearch
        ? { pit_id: id, _shards: { total: 1, successful: 1, skipped: 0, failed: 0 }, creation_time: Date.now() }
        : { id, _shards: { total: 1, successful: 1, skipped: 0, failed: 0 } };
    }
    if (method === 'DELETE' && path === (isOpenSearch ? '/_search/point_in_time' : '/_pit')) {
      const given = isOpenSearch ? object(body, ['pit_id'], 'pit').pit_id : [object(body, ['id'], 'pit').id];
      for (const id of given as string[]) pits.delete(id.replace(/\+\d+$/, ''));
      return isOpenSearch ? { pits: [{ successful: true, pit_id: 'x' }] } : { succeeded: true, num_freed: 1 };
    }
    if (method === 'GET' && second === '_field_caps') {
      names('fields', ...wide);
      const wanted = (params.get('fields') ?? '').split(',');
      const fields = wanted.filter((name) => mapping[name] !== undefined && indices(first).length > 0);
      return {
        indices: indices(first),
        fields: Object.fromEntries(
          fields.map((name) => [
            name,
            { [mapping[name] ?? '']: { type: mapping[name], searchable: true, aggregatable: true } },
          ]),
        ),
      };
    }
    if (method === 'GET' && path === '/') {
      if (!mayMonitor)
        throw new Refused(
          'security_exception',
          'action [cluster:monitor/main] is unauthorized for API key id [x]',
          403,
        );
      return isOpenSearch
        ? { name: 'n', cluster_name: 'c', version: { distribution: 'opensearch', number: version } }
        : {
            name: 'n',
            cluster_name: 'c',
            version: { number: version, build_flavor: 'default' },
            tagline: 'You Know, for Search',
          };
    }
    throw new Refused('invalid_request', `no handler found for uri [${path}] and method [${method}]`, 405);
  }

  function troubled(req: IncomingMessage, res: ServerResponse): boolean {
    if (trouble === null || trouble.how === 'partial' || trouble.how === 'no-pit') return false;
    if (trouble.how === 'status') {
      if (trouble.times === 0) return false;
      if (trouble.times !== undefined) trouble.times -= 1;
      send(res, trouble.status, trouble.body, trouble.headers);
    } else if (trouble.how === 'body') {
      res.writeHead(200, { 'content-type': trouble.type ?? 'application/json' });
      res.end(trouble.body);
    } else if (trouble.how === 'endless') {
      res.writeHead(200, { 'content-type': 'application/json' });
      const more = () => {
        while (!res.destroyed && res.write('{"_index":"logs","_id":"1","fields":{"message":["x"]}},'.repeat(1000)));
      };
      res.on('drain', more);
      more();
    } else if (trouble.how === 'cut') req.socket.destroy();
    return true;
  }

  const server = createServer(async (req, res) => {
    const url = new URL(req.url ?? '/', 'http://elastic');
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString('utf8');
    const method = req.method ?? 'GET';
    const body: unknown = text === '' ? undefined : JSON.parse(text);
    asked.push({ method, path: url.pathname, body });
    if (troubled(req, res)) return;
    try {
      const given = req.headers.authorization;
      if (given === undefined || (given !== `Basic ${basic}` && (isOpenSearch || given !== `ApiKey ${key}`)))
        throw new Refused('security_exception', 'unable to authenticate with provided credentials', 401);
      if (body !== undefined && !/^application\/json/.test(req.headers['content-type'] ?? ''))
        throw new Refused('media_type_header_exception', 'Content-Type header is missing', 406);
      send(res, 200, route(method, url.pathname, url.searchParams, body));
    } catch (error) {
      refuse(res, error instanceof Refused ? error : new Refused('exception', String(error), 500));
    }
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    url,
    connection: isOpenSearch ? { url, user: 'shipmate', password: secret } : { url, key },
    secrets: [secret, key, basic],
    add(given) {
      for (const { index = 'logs-2026.11', source } of given) {
        const seq = docs.filter((doc) => doc.index === index).length;
        docs.push({ index, id: randomBytes(8).toString('base64url'), seq, source });
      }
    },
    remap(given) {
      mapping = given;
    },
    trouble(what) {
      trouble = what;
    },
    asked: () => asked,
    pits: () => pits.size,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
