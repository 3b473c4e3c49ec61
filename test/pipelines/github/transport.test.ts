import { describe, expect, it } from '@jest/globals';
import { type Http, HttpError } from '../../../src/http.ts';
import { createLimits } from '../../../src/pipelines/github/limits.ts';
import { createTransport, neverSent } from '../../../src/pipelines/github/transport.ts';

interface Sent {
  url: string;
  method: string;
  etag: string | null;
}

/** A way to GitHub whose other end answers one after the other. */
function transport(...answers: (Response | Error)[]) {
  const sent: Sent[] = [];
  const http: Http = {
    request: () => Promise.reject(new Error('not used')),
    close: async () => undefined,
    fetch: async (input, init) => {
      sent.push({
        url: String(input),
        method: init?.method ?? 'GET',
        etag: new Headers(init?.headers).get('if-none-match'),
      });
      expect(init?.redirect).toBe('manual');
      const next = answers.shift() ?? new Response('{}');
      if (next instanceof Error) throw next;
      return next;
    },
  };
  return {
    send: createTransport(
      () => http,
      createLimits(() => new Date()),
    ),
    sent,
  };
}

const away = () =>
  Object.assign(new TypeError('fetch failed'), { cause: Object.assign(new Error(), { code: 'ECONNRESET' }) });
const url = 'https://api.github.com/x';

describe('the way to GitHub', () => {
  it('tries once more what only reads', async () => {
    const { send, sent } = transport(new Response('busy', { status: 503 }), new Response('"ok"'));
    expect(await (await send(url)).json()).toBe('ok');
    expect(sent).toHaveLength(2);
    const cut = transport(away(), new Response('"ok"'));
    expect((await cut.send(url)).status).toBe(200);
    const stays = transport(away(), away());
    await expect(stays.send(url)).rejects.toMatchObject({ kind: 'connection' });
    expect(stays.sent).toHaveLength(2);
  });

  it('never repeats what creates', async () => {
    const busy = transport(new Response('busy', { status: 503 }));
    expect((await busy.send(url, { method: 'POST', body: '{}' })).status).toBe(503);
    expect(busy.sent).toHaveLength(1);
    const cut = transport(away());
    await expect(cut.send(url, { method: 'POST', body: '{}' })).rejects.toBeInstanceOf(HttpError);
    expect(cut.sent).toHaveLength(1);
  });

  it('asks whether what it knows is still so, for the same address only', async () => {
    const answer = (text: string, etag: string) =>
      new Response(text, { headers: { etag, 'content-type': 'application/json' } });
    const { send, sent } = transport(
      answer('{"a":1}', 'W/"1"'),
      new Response(null, { status: 304 }),
      answer('{"a":2}', 'W/"2"'),
      new Response(null, { status: 304 }),
      new Response('{}'),
    );
    const texts: string[] = [];
    for (let time = 0; time < 4; time += 1) texts.push(await (await send(url)).text());
    expect(texts).toEqual(['{"a":1}', '{"a":1}', '{"a":2}', '{"a":2}']);
    await send(`${url}?page=2`);
    expect(sent.map(({ etag }) => etag)).toEqual([null, 'W/"1"', 'W/"1"', 'W/"2"', null]);
  });

  it('keeps a bounded amount of what it knows', async () => {
    const large = 'x'.repeat(1024 * 1024 - 2);
    const { send, sent } = transport(
      ...Array.from({ length: 20 }, () => new Response(`"${large.slice(2)}"`, { headers: { etag: 'W/"1"' } })),
      new Response('{}'),
      new Response('{}'),
    );
    for (let page = 0; page < 20; page += 1) await send(`${url}?page=${page}`);
    await send(`${url}?page=0`);
    await send(`${url}?page=19`);
    expect(sent.slice(-2).map(({ etag }) => etag)).toEqual([null, 'W/"1"']);
  });

  it('reads no answer without an end', async () => {
    let pulled = 0;
    const endless = new ReadableStream<Uint8Array>({
      pull(controller) {
        pulled += 1;
        controller.enqueue(new Uint8Array(1024 * 1024));
      },
    });
    const { send } = transport(new Response(endless));
    await expect(send(url)).rejects.toMatchObject({ kind: 'too-large' });
    expect(pulled).toBeLessThan(20);
  });

  it('knows a connection that never stood', () => {
    const failed = (code: string) =>
      new HttpError('connection', 'x', new TypeError('x', { cause: Object.assign(new Error(), { code }) }));
    for (const code of ['ECONNREFUSED', 'ENOTFOUND', 'UND_ERR_CONNECT_TIMEOUT', 'SELF_SIGNED_CERT_IN_CHAIN'])
      expect(neverSent(failed(code))).toBe(true);
    for (const code of ['ECONNRESET', 'UND_ERR_SOCKET', 'UND_ERR_HEADERS_TIMEOUT', 'EPIPE'])
      expect(neverSent(failed(code))).toBe(false);
    expect(neverSent(new HttpError('timeout', 'x'))).toBe(false);
    expect(neverSent(undefined)).toBe(false);
  });
});
