import { createHash, createPublicKey } from 'node:crypto';
import { createServer, type IncomingMessage, type Server, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import { jwtVerify } from 'jose';
import { blobSignature } from './action-routes.ts';
import { type Answer, type Asked, notFound, type Route } from './route.ts';
import { APP, FORMER, OWNER, REPO, type World } from './world.ts';

/** What was asked and answered, for a comparison with GitHub's whole description (scripts/check-github-api.ts). */
export interface Exchange {
  method: string;
  /** As in the description, with names in braces. */
  template: string;
  path: string;
  query: Record<string, string>;
  body: unknown;
  status: number;
  answer: unknown;
}

export interface FakeServer {
  url: string;
  requests: string[];
  exchanges: Exchange[];
  /** What a strict look found wrong with requests: unknown paths, parameters, headers. */
  complaints: string[];
  close(): Promise<void>;
}

const API_VERSIONS = ['2022-11-28'];

/** The HTTP side: headers, credentials, rights, the shape of requests, limits, and trouble. */
export async function createFakeServer(
  world: World,
  prefix: string,
  routes: () => readonly Route[],
): Promise<FakeServer> {
  const requests: string[] = [];
  const exchanges: Exchange[] = [];
  const complaints: string[] = [];

  async function handle(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const url = new URL(req.url ?? '/', 'http://fake');
    const method = req.method ?? 'GET';
    requests.push(`${method} ${url.pathname}`);
    if (url.pathname.startsWith('/_blob/')) return blob(url, req, res);
    if (world.trouble === 'slow') await wait(400);
    const trouble = troubled(world);
    if (trouble !== null) return send(req, res, trouble);
    const path = url.pathname.startsWith(`${prefix}/`) ? url.pathname.slice(prefix.length) : null;
    const found = path === null ? null : match(routes(), method, path);
    if (path === null || found === null) {
      complaints.push(`unknown path: ${method} ${url.pathname}`);
      return send(req, res, notFound);
    }
    const [route, params] = found;
    const refused = (await credentials(route, params, req)) ?? form(route, url, req, chunks);
    const query = Object.fromEntries(url.searchParams);
    const body = chunks.length === 0 ? undefined : json(Buffer.concat(chunks));
    const answer = refused ?? route.answer({ params, query, body } satisfies Asked);
    exchanges.push({ method, template: route.path, path, query, body, status: answer.status, answer: answer.body });
    if (answer.cut) {
      req.socket.destroy();
      return;
    }
    send(req, res, answer);
  }

  /** Who asks, and whether they may. */
  async function credentials(route: Route, params: Asked['params'], req: IncomingMessage): Promise<Answer | null> {
    const bad: Answer = { status: 401, body: { message: 'Bad credentials', status: '401' } };
    const token = /^(?:bearer|token) (\S+)$/i.exec(req.headers.authorization ?? '')?.[1];
    if (token === undefined) return { status: 401, body: { message: 'Requires authentication', status: '401' } };
    if (world.trouble === 'denied') return bad;
    if (params.repo === FORMER)
      return {
        status: 301,
        headers: { location: `${prefix}/repositories/1296269` },
        body: { message: 'Moved Permanently' },
      };
    if (params.owner !== undefined && (params.owner !== OWNER || params.repo !== REPO)) return notFound;
    if (route.right === 'app') {
      try {
        const key = createPublicKey(world.publicKey);
        const { payload } = await jwtVerify(token, key, { algorithms: ['RS256'], issuer: String(APP.id) });
        // "no more than 10 minutes into the future"
        if ((payload.exp ?? 0) - Date.now() / 1000 > 600 || payload.iat === undefined)
          return { status: 401, body: { message: "'Expiration time' claim ('exp') is too far in the future" } };
        return null;
      } catch {
        return { status: 401, body: { message: 'A JSON web token could not be decoded', status: '401' } };
      }
    }
    const known = world.tokens.get(token);
    if (known === undefined || known.expiresAt < Date.now()) return bad;
    if (params.repo !== undefined && !known.repositories.includes(params.repo)) return notFound;
    const { level, name } = route.right;
    const has = world.trouble === 'no-right' && level === 'write' ? 'read' : world.permissions[name];
    if (has === 'write' || has === level) return null;
    return {
      status: 403,
      body: { message: 'Resource not accessible by integration', status: '403' },
      headers: { 'x-accepted-github-permissions': `${name}=${level}` },
    };
  }

  /** Headers, query and body in the shape that is described. */
  function form(route: Route, url: URL, req: IncomingMessage, chunks: readonly Buffer[]): Answer | null {
    const refuse = (status: number, message: string): Answer => {
      complaints.push(`${req.method} ${url.pathname}: ${message}`);
      return { status, body: { message, status: String(status) } };
    };
    if (!req.headers['user-agent']) return refuse(403, 'Request forbidden by administrative rules.');
    const version = req.headers['x-github-api-version'];
    if (typeof version !== 'string' || !API_VERSIONS.includes(version))
      return refuse(400, 'x-github-api-version is missing or not supported');
    if (!/application\/(?:vnd\.github(?:\.v3)?\+)?json/.test(req.headers.accept ?? ''))
      return refuse(415, 'Unsupported accept header');
    for (const name of url.searchParams.keys())
      if (!route.query?.includes(name)) return refuse(422, `"${name}" is not a known parameter`);
    const text = Buffer.concat(chunks);
    if (route.body === undefined) return text.length === 0 ? null : refuse(422, 'a body is not expected');
    if (!/^application\/json/.test(req.headers['content-type'] ?? '')) return refuse(415, 'content-type is not JSON');
    const parsed = route.body.safeParse(json(text));
    if (parsed.success) return null;
    const [issue] = parsed.error.issues;
    return refuse(422, `Invalid request. ${issue?.path.join('.')}: ${issue?.message}`);
  }

  function send(req: IncomingMessage, res: ServerResponse, { body, headers = {}, status }: Answer): void {
    const text = body === undefined ? '' : typeof body === 'string' ? body : JSON.stringify(body);
    const etag = `W/"${createHash('sha256').update(text).digest('hex')}"`;
    const same = req.method === 'GET' && status === 200 && req.headers['if-none-match'] === etag;
    // A 304 does not count.
    if (!same && world.rate.remaining > 0) world.rate.remaining -= 1;
    res.writeHead(same ? 304 : status, {
      ...(text === '' ? {} : { 'content-type': body === text ? 'text/html' : 'application/json; charset=utf-8' }),
      ...(req.method === 'GET' && status === 200 ? { etag } : {}),
      'x-ratelimit-limit': String(world.rate.limit),
      'x-ratelimit-remaining': String(world.rate.remaining),
      'x-ratelimit-reset': String(world.rate.resetAt),
      'x-github-request-id': 'FAKE:1',
      ...headers,
    });
    res.end(same ? '' : text);
  }

  /** The file server of logs: knows nobody's credentials, and wants none. */
  function blob(url: URL, req: IncomingMessage, res: ServerResponse): void {
    const id = Number(url.pathname.split('/')[2]);
    const job = [...world.runs.values()]
      .flatMap(({ attempts }) => attempts)
      .flatMap(({ jobs }) => jobs)
      .find((each) => each.id === id);
    const right = job !== undefined && url.searchParams.get('sig') === blobSignature(world, id);
    if (req.headers.authorization !== undefined) complaints.push('the file server was sent credentials');
    if (!right || req.headers.authorization !== undefined) {
      res.writeHead(403);
      res.end('<Error>AuthenticationFailed</Error>');
      return;
    }
    res.writeHead(200, { 'content-type': 'text/plain' });
    res.end(`\uFEFF${job.log.map((line) => `${line}\n`).join('')}`);
  }

  const server: Server = createServer((req, res) => {
    handle(req, res).catch((error: unknown) => {
      complaints.push(`the fake itself failed: ${String(error)}`);
      if (!res.headersSent) res.writeHead(500);
      res.end();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    requests,
    exchanges,
    complaints,
    close() {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(() => resolve()));
    },
  };
}

function troubled(world: World): Answer | null {
  if (world.trouble === '5xx') return { status: 502, body: '<html><h1>502 Bad Gateway</h1></html>' };
  if (world.trouble !== '429' && world.trouble !== '429-bare') return null;
  const again: Record<string, string> = world.trouble === '429' ? { 'retry-after': String(world.retryAfter) } : {};
  world.troubleLeft -= 1;
  if (world.troubleLeft <= 0) world.trouble = null;
  const message = 'You have exceeded a secondary rate limit. Please wait a few minutes before you try again.';
  return { status: 429, body: { message, status: '429' }, headers: again };
}

function match(routes: readonly Route[], method: string, path: string): [Route, Record<string, string>] | null {
  for (const route of routes) {
    if (route.method !== method) continue;
    const names = [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name ?? '');
    const pattern = route.path
      .split(/\{\w+\}/)
      .map((part) => part.replace(/[.*+?^$()|[\]\\]/g, '\\$&'))
      .join('([^/]+)');
    const values = new RegExp(`^${pattern}$`).exec(path)?.slice(1);
    if (values)
      return [route, Object.fromEntries(names.map((name, at) => [name, decodeURIComponent(values[at] ?? '')]))];
  }
  return null;
}

function json(raw: Buffer): unknown {
  try {
    return JSON.parse(raw.toString('utf8'));
  } catch {
    return undefined;
  }
}
