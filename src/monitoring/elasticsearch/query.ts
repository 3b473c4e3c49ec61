import type { LogQuery } from '../types.ts';
import type { ElasticLogsConfig } from './config.ts';
import { levelWords, named, wantedWords } from './lines.ts';
import type { Range } from './paging.ts';

const FORMAT = 'strict_date_optional_time_nanos';
// So many words that begin like the last one are tried in each shard; the default of 50 would leave lines out.
const MOST_EXPANSIONS = 1000;
const BILLION = 1_000_000_000n;

export type Json = { readonly [name: string]: unknown };

/** Nanoseconds since 1970 as ISO 8601 with all nine digits: with fewer, the end of a range would be rounded up. */
export function toDate(ns: bigint): string {
  const nanoseconds = ((ns % BILLION) + BILLION) % BILLION;
  const seconds = (ns - nanoseconds) / BILLION;
  return `${new Date(Number(seconds) * 1000).toISOString().slice(0, 19)}.${String(nanoseconds).padStart(9, '0')}Z`;
}

/** Nanoseconds of a date as Elasticsearch writes it; null for anything else. */
export function fromDate(text: unknown): bigint | null {
  const match = typeof text === 'string' ? /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?Z$/.exec(text) : null;
  const ms = match ? Date.parse(`${match[1]}Z`) : Number.NaN;
  return match && ms >= 0 ? BigInt(ms) * 1_000_000n + BigInt((match[2] ?? '').padEnd(9, '0')) : null;
}

/** A field of the type keyword knows no case, so every word is looked for in its usual three. */
function spellings(word: string): string[] {
  return [...new Set([word, word.toUpperCase(), word.charAt(0).toUpperCase() + word.slice(1)])];
}

/**
 * What of a query holds for every line, as filters of a bool query
 * (https://www.elastic.co/docs/reference/query-languages/query-dsl/query-dsl-bool-query). Names of fields are the
 * configuration's; what people gave stands in values of `term` and `match_phrase_prefix`, which know no operators.
 * @throws ShipmateError ARGUMENT_INVALID without a service or an environment
 */
export function compile(
  config: ElasticLogsConfig,
  query: Pick<LogQuery, 'service' | 'environment' | 'level' | 'text'>,
): readonly Json[] {
  const names = named(config, query);
  const wanted = wantedWords(levelWords(config.levels), query.level);
  return [
    { term: { [config.service]: { value: names.service.toWellFormed() } } },
    { term: { [config.environment]: { value: names.environment.toWellFormed() } } },
    ...(wanted === null ? [] : [{ terms: { [config.level]: wanted.flatMap(spellings) } }]),
    ...(query.text
      ? [
          {
            match_phrase_prefix: {
              [config.message]: { query: query.text.toWellFormed(), max_expansions: MOST_EXPANSIONS },
            },
          },
        ]
      : []),
  ];
}

/** The body of a search without its size and order. `timeoutMs`: after this time it answers with what it has. */
export function searchBody(config: ElasticLogsConfig, filters: readonly Json[], range: Range, timeoutMs: number): Json {
  const { level, message, show, time } = config;
  // A field in milliseconds cuts the bounds off. That does no harm to these two: after 5.000001 ms is then after 5 ms.
  const between = { gt: toDate(range.from - 1n), lte: toDate(range.to - 1n), format: FORMAT };
  return {
    query: { bool: { filter: [{ range: { [time]: between } }, ...filters] } },
    fields: [{ field: time, format: FORMAT }, ...new Set([level, message, ...show])],
    _source: false,
    track_total_hits: false,
    timeout: `${timeoutMs}ms`,
  };
}

/** The order by time. Dates in milliseconds and in nanoseconds are compared as nanoseconds. */
export function byTime({ time }: ElasticLogsConfig, order: 'asc' | 'desc'): Json {
  return { [time]: { order, unmapped_type: 'date', numeric_type: 'date_nanos' } };
}

/**
 * The order within a point in time, with its tiebreak
 * (https://www.elastic.co/docs/reference/elasticsearch/rest-apis/paginate-search-results#search-after). OpenSearch can't
 * write the time of a sort as text, and a number of nanoseconds is larger than JSON's are exact: it sorts by milliseconds.
 */
export function byPlace({ time }: ElasticLogsConfig, isOpenSearch: boolean): readonly Json[] {
  const exact = isOpenSearch ? { numeric_type: 'date' } : { numeric_type: 'date_nanos', format: FORMAT };
  return [{ [time]: { order: 'asc', unmapped_type: 'date', ...exact } }, { _shard_doc: { order: 'asc' } }];
}
