import { createHash } from 'node:crypto';
import type { Connection, ConnectionDeps } from '../../connections.ts';
import { ShipmateError } from '../../errors.ts';
import type { LogQuery, LogSource, MonitoringDeps } from '../types.ts';
import { createLokiClient, type LokiClient } from './client.ts';
import type { LokiConnectionConfig, LokiLogsConfig } from './config.ts';
import { cleanText, levelWords } from './lines.ts';
import { askForLess, type Entry, isoTime, type Reader, rangeOf, readAll, readPage } from './paging.ts';
import { compile, levelLabel, sample } from './query.ts';
import type { RangeAnswer } from './schema.ts';
import { createShow } from './show.ts';

const HOUR_MS = 3_600_000;
const BATCH = 1000;
const MOST_WARNINGS = 3;

export interface LokiConnection extends Connection {
  readonly kind: 'loki';
  readonly client: LokiClient;
}

type Finding = Awaited<ReturnType<LogSource['check']>>[number];

async function finding(work: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await work();
  } catch (error) {
    if (error instanceof ShipmateError) return [{ level: 'error', message: error.message }];
    throw error;
  }
}

/** A Loki, and who the bot is there. */
export function createLokiConnection(config: LokiConnectionConfig, deps: ConnectionDeps): LokiConnection {
  const client = createLokiClient(config, deps);
  return {
    kind: 'loki',
    client,
    check: () =>
      finding(async () => {
        await client.labels(HOUR_MS);
        const { hostname, protocol } = new URL(client.url);
        const isExposed = protocol === 'http:' && !/^(?:127\.|localhost$|\[::1\])/.test(hostname);
        const hasSecret = config.token !== undefined || config.password !== undefined;
        return isExposed && hasSecret
          ? [
              {
                level: 'warning',
                message: 'The credentials go to Loki unencrypted, where others can read them. Use https.',
              },
            ]
          : [];
      }),
  };
}

function asLoki(connection: Connection | undefined): LokiConnection {
  if (connection?.kind === 'loki' && 'client' in connection) return connection as LokiConnection;
  throw new ShipmateError('CONFIG_INVALID', 'Logs in Loki need an entry connections.loki.');
}

/** Logs in Grafana Loki. */
export function createLokiLogs(config: LokiLogsConfig, deps: MonitoringDeps): LogSource {
  const { client } = asLoki(deps.connection);
  const spelled = levelWords(config.levels);
  const showLine = createShow(config, spelled);
  const label = levelLabel(config);

  /**
   * An answer as entries, oldest first. Lines of one moment stand stream by stream, each in the order in which they came;
   * going backward Loki gives a stream's lines in exactly the other order.
   */
  function toEntries(answer: RangeAnswer, direction: 'backward' | 'forward'): Entry[] {
    const streams = answer.data.result
      .map(({ stream, values }) => ({
        stream,
        key: JSON.stringify(Object.entries(stream).sort(([a], [b]) => (a < b ? -1 : 1))),
        values: direction === 'backward' ? values.toReversed() : values,
      }))
      .sort((a, b) => (a.key < b.key ? -1 : 1));
    const seen = new Map<string, number>();
    return streams
      .flatMap(({ key, stream, values }) =>
        values.map(([time, raw]): Entry => {
          const ns = BigInt(time);
          const hash = createHash('sha256').update(key).update('\0').update(raw).digest('base64url').slice(0, 12);
          const place = `${time} ${hash}`;
          const before = seen.get(place) ?? 0;
          seen.set(place, before + 1);
          const id = before === 0 ? hash : `${hash}.${before}`;
          return { ns, id, line: showLine(isoTime(ns), raw, stream[label]) };
        }),
      )
      .sort((a, b) => (a.ns < b.ns ? -1 : a.ns > b.ns ? 1 : 0));
  }

  function createReader(
    query: LogQuery,
    notes: Set<string>,
    signal: AbortSignal | undefined,
    left: () => number,
  ): Reader {
    const logql = compile(config, query);
    const ask = async (start: bigint, end: bigint, limit: number, direction: 'backward' | 'forward') => {
      const { answer, limit: used } = await askForLess(limit, (size) =>
        client.range({ query: logql, start, end, limit: size, direction }, { signal, timeoutMs: left() }),
      );
      for (const warning of answer.warnings?.slice(0, MOST_WARNINGS) ?? [])
        notes.add(`Loki warns: ${cleanText(warning).slice(0, 200)}`);
      // Loki can only be trusted with the limit as far as it keeps it.
      const entries = toEntries(answer, direction);
      const full = entries.length >= used;
      return { entries: direction === 'backward' ? entries.slice(-used) : entries.slice(0, used), full, used };
    };
    return {
      async read({ from, to }, direction, limit) {
        if (from >= to) return { entries: [], full: false };
        return ask(from, to, limit, direction);
      },
      async at(ns) {
        const { entries, full, used } = await ask(ns, ns + 1n, client.mostEntries(), 'forward');
        if (full)
          notes.add(
            `Only ${used} of the lines of ${isoTime(ns)} could be read; Loki has more with exactly this time. Let the shipper send finer times, or ask with a level or a text.`,
          );
        return entries;
      },
    };
  }

  return {
    kind: 'loki',

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
      const reader = createReader(query, notes, signal, () => client.timeoutMs);
      let left = maxLines;
      for await (const entries of readAll(reader, rangeOf(query), Math.min(BATCH, client.mostEntries()))) {
        for (const { line } of entries) {
          signal?.throwIfAborted();
          if (left === 0) return;
          yield line;
          left -= 1;
        }
        if (left === 0) return;
      }
      // A file has no place beside the lines to say so.
      if (notes.size > 0) yield { time: '', text: `[not all lines are here: ${[...notes].join(' ')}]` };
    },

    check: () =>
      finding(async () => {
        const found: Finding[] = [];
        const labels = await client.labels(24 * HOUR_MS);
        if (labels.length === 0)
          return [
            {
              level: 'warning',
              message: 'Loki has had no logs since yesterday. Check the shipper, and "org" of the connection.',
            },
          ];
        const missing = Object.keys(config.loki).filter((name) => !labels.includes(name));
        for (const name of missing)
          found.push({
            level: 'error',
            message: `No log in Loki has the label ${name}. Correct it in "loki"; there are ${labels
              .slice(0, 20)
              .map((each) => cleanText(each).slice(0, 60))
              .join(', ')}.`,
          });
        if (!Object.values(config.loki).some((text) => text.includes('{environment}')))
          found.push({
            level: 'warning',
            message: 'No label in "loki" has {environment}: logs of all environments are shown as one.',
          });
        if (missing.length > 0) return found;
        const now = BigInt(Date.now()) * 1_000_000n;
        const { answer } = await client.range({
          query: sample(config),
          start: now - BigInt(24 * HOUR_MS) * 1_000_000n,
          end: now,
          limit: 20,
          direction: 'backward',
        });
        const { result } = answer.data;
        if (result.length > 0 && !result.some(({ stream }) => (stream[label] ?? '') !== ''))
          found.push({
            level: 'warning',
            message:
              config.parser === 'none'
                ? `The newest lines have no label ${label}: level=error will find nothing. Say in "level" which label has it, or set "parser"; detected_level needs Loki 3.`
                : `The newest lines have no field ${config.level ?? 'level'}: level=error will find nothing. Correct "level" or "parser".`,
          });
        return found;
      }),
  };
}
