import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { createServer, type Server } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { ask, freePorts, NGINX_MISSING, nginx } from './site.ts';

if (NGINX_MISSING !== null && process.env.REQUIRE_PEERS === '1')
  throw new Error(`the shipped nginx.conf needs ${NGINX_MISSING}`);
const describeNginx = NGINX_MISSING === null ? describe : describe.skip;
const name = 'the shipped nginx.conf';

const MAX_BODY = 256 * 1024;
/** How an upstream takes a request. */
type Manner = 'answers' | 'refuses' | 'resets' | 'says 503';

interface Upstream {
  manner: Manner;
  requests: { method: string; url: string; headers: http.IncomingHttpHeaders; bytes: number }[];
}

describeNginx(NGINX_MISSING === null ? name : `${name} (needs ${NGINX_MISSING})`, () => {
  let folder = '';
  const upstreams: [Upstream, Upstream] = [
    { manner: 'answers', requests: [] },
    { manner: 'answers', requests: [] },
  ];
  let ports: number[] = [];
  let listeners: (Server | null)[] = [null, null];
  let url = '';

  beforeAll(async () => {
    folder = mkdtempSync(path.join(os.tmpdir(), 'shipmate-nginx-'));
    ports = await freePorts(3);
    url = nginx('start', folder, ports);
  }, 30_000);
  afterAll(async () => {
    await Promise.all(listeners.map(close));
    nginx('stop', folder, ports);
    rmSync(folder, { recursive: true, force: true });
  });
  beforeEach(() => be('answers', 'answers'));

  const close = (server: Server | null) =>
    new Promise<void>((done) => (server === null ? done() : server.close(() => done())));

  const be = async (...manners: [Manner, Manner]) => {
    await Promise.all(listeners.map(close));
    listeners = await Promise.all(
      manners.map(async (manner, index) => {
        const upstream = upstreams[index] as Upstream;
        upstream.manner = manner;
        upstream.requests = [];
        if (manner === 'refuses') return null;
        const server = manner === 'resets' ? resetting(upstream) : answering(upstream);
        await new Promise<void>((done) => server.listen(ports[index + 1], '127.0.0.1', done));
        return server;
      }),
    );
  };
  const counts = () => upstreams.map(({ requests }) => requests.length);
  const send = (method: string, where: string, body?: string | Buffer, headers?: Record<string, string>) =>
    ask(method, `${url}${where}`, body, headers);

  it('passes on the messages and the files, to each replica in turn, and nothing else', async () => {
    for (let message = 0; message < 10; message += 1)
      expect((await send('POST', '/api/messages', '{}')).status).toBe(200);
    // Its workers count for themselves, so the halves need not be equal.
    expect(counts()[0]).toBeGreaterThan(0);
    expect(counts()[1]).toBeGreaterThan(0);
    expect((await send('GET', '/files/a.token')).status).toBe(200);
    expect((await send('HEAD', '/files/a.token')).status).toBe(200);
    const before = counts();
    for (const where of ['/', '/metrics', '/healthz', '/readyz', '/api/messages/x', '/API/messages', '/api'])
      expect((await send('GET', where)).status).toBe(404);
    expect((await send('GET', '/api/messages')).status).toBe(403);
    expect((await send('POST', '/files/a.token', 'x')).status).toBe(403);
    expect(counts()).toEqual(before);
  });

  it('goes to the other replica when one can not be reached', async () => {
    for (const manners of [
      ['refuses', 'answers'],
      ['answers', 'refuses'],
    ] as const) {
      await be(manners[0], manners[1]);
      for (let message = 0; message < 6; message += 1)
        expect((await send('POST', '/api/messages', '{}')).status).toBe(200);
    }
    await be('refuses', 'refuses');
    expect((await send('POST', '/api/messages', '{}')).status).toBe(502);
    // Neither is held against them: the moment one is back, it is asked.
    await be('refuses', 'answers');
    expect((await send('POST', '/api/messages', '{}')).status).toBe(200);
  });

  it('does not repeat a message that a replica may have taken', async () => {
    for (const [manner, status] of [
      ['resets', 502],
      ['says 503', 503],
    ] as const) {
      await be(manner, manner);
      for (let message = 1; message <= 4; message += 1) {
        expect((await send('POST', '/api/messages', '{}')).status).toBe(status);
        expect(counts().reduce((sum, count) => sum + count, 0)).toBe(message);
      }
    }
  });

  it('takes bodies as long as the bot does', async () => {
    const source = readFileSync(path.resolve(import.meta.dirname, '../../src/server.ts'), 'utf8');
    expect(source).toContain('const MAX_BODY = 256 * 1024;');
    expect((await send('POST', '/api/messages', Buffer.alloc(MAX_BODY, 'x'))).status).toBe(200);
    expect(upstreams.flatMap(({ requests }) => requests.map(({ bytes }) => bytes))).toEqual([MAX_BODY]);
    expect((await send('POST', '/api/messages', Buffer.alloc(MAX_BODY + 1, 'x'))).status).toBe(413);
    expect(counts().reduce((sum, count) => sum + count, 0)).toBe(1);
  });

  it('tells the bot no address that somebody made up, and opens a connection for each request', async () => {
    await send('POST', '/api/messages', '{}', { 'x-forwarded-for': '127.0.0.1', authorization: 'Bearer a.b.c' });
    const [seen] = upstreams.flatMap(({ requests }) => requests);
    expect(seen?.headers['x-forwarded-for']).toBeUndefined();
    expect(seen?.headers.authorization).toBe('Bearer a.b.c');
    expect(seen?.headers.connection).toBe('close');
  });

  it('keeps download links out of its log', async () => {
    await send('GET', '/files/secret.token-4711');
    const log = () => readFileSync(path.join(folder, 'access.log'), 'utf8');
    expect(log()).toContain('"GET /files/-" 200');
    expect(log()).not.toContain('4711');
  });

  it('speaks TLS, from version 1.2', async () => {
    const over = (options: https.RequestOptions) =>
      new Promise<number | undefined>((resolve, reject) => {
        const socketPath = path.join(folder, 'tls.sock');
        const wanted = { socketPath, method: 'POST', path: '/api/messages', rejectUnauthorized: false, ...options };
        const sent = https.request(wanted, (answer) => {
          answer.resume();
          resolve(answer.statusCode);
        });
        sent.on('error', reject);
        sent.end('{}');
      });
    expect(await over({})).toBe(200);
    await expect(over({ minVersion: 'TLSv1', maxVersion: 'TLSv1.1', ciphers: 'ALL@SECLEVEL=0' })).rejects.toThrow();
  });

  it('has each replica taken out and put back by rotate.sh, but never the last one', async () => {
    const conf = path.join(folder, 'nginx.conf');
    const before = readFileSync(conf, 'utf8');
    const [, first, second] = ports.map((port) => `127.0.0.1:${port}`);
    const rotate = (action: string, replica = '') =>
      execFileSync('bash', [path.resolve(import.meta.dirname, '../../deploy/rotate.sh'), action, replica], {
        env: {
          PATH: process.env.PATH,
          NGINX_CONF: conf,
          NGINX_RELOAD: `kill -HUP "$(cat ${path.join(folder, 'nginx.pid')})"`,
        },
        stdio: 'pipe',
      });
    rotate('out', first);
    for (let message = 0; message < 6; message += 1) await send('POST', '/api/messages', '{}');
    expect(counts()).toEqual([0, 6]);
    rotate('out', first);
    expect(() => rotate('out', second)).toThrow(/the last one/);
    expect(() => rotate('out', 'shipmate-9:3978')).toThrow(/has no/);
    rotate('in', first);
    expect(readFileSync(conf, 'utf8')).toBe(before);
    for (let message = 0; message < 6; message += 1) await send('POST', '/api/messages', '{}');
    expect(counts()[0]).toBeGreaterThan(0);
  }, 30_000);
});

function answering(upstream: Upstream): http.Server {
  return http.createServer((req, res) => {
    let bytes = 0;
    req.on('data', (chunk: Buffer) => {
      bytes += chunk.length;
    });
    req.on('end', () => {
      upstream.requests.push({ method: req.method ?? '', url: req.url ?? '', headers: req.headers, bytes });
      res.writeHead(upstream.manner === 'says 503' ? 503 : 200);
      res.end('{}');
    });
  });
}

/** Reads what comes and cuts the connection: as a bot that dies in the middle. */
function resetting(upstream: Upstream): Server {
  return createServer((socket) => {
    socket.once('data', (chunk) => {
      upstream.requests.push({ method: '', url: '', headers: {}, bytes: chunk.length });
      socket.resetAndDestroy();
    });
    socket.on('error', () => undefined);
  });
}
