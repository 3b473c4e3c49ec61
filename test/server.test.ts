import http from 'node:http';
import net from 'node:net';
import { Writable } from 'node:stream';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { TrustVerdict } from '../src/bot/trust.ts';
import { type ReasonCode, refuse, ShipmateError } from '../src/errors.ts';
import { createLogger, createRedactor } from '../src/logger.ts';
import { createMetrics } from '../src/metrics.ts';
import { createServers, type ServerDeps, type Servers } from '../src/server.ts';

const MAX_BODY = 256 * 1024;
const stream = new Writable({ write: (_chunk, _encoding, done) => done() });
const logger = createLogger({ level: 'error', redact: createRedactor(), stream });
const activity = { type: 'message', id: '1' };
const verified: TrustVerdict = { ok: true, activity, identity: { issuer: '', audience: '', serviceUrl: '' } };

interface Started {
  servers: Servers;
  url: string;
  internal: string;
  port: number;
  rejected: ReasonCode[];
  bodies: number[];
}

const open: Servers[] = [];
afterEach(async () => {
  await Promise.all(open.splice(0).map((servers) => servers.stop({ graceMs: 0 })));
});

async function start(more: Partial<ServerDeps> = {}): Promise<Started> {
  const rejected: ReasonCode[] = [];
  const bodies: number[] = [];
  const servers = createServers({
    host: '127.0.0.1',
    port: 0,
    internalPort: 0,
    gate: {
      mayCall: () => false,
      check: async ({ body }) => {
        bodies.push(body.length);
        return verified;
      },
    },
    onActivity: async () => ({ status: 200 }),
    onRejected: (code) => rejected.push(code),
    file: async () => refuse('LINK_INVALID', 'This link was not made by me.'),
    webhook: async () => ({ status: 404, code: 'WEBHOOK_UNKNOWN' }),
    ready: async () => null,
    metrics: createMetrics(),
    logger,
    ...more,
  });
  open.push(servers);
  const { internalPort, port } = await servers.start();
  return {
    servers,
    port,
    rejected,
    bodies,
    url: `http://127.0.0.1:${port}`,
    internal: `http://127.0.0.1:${internalPort}`,
  };
}

const post = (url: string, body: string | Buffer = '{}') =>
  fetch(`${url}/api/messages`, { method: 'POST', body, headers: { 'content-type': 'application/json' } });

/** What a server says on a raw connection until it says no more. */
const converse = (port: number, talk: (socket: net.Socket) => void): Promise<string> =>
  new Promise((resolve) => {
    const socket = net.connect(port, '127.0.0.1', () => talk(socket));
    let text = '';
    socket.on('data', (chunk) => {
      text += chunk.toString();
    });
    socket.on('error', () => {});
    socket.on('close', () => resolve(text));
  });

/** A promise and its key. */
function latch(): { opened: Promise<void>; open: () => void } {
  let open_ = () => {};
  const opened = new Promise<void>((resolve) => {
    open_ = resolve;
  });
  return { opened, open: open_ };
}

describe('an activity', () => {
  it("is answered with the handler's status and body", async () => {
    const { url } = await start({ onActivity: async () => ({ status: 200, body: { value: 'ü' } }) });
    const answer = await post(url);
    expect(answer.status).toBe(200);
    expect(await answer.json()).toEqual({ value: 'ü' });
    expect(answer.headers.get('x-content-type-options')).toBe('nosniff');
  });

  it.each<[string, Error, number, string]>([
    ['the store is gone', new ShipmateError('STORE_UNAVAILABLE', 'postgres://u:pw@db/x'), 503, 'STORE_UNAVAILABLE'],
    ['something breaks', new Error('password=hunter2 at /srv/shipmate/src/app.ts:12'), 500, 'INTERNAL'],
  ])('that is not answered because %s says so, and nothing of the inside', async (_what, error, status, code) => {
    const { url } = await start({
      onActivity: async () => {
        throw error;
      },
    });
    const answer = await post(url);
    expect(answer.status).toBe(status);
    expect(await answer.text()).toBe(JSON.stringify({ error: { code } }));
  });

  it('that the gate turns away never reaches the handler, and is told once', async () => {
    let handled = 0;
    const { rejected, url } = await start({
      gate: { mayCall: () => false, check: async () => ({ ok: false, status: 403, code: 'TRUST_TENANT' }) },
      onActivity: async () => {
        handled += 1;
        return { status: 200 };
      },
    });
    const answer = await post(url);
    expect([answer.status, await answer.json()]).toEqual([403, { error: { code: 'TRUST_TENANT' } }]);
    expect(rejected).toEqual(['TRUST_TENANT']);
    expect(handled).toBe(0);
  });
});

describe('a body', () => {
  it('may be as long as the limit and not a byte longer', async () => {
    const { bodies, rejected, url } = await start();
    expect((await post(url, Buffer.alloc(MAX_BODY, 'x'))).status).toBe(200);
    expect((await post(url, Buffer.alloc(MAX_BODY + 1, 'x'))).status).toBe(413);
    expect(bodies).toEqual([MAX_BODY]);
    expect(rejected).toEqual(['REQUEST_TOO_LARGE']);
  });

  it('that says it will be huge is refused before it is sent', async () => {
    const { bodies, port } = await start();
    const said = await converse(port, (socket) =>
      socket.write(
        'POST /api/messages HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 999999999\r\n\r\n',
      ),
    );
    expect(said).toMatch(/^HTTP\/1\.1 413[\s\S]*REQUEST_TOO_LARGE/);
    expect(bodies).toEqual([]);
  });

  it('in pieces is put together', async () => {
    const { bodies, port } = await start();
    const said = await converse(port, (socket) =>
      socket.write(
        'POST /api/messages HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-type: application/json\r\ntransfer-encoding: chunked\r\n\r\n3\r\n{"a\r\n4\r\n":1}\r\n0\r\n\r\n',
      ),
    );
    expect(said).toMatch(/^HTTP\/1\.1 200/);
    expect(bodies).toEqual([7]);
  });

  it.each([
    ['two lengths', 'content-length: 2\r\ncontent-length: 40\r\n'],
    ['a length and pieces', 'content-length: 2\r\ntransfer-encoding: chunked\r\n'],
    ['a length below nothing', 'content-length: -5\r\n'],
  ])('with %s is no request at all', async (_what, headers) => {
    const { bodies, port } = await start();
    const said = await converse(port, (socket) =>
      socket.write(`POST /api/messages HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n${headers}\r\n{}`),
    );
    expect(said).toMatch(/^HTTP\/1\.1 400/);
    expect(bodies).toEqual([]);
  });

  it('that never ends because its sender is gone troubles nobody else', async () => {
    const { bodies, port, url } = await start();
    await converse(port, (socket) => {
      socket.write(
        'POST /api/messages HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{',
      );
      setTimeout(() => socket.destroy(), 20);
    });
    expect((await post(url)).status).toBe(200);
    expect(bodies).toEqual([2]);
  });
});

describe('a file behind a link', () => {
  const get = (url: string) => fetch(`${url}/files/token`);
  const lines = (...texts: string[]) =>
    (async function* () {
      yield* texts;
    })();

  it.each<[ReasonCode, number]>([
    ['LINK_USED', 410],
    ['LINK_EXPIRED', 410],
    ['LINK_INVALID', 403],
    ['ACCESS_DENIED', 403],
    ['DIRECTORY_UNAVAILABLE', 503],
    ['LOGS_UNAVAILABLE', 503],
  ])('is refused with %s as %d, in words', async (code, status) => {
    const { url } = await start({ file: async () => refuse(code, 'Not now.', { next: 'Ask again.' }) });
    const answer = await get(url);
    expect(answer.status).toBe(status);
    expect(await answer.text()).toBe(`Not now. Ask again. [${code}]\n`);
  });

  it('is text to be saved, whatever its name and lines are', async () => {
    const { url } = await start({
      file: async () => ({ ok: true, filename: 'a"b\r\nx: y/../c.log', lines: lines('<script>\n', 'two\n') }),
    });
    const answer = await get(url);
    expect(answer.headers.get('content-disposition')).toBe('attachment; filename="a_b__x__y_.._c.log"');
    expect(answer.headers.get('content-type')).toMatch(/^text\/plain/);
    expect(answer.headers.get('content-security-policy')).toBe("default-src 'none'");
    expect(answer.headers.get('cache-control')).toBe('no-store');
    expect(await answer.text()).toBe('<script>\ntwo\n');
  });

  it('that can not be read to its end says so', async () => {
    const { url } = await start({
      file: async () => ({
        ok: true,
        filename: 'x.log',
        lines: (async function* () {
          yield 'one\n';
          throw new Error('/var/log/secret is gone');
        })(),
      }),
    });
    expect(await (await get(url)).text()).toBe('one\n\n(The rest could not be read.)\n');
  });

  it('is not read on when its reader has left', async () => {
    const gone = latch();
    let read = 0;
    const { url } = await start({
      file: async (_token, signal) => {
        signal.addEventListener('abort', gone.open);
        return {
          ok: true,
          filename: 'x.log',
          lines: (async function* () {
            while (!signal.aborted) {
              read += 1;
              yield 'x'.repeat(64 * 1024);
            }
          })(),
        };
      },
    });
    const leave = new AbortController();
    const answer = await fetch(`${url}/files/token`, { signal: leave.signal });
    await answer.body?.getReader().read();
    leave.abort();
    await gone.opened;
    // A slow reader holds the source back: nothing piles up here.
    expect(read).toBeLessThan(2_000);
  });

  it('leaves nothing behind for a slow reader, also when the source does not notice that it left', async () => {
    const warnings: Error[] = [];
    const onWarning = (warning: Error) => warnings.push(warning);
    process.on('warning', onWarning);
    let ended = false;
    const { servers, url } = await start({
      file: async () => ({
        ok: true,
        filename: 'x.log',
        lines: (async function* () {
          try {
            for (let n = 0; n < 400; n += 1) yield 'x'.repeat(64 * 1024);
            for (;;) {
              await new Promise((resolve) => setTimeout(resolve, 1));
              yield 'x'.repeat(64 * 1024);
            }
          } finally {
            ended = true;
          }
        })(),
      }),
    });
    const leave = new AbortController();
    const answer = await fetch(`${url}/files/token`, { signal: leave.signal });
    const reader = answer.body?.getReader();
    for (let got = 0; got < 300 * 64 * 1024; ) got += (await reader?.read())?.value?.length ?? Number.MAX_VALUE;
    leave.abort();
    await servers.stop({ graceMs: 5_000 });
    expect(ended).toBe(true);
    process.off('warning', onWarning);
    expect(warnings).toEqual([]);
  });
});

describe('stopping', () => {
  it('turns readiness off, lets what is in flight finish, and takes nothing more', async () => {
    const handling = latch();
    const release = latch();
    const { port, servers, url } = await start({
      onActivity: async () => {
        handling.open();
        await release.opened;
        return { status: 200, body: { done: true } };
      },
    });
    const answer = post(url);
    await handling.opened;
    const stopped = servers.stop();
    await expect(post(`http://127.0.0.1:${port}`)).rejects.toThrow();
    release.open();
    expect(await (await answer).json()).toEqual({ done: true });
    await stopped;
  });

  it('waits only so long for what hangs', async () => {
    const handling = latch();
    const { servers, url } = await start({
      onActivity: () => {
        handling.open();
        return new Promise(() => {});
      },
    });
    const answer = post(url).catch(() => 'cut');
    await handling.opened;
    await servers.stop({ graceMs: 50 });
    expect(await answer).toBe('cut');
  });

  it('lets a slow reader have the whole of a file', async () => {
    const size = 4 * 1024 * 1024;
    const { servers, url } = await start({
      file: async () => ({
        ok: true,
        filename: 'x.log',
        lines: (async function* () {
          yield 'x'.repeat(size);
        })(),
      }),
    });
    const received = new Promise<number>((resolve, reject) => {
      http
        .get(`${url}/files/token`, { agent: new http.Agent() }, (answer) => {
          let total = 0;
          answer.once('readable', () => {
            // Everything is handed over; only the reader is late.
            const stopped = servers.stop({ graceMs: 5_000 });
            setTimeout(() => {
              answer.on('data', (chunk: Buffer) => {
                total += chunk.length;
              });
              answer.on('end', () => stopped.then(() => resolve(total)));
            }, 80);
          });
          answer.on('error', reject);
        })
        .on('error', reject);
    });
    expect(await received).toBe(size);
  });
});

describe('the listeners', () => {
  it('say which port is taken and how to choose another', async () => {
    const { port } = await start();
    const error = await start({ port }).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: 'CONFIG_INVALID', message: expect.stringMatching(`${port}[\\s\\S]*PORT`) });
    open.pop();
  });

  it('tell why they are not ready', async () => {
    const { internal } = await start({ ready: async () => 'the store does not answer' });
    const answer = await fetch(`${internal}/readyz`);
    expect([answer.status, await answer.json()]).toEqual([503, { ready: false, problem: 'the store does not answer' }]);
    expect((await fetch(`${internal}/healthz`)).status).toBe(200);
  });

  it('are one where one is asked for', async () => {
    const { internal, url } = await start({ internalPort: null });
    expect(internal).toBe(url);
    expect((await fetch(`${url}/readyz`)).status).toBe(200);
    expect(await (await fetch(`${url}/metrics`)).text()).toMatch(/shipmate_turn_seconds/);
  });

  it.each([
    ['GET', '/api/messages', 405],
    ['PUT', '/api/messages', 405],
    ['POST', '/api/messages/', 404],
    ['GET', '/%c0%ae%c0%ae/etc/passwd', 404],
    ['GET', '/%', 404],
    ['GET', '/metrics', 404],
  ])('answer %s %s with %d and a code', async (method, path, status) => {
    const { url } = await start();
    const answer = await fetch(`${url}${path}`, { method });
    expect([status, 400]).toContain(answer.status);
    expect(Object.keys((await answer.json()) as object)).toEqual(['error']);
  });
});

describe('a request that is no proper one', () => {
  /** Sends these lines as they are; gives the first line of the answer. */
  const raw = (port: number, head: string) =>
    new Promise<string>((resolve) => {
      let got = '';
      const socket = net.connect(port, '127.0.0.1', () => socket.write(`${head}\r\nConnection: close\r\n\r\n`));
      socket.on('data', (data) => {
        got += String(data);
      });
      socket.on('error', () => undefined);
      socket.on('close', () => resolve(got.split('\r\n')[0] ?? ''));
    });

  it.each([
    'GET / HTTP/1.1\r\nHost: a:99999',
    'GET / HTTP/1.1\r\nHost: [',
    'POST /api/pipelines/ci HTTP/1.1\r\nHost: a b\r\nContent-Length: 0',
    'GET http://[::1/api HTTP/1.1\r\nHost: a',
    'GET http://a:99999/ HTTP/1.1\r\nHost: a',
    'GET // HTTP/1.1\r\nHost: a',
    'GET //[ HTTP/1.1\r\nHost: a',
    'GET /% HTTP/1.1\r\nHost: a',
    'GET /\\ HTTP/1.1\r\nHost: a',
    'GET //@:/ HTTP/1.1\r\nHost: a',
    'OPTIONS * HTTP/1.1\r\nHost: a',
    'GET foo HTTP/1.1\r\nHost: a',
    'GET /files/%E0%A4%A HTTP/1.1\r\nHost: a',
  ])('ends with a refusal, not with the process: %j', async (head) => {
    const { port, url } = await start();
    expect(await raw(port, head)).toMatch(/^(?:HTTP\/1\.1 4\d\d .*)?$/);
    // It lives, and answers the next one.
    expect((await fetch(`${url}/nothing`)).status).toBe(404);
  });
});
