import { setTimeout as wait } from 'node:timers/promises';
import type { z } from 'zod';
import { PipelineError } from '../../errors.ts';
import { type Http, type HttpAnswer, HttpError } from '../../http.ts';
import type { Redactor } from '../../logger.ts';
import { plainValue } from '../requests.ts';
import type { Credentials } from './credentials.ts';
import { createPace } from './pace.ts';
import { failure } from './schema.ts';

/** Azure DevOps Services, and Azure DevOps Server 2022.1 or newer. */
export const API_VERSION = '7.1';

const MAX_BYTES = 8 * 1024 * 1024;
const READ_TRIES = 3;
const READ_WAIT_MS = 150;
const LONGEST_MESSAGE = 300;

/** Codes of connections that were never made: nothing can have been taken. */
const NEVER_CONNECTED =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|ERR_TLS_.*|CERT_.*|.*_CERT(?:_.*)?|UNABLE_TO_.*)$/;
const CERTIFICATE = /CERT|UNABLE_TO_|ERR_TLS_/;

export interface AzureRequest {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH';
  /** After the organization's URL; each becomes one segment of the path. */
  path: readonly (string | number)[];
  query?: Readonly<Record<string, string | number | boolean | undefined>>;
  json?: unknown;
  /** What the identity needs for it, as the vendor names it. */
  right: string;
  /** Repeating it could start something twice: an error says whether it may have been taken. */
  starts?: boolean;
}

/** 2xx, or a refusal that the caller has words for: 400, 404, 409 and other 4xx. */
export interface AzureAnswer {
  status: number;
  ok: boolean;
  body: unknown;
  /** The vendor's words, one line, redacted; empty without any. */
  message: string;
  typeKey: string;
  /** To be given back as `continuationToken` for the next page. */
  continuation?: string;
}

export interface AzureClient {
  /** The organization or collection, without a slash at its end. */
  readonly base: string;
  readonly redact: Redactor;
  /** Milliseconds until the next look is worth its cost. */
  readonly pollMs: number;
  /** @throws PipelineError */
  ask(request: AzureRequest): Promise<AzureAnswer>;
  /** The body of an answer that went well. @throws PipelineError when it is none, or not as expected */
  read<T extends z.ZodType>(schema: T, request: AzureRequest): Promise<z.infer<T>>;
  /** @throws PipelineError PIPELINE_UNAVAILABLE */
  parse<T extends z.ZodType>(schema: T, answer: AzureAnswer, sent?: 'no' | 'unknown'): z.infer<T>;
  /** What to tell of a refusal that nobody has better words for. */
  refused(answer: AzureAnswer): PipelineError;
}

export function createAzureClient(options: {
  url: string;
  http: Http;
  credentials: Credentials;
  redact: Redactor;
  now: () => Date;
}): AzureClient {
  const { credentials, http, now, redact } = options;
  const base = options.url.replace(/\/+$/, '');
  const { host } = new URL(base);
  const pace = createPace(now);

  function address({ path, query = {} }: AzureRequest): string {
    const segments = path.map((segment) => encodeURIComponent(segment)).join('/');
    const pairs = Object.entries({ ...query, 'api-version': API_VERSION }).flatMap(([key, value]) =>
      value === undefined ? [] : [`${key}=${encodeURIComponent(value)}`],
    );
    return `${base}/${segments}?${pairs.join('&')}`;
  }

  async function once(request: AzureRequest, authorization: string): Promise<HttpAnswer> {
    const { json, method = 'GET', starts = false } = request;
    try {
      return await http.request({
        url: address(request),
        method,
        // Asks for an error instead of the sign-in page, where the server can.
        headers: { authorization, 'x-tfs-fedauthredirect': 'Suppress' },
        ...(json === undefined ? {} : { json }),
        maxBytes: MAX_BYTES,
      });
    } catch (error) {
      if (!(error instanceof HttpError)) throw error;
      throw noAnswer(error, starts);
    }
  }

  /** Reads again what a bad moment spoiled. Not after 429: there `pollMs` slows everything down instead. */
  async function patiently(request: AzureRequest, authorization: string): Promise<HttpAnswer> {
    for (let attempt = 1; ; attempt += 1) {
      const last = attempt >= READ_TRIES || (request.method ?? 'GET') !== 'GET';
      try {
        const answer = await once(request, authorization);
        pace.see(answer);
        if (last || ![502, 503, 504].includes(answer.status)) return answer;
      } catch (error) {
        const lost = error instanceof PipelineError && error.cause instanceof HttpError;
        if (last || !lost || (error.cause as HttpError).kind !== 'connection') throw error;
      }
      await wait(READ_WAIT_MS * attempt);
    }
  }

  function noAnswer(error: HttpError, starts: boolean): PipelineError {
    const code = codeOf(error.cause);
    const never = error.kind === 'connection' && NEVER_CONNECTED.test(code);
    const hint = CERTIFICATE.test(code)
      ? 'Its certificate is not trusted: set `ca` of the connection.'
      : 'Try again; if it stays so, check the network between the bot and it.';
    return new PipelineError('PIPELINE_UNAVAILABLE', `Azure DevOps (${host}): ${error.message} ${hint}`, {
      cause: error,
      retryable: true,
      sent: starts && !never ? 'unknown' : 'no',
    });
  }

  /** Throws for what is the same whatever was asked; gives back the rest. */
  function judge(answer: HttpAnswer, { right, starts = false }: AzureRequest): AzureAnswer {
    const body = answer.json();
    const { message: said, typeKey } = failure.safeParse(body).data ?? {};
    const message = plainValue(redact(said ?? ''), LONGEST_MESSAGE);
    const words = message === '' ? '' : ` It says: ${message}`;
    if (answer.status === 429)
      throw new PipelineError(
        'PIPELINE_UNAVAILABLE',
        `Azure DevOps (${host}) takes no more requests for the moment: the bot's identity has used up its share. Try again in some minutes.${words}`,
        { retryable: true },
      );
    if (answer.status >= 500)
      throw new PipelineError(
        'PIPELINE_UNAVAILABLE',
        `Azure DevOps (${host}) is away or has a fault (HTTP ${answer.status}). Try again.${words}`,
        { retryable: true, sent: starts && answer.status !== 503 ? 'unknown' : 'no' },
      );
    if (isSignIn(answer, body)) throw new PipelineError('PIPELINE_REJECTED', `${credentials.refused(host)}${words}`);
    if (answer.status === 403)
      throw new PipelineError(
        'PIPELINE_REJECTED',
        `Azure DevOps (${host}) refuses this to the bot: it lacks the permission ${right}. Give it to the bot's identity there.${words}`,
      );
    const continuation = answer.headers['x-ms-continuationtoken'];
    return {
      status: answer.status,
      ok: answer.status >= 200 && answer.status < 300,
      body,
      message,
      typeKey: typeKey ?? '',
      ...(typeof continuation === 'string' && continuation !== '' ? { continuation } : {}),
    };
  }

  async function ask(request: AzureRequest): Promise<AzureAnswer> {
    let answer = await patiently(request, await credentials.header(false));
    if (credentials.renewable && isSignIn(answer, answer.json())) {
      // It was refused, so nothing was taken, and it may be repeated.
      answer = await patiently(request, await credentials.header(true));
    }
    return judge(answer, request);
  }

  function refused(answer: AzureAnswer): PipelineError {
    const words = answer.message === '' ? `HTTP ${answer.status}` : answer.message;
    return new PipelineError('PIPELINE_REJECTED', `Azure DevOps (${host}) refuses: ${words}`);
  }

  function parse<T extends z.ZodType>(schema: T, answer: AzureAnswer, sent: 'no' | 'unknown' = 'no'): z.infer<T> {
    const parsed = schema.safeParse(answer.body);
    if (parsed.success) return parsed.data;
    throw new PipelineError(
      'PIPELINE_UNAVAILABLE',
      `Azure DevOps (${host}) answered something that is not understood. Is it Azure DevOps Services, or Server 2022.1 or newer?`,
      { cause: parsed.error, retryable: true, sent },
    );
  }

  return {
    base,
    redact,
    get pollMs() {
      return pace.pollMs;
    },
    ask,
    parse,
    refused,
    async read(schema, request) {
      const answer = await ask(request);
      if (!answer.ok) throw refused(answer);
      return parse(schema, answer);
    },
  };
}

/**
 * Whether the answer is "sign in first": 401, a redirect to the sign-in page, or the page itself with 203 (or 200). An
 * answer of the API is JSON or nothing.
 */
function isSignIn(answer: HttpAnswer, body: unknown): boolean {
  if (answer.status === 401 || answer.status === 203 || answer.status === 302) return true;
  return answer.status === 200 && answer.text.trim() !== '' && body === undefined;
}

function codeOf(error: unknown): string {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : '';
}
