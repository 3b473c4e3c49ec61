import { resolve } from 'node:path';
import type { z } from 'zod';
import { PipelineError } from '../../errors.ts';
import { type Http, type HttpAnswer, HttpError } from '../../http.ts';
import { createRedactor } from '../../logger.ts';
import { plainValue } from '../requests.ts';
import type { ConnectionDeps } from '../types.ts';
import { createBounded } from './bounded.ts';
import { connectionSecrets, type GitlabConnectionConfig } from './config.ts';
import { createPace } from './pace.ts';
import { errorSchema } from './schema.ts';
import { networkWords } from './words.ts';

/** Whose error it becomes. */
export type Family = 'pipeline' | 'versions';

export interface Call<T> {
  family: Family;
  method?: 'GET' | 'POST';
  /** Behind /api/v4, its parts encoded. */
  path: string;
  query?: Readonly<Record<string, string>>;
  json?: unknown;
  schema: z.ZodType<T>;
  /** With the other token, where there is one. */
  approver?: boolean;
  /** Remembered by its ETag, for what is asked again and again. */
  remember?: boolean;
  /** It may have been taken although no answer came. */
  starts?: boolean;
}

/** What GitLab said. A refusal (400, 403, 404, 409, 422) is for the caller to explain; all else is thrown. */
export type Outcome<T> =
  | { ok: true; data: T; next: string | null }
  | { ok: false; status: number; message: string; scope: boolean };

export interface GitlabClient {
  /** @throws PipelineError PIPELINE_UNAVAILABLE, PIPELINE_REJECTED or VERSIONS_UNAVAILABLE */
  call<T>(call: Call<T>): Promise<Outcome<T>>;
  /**
   * A text (a log, a file) of which only the last `keep` bytes are held; null when it is not there.
   * @throws PipelineError as call
   */
  tail(path: string, keep: number): Promise<{ text: string; cut: boolean } | null>;
  /** Removes secrets: ours, and what looks like one of GitLab's. */
  redact(text: string): string;
  /** Milliseconds until the next look, by what GitLab said of its limits. */
  pollMs(): number;
  /** Name of the server, for messages. */
  readonly host: string;
}

const REMEMBERED = 64;
const LONGEST_REMEMBERED = 262_144;
const MAX_BYTES = 8_388_608;
const LONGEST_WORDS = 20_000;
const MAX_LOG_BYTES = 67_108_864;
const TIMEOUT_MS = 10_000;
// GitLab reads the whole configuration with its includes before it answers.
const START_TIMEOUT_MS = 60_000;
const LOG_TIMEOUT_MS = 20_000;
const REFUSALS = new Set([400, 403, 404, 409, 422]);

// docs.gitlab.com/security/tokens, "Token prefixes": the shared rules know only some of them, and end at the first dot.
const TOKENS = /\bgl(?:pat|oas|dt|rt|rtr|cbt|ptt|ft|imt|agent|wt|soat|ffct|trt)-[\w.-]{10,}/g;

export function createClient(config: GitlabConnectionConfig, deps: ConnectionDeps): GitlabClient {
  const { host } = new URL(config.url);
  const redactKnown = createRedactor(connectionSecrets(config));
  const redact = (text: string) => redactKnown(text).replace(TOKENS, '[redacted]');
  const pace = createPace(deps.now);
  const remembered = createBounded<{ etag: string; text: string }>(REMEMBERED);
  // Opened when it is first used: a connection opens nothing before, and a CA file that is missing is a finding then.
  let opened: Http | null = null;
  const http = () => {
    opened ??= deps.http(config.ca === undefined ? {} : { ca: resolve(deps.baseDir, config.ca) });
    return opened;
  };
  const urlOf = (path: string, query: Readonly<Record<string, string>> = {}) => {
    const search = new URLSearchParams(query).toString();
    return `${config.url}/api/v4${path}${search === '' ? '' : `?${search}`}`;
  };
  const headersFor = (approver: boolean) => ({
    'private-token': approver ? (config.approver ?? config.token) : config.token,
  });

  function unavailable(family: Family, message: string, more: { cause?: unknown; sent?: 'no' | 'unknown' } = {}) {
    const code = family === 'versions' ? 'VERSIONS_UNAVAILABLE' : 'PIPELINE_UNAVAILABLE';
    return new PipelineError(code, message, { retryable: true, ...more });
  }

  function rejected(family: Family, message: string) {
    return new PipelineError(family === 'versions' ? 'VERSIONS_UNAVAILABLE' : 'PIPELINE_REJECTED', message);
  }

  async function ask<T>(call: Call<T>, etag: string | undefined): Promise<HttpAnswer> {
    const { approver = false, json, method = 'GET', path, query, starts = false } = call;
    const request = {
      method,
      url: urlOf(path, query),
      headers: { ...headersFor(approver), ...(etag === undefined ? {} : { 'if-none-match': etag }) },
      timeoutMs: starts ? START_TIMEOUT_MS : TIMEOUT_MS,
      maxBytes: MAX_BYTES,
      ...(json === undefined ? {} : { json }),
    };
    for (let attempt = 1; ; attempt += 1) {
      try {
        return await http().request(request);
      } catch (error) {
        if (!(error instanceof HttpError)) throw error;
        const { taken, words } = networkWords(error, host);
        // A connection that was kept open may be closed just as it is used again.
        if (method === 'GET' && error.kind === 'connection' && taken && attempt === 1) continue;
        const sent = starts && taken ? 'unknown' : 'no';
        throw unavailable(call.family, words, { cause: error, sent });
      }
    }
  }

  /** What can't be an answer to the question, whatever it was. */
  function refuseCommon(
    { approver = false, family, starts = false }: Pick<Call<unknown>, 'approver' | 'family' | 'starts'>,
    status: number,
    headers: HttpAnswer['headers'],
  ): void {
    pace.hear(status, headers);
    if (status === 401) {
      const key = approver && config.approver !== undefined ? 'approver' : 'token';
      throw rejected(
        family,
        `GitLab (${host}) refuses the access token: it is wrong, has expired or was revoked. Make a new one with the scope api, and set \`${key}\` of the connection.`,
      );
    }
    if (status === 429)
      throw unavailable(family, `GitLab (${host}) limits how often it is asked. It is tried again later.`);
    if (status >= 500)
      throw unavailable(family, `GitLab (${host}) is not well: it answered ${status}. Try again later.`, {
        // 503 is said before anything is done (maintenance, no worker free); else it may have happened.
        sent: starts && status !== 503 ? 'unknown' : 'no',
      });
    if (status >= 300 && status < 400 && status !== 304)
      throw rejected(
        family,
        `GitLab (${host}) sends us elsewhere. Correct \`url\` of the connection, or the project's path if it was moved.`,
      );
  }

  /** GitLab's own words for a refusal; null when it is not GitLab that speaks: a proxy's page says nothing about a run. */
  function words(answer: HttpAnswer): { message: string; scope: boolean } | null {
    const parsed = errorSchema.safeParse(answer.json());
    if (!parsed.success) return null;
    const { error, error_description: description, message } = parsed.data;
    const text = flat(message ?? description ?? error);
    // Redacted before it is cut: half a secret would not be known as one.
    const clean = plainValue(redact(plainValue(text, LONGEST_WORDS)), 300);
    return { message: clean === '' ? `status ${answer.status}` : clean, scope: error === 'insufficient_scope' };
  }

  return {
    host,
    redact,
    pollMs: pace.pollMs,

    async call(call) {
      const key = call.remember ? urlOf(call.path, call.query) : '';
      const known = call.remember ? remembered.get(key) : undefined;
      const answer = await ask(call, known?.etag);
      refuseCommon(call, answer.status, answer.headers);
      const refusal = REFUSALS.has(answer.status) ? words(answer) : null;
      if (refusal) return { ok: false, status: answer.status, ...refusal };
      const text = answer.status === 304 && known !== undefined ? known.text : answer.text;
      const parsed = call.schema.safeParse(parse(text));
      if (answer.status >= 400 || !parsed.success)
        throw unavailable(call.family, `GitLab (${host}) answered something that is not understood. Check \`url\`.`, {
          cause: parsed.error,
          sent: call.starts && answer.status < 400 ? 'unknown' : 'no',
        });
      const etag = header(answer.headers, 'etag');
      if (call.remember && answer.status === 200 && etag !== undefined && text.length <= LONGEST_REMEMBERED)
        remembered.set(key, { etag, text });
      return { ok: true, data: parsed.data, next: header(answer.headers, 'x-next-page') || null };
    },

    async tail(path, keep) {
      const family = 'pipeline';
      const late = AbortSignal.timeout(LOG_TIMEOUT_MS);
      try {
        const answer = await http().fetch(urlOf(path), {
          headers: { ...headersFor(false), accept: 'text/plain' },
          redirect: 'manual',
          signal: late,
        });
        if (!answer.ok) await answer.body?.cancel();
        refuseCommon({ family }, answer.status, Object.fromEntries(answer.headers));
        if (!answer.ok) return null;
        let total = 0;
        let kept = Buffer.alloc(0);
        for await (const chunk of answer.body ?? []) {
          total += chunk.length;
          kept = Buffer.concat([kept, chunk]);
          if (kept.length > 2 * keep) kept = kept.subarray(-keep);
          if (total > MAX_LOG_BYTES) break;
        }
        return { text: kept.subarray(-keep).toString('utf8'), cut: total > keep };
      } catch (error) {
        if (error instanceof PipelineError) throw error;
        const kind = late.aborted ? 'timeout' : 'connection';
        throw unavailable(family, networkWords(new HttpError(kind, '', error), host).words, { cause: error });
      }
    },
  };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function header(headers: HttpAnswer['headers'], name: string): string | undefined {
  const value = headers[name];
  return Array.isArray(value) ? value[0] : value;
}

/** GitLab's messages are texts, lists, or lists by field: "base" stands for the whole. */
function flat(value: unknown): string {
  if (typeof value === 'string') return value;
  if (Array.isArray(value)) return value.map(flat).join(', ');
  if (typeof value !== 'object' || value === null) return '';
  return Object.entries(value)
    .map(([field, each]) => (field === 'base' ? flat(each) : `${field} ${flat(each)}`))
    .join(', ');
}
