import { setTimeout as wait } from 'node:timers/promises';
import { type Http, HttpError } from '../../http.ts';
import type { Limits } from './limits.ts';

const MAX_BYTES = 12 * 1024 * 1024;
/** Characters of answers that are kept, and of a single one. */
const KEPT = 16 * 1024 * 1024;
const LARGEST_KEPT = 1024 * 1024;
const AGAIN_MS = 250;
const AWAY = new Set([502, 503, 504]);

interface Kept {
  etag: string;
  text: string;
  headers: Headers;
}

/**
 * The way to GitHub for Octokit: a limit on the size of answers, one more try of what only reads, and what was answered
 * before, which GitHub confirms without counting it (docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api,
 * "Use conditional requests if appropriate"). It follows no redirect.
 */
export function createTransport(http: () => Http, limits: Limits): typeof globalThis.fetch {
  // The oldest first, as a Map keeps its order.
  const kept = new Map<string, Kept>();
  let size = 0;
  const drop = (url: string) => {
    size -= kept.get(url)?.text.length ?? 0;
    kept.delete(url);
  };
  const keep = (url: string, answer: Kept) => {
    drop(url);
    kept.set(url, answer);
    size += answer.text.length;
    for (const oldest of kept.keys()) {
      if (size <= KEPT) break;
      drop(oldest);
    }
  };

  return async (input, init = {}) => {
    const url = String(input);
    const reads = (init.method ?? 'GET') === 'GET';
    const headers = new Headers(init.headers);
    const known = reads ? kept.get(url) : undefined;
    if (known !== undefined) headers.set('if-none-match', known.etag);
    for (let attempt = 1; ; attempt += 1) {
      await limits.ready();
      const again = reads && attempt === 1 && !init.signal?.aborted;
      try {
        const answer = await once(http(), url, { ...init, headers, redirect: 'manual' });
        limits.learn(answer.status, answer.headers);
        if (again && AWAY.has(answer.status) && !answer.headers.has('retry-after')) {
          await wait(AGAIN_MS);
          continue;
        }
        if (answer.status === 304 && known !== undefined) {
          keep(url, known);
          return new Response(known.text, { status: 200, headers: known.headers });
        }
        const etag = answer.headers.get('etag');
        if (reads && answer.status === 200 && etag !== null && answer.text.length <= LARGEST_KEPT)
          keep(url, { etag, text: answer.text, headers: answer.headers });
        const bodiless = answer.status === 204 || answer.status === 304;
        return new Response(bodiless ? null : answer.text, { status: answer.status, headers: answer.headers });
      } catch (error) {
        if (!again || !(error instanceof HttpError) || error.kind !== 'connection') throw error;
        await wait(AGAIN_MS);
      }
    }
  };
}

async function once(http: Http, url: string, init: RequestInit) {
  try {
    const answer = await http.fetch(url, init);
    const chunks: Uint8Array[] = [];
    let size = 0;
    if (answer.body !== null)
      for await (const chunk of answer.body) {
        size += chunk.length;
        if (size > MAX_BYTES) throw new HttpError('too-large', `The answer is larger than ${MAX_BYTES} bytes.`);
        chunks.push(chunk);
      }
    // Of undici's own kind: copied, since Octokit is given the web's.
    const headers = new Headers([...answer.headers]);
    headers.delete('content-encoding');
    return { status: answer.status, headers, text: Buffer.concat(chunks).toString('utf8') };
  } catch (cause) {
    if (cause instanceof HttpError) throw cause;
    if (init.signal?.aborted) throw new HttpError('timeout', 'It did not answer in time.', cause);
    throw new HttpError('connection', 'It can not be reached.', cause);
  }
}

/** Codes of a connection that never stood: nothing was sent over it. */
const NEVER_SENT =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_AGAIN|EHOSTUNREACH|ENETUNREACH|UND_ERR_CONNECT_TIMEOUT|ERR_TLS_.*|CERT_.*|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_.*)$/;

export function neverSent(error: unknown): boolean {
  for (let each = error, depth = 0; each instanceof Error && depth < 6; each = each.cause, depth += 1)
    if ('code' in each && typeof each.code === 'string' && NEVER_SENT.test(each.code)) return true;
  return false;
}
