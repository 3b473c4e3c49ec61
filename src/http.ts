import type { Dispatcher } from 'undici';
import { Agent, request } from 'undici';

/** One place for outgoing requests of adapters: timeouts, size limits, retries of what is safe to repeat. */

export interface HttpRequest {
  method?: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  url: string;
  headers?: Readonly<Record<string, string>>;
  /** Sent as JSON. */
  json?: unknown;
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
  close(): Promise<void>;
}

const REPEATABLE = new Set([429, 502, 503, 504]);

export function createHttp(options: { dispatcher?: Dispatcher } = {}): Http {
  const dispatcher = options.dispatcher ?? new Agent({ keepAliveTimeout: 30_000, connect: { timeout: 5_000 } });

  const once = async (wanted: HttpRequest, signal: AbortSignal): Promise<HttpAnswer> => {
    const { headers = {}, json, maxBytes = 1_048_576, method = 'GET', url } = wanted;
    try {
      const answer = await request(url, {
        dispatcher,
        method,
        signal,
        headers: {
          accept: 'application/json',
          ...(json === undefined ? {} : { 'content-type': 'application/json' }),
          ...headers,
        },
        ...(json === undefined ? {} : { body: JSON.stringify(json) }),
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
