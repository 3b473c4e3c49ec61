import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { type AddressInfo, createServer as createTcpServer, type Server } from 'node:net';
import { createServer, type TLSSocket, type TlsOptions } from 'node:tls';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson } from '../../src/audit/canonical.ts';
import { chain, GENESIS } from '../../src/audit/chain.ts';
import { createSyslogSink, type SyslogOptions, syslogMessage } from '../../src/audit/sinks/syslog.ts';
import type { AuditEntry } from '../../src/audit/types.ts';
import { type Certificates, makeCertificates } from './certificates.ts';
import { AT, chainOf, RECORD, seqsOf } from './harness.ts';

let certificates: Certificates;
beforeAll(() => {
  certificates = makeCertificates();
});
afterAll(() => certificates.remove());

const servers: Server[] = [];
const sockets = new Set<{ destroy(): void }>();
afterEach(async () => {
  for (const socket of sockets) socket.destroy();
  await Promise.all(servers.splice(0).map((server) => server.listening && new Promise((done) => server.close(done))));
});

/** What RFC 5425 says of framing, and nothing else: a number without leading zeros, a space, so many bytes. */
function framesOf(stream: Buffer): string[] {
  const frames: string[] = [];
  let rest = stream;
  while (rest.length > 0) {
    const space = rest.indexOf(0x20);
    const digits = rest.subarray(0, space).toString('latin1');
    if (space < 1 || !/^[1-9]\d*$/.test(digits))
      throw new Error(`no length: ${rest.subarray(0, 40).toString('latin1')}`);
    const end = space + 1 + Number(digits);
    if (end > rest.length) throw new Error(`a frame of ${digits} bytes is cut at ${rest.length - space - 1}`);
    frames.push(new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(rest.subarray(space + 1, end)));
    rest = rest.subarray(end);
  }
  return frames;
}

/** A message as RFC 5424 has it; throws for anything else. */
function parseMessage(message: string) {
  const header =
    /^<(\d{1,3})>1 (-|\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?(?:Z|[+-]\d\d:\d\d)) ([!-~]{1,255}) ([!-~]{1,48}) ([!-~]{1,128}) ([!-~]{1,32}) /.exec(
      message,
    );
  if (!header) throw new Error(`no header: ${message.slice(0, 120)}`);
  const [all, pri, time, host, app, process, id] = header;
  const data = /^\[([^\s=\]"]{1,32})((?: [^\s=\]"]{1,32}="(?:[^"\\\]]|\\["\\\]])*")*)\] /.exec(
    message.slice(all.length),
  );
  if (!data) throw new Error(`no structured data: ${message.slice(all.length, all.length + 200)}`);
  const params = Object.fromEntries(
    [...(data[2] ?? '').matchAll(/ ([^=]+)="((?:[^"\\]|\\.)*)"/gs)].map(([, name, value]) => [
      name,
      value?.replaceAll(/\\(["\\\]])/g, '$1'),
    ]),
  );
  const text = message.slice(all.length + data[0].length);
  return { pri: Number(pri), time, host, app, process, id, sdId: data[1], params, text };
}

/** A syslog server that reads strictly. Messages count once their connection ended well. */
async function startServer(options: TlsOptions & { port?: number; onSocket?: (socket: TLSSocket) => void } = {}) {
  const { onSocket, port = 0, ...tls } = options;
  const messages: string[] = [];
  const problems: unknown[] = [];
  const names: unknown[] = [];
  let connections = 0;
  const server = createServer({ ...certificates.server, ...tls }, (socket) => {
    connections += 1;
    names.push((socket as TLSSocket & { servername?: unknown }).servername);
    sockets.add(socket);
    socket.on('error', () => undefined);
    if (onSocket) {
      onSocket(socket);
      return;
    }
    const parts: Buffer[] = [];
    socket.on('data', (part: Buffer) => parts.push(part));
    socket.on('end', () => {
      try {
        messages.push(...framesOf(Buffer.concat(parts)));
      } catch (error) {
        problems.push(error);
      }
    });
  });
  server.on('tlsClientError', () => undefined);
  servers.push(server);
  server.listen(port, '127.0.0.1');
  await once(server, 'listening');
  return {
    port: (server.address() as AddressInfo).port,
    messages,
    problems,
    names,
    connections: () => connections,
    entries: () => messages.map((each) => JSON.parse(parseMessage(each).text.replace(/^\ufeff/, '')) as AuditEntry),
    async stop() {
      for (const socket of sockets) socket.destroy();
      await new Promise((done) => server.close(done));
    },
  };
}

const sinkTo = (port: number, more: Partial<SyslogOptions> = {}) =>
  createSyslogSink({ host: '127.0.0.1', port, ca: certificates.ca, timeoutMs: 1_500, ...more });

describe('a syslog message', () => {
  it('has the entry in its fields and as canonical JSON', () => {
    const [entry] = chainOf(1, GENESIS, { actor: { id: 'id-dana', tenantId: 't', name: 'Dana' } });
    if (!entry) throw new Error('no entry');
    expect(parseMessage(syslogMessage(entry))).toMatchObject({
      pri: 13 * 8 + 6,
      time: '2026-11-24T12:00:00.000Z',
      app: 'shipmate',
      process: String(process.pid),
      id: 'deploy.request',
      sdId: 'shipmate@32473',
      params: { seq: '1', hash: entry.hash, code: 'OK', outcome: 'done', actor: 'id-dana' },
      text: canonicalJson(entry),
    });
  });
  it('tells by its severity what went wrong', () => {
    const of = (outcome: AuditEntry['outcome']) =>
      parseMessage(syslogMessage(chain(GENESIS, { ...RECORD, outcome }, AT))).pri & 7;
    expect([of('done'), of('refused'), of('failed')]).toEqual([6, 4, 3]);
  });
  it('keeps its form whatever somebody typed', () => {
    const nasty = fc.oneof(
      fc.string({ unit: 'binary', maxLength: 80 }),
      fc
        .array(fc.constantFrom('"', ']', '\\', '\n', '\r', '\0', ' ', '=', '[', '\u2028', '\u{1f6a2}'))
        .map((each) => each.join('')),
    );
    fc.assert(
      fc.property(nasty, nasty, nasty, (action, id, name) => {
        const entry = chain(GENESIS, { ...RECORD, action, actor: { id, tenantId: 't', name } }, AT);
        const message = syslogMessage(entry);
        const { params, text } = parseMessage(message);
        expect([...message].every((character) => character >= ' ')).toBe(true);
        expect(params.actor).toBe(entry.actor.id.replaceAll(/[\p{Cc}\u2028\u2029]/gu, ' '));
        expect(JSON.parse(text.replace(/^\ufeff/, ''))).toEqual(entry);
        // RFC 5424: UTF-8 begins with the mark.
        expect(text.startsWith('\ufeff')).toBe(!/^[\0-\x7f]*$/.test(canonicalJson(entry)));
      }),
    );
  });
  it('is made of a row that somebody broke too', () => {
    for (const broken of [null, {}, { at: 'now\n', action: 7, actor: null, outcome: '__proto__', seq: 'x"]' }])
      expect(parseMessage(syslogMessage(broken as unknown as AuditEntry))).toMatchObject({
        pri: 13 * 8 + 4,
        time: '-',
        text: canonicalJson(broken),
      });
  });
});

describe('the syslog sink', () => {
  it('sends frames that a strict server reads, many and large ones too', async () => {
    const server = await startServer();
    const sink = sinkTo(server.port);
    expect(sink.name).toBe(`syslog:127.0.0.1:${server.port}`);
    const entries = chainOf(700, GENESIS, { details: { text: '\u8239'.repeat(400) } });
    await sink.write(entries.slice(0, 1));
    await sink.write([]);
    await sink.write(entries.slice(1));
    // They are there when the write resolved, not some time after.
    expect(server.problems).toEqual([]);
    expect(server.entries()).toEqual(entries);
    await sink.close();
  });

  it('trusts the named authority only, and the right name only', async () => {
    const server = await startServer();
    const entries = chainOf(1);
    await expect(sinkTo(server.port, { ca: certificates.otherCa }).write(entries)).rejects.toThrow(/certificate/);
    const { ca: _, ...systems } = { host: '127.0.0.1', port: server.port, ca: '' };
    await expect(createSyslogSink({ ...systems, timeoutMs: 1_500 }).write(entries)).rejects.toThrow(/certificate/);
    await expect(sinkTo(server.port, { servername: 'elsewhere.test' }).write(entries)).rejects.toMatchObject({
      code: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
    expect(server.messages).toEqual([]);
    await sinkTo(server.port, { servername: 'logs.test' }).write(entries);
    await sinkTo(server.port, { host: 'localhost' }).write(entries);
    expect(server.messages).toHaveLength(2);
    // Whoever serves several names on one address has to know which one is meant.
    expect(server.names.slice(-2)).toEqual(['logs.test', 'localhost']);
  });

  it('shows its certificate, and knows when it is turned down', async () => {
    const server = await startServer({
      requestCert: true,
      rejectUnauthorized: true,
      ca: [readFileSync(certificates.ca)],
    });
    // With TLS 1.3 the server says no after the client believes that it is connected.
    await expect(sinkTo(server.port).write(chainOf(1))).rejects.toThrow(/certificate required|closed|ECONNRESET/);
    expect(server.messages).toEqual([]);
    await sinkTo(server.port, certificates.client).write(chainOf(2));
    expect(server.messages).toHaveLength(2);
  });

  it('fails while the server is away, and connects again', async () => {
    const server = await startServer();
    const sink = sinkTo(server.port);
    const entries = chainOf(4);
    await sink.write(entries.slice(0, 1));
    await server.stop();
    await expect(sink.write(entries.slice(1, 2))).rejects.toMatchObject({ code: 'ECONNREFUSED' });
    const again = await startServer({ port: server.port });
    await sink.write(entries.slice(1, 3));
    await sink.write(entries.slice(3));
    expect(seqsOf([...server.entries(), ...again.entries()])).toEqual([1, 2, 3, 4]);
  });

  it.each([
    ['hangs up at once', (socket: TLSSocket) => socket.destroy()],
    ['hangs up while it is sent to', (socket: TLSSocket) => socket.once('data', () => socket.destroy())],
  ])('does not take for sent what goes to a server that %s', async (_, onSocket) => {
    const server = await startServer({ onSocket });
    for (const count of [1, 400]) await expect(sinkTo(server.port).write(chainOf(count))).rejects.toThrow();
    expect(server.connections()).toBe(2);
  });

  it.each([
    ['takes nothing', (socket: TLSSocket) => socket.pause(), 1],
    ['takes nothing of much', (socket: TLSSocket) => socket.pause(), 20_000],
  ])('gives a server that %s up after the timeout', async (_, onSocket, count) => {
    const server = await startServer({ onSocket });
    const sink = sinkTo(server.port, { timeoutMs: 300 });
    const many = Array.from({ length: count }, () => chainOf(1)).flat();
    await expect(sink.write(many)).rejects.toThrow(/within 300 ms/);
  });

  it('gives a server that never answers up after the timeout', async () => {
    const silent = createTcpServer((socket) => sockets.add(socket));
    servers.push(silent);
    silent.listen(0, '127.0.0.1');
    await once(silent, 'listening');
    const sink = sinkTo((silent.address() as AddressInfo).port, { timeoutMs: 300 });
    await expect(sink.write(chainOf(1))).rejects.toThrow('did not answer within 300 ms');
  });

  it('waits five seconds when nothing else is said', async () => {
    const server = await startServer({ onSocket: (socket) => socket.pause() });
    const { timeoutMs: _, ...options } = { host: '127.0.0.1', port: server.port, ca: certificates.ca, timeoutMs: 0 };
    const begun = performance.now();
    await expect(createSyslogSink(options).write(chainOf(1))).rejects.toThrow(/within 5000 ms/);
    expect(performance.now() - begun).toBeLessThan(8_000);
  });

  it('ends a write that hangs when it is closed, and takes none after', async () => {
    const server = await startServer({ onSocket: (socket) => socket.pause() });
    const sink = sinkTo(server.port, { timeoutMs: 60_000 });
    const writing = expect(sink.write(chainOf(1))).rejects.toThrow('the syslog sink is closed');
    while (server.connections() === 0) await new Promise((resolve) => setTimeout(resolve, 10));
    await sink.close();
    await writing;
    await expect(sink.write(chainOf(1))).rejects.toThrow('the syslog sink is closed');
  });
});
