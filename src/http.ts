import { rootCertificates } from 'node:tls';
import type { Dispatcher } from 'undici';
import { Agent, EnvHttpProxyAgent, fetch, request } from 'undici';

/** One place for outgoing requests of adapters: timeouts, size limits, retries of what is safe to repeat. Redirects are not followed. */

export interface HttpRequest {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  url: string;
  headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  json?: unknown;
  /** Sent as application/x-www-form-urlencoded. */
  form?: Readonly<Record<string, string>>;
  /** Whole call, milliseconds. Default 10,000. */
  timeoutMs?: number;
  /** Default 1 MB. A longer answer is an error. */
  maxBytes?: number;
  /** How often to try in all, when the other side could not serve (connection, 429, 5xx) and repeating is safe. Default 1. */
  tries?: number;
}

export interface HttpAnswer {
  status: number;
  headers: Readonly<Record<string, string | string[] | undefined>>;
  text: string;
  /** The text as JSON, or undefined when it is none. */
  json(): unknown;
}

/** Nothing came back. `message` holds no URL and no header, so that it may be shown. */
export class HttpError extends Error {
  override readonly name = 'HttpError';
  readonly kind: 'timeout' | 'connection' | 'too-large';
  constructor(kind: HttpError['kind'], message: string, cause?: unknown) {
    super(message, { cause });
    this.kind = kind;
  }
}

export interface Http {
  /** Any answer is returned, whatever its status. @throws HttpError when there is none */
  request(request: HttpRequest): Promise<HttpAnswer>;
  /** The same way out (proxy, certificates) for a library that wants the web's fetch. */
  readonly fetch: typeof globalThis.fetch;
  close(): Promise<void>;
}

export interface HttpOptions {
  dispatcher?: Dispatcher;
  /** PEM of certificates to trust beside the usual ones. */
  ca?: string;
  /** As in HTTP_PROXY, HTTPS_PROXY and NO_PROXY; without any, requests go directly. */
  proxy?: { http?: string; https?: string; none?: string };
}

const CONNECT_MS = 5_000;
const KEEP_ALIVE_MS = 30_000;

function dispatcherFor({ ca, proxy = {} }: HttpOptions): Dispatcher {
  const tls = ca === undefined ? {} : { ca: [...rootCertificates, ca] };
  const connect = { timeout: CONNECT_MS, ...tls };
  if (proxy.http === undefined && proxy.https === undefined)
    return new Agent({ keepAliveTimeout: KEEP_ALIVE_MS, connect });
  return new EnvHttpProxyAgent({
    keepAliveTimeout: KEEP_ALIVE_MS,
    connect,
    requestTls: connect,
    proxyTls: connect,
    // An empty text keeps it from reading the process's environment.
    httpProxy: proxy.http ?? '',
    httpsProxy: proxy.https ?? '',
    noProxy: proxy.none ?? '',
  });
}

const REPEATABLE = new Set([429, 502, 503, 504]);

export function createHttp(options: HttpOptions = {}): Http {
  const dispatcher = options.dispatcher ?? dispatcherFor(options);

  const once = async (wanted: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> => {
    const { form, headers = {}, json, maxBytes = 1_048_576, method = 'GET', url } = wanted;
    try {
      const answer = await request(url, {
        dispatcher,
        method,
        signal,
        headers: {
          accept: 'application/json',
          ...(json === undefined ? {} : { 'content-type': 'application/json' }),
          ...(form === undefined ? {} : { 'content-type': 'application/x-www-form-urlencoded' }),
          ...headers,
        },
        ...(json === undefined ? {} : { body: JSON.stringify(json) }),
        ...(form === undefined ? {} : { body: new URLSearchParams(form).toString() }),
      });
      const chunks: Buffer[] = [];
      let size = 0;
      for await (const chunk of answer.body) {
        size += (chunk as Buffer).length;
        if (size > maxBytes) throw new HttpError('too-large', `The answer is larger than ${maxBytes} bytes.`);
        chunks.push(chunk as Buffer);
      }
      const text = Buffer.concat(chunks).toString('utf8');
      return {
        status: answer.statusCode,
        headers: answer.headers,
        text,
        json: () => {
          try {
            return JSON.parse(text);
          } catch {
            return undefined;
          }
        },
      };
    } catch (error) {
      if (error instanceof HttpError) throw error;
      if (signal.aborted) throw new HttpError('timeout', 'It did not answer in time.', error);
      throw new HttpError('connection', 'It can not be reached.', error);
    }
  };

  return {
    async request(wanted) {
      const { timeoutMs = 10_000, tries = 1 } = wanted;
      const signal = AbortSignal.timeout(timeoutMs);
      for (let attempt = 1; ; attempt += 1) {
        const last = attempt >= tries;
        try {
          const answer = await once(wanted, signal);
          if (last || !REPEATABLE.has(answer.status)) return answer;
          await wait(retryAfter(answer) ?? backoff(attempt), signal);
        } catch (error) {
          if (last || !(error instanceof HttpError) || error.kind !== 'connection') throw error;
          await wait(backoff(attempt), signal);
        }
      }
    },
    // undici's types and the web's differ in names only.
    fetch: ((input: string | URL, init: object = {}) =>
      fetch(input, { ...init, dispatcher })) as unknown as typeof globalThis.fetch,
    close: () => dispatcher.close(),
  };
}

function backoff(attempt: number): number {
  return 100 * 2 ** attempt * (0.5 + Math.random() / 2);
}

/** Milliseconds of a Retry-After header in seconds; undefined without one, or when it is a date. */
function retryAfter(answer: HttpAnswer): number | undefined {
  const seconds = Number(answer.headers['retry-after']);
  return Number.isFinite(seconds) && seconds >= 0 ? seconds * 1000 : undefined;
}

function wait(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const late = () => {
      clearTimeout(timer);
      reject(new HttpError('timeout', 'It did not answer in time.'));
    };
    const timer = setTimeout(() => {
      signal.removeEventListener('abort', late);
      resolve();
    }, ms);
    if (signal.aborted) late();
    else signal.addEventListener('abort', late, { once: true });
  });
}
