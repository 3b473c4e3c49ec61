import { createHash } from 'node:crypto';
import { resolve } from 'node:path';
import { PipelineError } from '../../errors.ts';
import { type HttpAnswer, HttpError } from '../../http.ts';
import type { ConnectionDeps } from '../types.ts';
import { type Challenge, parseChallenge } from './auth.ts';
import { type OciConnectionConfig, registryUrl } from './config.ts';
import { tokenSchema } from './schema.ts';

const TIMEOUT_MS = 10_000;
const READ_TRIES = 3;
const MOST_HOPS = 3;
const MOST_TOKENS = 200;
// A token without a time is good for a minute; ten seconds before its end it is not used any more.
const DEFAULT_TOKEN_SECONDS = 60;
const SPARE_MS = 10_000;

export const MANIFEST_TYPES = [
  'application/vnd.oci.image.index.v1+json',
  'application/vnd.docker.distribution.manifest.list.v2+json',
  'application/vnd.oci.image.manifest.v1+json',
  'application/vnd.docker.distribution.manifest.v2+json',
].join(', ');

export interface OciClient {
  /** Without a "/" at the end. */
  readonly url: string;
  /** Credentials go over an unencrypted connection to another machine. */
  readonly isExposed: boolean;
  /** An answer that is not an error; null for 404. `url` is one of this registry. @throws PipelineError VERSIONS_UNAVAILABLE */
  get(url: string, repository: string, accept: string): Promise<HttpAnswer | null>;
  /** The digest that the registry gives for a tag without sending the image; null when it does not say so. Never throws. */
  head(url: string, repository: string): Promise<{ status: number; digest: string | null } | null>;
  /** What has this digest, which is checked. @throws PipelineError VERSIONS_UNAVAILABLE */
  getByDigest(kind: 'manifests' | 'blobs', repository: string, digest: string): Promise<HttpAnswer>;
}

export function unavailable(message: string, options: { cause?: unknown; retryable?: boolean } = {}): PipelineError {
  return new PipelineError('VERSIONS_UNAVAILABLE', message, { retryable: true, ...options });
}

export function digestOf(text: string): string {
  return `sha256:${createHash('sha256').update(text).digest('hex')}`;
}

/** Requests to one registry: with a token for each image, which the registry's own service gives out. */
export function createOciClient(config: OciConnectionConfig, deps: ConnectionDeps): OciClient {
  const url = registryUrl(config.url) ?? config.url;
  const isHttps = url.startsWith('https:');
  const http = deps.http(config.ca === undefined ? {} : { ca: resolve(deps.baseDir, config.ca) });
  const basic =
    config.user === undefined || config.token === undefined
      ? null
      : `Basic ${Buffer.from(`${config.user}:${config.token}`).toString('base64')}`;
  /** Authorization by image. */
  const tokens = new Map<string, { header: string; until: number }>();

  const noAnswer = (error: unknown) => {
    if (error instanceof HttpError && error.kind === 'timeout')
      return unavailable('The registry did not answer in time. Try again.', { cause: error });
    if (error instanceof HttpError && error.kind === 'too-large')
      return unavailable('The registry answered more than the bot reads at once.', { cause: error, retryable: false });
    return unavailable('The registry can not be reached. Check "url" and "ca" of the connection, and the way there.', {
      cause: error,
    });
  };

  /** Credentials never leave an encrypted registry for an unencrypted place. */
  function requireSafe(target: string, what: string): void {
    if (/^https:/.test(target) || (!isHttps && /^http:/.test(target))) return;
    throw unavailable(`The registry ${what} without encryption, which the bot does not follow.`, { retryable: false });
  }

  const send = async (request: { url: string; accept: string; authorization: string | null }): Promise<HttpAnswer> => {
    const { accept, authorization } = request;
    const headers = { accept, ...(authorization === null ? {} : { authorization }) };
    try {
      return await http.request({ url: request.url, headers, timeoutMs: TIMEOUT_MS, tries: READ_TRIES });
    } catch (error) {
      throw noAnswer(error);
    }
  };

  function explain(status: number, repository: string | null): PipelineError {
    const image = repository === null ? '' : ` of ${repository}`;
    if (status === 401)
      return unavailable(
        basic === null
          ? `The registry wants credentials (401). Put "user" and "token" into the connection; the token needs the right to read (pull)${image}.`
          : `The registry refused the credentials of the connection (401). Make a new token with the right to read (pull)${image}.`,
        { retryable: false },
      );
    if (status === 403)
      return unavailable(`The token of the connection lacks the right to read (pull)${image} (403).`, {
        retryable: false,
      });
    if (status === 429) return unavailable('The registry has had too many requests (429). Try again in some minutes.');
    if (status >= 500) return unavailable(`The registry failed (${status}). Try again.`);
    return unavailable(`The registry refused to answer (${status}). Check "url" of the connection.`, {
      retryable: false,
    });
  }

  async function tokenFrom(challenge: Extract<Challenge, { scheme: 'bearer' }>, repository: string | null) {
    requireSafe(challenge.realm, 'gives out its tokens');
    const target = new URL(challenge.realm);
    if (challenge.service !== null) target.searchParams.set('service', challenge.service);
    if (repository !== null) target.searchParams.set('scope', `repository:${repository}:pull`);
    const answer = await send({ url: target.href, accept: 'application/json', authorization: basic });
    if (answer.status !== 200) throw explain(answer.status, repository);
    const parsed = tokenSchema.safeParse(answer.json());
    const token = parsed.data?.token ?? parsed.data?.access_token;
    if (token === undefined || /[\p{Cc}\s]/u.test(token))
      throw unavailable('The registry gave a token that is not understood.', { retryable: false });
    const lasts = (parsed.data?.expires_in ?? DEFAULT_TOKEN_SECONDS) * 1000;
    return { header: `Bearer ${token}`, until: deps.now().getTime() + lasts - SPARE_MS };
  }

  /** What meets the challenge of a 401; null when nothing does. */
  async function meet(answer: HttpAnswer, repository: string | null): Promise<string | null> {
    const challenge = parseChallenge(answer.headers['www-authenticate']);
    if (challenge === null) return null;
    const given =
      challenge.scheme === 'basic'
        ? basic === null
          ? null
          : { header: basic, until: Number.POSITIVE_INFINITY }
        : await tokenFrom(challenge, repository);
    if (given === null) return null;
    const [oldest] = tokens.keys();
    if (tokens.size >= MOST_TOKENS && oldest !== undefined) tokens.delete(oldest);
    tokens.set(repository ?? '', given);
    return given.header;
  }

  function known(repository: string | null): string | null {
    const token = tokens.get(repository ?? '');
    return token !== undefined && token.until > deps.now().getTime() ? token.header : null;
  }

  async function ask(target: string, repository: string | null, accept: string): Promise<HttpAnswer> {
    const authorization = known(repository);
    const first = await send({ url: target, accept, authorization });
    if (first.status !== 401) return first;
    const met = await meet(first, repository);
    return met === null ? first : await send({ url: target, accept, authorization: met });
  }

  async function get(target: string, repository: string | null, accept: string): Promise<HttpAnswer | null> {
    let answer = await ask(target, repository, accept);
    let at = target;
    for (let hop = 1; answer.status >= 300 && answer.status < 400; hop += 1) {
      const location = answer.headers.location;
      if (hop > MOST_HOPS || typeof location !== 'string' || !URL.canParse(location, at))
        throw unavailable('The registry sent the bot around in a circle.', { retryable: false });
      at = new URL(location, at).href;
      requireSafe(at, 'keeps its images');
      // Storage has its own signature in the URL, and refuses a second one in a header.
      answer = await send({ url: at, accept: '*/*', authorization: null });
    }
    if (answer.status === 200) return answer;
    if (answer.status === 404) return null;
    throw explain(answer.status, repository);
  }

  return {
    url,
    isExposed: basic !== null && !isHttps && !/^(?:127\.|localhost$|\[::1\])/.test(new URL(url).hostname),
    get: (target, repository, accept) => get(target, repository === '' ? null : repository, accept),

    async head(target, repository) {
      try {
        const authorization = known(repository);
        const answer = await http.fetch(target, {
          method: 'HEAD',
          redirect: 'manual',
          signal: AbortSignal.timeout(TIMEOUT_MS),
          headers: { accept: MANIFEST_TYPES, ...(authorization === null ? {} : { authorization }) },
        });
        return { status: answer.status, digest: answer.headers.get('docker-content-digest') };
      } catch {
        return null;
      }
    },

    async getByDigest(kind, repository, digest) {
      const accept = kind === 'manifests' ? MANIFEST_TYPES : '*/*';
      const answer = await get(`${url}/v2/${repository}/${kind}/${digest}`, repository, accept);
      if (answer === null)
        throw unavailable(`The registry does not have all of the image ${repository}: push it again.`, {
          retryable: false,
        });
      if (digestOf(answer.text) === digest) return answer;
      throw unavailable(`The registry answered something else than the ${repository} that was asked for.`, {
        retryable: false,
      });
    },
  };
}
