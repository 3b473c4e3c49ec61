import { createHash } from 'node:crypto';
import type { Connection, ConnectionDeps } from '../../connections.ts';
import { ShipmateError } from '../../errors.ts';
import type { LogLine, LogQuery, LogSource, MonitoringDeps } from '../types.ts';
import { fieldFindings } from './check.ts';
import { createElasticClient, type ElasticClient, type Flavour } from './client.ts';
import type { ElasticConnectionConfig, ElasticLogsConfig } from './config.ts';
import { cleanText, levelOf, levelWords, show } from './lines.ts';
import {
  askForLess,
  type Entry,
  isoTime,
  type Range,
  type Reader,
  rangeOf,
  readAll,
  readPage,
  unlessAborted,
} from './paging.ts';
import { byPlace, byTime, compile, fromDate, type Json, searchBody } from './query.ts';
import type { SearchAnswer } from './schema.ts';

const BATCH = 1000;
// Of one moment: below index.max_result_window, which is 10,000.
const MOST_AT_ONCE = 5000;
/** What is left of the time after a search was to stop, for the answer to come back. */
const SPARE = 0.8;

export interface ElasticConnection extends Connection {
  readonly kind: 'elasticsearch';
  readonly client: ElasticClient;
}

type Finding = Awaited<ReturnType<LogSource['check']>>[number];
type Hit = SearchAnswer['hits']['hits'][number];

async function finding(work: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ShipmateError) return [{ level: 'error', message: error.message }];
    throw error;
  }
}

/** A cluster of Elasticsearch or OpenSearch, and who the bot is there. */
export function createElasticConnection(config: ElasticConnectionConfig, deps: ConnectionDeps): ElasticConnection {
  const client = createElasticClient(config, deps);
  return {
    kind: 'elasticsearch',
    client,
    check: () =>
      finding(async () => {
        await client.flavour();
        const { hostname, protocol } = new URL(client.url);
        const isExposed = protocol === 'http:' && !/^(?:127\.|localhost$|\[::1\])/.test(hostname);
        const message = 'The credentials go to Elasticsearch unencrypted, where others can read them. Use https.';
        return isExposed && (config.key ?? config.password) !== undefined ? [{ level: 'warning', message }] : [];
      }),
  };
}

function asElastic(connection: Connection | undefined): ElasticConnection {
  if (connection?.kind === 'elasticsearch' && 'client' in connection) return connection as ElasticConnection;
  throw new ShipmateError('CONFIG_INVALID', 'Logs in Elasticsearch need an entry connections.elasticsearch.');
}

function compare<T>(a: T, b: T): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** Lines of one moment stand index by index, each in the order in which they were written into it. */
function compareHits(a: Hit & { ns: bigint }, b: Hit & { ns: bigint }): number {
  return (
    compare(a.ns, b.ns) ||
    compare(a._index, b._index) ||
    compare(a._seq_no ?? 0, b._seq_no ?? 0) ||
    compare(a._id, b._id)
  );
}

/** Logs in Elasticsearch or OpenSearch. */
export function createElasticLogs(config: ElasticLogsConfig, deps: MonitoringDeps): LogSource {
  const { client } = asElastic(deps.connection);
  const spelled = levelWords(config.levels);

  function toLine({ fields = {} }: Hit, ns: bigint | null): LogLine {
    const of = (name: string) => (fields[name] ?? []).map(show).join(', ');
    const level = levelOf(spelled, fields[config.level]?.[0]);
    const more = config.show.filter((name) => fields[name] !== undefined).map((name) => `${name}=${of(name)}`);
    const text = cleanText([of(config.message), ...more].filter((part) => part !== '').join(' '));
    return {
      time: ns === null ? '' : isoTime(ns),
      ...(level ? { level } : {}),
      text: text === '' ? `[a line without ${config.message}]` : text,
    };
  }

  const timeOf = (hit: Hit) => fromDate(hit.fields?.[config.time]?.[0]);

  function note({ _clusters: clusters, _shards: shards, timed_out: late }: SearchAnswer, notes: Set<string>): void {
    if (late) notes.add('Elasticsearch stopped before it had looked at everything. Ask for a shorter time.');
    const type = cleanText(shards.failures?.[0]?.reason?.type ?? '').slice(0, 60);
    if (shards.failed > 0)
      notes.add(
        `${shards.failed} of ${shards.total} shards did not answer${type === '' ? '' : ` (${type})`}: lines are missing. Look at the health of the cluster.`,
      );
    if ((clusters?.skipped ?? 0) > 0)
      notes.add('Another cluster did not answer: lines are missing. Look at its connection.');
    if (shards.total === 0 && clusters === undefined) notes.add(`No index matches ${config.elasticsearch}.`);
  }

  function createReader(
    query: LogQuery,
    notes: Set<string>,
    signal: AbortSignal | undefined,
    left: () => number,
  ): Reader {
    const filters = compile(config, query);
    const ask = async (range: Range, direction: 'backward' | 'forward', limit: number) => {
      const timeoutMs = left();
      const body = searchBody(config, filters, range, Math.ceil(timeoutMs * SPARE));
      const sort = [byTime(config, direction === 'backward' ? 'desc' : 'asc')];
      let used = limit;
      const answer = await askForLess(limit, (size) => {
        used = size;
        const whole = { ...body, sort, size, seq_no_primary_term: true };
        return client.search(config.elasticsearch, whole, { signal, timeoutMs });
      });
      note(answer, notes);
      const hits = answer.hits.hits.slice(0, used);
      const placed = hits.flatMap((hit) => {
        const ns = timeOf(hit);
        // One with several times may be found by another than its first.
        return ns === null || ns < range.from || ns >= range.to ? [] : [{ ...hit, ns }];
      });
      if (placed.length < hits.length)
        notes.add(`Lines without one clear time in ${config.time} were left out. Look at the pipeline that writes it.`);
      const entries = placed.sort(compareHits).map((hit): Entry => {
        const hash = createHash('sha256').update(`${hit._index}\0${hit._id}`).digest('base64url');
        return { ns: hit.ns, id: hash.slice(0, 16), line: toLine(hit, hit.ns) };
      });
      return { entries, full: hits.length >= used, used };
    };
    return {
      async read(range, direction, limit) {
        return range.from < range.to ? ask(range, direction, limit) : { entries: [], full: false };
      },
      async at(ns) {
        const { entries, full, used } = await ask({ from: ns, to: ns + 1n }, 'forward', MOST_AT_ONCE);
        if (full)
          notes.add(
            `Only ${used} of the lines of ${isoTime(ns)} could be read; there are more with exactly this time. Ask with a level or a text.`,
          );
        return entries;
      },
    };
  }

  /** All lines of a range out of one point in time; null where there is none to be had. */
  async function openStill(query: LogQuery, range: Range, notes: Set<string>, signal: AbortSignal | undefined) {
    const flavour = await unlessAborted(client.flavour(), signal);
    const first = flavour.hasShardDoc ? await client.openPit(config.elasticsearch, flavour, { signal }) : null;
    return first === null ? null : still(first, flavour, compile(config, query), range, notes, signal);
  }

  async function* still(
    first: string,
    flavour: Flavour,
    filters: readonly Json[],
    range: Range,
    notes: Set<string>,
    signal: AbortSignal | undefined,
  ): AsyncGenerator<LogLine[]> {
    let id = first;
    let after: readonly unknown[] | undefined;
    const body = searchBody(config, filters, range, Math.ceil(client.timeoutMs * SPARE));
    const sort = byPlace(config, flavour.isOpenSearch);
    try {
      for (;;) {
        let used = BATCH;
        const answer = await askForLess(BATCH, (size) => {
          used = size;
          const search_after = after === undefined ? {} : { search_after: after };
          return client.search(
            null,
            { ...body, sort, size, pit: { id, keep_alive: '5m' }, ...search_after },
            { signal },
          );
        });
        note(answer, notes);
        const { hits } = answer.hits;
        id = answer.pit_id ?? id;
        yield hits.map((hit) => toLine(hit, timeOf(hit)));
        after = hits.at(-1)?.sort;
        if (hits.length < used || after === undefined) return;
      }
    } finally {
      await client.closePit(id, flavour);
    }
  }

  return {
    kind: 'elasticsearch',

    async query(query, signal) {
      signal?.throwIfAborted();
      const notes = new Set<string>();
      const deadline = Date.now() + client.timeoutMs;
      const reader = createReader(query, notes, signal, () => Math.max(1, deadline - Date.now()));
      const page = await readPage(reader, rangeOf(query), query, Date.now());
      return { ...page, ...(notes.size > 0 ? { partial: [...notes].join(' ') } : {}) };
    },

    async *stream(query, { maxLines, signal }) {
      signal?.throwIfAborted();
      const notes = new Set<string>();
      const range = rangeOf(query);
      if (range.from >= range.to || maxLines < 1) return;
      const reader = createReader(query, notes, signal, () => client.timeoutMs);
      const lines = (await openStill(query, range, notes, signal)) ?? linesOf(readAll(reader, range, BATCH));
      let left = maxLines;
      for await (const piece of lines)
        for (const line of piece) {
          signal?.throwIfAborted();
          yield line;
          left -= 1;
          if (left === 0) return;
        }
      // A file has no place beside the lines to say so.
      if (notes.size > 0) yield { time: '', text: `[not all lines are here: ${[...notes].join(' ')}]` };
    },

    check: () => finding(() => fieldFindings(config, client)),
  };
}

async function* linesOf(pieces: AsyncIterable<Entry[]>): AsyncGenerator<LogLine[]> {
  for await (const entries of pieces) yield entries.map(({ line }) => line);
}
