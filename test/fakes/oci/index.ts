import { createHash, randomBytes } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FakeCi, Trouble } from '../ci/types.ts';
import { createImages, digestOf, type Images, REPOSITORY } from './images.ts';

/**
 * A registry with a token service and a storage of its own, as the OCI distribution specification and
 * distribution.github.io/distribution/spec/auth/token have them. It runs nothing: what FakeCi has for runs is empty.
 */
export interface FakeOci extends FakeCi {
  images: Images;
  /** Requests that no page answers. */
  unknown(): readonly string[];
  /** How it wants to be asked. Default: bearer. */
  scheme(how: 'bearer' | 'basic' | 'none'): void;
  /** What comes instead of an answer to a path, from now on. */
  instead(
    path: RegExp,
    answer: { status: number; headers?: Record<string, string>; body?: string } | null,
    method?: 'HEAD',
  ): void;
}

const PAGE = 3;
const USER = 'shipmate-reader';
const TYPES = ['image.index.v1', 'image.manifest.v1', 'distribution.manifest.v2', 'distribution.manifest.list.v2'];

const commit = (text: string) => createHash('sha1').update(text).digest('hex');

export async function createFakeOci(): Promise<FakeOci> {
  const password = `ghp_${randomBytes(18).toString('hex')}`;
  const basic = `Basic ${Buffer.from(`${USER}:${password}`).toString('base64')}`;
  const images = createImages();
  const shas = { '1.0.0': commit('1.0.0'), '1.1.0': commit('1.1.0'), '1.10.0': commit('1.10.0') };
  images.push('1.0.0', { kind: 'docker', revision: { at: 'labels', commit: shas['1.0.0'] } });
  images.push('1.1.0', { kind: 'index', revision: { at: 'labels', commit: shas['1.1.0'] } });
  images.push('1.10.0', { kind: 'oci', revision: { at: 'annotations', commit: shas['1.10.0'] } });
  images.push('latest', { revision: { at: 'annotations', commit: shas['1.10.0'] } });
  images.push(`sha256-${'a'.repeat(64)}.sig`, {});

  const given = new Map<string, { scope: string; until: number }>();
  const everGiven: string[] = [];
  const requests: string[] = [];
  const unknown: string[] = [];
  const timers = new Set<NodeJS.Timeout>();
  let trouble: Trouble | null = null;
  let refusals = 0;
  let scheme: 'bearer' | 'basic' | 'none' = 'bearer';
  let replaced: {
    method: 'HEAD' | undefined;
    path: RegExp;
    answer: { status: number; headers?: Record<string, string>; body?: string };
  } | null = null;

  const say = (res: ServerResponse, status: number, body: unknown = '', headers: Record<string, string> = {}) => {
    res.writeHead(status, { 'docker-distribution-api-version': 'registry/2.0', ...headers });
    res.end(typeof body === 'string' ? body : JSON.stringify(body));
  };
  const fail = (res: ServerResponse, status: number, code: string, headers: Record<string, string> = {}) =>
    say(res, status, { errors: [{ code, message: code.toLowerCase() }] }, headers);

  function giveToken(req: IncomingMessage, res: ServerResponse, query: URLSearchParams): unknown {
    if (req.headers.authorization !== basic || trouble === 'denied') return fail(res, 401, 'UNAUTHORIZED');
    if (query.get('service') !== 'registry.test') return fail(res, 400, 'UNSUPPORTED');
    const token = randomBytes(24).toString('base64url');
    everGiven.push(token);
    given.set(token, { scope: query.get('scope') ?? '', until: Date.now() + 300_000 });
    return say(res, 200, { token, expires_in: 300, issued_at: new Date().toISOString() });
  }

  /** Whether the request may go on; otherwise it is answered. */
  function isAllowed(req: IncomingMessage, res: ServerResponse, scope: string, origin: string): boolean {
    if (scheme === 'none') return true;
    const authorization = req.headers.authorization ?? '';
    if (scheme === 'basic') {
      if (authorization === basic && trouble !== 'denied') return true;
      fail(res, 401, 'UNAUTHORIZED', { 'www-authenticate': 'Basic realm="Registry"' });
      return false;
    }
    const token = given.get(authorization.replace(/^Bearer /, ''));
    if (token && token.until > Date.now() && (scope === '' || token.scope === scope)) {
      if (trouble !== 'no-right') return true;
      fail(res, 403, 'DENIED');
      return false;
    }
    const wanted = scope === '' ? '' : `,scope="${scope}"`;
    const challenge = `Bearer realm="${origin}/token",service="registry.test"${wanted},error="invalid_token"`;
    fail(res, 401, 'UNAUTHORIZED', { 'www-authenticate': challenge });
    return false;
  }

  function tags(res: ServerResponse, query: URLSearchParams): unknown {
    const extra = [...query.keys()].filter((name) => name !== 'n' && name !== 'last');
    const wanted = Number(query.get('n') ?? PAGE);
    if (extra.length > 0 || !Number.isInteger(wanted) || wanted < 1) return fail(res, 400, 'PAGINATION_NUMBER_INVALID');
    // A registry may give fewer than it was asked for.
    const all = [...images.tags.keys()].sort();
    const from = all.findIndex((tag) => tag > (query.get('last') ?? ''));
    const size = Math.min(wanted, PAGE);
    const page = from < 0 ? [] : all.slice(from, from + size);
    const isLast = from < 0 || from + size >= all.length;
    const next = `</v2/${REPOSITORY}/tags/list?last=${page.at(-1)}&n=${wanted}>; rel="next"`;
    return say(res, 200, { name: REPOSITORY, tags: page }, isLast ? {} : { link: next });
  }

  function manifest(req: IncomingMessage, res: ServerResponse, reference: string): unknown {
    const digest = reference.startsWith('sha256:') ? reference : images.tags.get(reference);
    const stored = digest === undefined ? undefined : images.manifests.get(digest);
    const accepts = (req.headers.accept ?? '').split(/\s*,\s*/);
    // One that the client does not take is not there for it.
    if (!stored || digest === undefined || !accepts.includes(stored.type)) return fail(res, 404, 'MANIFEST_UNKNOWN');
    if (!TYPES.some((type) => stored.type.includes(type))) return fail(res, 500, 'UNKNOWN');
    return say(res, 200, req.method === 'HEAD' ? '' : stored.text, {
      'content-type': stored.type,
      'docker-content-digest': digest,
    });
  }

  const server = createServer(async (req, res) => {
    const url = new URL(req.url ?? '/', `http://${req.headers.host}`);
    const path = url.pathname;
    requests.push(`${req.method} ${path}`);
    if (trouble === 'slow') await new Promise((resolve) => timers.add(setTimeout(resolve, 400)));
    if (trouble === '5xx') return say(res, 502, '<html>Bad Gateway</html>');
    if ((trouble === '429' || trouble === '429-bare') && refusals > 0) {
      refusals -= 1;
      return fail(res, 429, 'TOOMANYREQUESTS', trouble === '429' ? { 'retry-after': '1' } : {});
    }
    if (replaced?.path.test(path) && (replaced.method ?? req.method) === req.method)
      return say(res, replaced.answer.status, replaced.answer.body, replaced.answer.headers);
    if (req.method !== 'GET' && req.method !== 'HEAD') return fail(res, 405, 'UNSUPPORTED');
    if (path === '/token') return giveToken(req, res, url.searchParams);
    const stored = /^\/storage\/(sha256:[0-9a-f]{64})$/.exec(path)?.[1];
    if (stored !== undefined) {
      // As S3: only one way to be let in.
      if (req.headers.authorization !== undefined || url.searchParams.get('signature') !== 'right')
        return say(res, 400, '<Error>Only one auth mechanism allowed</Error>');
      return say(res, 200, images.blobs.get(stored) ?? '', { 'content-type': 'application/octet-stream' });
    }
    if (path === '/v2/') return void (isAllowed(req, res, '', url.origin) && say(res, 200, {}));
    const [, name = '', what = '', reference = ''] = /^\/v2\/(.+)\/(tags|manifests|blobs)\/([^/]+)$/.exec(path) ?? [];
    if (what === '') {
      unknown.push(`${req.method} ${path}`);
      return fail(res, 404, 'NAME_UNKNOWN');
    }
    if (!isAllowed(req, res, `repository:${name}:pull`, url.origin)) return;
    if (name !== REPOSITORY) return fail(res, 404, 'NAME_UNKNOWN');
    if (what === 'tags' && reference === 'list') return tags(res, url.searchParams);
    if (what === 'manifests') return manifest(req, res, reference);
    if (what === 'blobs' && images.blobs.has(reference))
      return say(res, 307, '', { location: `/storage/${reference}?signature=right` });
    return fail(res, 404, 'BLOB_UNKNOWN');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const nothing = () => undefined;

  return {
    url,
    kind: 'oci',
    images,
    config: {
      connection: { url, user: USER, token: password },
      deploy: {},
      versions: { oci: REPOSITORY, pattern: '\\d+\\.\\d+\\.\\d+' },
    },
    shas,
    secrets: () => [password, basic.slice('Basic '.length), ...everGiven],
    behave: nothing,
    trouble(what) {
      trouble = what;
      refusals = 2;
      if (what === 'expired') for (const token of given.values()) token.until = 0;
    },
    webhooksTo: nothing,
    webhooks: nothing,
    started: () => 0,
    requests: () => requests,
    unknown: () => unknown,
    foreign: () => '',
    answers: () => [],
    scheme: (how) => {
      scheme = how;
    },
    instead: (path, answer, method) => {
      replaced = answer === null ? null : { path, answer, method };
    },
    moveTag(version, to) {
      images.tags.set(version, images.tags.get(to) ?? digestOf(''));
    },
    async close() {
      for (const timer of timers) clearTimeout(timer);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
