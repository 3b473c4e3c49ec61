import { resolve } from 'node:path';
import type { z } from 'zod';
import type { ConnectionDeps } from '../../connections.ts';
import { parseDuration } from '../../durations.ts';
import { ShipmateError } from '../../errors.ts';
import { type HttpAnswer, HttpError, type HttpRequest } from '../../http.ts';
import { createRedactor } from '../../logger.ts';
import { type ElasticConnectionConfig, elasticSecrets, serverUrl } from './config.ts';
import { cleanText } from './lines.ts';
import { unlessAborted } from './paging.ts';
import type { Json } from './query.ts';
import { errorSchema, fieldsSchema, pitSchema, rootSchema, type SearchAnswer, searchSchema } from './schema.ts';

const TRIES = 3;
const MOST_BYTES = 16 * 1024 * 1024;
const KEEP_ALIVE = '5m';

export interface ElasticOptions {
  signal?: AbortSignal | undefined;
  /** Milliseconds for this question; else the connection's. */
  timeoutMs?: number;
}

export interface Flavour {
  isOpenSearch: boolean;
  /** Whether a search in a point in time can be sorted by `_shard_doc`: in OpenSearch from 3.3 on. */
  hasShardDoc: boolean;
}

export interface ElasticClient {
  /** Without a "/" at its end. */
  readonly url: string;
  /** Milliseconds that one question may take. */
  readonly timeoutMs: number;
  /** Which of the two it is. @throws ShipmateError LOGS_UNAVAILABLE */
  flavour(): Promise<Flavour>;
  /** Searches the indices of a pattern, or with null what `pit` of the body says. @throws ShipmateError LOGS_UNAVAILABLE */
  search(index: string | null, body: Json, options?: ElasticOptions): Promise<SearchAnswer>;
  /** Opens a point in time; null where the cluster has none, or does not let the bot. @throws ShipmateError LOGS_UNAVAILABLE */
  openPit(index: string, flavour: Flavour, options?: ElasticOptions): Promise<string | null>;
  /** Never throws: one that stays open is forgotten after some minutes. */
  closePit(id: string, flavour: Flavour): Promise<void>;
  /** Types of fields by their name, over all indices of a pattern. @throws ShipmateError LOGS_UNAVAILABLE */
  fields(index: string, names: readonly string[]): Promise<{ indices: number; types: ReadonlyMap<string, string[]> }>;
}

function unavailable(message: string, options: { cause?: unknown; retryable?: boolean } = {}): ShipmateError {
  return new ShipmateError('LOGS_UNAVAILABLE', message, options);
}

function noAnswer(error: unknown): ShipmateError {
  if (!(error instanceof HttpError))
    return unavailable('Elasticsearch can not be reached.', { cause: error, retryable: true });
  if (error.kind === 'timeout')
    return unavailable(
      'Elasticsearch did not answer in time. Ask for a shorter time, or give it longer with "timeout" of the connection.',
      { cause: error, retryable: true },
    );
  if (error.kind === 'too-large')
    return unavailable(
      'Elasticsearch answered more than the bot reads at once. Ask for fewer lines or a shorter time, or take large fields out of "show".',
      { cause: error },
    );
  const { cause } = error;
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : '';
  return /CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS/.test(code)
    ? unavailable('The certificate of Elasticsearch is not trusted. Put its authority into "ca" of the connection.', {
        cause: error,
      })
    : unavailable('Elasticsearch can not be reached. Check "url" of the connection, and the way there.', {
        cause: error,
        retryable: true,
      });
}

const REFUSALS: readonly (readonly [RegExp, string])[] = [
  [
    /can only use phrase prefix queries on text fields/i,
    'The field in "message" can not be searched for words. Name one of the type text.',
  ],
  [
    /number_format_exception|for input string|failed to parse|numeric/i,
    'A field has another type than the question needs. Run shipmate check --online, and correct the fields in "logs".',
  ],
  [
    /result window is too large/i,
    'Fewer lines are given at once than were asked for. Ask for fewer, or raise index.max_result_window.',
  ],
  [
    /allow_expensive_queries/i,
    'The cluster allows no search for beginnings of words. Allow search.allow_expensive_queries.',
  ],
  [/no mapping found|fielddata is disabled/i, 'The field in "time" is no date there. Correct it.'],
];

/** Type and reason of an error; empty when it is none of Elasticsearch's. */
function reasonOf(answer: HttpAnswer): string {
  const parsed = errorSchema.safeParse(answer.json());
  if (!parsed.success) return '';
  const { error } = parsed.data;
  if (typeof error === 'string') return error;
  const first = error.root_cause?.[0];
  return [first?.type ?? error.type, first?.reason ?? error.reason, error.caused_by?.reason].filter(Boolean).join(': ');
}

/** What an answer says that is none; null for one that is. */
function problem(answer: HttpAnswer, said: string): ShipmateError | null {
  const { status } = answer;
  const quoted = said === '' ? '' : ` It says: ${said}`;
  if (status === 200 || status === 201) return null;
  if (status === 401)
    return unavailable(
      'Elasticsearch refused the credentials (401). Correct "key", or "user" and "password", of the connection.',
    );
  if (status === 403)
    return unavailable(`The bot may not read these logs (403). Grant it "read" on the indices in "logs".${quoted}`);
  if (status === 404)
    return /index_not_found/.test(said)
      ? unavailable(`An index in "elasticsearch" is not there (404). Correct its name.${quoted}`)
      : unavailable('"url" of the connection is not Elasticsearch: it does not know the page (404). Correct it.');
  if (status >= 300 && status < 400)
    return unavailable(
      `Elasticsearch sent the bot to another page (${status}), perhaps to sign in. "url" must be Elasticsearch itself, not Kibana.`,
    );
  const known = REFUSALS.find(([pattern]) => pattern.test(said));
  if (known && status < 500) return unavailable(`Elasticsearch refused the question (${status}). ${known[1]}${quoted}`);
  if (status === 429 || status === 503)
    return unavailable(
      `Elasticsearch has too much to do, or is not ready (${status}). Try again in a minute.${quoted}`,
      {
        retryable: true,
      },
    );
  if (status >= 500)
    return unavailable(`Elasticsearch failed (${status}). Look at the health of the cluster, and try again.${quoted}`, {
      retryable: true,
    });
  return unavailable(`Elasticsearch refused the question (${status}).${quoted}`);
}

/** Requests to one cluster (https://www.elastic.co/docs/api/doc/elasticsearch/, https://docs.opensearch.org/latest/api-reference/). */
export function createElasticClient(config: ElasticConnectionConfig, deps: ConnectionDeps): ElasticClient {
  const url = serverUrl(config.url) ?? config.url;
  const timeout = parseDuration(config.timeout) ?? 10_000;
  const redact = createRedactor(elasticSecrets(config));
  const http = deps.http(config.ca === undefined ? {} : { ca: resolve(deps.baseDir, config.ca) });
  const headers: Record<string, string> =
    config.key !== undefined
      ? { authorization: `ApiKey ${config.key}` }
      : config.user !== undefined
        ? { authorization: `Basic ${Buffer.from(`${config.user}:${config.password}`).toString('base64')}` }
        : {};
  let known: Promise<Flavour> | null = null;

  function ask(
    request: Omit<HttpRequest, 'url'> & { path: string },
    options: ElasticOptions = {},
  ): Promise<HttpAnswer> {
    options.signal?.throwIfAborted();
    const { path, ...rest } = request;
    // Every one of them only reads, so it may be repeated.
    const wanted = {
      ...rest,
      url: `${url}${path}`,
      headers,
      timeoutMs: options.timeoutMs ?? timeout,
      maxBytes: MOST_BYTES,
      tries: TRIES,
    };
    const answer = http.request(wanted).catch((error: unknown) => {
      throw noAnswer(error);
    });
    return unlessAborted(answer, options.signal);
  }

  const saidBy = (answer: HttpAnswer) => redact(cleanText(reasonOf(answer).slice(0, 600))).slice(0, 300);

  function read<T>(answer: HttpAnswer, schema: z.ZodType<T>): T {
    const wrong = problem(answer, saidBy(answer));
    if (wrong) throw wrong;
    const parsed = schema.safeParse(answer.json());
    if (parsed.success) return parsed.data;
    throw unavailable(
      'What answered is not understood. Check that "url" of the connection is Elasticsearch itself, and not Kibana or a page to sign in.',
    );
  }

  async function look(): Promise<Flavour> {
    const answer = await ask({ path: '/' });
    // Elasticsearch says in every answer that it is one, also where the bot may not ask for the version.
    const isElastic = answer.headers['x-elastic-product'] === 'Elasticsearch';
    if (answer.status === 403) return { isOpenSearch: !isElastic, hasShardDoc: isElastic };
    const { version } = read(answer, rootSchema);
    const isOpenSearch = version.distribution === 'opensearch';
    const [major = 0, minor = 0] = version.number.split('.').map(Number);
    return { isOpenSearch, hasShardDoc: !isOpenSearch || major > 3 || (major === 3 && minor >= 3) };
  }

  return {
    url,
    timeoutMs: timeout,

    flavour() {
      known ??= look().catch((error: unknown) => {
        known = null;
        throw error;
      });
      return known;
    },

    async search(index, body, options) {
      const path =
        index === null
          ? '/_search'
          : `/${encodeURIComponent(index)}/_search?ignore_unavailable=true&allow_no_indices=true`;
      return read(await ask({ method: 'POST', path, json: body }, options), searchSchema);
    },

    async openPit(index, { isOpenSearch }, options) {
      const name = isOpenSearch ? '_search/point_in_time' : '_pit';
      const path = `/${encodeURIComponent(index)}/${name}?keep_alive=${KEEP_ALIVE}`;
      const answer = await ask({ method: 'POST', path }, options);
      // Also 405 where it is not known, and 404 where no index is there.
      if ([400, 403, 404, 405].includes(answer.status)) return null;
      return read(answer, pitSchema);
    },

    async closePit(id, { isOpenSearch }) {
      const request = isOpenSearch
        ? { path: '/_search/point_in_time', json: { pit_id: [id] } }
        : { path: '/_pit', json: { id } };
      await ask({ method: 'DELETE', ...request }).catch(() => {});
    },

    async fields(index, names) {
      const path = `/${encodeURIComponent(index)}/_field_caps?fields=${encodeURIComponent(names.join(','))}&ignore_unavailable=true&allow_no_indices=true`;
      const { fields, indices } = read(await ask({ path }), fieldsSchema);
      return {
        indices: Array.isArray(indices) ? indices.length : indices === undefined ? Object.keys(fields).length : 1,
        types: new Map(Object.entries(fields).map(([name, types]) => [name, Object.keys(types)])),
      };
    },
  };
}
