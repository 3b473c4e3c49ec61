import { resolve } from 'node:path';
import type { z } from 'zod';
import type { ConnectionDeps } from '../../connections.ts';
import { parseDuration } from '../../durations.ts';
import { ShipmateError } from '../../errors.ts';
import { type HttpAnswer, HttpError } from '../../http.ts';
import { createRedactor } from '../../logger.ts';
import { type LokiConnectionConfig, lokiSecrets, serverUrl } from './config.ts';
import { cleanText } from './lines.ts';
import { unlessAborted } from './paging.ts';
import { labelsSchema, type RangeAnswer, rangeSchema } from './schema.ts';

const TRIES = 3;
const MOST_BYTES = 16 * 1024 * 1024;
// Loki's own default of max_entries_limit_per_query.
const MOST_ENTRIES = 5000;

/** A part of the logs; times in nanoseconds since 1970. */
export interface RangeRequest {
  query: string;
  start: bigint;
  /** Exclusive. */
  end: bigint;
  limit: number;
  direction: 'backward' | 'forward';
}

export interface LokiOptions {
  signal?: AbortSignal | undefined;
  /** Milliseconds for this question; else the connection's. */
  timeoutMs?: number;
}

export interface LokiClient {
  /** Without a "/" at its end. */
  readonly url: string;
  /** Milliseconds that one question may take. */
  readonly timeoutMs: number;
  /** How many entries Loki gives at once, as far as is known. */
  mostEntries(): number;
  /** `limit`: how many entries were asked for, which Loki may limit further. @throws ShipmateError LOGS_UNAVAILABLE */
  range(request: RangeRequest, options?: LokiOptions): Promise<{ answer: RangeAnswer; limit: number }>;
  /** Names of the labels that there were in the last `ms` milliseconds. @throws ShipmateError LOGS_UNAVAILABLE */
  labels(ms: number): Promise<readonly string[]>;
}

function unavailable(message: string, options: { cause?: unknown; retryable?: boolean } = {}): ShipmateError {
  return new ShipmateError('LOGS_UNAVAILABLE', message, options);
}

function noAnswer(error: unknown): ShipmateError {
  if (!(error instanceof HttpError)) return unavailable('Loki can not be reached.', { cause: error, retryable: true });
  if (error.kind === 'timeout')
    return unavailable(
      'Loki did not answer in time. Ask for a shorter time, or give it longer with "timeout" of the connection.',
      { cause: error, retryable: true },
    );
  if (error.kind === 'too-large')
    return unavailable('Loki answered more than the bot reads at once. Ask for fewer lines or a shorter time.', {
      cause: error,
    });
  const { cause } = error;
  const code = typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : '';
  return /CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS/.test(code)
    ? unavailable('The certificate of Loki is not trusted. Put its authority into "ca" of the connection.', {
        cause: error,
      })
    : unavailable('Loki can not be reached. Check "url" of the connection, and the way there.', {
        cause: error,
        retryable: true,
      });
}

// https://grafana.com/docs/loki/latest/operations/troubleshooting/troubleshoot-queries/
const REFUSALS: readonly (readonly [RegExp, string])[] = [
  [
    /max entries limit/i,
    'It gives fewer lines at once than were asked for. Ask for fewer, or raise max_entries_limit_per_query there.',
  ],
  [
    /time range exceeds the limit/i,
    'The time is longer than it allows. Ask for a shorter one, or raise max_query_length there.',
  ],
  [
    /max_query_lookback|no longer available/i,
    'The time is further back than it lets people read. Ask for a later one.',
  ],
  [
    /read too many bytes|too large to execute|number of chunks limit|cardinality limit|maximum number of series|limit reached while evaluating/i,
    'The question would read too much there. Ask for a shorter time, or add labels to "loki".',
  ],
  [/missing required matchers|less label matchers/i, 'It wants more labels. Add those that it names to "loki".'],
  [/blocked by policy/i, 'A policy there blocks the question. Ask whoever runs Loki.'],
  [
    /parse error|syntax error/i,
    'It does not understand the question. Check "loki", "level" and "parser"; Loki before 2.8 has no parser for single fields.',
  ],
];

/** What an answer says that is none; null for one that is. */
function problem(answer: HttpAnswer, said: string): ShipmateError | null {
  const { status } = answer;
  const quoted = said === '' ? '' : ` Loki says: ${said}`;
  if (status === 200) return null;
  if (status === 401)
    return /no org id/i.test(said)
      ? unavailable('Loki has several tenants, and wants to know which (401). Put "org" into the connection.')
      : unavailable(
          'Loki refused the credentials (401). Correct "user" and "password", or "token", of the connection.',
        );
  if (status === 403)
    return unavailable('The bot may not read these logs in Loki (403). Let it read the tenant, or correct "org".');
  if (status === 404)
    return unavailable('"url" of the connection is not Loki: it has no page /loki/api (404). Correct its path.');
  if (status >= 300 && status < 400)
    return unavailable(
      `Loki sent the bot to another page (${status}), perhaps to sign in. "url" must be reachable without single sign-on.`,
    );
  if (/deadline exceeded|timed out|context canceled/i.test(said) || status === 504)
    return unavailable('Loki took too long. Ask for a shorter time, a level or a text.', { retryable: true });
  if (status === 429)
    return unavailable('Loki has too much to do (429). Try again in a minute, with a shorter time.', {
      retryable: true,
    });
  const known = REFUSALS.find(([pattern]) => pattern.test(said));
  if (known) return unavailable(`Loki refused the question (${status}). ${known[1]}${quoted}`);
  if (status >= 500)
    return unavailable(`Loki failed (${status}). Look at its log, and try again.${quoted}`, { retryable: true });
  return unavailable(`Loki refused the question (${status}).${quoted}`);
}

/** Requests to one Loki (https://grafana.com/docs/loki/latest/reference/loki-http-api/). */
export function createLokiClient(config: LokiConnectionConfig, deps: ConnectionDeps): LokiClient {
  const url = serverUrl(config.url) ?? config.url;
  const timeout = parseDuration(config.timeout) ?? 10_000;
  const redact = createRedactor(lokiSecrets(config));
  const http = deps.http(config.ca === undefined ? {} : { ca: resolve(deps.baseDir, config.ca) });
  const authorization =
    config.token !== undefined
      ? `Bearer ${config.token}`
      : config.user !== undefined
        ? `Basic ${Buffer.from(`${config.user}:${config.password}`).toString('base64')}`
        : undefined;
  const headers = {
    ...(authorization === undefined ? {} : { authorization }),
    ...(config.org === undefined ? {} : { 'x-scope-orgid': config.org }),
  };
  let mostEntries = MOST_ENTRIES;

  async function get(path: string, params: Record<string, string>, options: LokiOptions): Promise<HttpAnswer> {
    options.signal?.throwIfAborted();
    const wanted = {
      url: `${url}${path}?${new URLSearchParams(params)}`,
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

  /** The beginning of a plain error; a page of HTML says nothing to anybody. */
  function saidBy({ text }: HttpAnswer): string {
    return /^\s*</.test(text) ? '' : redact(cleanText(text.slice(0, 600))).slice(0, 300);
  }

  function read<T>(answer: HttpAnswer, schema: z.ZodType<T>): T {
    const wrong = problem(answer, saidBy(answer));
    if (wrong) throw wrong;
    const parsed = schema.safeParse(answer.json());
    if (parsed.success) return parsed.data;
    throw unavailable(
      'What answered is not understood. Check that "url" of the connection is Loki itself, and not a page to sign in.',
    );
  }

  return {
    url,
    timeoutMs: timeout,
    mostEntries: () => mostEntries,

    async range(request, options = {}) {
      const { direction, end, query, start } = request;
      let limit = Math.min(request.limit, mostEntries);
      for (;;) {
        const params = { query, start: String(start), end: String(end), limit: String(limit), direction };
        const answer = await get('/loki/api/v1/query_range', params, options);
        const lower = /max entries limit.*\(\d+ > (\d{1,9})\)/i.exec(
          answer.status === 400 ? answer.text.slice(0, 600) : '',
        );
        const most = Number(lower?.[1] ?? 0);
        if (most < 2 || most >= limit) return { answer: read(answer, rangeSchema), limit };
        mostEntries = most;
        limit = most;
      }
    },

    async labels(ms) {
      const now = BigInt(deps.now().getTime());
      const params = { start: String((now - BigInt(ms)) * 1_000_000n), end: String(now * 1_000_000n) };
      return read(await get('/loki/api/v1/labels', params, {}), labelsSchema).data ?? [];
    },
  };
}
