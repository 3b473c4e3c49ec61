import { createHash } from 'node:crypto';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FakeCi, Trouble } from '../ci/types.ts';
import { createEngine } from './engine.ts';
import { createHooks } from './hooks.ts';
import { type Answered, type Asked, Refusal } from './requests.ts';
import { ciRoutes, IN_PROJECT } from './routes-ci.ts';
import { repositoryRoutes } from './routes-repository.ts';
import { createWorld, type Knobs, token, type World } from './world.ts';

/**
 * A strict GitLab, from doc/api and lib/api of gitlab.com/gitlab-org/gitlab (18.6). Two things are stricter than the
 * real one: parameters that are not described are refused, and so are paths.
 */
export interface FakeGitlab extends FakeCi {
  knobs: Knobs;
  world: World;
  /** Requests that no route took. */
  unknown(): readonly string[];
  /** Requests that were answered with 304. */
  unchanged(): number;
  proof: { secret: string; signing: string };
}

const SLOW_MS = 400;

export async function createFakeGitlab(options: { path?: string } = {}): Promise<FakeGitlab> {
  const { path = '' } = options;
  const world = createWorld();
  const { knobs, shas } = world;
  const proof = {
    secret: 'a-secret-of-the-webhook-4711',
    signing: `whsec_${createHash('sha256').update('fake gitlab').digest('base64')}`,
  };
  const tokens = { bot: token('glpat'), approver: token('glpat') };
  const hooks = createHooks(world, proof);
  const engine = createEngine(world, (change) => hooks.send(change));
  const ci = ciRoutes(world, engine);
  const repository = repositoryRoutes(world);
  const requests: string[] = [];
  const unknown: string[] = [];
  let unchanged = 0;
  let trouble: Trouble | null = null;
  let limited = 0;

  function whoIs(given: string | undefined): Asked['as'] {
    // Without a token a private project is not there at all.
    if (given === undefined) throw new Refusal(404, { message: '404 Project Not Found' });
    const as = (['bot', 'approver'] as const).find((name) => tokens[name] === given);
    if (as === undefined || trouble === 'denied') throw new Refusal(401, { message: '401 Unauthorized' });
    return as;
  }

  function route(asked: Asked): Answered {
    const [root, project] = asked.parts;
    if (root === 'projects' && project !== undefined) {
      if (!IN_PROJECT.has(project)) throw new Refusal(404, { message: '404 Project Not Found' });
      if (trouble === 'no-right' && asked.method !== 'GET') throw new Refusal(403, { message: '403 Forbidden' });
      const answer = ci(asked) ?? repository.project(asked);
      if (answer) return answer;
    } else {
      const answer = repository.server(asked);
      if (answer) return answer;
    }
    unknown.push(`${asked.method} ${asked.parts.join('/')}`);
    throw new Refusal(404, { error: '404 Not Found' });
  }

  async function read(req: IncomingMessage): Promise<Asked> {
    const url = new URL(req.url ?? '/', 'http://fake');
    const given = req.headers['private-token'];
    const as = whoIs(typeof given === 'string' ? given : undefined);
    const chunks: Buffer[] = [];
    for await (const chunk of req) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString('utf8');
    if (text !== '' && req.headers['content-type'] !== 'application/json')
      throw new Refusal(415, { error: 'The provided content-type is not supported.' });
    const query = new Map<string, string[]>();
    for (const [name, value] of url.searchParams) query.set(name, [...(query.get(name) ?? []), value]);
    const prefix = `${path}/api/v4/`;
    if (!url.pathname.startsWith(prefix)) {
      unknown.push(`${req.method} ${url.pathname}`);
      throw new Refusal(404, { error: '404 Not Found' });
    }
    const parts = url.pathname.slice(prefix.length).split('/').map(decodeURIComponent);
    return { method: req.method ?? '', parts, query, body: text === '' ? undefined : JSON.parse(text), as };
  }

  function write(req: IncomingMessage, res: ServerResponse, { headers = {}, json, status, text }: Answered): void {
    const body = text ?? JSON.stringify(json ?? {});
    const etag = `W/"${createHash('md5').update(body).digest('hex')}"`;
    const common = {
      'content-type': text === undefined ? 'application/json' : 'text/plain',
      'ratelimit-limit': '2000',
      'ratelimit-observed': String(2000 - knobs.remaining),
      'ratelimit-remaining': String(knobs.remaining),
      'ratelimit-reset': String(Math.ceil(Date.now() / 1000) + 60),
      ...headers,
    };
    if (req.method === 'GET' && status === 200 && req.headers['if-none-match'] === etag) {
      unchanged += 1;
      res.writeHead(304, { ...common, etag });
      res.end();
      return;
    }
    res.writeHead(status, { ...common, ...(status === 200 ? { etag } : {}) });
    res.end(body);
  }

  async function serve(req: IncomingMessage, res: ServerResponse): Promise<void> {
    const { pathname } = new URL(req.url ?? '/', 'http://fake');
    requests.push(`${req.method} ${pathname}`);
    if (trouble === 'slow') await new Promise((resolve) => setTimeout(resolve, SLOW_MS));
    if (trouble === '5xx') {
      res.writeHead(502, { 'content-type': 'text/html' });
      res.end('<html><title>GitLab is not responding (502)</title></html>');
      return;
    }
    if ((trouble === '429' || trouble === '429-bare') && limited > 0) {
      limited -= 1;
      const after: Record<string, string> = trouble === '429' ? { 'retry-after': '1' } : {};
      res.writeHead(429, { 'content-type': 'text/plain', ...after });
      res.end('Retry later\n');
      return;
    }
    try {
      const asked = await read(req);
      const answer = route(asked);
      if (trouble === 'cut' && asked.method === 'POST' && asked.parts[2] === 'pipeline') {
        trouble = null;
        res.destroy();
        return;
      }
      write(req, res, answer);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      write(req, res, error.answer);
    }
  }

  const server = createServer((req, res) => {
    serve(req, res).catch((error: unknown) => {
      unknown.push(`${req.method} ${req.url}: ${String(error)}`);
      res.writeHead(500, { 'content-type': 'application/json' });
      res.end('{"message":"500 Internal Server Error"}');
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  return {
    url,
    kind: 'gitlab',
    config: {
      connection: { url: `${url}${path}`, token: tokens.bot, approver: tokens.approver, ...proof },
      deploy: { gitlab: 'acme/storefront', environments: { production: 'prod' } },
      versions: { gitlab: 'tags', project: 'acme/storefront' },
    },
    shas,
    knobs,
    world,
    proof,
    unknown: () => unknown,
    unchanged: () => unchanged,
    secrets: () => [...Object.values(tokens), ...Object.values(proof), proof.signing.slice(6), world.jobToken],
    behave: (how) => {
      knobs.how = how;
    },
    trouble: (what) => {
      trouble = what;
      limited = what === '429' || what === '429-bare' ? 2 : 0;
    },
    webhooksTo: hooks.to,
    webhooks: hooks.manner,
    started: () => world.started,
    requests: () => requests,
    foreign({ ask = false, by, environment, version }) {
      const user = { id: 900, username: by, name: by };
      const values = { environment: environment === 'production' ? 'prod' : environment };
      const sha = shas[version];
      const how = ask ? 'ask' : 'succeed';
      const run = engine.create({ source: 'web', ref: version, tag: true, sha, user, name: null, values, how });
      return String(run.id);
    },
    answers: () => world.answers,
    moveTag(version, to) {
      const tag = world.tags.find(({ name }) => name === version);
      if (tag) tag.commit = shas[to];
    },
    async close() {
      engine.close();
      await hooks.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
