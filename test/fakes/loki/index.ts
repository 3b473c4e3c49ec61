import { randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { type FakeQuery, ParseError, parse, parsed } from './logql.ts';

/** What goes wrong with every request, or with the next ones where a number says how many. */
export type LokiTrouble =
  | { how: 'status'; status: number; text: string; times?: number; headers?: Record<string, string> }
  | { how: 'body'; body: string | Buffer; type?: string }
  | { how: 'hang' }
  | { how: 'endless' }
  | { how: 'cut' };

interface Stored {
  ns: bigint;
  line: string;
  metadata: Record<string, string>;
}

export interface FakeLoki {
  url: string;
  /** A connection that it takes. */
  connection: Record<string, string>;
  secrets: readonly string[];
  push(
    labels: Record<string, string>,
    lines: readonly { ns: bigint; line: string; metadata?: Record<string, string> }[],
  ): void;
  clear(): void;
  trouble(what: LokiTrouble | null): void;
  /** Sent with every answer. */
  warn(warnings: readonly string[]): void;
  /** Queries that were asked, with their limit. */
  asked(): readonly { path: string; params: Record<string, string> }[];
  close(): Promise<void>;
}

const PREFIX = '/observe';
const RANGE = ['query', 'start', 'end', 'limit', 'direction'];

/** A Loki 3 behind a path, with basic authentication before it and several tenants. */
export async function createFakeLoki(options: { mostEntries?: number } = {}): Promise<FakeLoki> {
  const mostEntries = options.mostEntries ?? 5000;
  const password = `pw-${randomBytes(9).toString('hex')}`;
  const basic = Buffer.from(`shipmate:${password}`).toString('base64');
  const streams = new Map<string, { labels: Record<string, string>; lines: Stored[] }>();
  const asked: { path: string; params: Record<string, string> }[] = [];
  let trouble: LokiTrouble | null = null;
  let warnings: readonly string[] = [];

  const text = (res: ServerResponse, status: number, body: string, headers: Record<string, string> = {}) => {
    res.writeHead(status, { 'content-type': 'text/plain; charset=utf-8', ...headers });
    res.end(`${body}\n`);
  };
  const json = (res: ServerResponse, body: unknown) => {
    res.writeHead(200, { 'content-type': 'application/json; charset=UTF-8' });
    res.end(JSON.stringify(body));
  };

  function range(res: ServerResponse, params: Record<string, string>) {
    const unknown = Object.keys(params).filter((name) => !RANGE.includes(name));
    if (unknown.length > 0) return text(res, 400, `fake: no parameter ${unknown}`);
    const { direction = 'backward', end = '', limit = '100', query = '', start = '' } = params;
    if (!/^\d{19}$/.test(start) || !/^\d{19}$/.test(end)) return text(res, 400, 'fake: times are 19 digits');
    if (direction !== 'backward' && direction !== 'forward') return text(res, 400, `invalid direction '${direction}'`);
    const most = Number(limit);
    if (!(most > 0)) return text(res, 400, 'limit must be a positive value');
    if (most > mostEntries)
      return text(
        res,
        400,
        `max entries limit per query exceeded, limit > max_entries_limit_per_query (${most} > ${mostEntries})`,
      );
    const [from, to] = [BigInt(start), BigInt(end)];
    if (to <= from) return text(res, 400, 'end timestamp must not be before or equal to start time');
    if (to - from > 721n * 3_600_000_000_000n)
      return text(res, 400, 'the query time range exceeds the limit (query length: 745h0m0s, limit: 30d1h)');
    let wanted: FakeQuery;
    try {
      wanted = parse(query);
    } catch (error) {
      return text(res, 400, error instanceof ParseError ? error.message : 'parse error');
    }
    const backward = direction === 'backward';
    // Streams in no order of ours; lines of one moment as they came, or exactly the other way round.
    const entries = [...streams.values()].toReversed().flatMap(({ labels, lines }) => {
      const fits = wanted.matchers.every(({ label, op, value }) =>
        op === '=' ? (labels[label] ?? '') === value : (labels[label] ?? '') !== '',
      );
      if (!fits) return [];
      const found = lines.flatMap(({ line, metadata, ns }) => {
        if (ns < from || ns >= to || (wanted.line && !wanted.line.test(line))) return [];
        const all = parsed({ ...labels, ...metadata }, line, wanted.parser);
        if (wanted.filter && !wanted.filter.value.test(all[wanted.filter.label] ?? '')) return [];
        return [{ ns, line, labels: all }];
      });
      return backward ? found.toReversed() : found;
    });
    const sign = backward ? -1 : 1;
    entries.sort((a, b) => (a.ns === b.ns ? 0 : a.ns < b.ns ? -sign : sign));
    const result = new Map<string, { stream: Record<string, string>; values: [string, string][] }>();
    for (const { labels, line, ns } of entries.slice(0, most)) {
      const key = JSON.stringify(Object.entries(labels).sort());
      const stream = result.get(key) ?? { stream: labels, values: [] };
      stream.values.push([String(ns), line]);
      result.set(key, stream);
    }
    json(res, {
      status: 'success',
      ...(warnings.length > 0 ? { warnings } : {}),
      data: { resultType: 'streams', result: [...result.values()], stats: { summary: { execTime: 0.001 } } },
    });
  }

  function labels(res: ServerResponse, params: Record<string, string>) {
    const { end = '', start = '', ...more } = params;
    if (Object.keys(more).length > 0 || !/^\d{19}$/.test(start) || !/^\d{19}$/.test(end))
      return text(res, 400, 'fake: labels have a start and an end');
    const fresh = [...streams.values()].filter(({ lines }) =>
      lines.some(({ ns }) => ns >= BigInt(start) && ns <= BigInt(end)),
    );
    const names = [...new Set(fresh.flatMap((stream) => Object.keys(stream.labels)))].sort();
    json(res, { status: 'success', ...(names.length > 0 ? { data: names } : {}) });
  }

  function troubled(req: IncomingMessage, res: ServerResponse): boolean {
    if (trouble === null) return false;
    if (trouble.how === 'status') {
      if (trouble.times === 0) return false;
      if (trouble.times !== undefined) trouble.times -= 1;
      text(res, trouble.status, trouble.text, trouble.headers);
    } else if (trouble.how === 'body') {
      res.writeHead(200, { 'content-type': trouble.type ?? 'application/json' });
      res.end(trouble.body);
    } else if (trouble.how === 'endless') {
      res.writeHead(200, { 'content-type': 'application/json' });
      const more = () => {
        while (!res.destroyed && res.write('["1795000000000000000","a line of a million"],'.repeat(1000)));
      };
      res.on('drain', more);
      more();
    } else if (trouble.how === 'cut') req.socket.destroy();
    return true;
  }

  const server = createServer((req, res) => {
    const url = new URL(req.url ?? '/', 'http://loki');
    const params = Object.fromEntries(url.searchParams);
    asked.push({ path: url.pathname, params });
    if (troubled(req, res)) return;
    const given = req.headers.authorization;
    if (given !== `Basic ${basic}`) return text(res, 401, '<html><h1>401 Authorization Required</h1></html>');
    if (req.headers['x-scope-orgid'] === undefined) return text(res, 401, 'no org id');
    if (req.headers['x-scope-orgid'] !== 'web')
      return json(res, { status: 'success', data: { resultType: 'streams', result: [] } });
    if (req.method !== 'GET') return text(res, 405, '');
    if (url.pathname === `${PREFIX}/loki/api/v1/query_range`) return range(res, params);
    if (url.pathname === `${PREFIX}/loki/api/v1/labels`) return labels(res, params);
    return text(res, 404, '404 page not found');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}${PREFIX}`;

  return {
    url,
    connection: { url: `${url}/`, org: 'web', user: 'shipmate', password },
    secrets: [password, basic],
    push(given, lines) {
      const key = JSON.stringify(Object.entries(given).sort());
      const stream = streams.get(key) ?? { labels: given, lines: [] };
      streams.set(key, stream);
      for (const { line, metadata = {}, ns } of lines) stream.lines.push({ ns, line, metadata });
      stream.lines.sort((a, b) => (a.ns < b.ns ? -1 : a.ns > b.ns ? 1 : 0));
    },
    clear: () => streams.clear(),
    trouble(what) {
      trouble = what;
    },
    warn(given) {
      warnings = given;
    },
    asked: () => asked,
    async close() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
