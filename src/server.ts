import type { AddressInfo } from 'node:net';
import restify, { type Request, type Response, type Server } from 'restify';
import type { BotAnswer } from './bot/adapter.ts';
import type { ActivityLike } from './bot/incoming.ts';
import type { CallerIdentity, TrustGate } from './bot/trust.ts';
import type { WebhookAnswer } from './connections.ts';
import { type ReasonCode, type Refusal, ShipmateError } from './errors.ts';
import type { Logger } from './logger.ts';
import type { Metrics } from './metrics.ts';

export interface ServerDeps {
  host: string;
  port: number;
  /** Null: the public port serves health and metrics too (playground). */
  internalPort: number | null;
  gate: TrustGate;
  onActivity: (activity: ActivityLike, identity: CallerIdentity) => Promise<BotAnswer>;
  /** A request that the gate turned away. Must not throw. */
  onRejected: (code: ReasonCode, facts: { remoteAddress: string }) => void;
  /** The file behind a signed link. */
  file: (
    token: string,
    signal: AbortSignal,
  ) => Promise<{ ok: true; filename: string; lines: AsyncIterable<string> } | Refusal>;
  /** What a vendor sends to /api/pipelines/:connection. */
  webhook: (connection: string, request: { headers: Request['headers']; body: Buffer }) => Promise<WebhookAnswer>;
  /** Null when ready, else why not. */
  ready: () => Promise<string | null>;
  metrics: Metrics;
  logger: Logger;
}

export interface Servers {
  /** @throws ShipmateError CONFIG_INVALID when a port is taken */
  start(): Promise<{ port: number; internalPort: number }>;
  /** Stops accepting, finishes what is in flight (at most `graceMs`), closes. */
  stop(options?: { graceMs?: number }): Promise<void>;
}

interface RestifyError {
  statusCode?: number;
  toJSON?: () => unknown;
  toString: () => string;
}

const MAX_BODY = 256 * 1024;
/** GitHub's longest are some hundred kilobytes; those of a run are about forty. */
const MAX_WEBHOOK = 1024 * 1024;
const REFUSALS: Partial<Record<ReasonCode, number>> = {
  LINK_INVALID: 403,
  LINK_USED: 410,
  LINK_EXPIRED: 410,
  LOGS_UNAVAILABLE: 503,
  DIRECTORY_UNAVAILABLE: 503,
};

/** The HTTP listeners. Bodies are read here, with a limit, before anything parses them. */
export function createServers(deps: ServerDeps): Servers {
  const { logger, metrics } = deps;
  let draining = false;
  let inFlight = 0;

  const messages = async (req: Request, res: Response): Promise<void> => {
    const started = performance.now();
    const remoteAddress = req.socket.remoteAddress ?? '';
    const reject = (status: number, code: ReasonCode) => {
      metrics.rejected(code);
      deps.onRejected(code, { remoteAddress });
      answer(res, status, { error: { code } });
    };
    if (draining) return answer(res, 503, { error: { code: 'STORE_UNAVAILABLE' } });
    const body = await readBody(req);
    if (body === null) {
      res.setHeader('connection', 'close');
      return reject(413, 'REQUEST_TOO_LARGE');
    }
    const verdict = await deps.gate.check({
      authorization: req.headers.authorization,
      contentType: req.headers['content-type'],
      remoteAddress,
      body,
    });
    if (!verdict.ok) return reject(verdict.status, verdict.code);
    const { activity, identity } = verdict;
    const kind = activity.type === 'message' || activity.type === 'invoke' ? activity.type : 'other';
    try {
      const { body: content, status } = await deps.onActivity(activity, identity);
      metrics.turn(kind, 'ok', (performance.now() - started) / 1000);
      answer(res, status, content);
    } catch (error) {
      metrics.turn(kind, 'error', (performance.now() - started) / 1000);
      const unavailable = error instanceof ShipmateError && error.code === 'STORE_UNAVAILABLE';
      logger.error('an activity was not answered', { activity: activity.id, error });
      answer(res, unavailable ? 503 : 500, { error: { code: unavailable ? 'STORE_UNAVAILABLE' : 'INTERNAL' } });
    }
  };

  const file = async (req: Request, res: Response): Promise<void> => {
    const gone = new AbortController();
    res.on('close', () => gone.abort());
    const found = await deps.file(String((req.params as { token?: unknown }).token ?? ''), gone.signal);
    if (!found.ok) {
      res.setHeader('content-type', 'text/plain; charset=utf-8');
      res.writeHead(REFUSALS[found.code] ?? 403);
      res.end(`${found.message}${found.next ? ` ${found.next}` : ''} [${found.code}]\n`);
      return;
    }
    res.setHeader('content-type', 'text/plain; charset=utf-8');
    res.setHeader('content-disposition', `attachment; filename="${found.filename.replace(/[^\w.-]/g, '_')}"`);
    res.setHeader('cache-control', 'no-store');
    res.writeHead(200);
    try {
      for await (const line of found.lines) {
        if (gone.signal.aborted) break;
        if (!res.write(line)) await drained(res);
      }
    } catch (error) {
      logger.warn('a download broke off', { error });
      res.write('\n(The rest could not be read.)\n');
    }
    res.end();
  };

  const webhook = async (req: Request, res: Response): Promise<void> => {
    const remoteAddress = req.socket.remoteAddress ?? '';
    if (draining) return answer(res, 503, { error: { code: 'STORE_UNAVAILABLE' } });
    const body = await readBody(req, MAX_WEBHOOK);
    if (body === null) {
      res.setHeader('connection', 'close');
      deps.onRejected('REQUEST_TOO_LARGE', { remoteAddress });
      return answer(res, 413, { error: { code: 'REQUEST_TOO_LARGE' } });
    }
    const name = String((req.params as { connection?: unknown }).connection ?? '');
    const { code, status } = await deps.webhook(name, { headers: req.headers, body });
    metrics.webhook(code);
    if (status === 400 || status === 401 || status === 404) deps.onRejected(code, { remoteAddress });
    answer(res, status, status === 202 ? { code } : { error: { code } });
  };

  const serve = (handler: (req: Request, res: Response) => Promise<void>) => async (req: Request, res: Response) => {
    inFlight += 1;
    // A handler may be done long before a slow reader has it all.
    const over = new Promise<void>((resolve) => res.once('close', resolve));
    try {
      await handler(req, res);
    } catch (error) {
      // Whoever sends half a body and goes away has no answer to get.
      if (isGone(error)) logger.debug('a request broke off', { path: req.path() });
      else logger.error('a request failed', { path: req.path(), error });
      if (!res.headersSent) answer(res, 500, { error: { code: 'INTERNAL' } });
      else res.end();
    } finally {
      void over.then(() => {
        inFlight -= 1;
      });
    }
  };

  const internalRoutes = (server: Server): void => {
    server.get(
      '/healthz',
      serve(async (_req, res) => answer(res, 200, { ok: true })),
    );
    server.get(
      '/readyz',
      serve(async (_req, res) => {
        const problem = draining ? 'stopping' : await deps.ready();
        answer(res, problem === null ? 200 : 503, problem === null ? { ready: true } : { ready: false, problem });
      }),
    );
    server.get(
      '/metrics',
      serve(async (_req, res) => {
        res.setHeader('content-type', metrics.contentType);
        res.writeHead(200);
        res.end(await metrics.text());
      }),
    );
  };

  const publicServer = listener(logger);
  publicServer.post('/api/messages', serve(messages));
  publicServer.post('/api/pipelines/:connection', serve(webhook));
  publicServer.get('/files/:token', serve(file));
  // A link preview asks with HEAD: the link is not used up by it.
  publicServer.head(
    '/files/:token',
    serve(async (_req, res) => answer(res, 200)),
  );
  const internalServer = deps.internalPort === null ? null : listener(logger);
  internalRoutes(internalServer ?? publicServer);

  return {
    async start() {
      const port = await listen(publicServer, deps.host, deps.port, 'PORT');
      const internalPort =
        internalServer === null
          ? port
          : await listen(internalServer, deps.host, deps.internalPort ?? 0, 'ports.internal');
      return { port, internalPort };
    },
    async stop({ graceMs = 10_000 } = {}) {
      draining = true;
      const until = Date.now() + graceMs;
      const closing = [publicServer, ...(internalServer ? [internalServer] : [])].map((server) => {
        const closed = new Promise<void>((resolve) => server.server.close(() => resolve()));
        server.server.closeIdleConnections();
        return { server, closed };
      });
      while (inFlight > 0 && Date.now() < until) await new Promise((resolve) => setTimeout(resolve, 20));
      for (const { server } of closing) server.server.closeAllConnections();
      await Promise.all(closing.map(({ closed }) => closed));
    },
  };
}

function listener(logger: Logger): Server {
  const server = restify.createServer({
    name: '',
    ignoreTrailingSlash: false,
    maxParamLength: 8_000,
  } as restify.ServerOptions);
  server.server.keepAliveTimeout = 75_000; // longer than the usual proxies', so that they end a connection, not we
  server.server.headersTimeout = 20_000;
  server.server.requestTimeout = 30_000;
  // restify listens to upgrades without answering: their sockets would stay open for ever and keep the bot from stopping.
  server.server.removeAllListeners('upgrade');
  server.pre((req: Request, res: Response, next: (go?: false) => void) => {
    // restify joins both to a URL outside of every handler, and one that is none would end the process. Nothing here
    // depends on the host.
    req.headers.host = 'localhost';
    if (!req.url?.startsWith('/')) {
      res.setHeader('connection', 'close');
      res.writeHead(400);
      res.end();
      return next(false);
    }
    res.setHeader('x-content-type-options', 'nosniff');
    res.setHeader('content-security-policy', "default-src 'none'");
    res.removeHeader('server');
    return next();
  });
  // What restify would say itself holds internals. It sends the answer; only the words are ours.
  server.on('restifyError', (_req: Request, _res: Response, error: RestifyError, done: () => void) => {
    const status = error.statusCode ?? 500;
    if (status >= 500) logger.error('the server failed', { error });
    const code = status === 404 ? 'NOT_FOUND' : status === 405 ? 'METHOD_NOT_ALLOWED' : 'INTERNAL';
    error.toJSON = () => ({ error: { code } });
    error.toString = () => code;
    done();
  });
  return server;
}

function listen(server: Server, host: string, port: number, setting: string): Promise<number> {
  return new Promise((resolve, reject) => {
    // On restify's own emitter: it passes the event on, and throws when nobody listens there.
    server.once('error', (error: NodeJS.ErrnoException) => {
      const message = `Port ${port} is taken by another program. Stop that one, or choose another port with ${setting}.`;
      reject(error.code === 'EADDRINUSE' ? new ShipmateError('CONFIG_INVALID', message, { cause: error }) : error);
    });
    server.listen(port, host, () => resolve((server.server.address() as AddressInfo).port));
  });
}

/** Resolves when more may be written, or when nobody reads any more. Leaves no listener behind. */
function drained(res: Response): Promise<void> {
  return new Promise((resolve) => {
    if (res.destroyed) return resolve();
    const done = () => {
      res.off('drain', done);
      res.off('close', done);
      resolve();
    };
    res.on('drain', done);
    res.on('close', done);
  });
}

/** The body, or null when it is longer than allowed; the rest is then not read. */
async function readBody(req: Request, limit = MAX_BODY): Promise<Buffer | null> {
  if (Number(req.headers['content-length']) > limit) return null;
  const chunks: Buffer[] = [];
  let size = 0;
  for await (const chunk of req as AsyncIterable<Buffer>) {
    size += chunk.length;
    if (size > limit) return null;
    chunks.push(chunk);
  }
  return Buffer.concat(chunks);
}

function isGone(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === 'ECONNRESET';
}

function answer(res: Response, status: number, body?: unknown): void {
  if (body === undefined) {
    res.writeHead(status);
    res.end();
    return;
  }
  const json = JSON.stringify(body);
  res.setHeader('content-type', 'application/json; charset=utf-8');
  res.setHeader('content-length', Buffer.byteLength(json));
  res.writeHead(status);
  res.end(json);
}
