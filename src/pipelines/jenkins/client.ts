import { resolve } from 'node:path';
import type { z } from 'zod';
import { PipelineError } from '../../errors.ts';
import { type HttpAnswer, HttpError, type HttpRequest } from '../../http.ts';
import { createRedactor, type Redactor } from '../../logger.ts';
import type { ConnectionDeps } from '../types.ts';
import { type JenkinsConnectionConfig, jenkinsSecrets, serverUrl } from './config.ts';

const READ_TRIES = 3;
const READ_BYTES = 4 * 1024 * 1024;
const TIMEOUT_MS = 10_000;
const POLL_MS = 4_000;
const SLOW_POLL_MS = 20_000;
const SLOW_FOR_MS = 60_000;
const LOG_BYTES = 96 * 1024;
const LOG_LOOKS = 3;
const MOST_LOG_BYTES = 16 * 1024 * 1024;

/** The end of a build's log, and how long the log is by now, in bytes. */
export interface LogEnd {
  text: string;
  size: number;
}

export interface JenkinsClient {
  /** Without a "/" at the end. */
  readonly url: string;
  readonly user: string;
  readonly redact: Redactor;
  /** Milliseconds between two looks; longer for a while after Jenkins, or what stands before it, said that it is too much. */
  readonly pollMs: number;
  /**
   * A JSON answer with only the fields of `tree`; null when it is not there, or may not be seen.
   * @throws PipelineError
   */
  read<T>(path: string, schema: z.ZodType<T>, tree?: string): Promise<T | null>;
  /**
   * Any answer of a POST that says neither that the credentials are wrong, nor that a right is missing, nor that Jenkins
   * is away. `sent` of the error says whether Jenkins may have taken it.
   * @throws PipelineError
   */
  post(path: string, form?: Readonly<Record<string, string>>): Promise<HttpAnswer>;
  /** The end of a log; `from` is a size that it had before. Null when there is none. @throws PipelineError */
  logEnd(path: string, from: number): Promise<LogEnd | null>;
}

/** "Job/Build" for hudson.model.Item.Build: as the pages for rights in Jenkins have it. */
function rightName(header: unknown): string | null {
  const match = /^hudson\.(?:model\.|security\.)?(\w+)\.(\w+)$/.exec(typeof header === 'string' ? header : '');
  if (!match) return null;
  const groups: Readonly<Record<string, string>> = { Item: 'Job', Hudson: 'Overall' };
  return `${groups[match[1] ?? ''] ?? match[1]}/${match[2]}`;
}

// What undici says when nothing was sent, because there was no connection to send it on.
const NEVER_CONNECTED =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT)$|CERT|ERR_TLS/;

function codeOf(error: HttpError): string {
  const { cause } = error;
  return typeof cause === 'object' && cause !== null && 'code' in cause ? String(cause.code) : '';
}

/** Requests to one Jenkins controller, as the user whose API token it has. An API token needs no crumb. */
export function createJenkinsClient(config: JenkinsConnectionConfig, deps: ConnectionDeps): JenkinsClient {
  const url = serverUrl(config.url) ?? config.url;
  const basic = Buffer.from(`${config.user}:${config.token}`).toString('base64');
  const redact = createRedactor(jenkinsSecrets(config));
  const headers = { authorization: `Basic ${basic}` };
  const http = deps.http(config.ca === undefined ? {} : { ca: resolve(deps.baseDir, config.ca) });
  let slowUntil = 0;

  const away = (message: string, sent: 'no' | 'unknown', cause?: unknown) =>
    new PipelineError('PIPELINE_UNAVAILABLE', message, { retryable: true, sent, cause });

  function noAnswer(error: unknown, sent: 'no' | 'unknown'): PipelineError {
    if (!(error instanceof HttpError)) return away('Jenkins can not be reached.', sent, error);
    if (error.kind === 'timeout') return away('Jenkins did not answer in time. Try again.', sent, error);
    if (error.kind === 'too-large')
      return away('Jenkins answered more than the bot reads at once. Keep fewer builds of the job.', sent, error);
    const code = codeOf(error);
    if (/CERT|SELF_SIGNED|UNABLE_TO|ERR_TLS/.test(code))
      return away(
        'The certificate of Jenkins is not trusted. Put its authority into "ca" of the connection.',
        'no',
        error,
      );
    return away(
      'Jenkins can not be reached. Check "url" of the connection, and the way there.',
      NEVER_CONNECTED.test(code) ? 'no' : sent,
      error,
    );
  }

  /** What an answer says that no caller has to decide about; null when it is for the caller. */
  function problem(answer: HttpAnswer, isRead: boolean): PipelineError | null {
    const { headers: given, status } = answer;
    const rejected = (message: string) => new PipelineError('PIPELINE_REJECTED', message);
    if (status === 401)
      return rejected(
        `Jenkins refused the API token of ${config.user} (401). Make a new one there (the user’s page, Security, API Token), and put it into "token" of the connection.`,
      );
    if (status === 403) {
      if (/no valid crumb/i.test(answer.text))
        return rejected(
          'Jenkins asked for a crumb (403), which it does for passwords. Put an API token into "token" of the connection.',
        );
      const right =
        rightName(given['x-required-permission']) ?? /missing the ([\w/]{3,60}) permission/.exec(answer.text)?.[1];
      return rejected(
        right
          ? `The user ${config.user} has no right ${right} in Jenkins (403). Grant it where the job’s rights are kept.`
          : `The user ${config.user} lacks a right in Jenkins (403). Grant those that the docs list.`,
      );
    }
    if (status === 429 || status === 503) {
      slowUntil = deps.now().getTime() + SLOW_FOR_MS;
      // Jenkins says 503 while it starts and a proxy without it, before anything was taken.
      return away(`Jenkins is too busy, or not ready (${status}). Try again in a minute.`, 'no');
    }
    if (status >= 500)
      return away(`Jenkins failed (${status}). Look at its log, and try again.`, isRead ? 'no' : 'unknown');
    if (isRead && status >= 300 && status < 400)
      return rejected(
        `Jenkins sent the bot to another page (${status}), perhaps to sign in. "url" of the connection must be what Jenkins calls its own URL, reachable without single sign-on.`,
      );
    if (isRead && status >= 400 && status !== 404) return rejected(`Jenkins refused to answer (${status}).`);
    return null;
  }

  async function ask(request: HttpRequest): Promise<HttpAnswer> {
    const isRead = (request.method ?? 'GET') === 'GET';
    let answer: HttpAnswer;
    try {
      answer = await http.request({ timeoutMs: TIMEOUT_MS, maxBytes: READ_BYTES, ...request, headers });
    } catch (error) {
      throw noAnswer(error, isRead ? 'no' : 'unknown');
    }
    const wrong = problem(answer, isRead);
    if (wrong) throw wrong;
    return answer;
  }

  /** A log from `start`. Without a text when it is longer than what is kept, unless this is the last look: then its end. */
  async function logPiece(path: string, start: number, isLast: boolean) {
    const signal = AbortSignal.timeout(TIMEOUT_MS);
    try {
      const answer = await http.fetch(`${url}${path}?start=${start}`, { headers, redirect: 'manual', signal });
      const given = Object.fromEntries(answer.headers);
      const size = given['x-text-size'] === undefined ? Number.NaN : Number(given['x-text-size']);
      const fits = size >= start && size - start <= LOG_BYTES;
      if (answer.ok && !fits && !isLast) {
        await answer.body?.cancel();
        return { status: answer.status, headers: given, text: null, size };
      }
      const { cut, text } = await endOf(answer.body, LOG_BYTES);
      return { status: answer.status, headers: given, text: cut || start > 0 ? withoutFirstLine(text) : text, size };
    } catch (error) {
      throw noAnswer(new HttpError(signal.aborted ? 'timeout' : 'connection', 'no log', error), 'no');
    }
  }

  return {
    url,
    user: config.user,
    redact,
    get pollMs() {
      return deps.now().getTime() < slowUntil ? SLOW_POLL_MS : POLL_MS;
    },

    async read(path, schema, tree) {
      const query = tree === undefined ? '' : `?tree=${encodeURIComponent(tree)}`;
      const answer = await ask({ url: `${url}${path}${query}`, tries: READ_TRIES });
      if (answer.status === 404) return null;
      const parsed = schema.safeParse(answer.json());
      if (parsed.success) return parsed.data;
      throw away(
        'Jenkins answered something that is not understood. Check that "url" of the connection is Jenkins itself.',
        'no',
        parsed.error,
      );
    },

    post: (path, form = {}) => ask({ method: 'POST', url: `${url}${path}`, form }),

    /**
     * Jenkins gives a log from a byte on, and says how long it is; it has no way to ask for the end, and takes a start
     * beyond the end for 0 (Stapler's LargeText.doProgressText). So the size is learnt first, and remembered.
     */
    async logEnd(path, from) {
      let start = Math.max(0, from - LOG_BYTES / 2);
      for (let look = 1; ; look += 1) {
        const { size, text, ...answer } = await logPiece(path, start, look === LOG_LOOKS);
        if (answer.status === 404) return null;
        const wrong = problem({ ...answer, text: text ?? '', json: () => undefined }, true);
        if (wrong) throw wrong;
        if (!Number.isSafeInteger(size) || size < 0)
          throw away('Jenkins answered a log that is not understood. Check "url" of the connection.', 'no');
        if (text !== null) return { text, size };
        start = size < start ? 0 : Math.max(0, size - LOG_BYTES / 2);
      }
    },
  };
}

/** The last `keep` bytes of a body, which is read up to a limit; `cut` when it had more before them. */
async function endOf(body: ReadableStream<Uint8Array> | null, keep: number): Promise<{ text: string; cut: boolean }> {
  let end = Buffer.alloc(0);
  let read = 0;
  for await (const chunk of body ?? []) {
    read += chunk.length;
    end = Buffer.concat([end, chunk]).subarray(-keep);
    if (read > MOST_LOG_BYTES) break;
  }
  return { text: end.toString('utf8'), cut: read > keep };
}

/** A text that begins in the middle of a line. */
function withoutFirstLine(text: string): string {
  return text.slice(text.indexOf('\n') + 1);
}
