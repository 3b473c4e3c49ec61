import { readFile } from 'node:fs/promises';
import { isIP } from 'node:net';
import { hostname } from 'node:os';
import { setTimeout as sleep } from 'node:timers/promises';
import { connect, type TLSSocket } from 'node:tls';
import { toJsonl } from '../export.ts';
import type { AuditEntry } from '../types.ts';
import type { AuditSink } from './types.ts';

export interface SyslogOptions {
  host: string;
  port: number;
  /** Name that the server's certificate has to hold, where it is not `host`. */
  servername?: string;
  /** Absolute paths of PEM files, read anew for each connection. Without `ca` Node's own authorities are trusted. */
  ca?: string;
  cert?: string;
  key?: string;
  /** For the connection, for each 64 KiB and for the farewell; default 5,000. */
  timeoutMs?: number;
}

/** RFC 5424: "log audit". */
const FACILITY = 13;
const SEVERITY: ReadonlyMap<unknown, number> = new Map([
  ['done', 6],
  ['refused', 4],
  ['failed', 3],
]);
const UNKNOWN_SEVERITY = 4;
/** 32473 is the number that RFC 5612 leaves to whoever has no enterprise number of their own. */
const SD_ID = 'shipmate@32473';
const BOM = '\ufeff';
const CHUNK_BYTES = 65_536;
const TIMEOUT_MS = 5_000;
const SETTLE_MS = 20;

/**
 * Syslog over TLS (RFC 5425): RFC 5424 messages with octet counting. Syslog knows no receipt, and a connection that died
 * quietly takes what is written to it. So each write is a connection of its own that ends with TLS's farewell, and counts
 * only when the server answered that: it has read everything before it. A server that turns a client certificate down, goes
 * away meanwhile, or does not answer within the timeout makes the write fail.
 */
export function createSyslogSink(options: SyslogOptions): AuditSink {
  let current: TLSSocket | null = null;
  let closed = false;
  return {
    name: `syslog:${options.host}:${options.port}`,
    async write(entries) {
      if (entries.length === 0) return;
      const chunks = inChunks(entries.map((entry) => frame(syslogMessage(entry))));
      const material = await readMaterial(options);
      if (closed) throw new Error('the syslog sink is closed');
      const socket = connect({
        host: options.host,
        port: options.port,
        ...material,
        ...serverName(options),
        rejectUnauthorized: true,
      });
      current = socket;
      try {
        await deliver(socket, chunks, options.timeoutMs ?? TIMEOUT_MS);
      } finally {
        current = null;
        socket.destroy();
      }
    },
    async close() {
      closed = true;
      current?.destroy(new Error('the syslog sink is closed'));
    },
  };
}

/**
 * One entry as RFC 5424 has it; MSG is its canonical JSON. A row that somebody changed in the store may hold anything, and
 * is sent too: whatever does not fit a field is left out there.
 */
export function syslogMessage(entry: AuditEntry): string {
  const { action, actor, at, code, hash, outcome, seq } = (entry ?? {}) as Partial<Record<keyof AuditEntry, unknown>>;
  const time = String(at);
  const header = [
    `<${FACILITY * 8 + (SEVERITY.get(outcome) ?? UNKNOWN_SEVERITY)}>1`,
    /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{1,6}Z$/.test(time) ? time : '-',
    printable(hostname(), 255),
    'shipmate',
    String(process.pid),
    printable(String(action ?? ''), 32),
  ].join(' ');
  const values = { seq, hash, code, outcome, actor: (actor as { id?: unknown } | null | undefined)?.id };
  const data = Object.entries(values).map(([name, value]) => `${name}="${paramValue(String(value ?? ''))}"`);
  const json = toJsonl(entry);
  // The mark is asked for before UTF-8; ASCII needs none, and not every reader of JSON likes it.
  // biome-ignore lint/suspicious/noControlCharactersInRegex: all of ASCII is meant
  return `${header} [${SD_ID} ${data.join(' ')}] ${/^[\x00-\x7f]*$/.test(json) ? '' : BOM}${json}`;
}

/** A header field: visible ASCII only, never empty. */
function printable(text: string, most: number): string {
  return text.replaceAll(/[^!-~]/g, '_').slice(0, most) || '-';
}

/** A line break would be allowed, but some servers write one line per message, and a name could make a second. */
function paramValue(text: string): string {
  return text.replaceAll(/[\p{Cc}\u2028\u2029]/gu, ' ').replaceAll(/["\\\]]/g, '\\$&');
}

/** Octet counting: the length in bytes, a space, the message. */
function frame(message: string): Buffer {
  const bytes = Buffer.from(message);
  return Buffer.concat([Buffer.from(`${bytes.length} `), bytes]);
}

function inChunks(frames: readonly Buffer[]): Buffer[] {
  const chunks: Buffer[] = [];
  let pending: Buffer[] = [];
  let size = 0;
  for (const each of frames) {
    pending.push(each);
    size += each.length;
    if (size < CHUNK_BYTES) continue;
    chunks.push(Buffer.concat(pending));
    pending = [];
    size = 0;
  }
  if (size > 0) chunks.push(Buffer.concat(pending));
  return chunks;
}

async function readMaterial({ ca, cert, key }: SyslogOptions): Promise<{ ca?: Buffer; cert?: Buffer; key?: Buffer }> {
  return {
    ...(ca === undefined ? {} : { ca: await readFile(ca) }),
    ...(cert === undefined ? {} : { cert: await readFile(cert) }),
    ...(key === undefined ? {} : { key: await readFile(key) }),
  };
}

/** TLS names no addresses, and no dot at the end. */
function serverName({ host, servername }: SyslogOptions): { servername?: string } {
  const name = servername ?? host.replace(/\.$/, '');
  return isIP(name) > 0 ? {} : { servername: name };
}

async function deliver(socket: TLSSocket, chunks: readonly Buffer[], timeoutMs: number): Promise<void> {
  let saidAll = false;
  const ended = Promise.withResolvers<void>();
  const failed = Promise.withResolvers<never>();
  failed.promise.catch(() => undefined);
  socket.on('error', failed.reject);
  socket.once('close', () => failed.reject(new Error('the syslog server closed the connection')));
  socket.once('end', () =>
    saidAll ? ended.resolve() : failed.reject(new Error('the syslog server closed before it had everything')),
  );
  // It has nothing to tell us, but its farewell comes after whatever it says.
  socket.resume();

  const within = async <T>(step: Promise<T>, what: string): Promise<T> => {
    const late = Promise.withResolvers<never>();
    const timer = setTimeout(
      () => late.reject(new Error(`the syslog server did not ${what} within ${timeoutMs} ms`)),
      timeoutMs,
    );
    try {
      return await Promise.race([step, failed.promise, late.promise]);
    } finally {
      clearTimeout(timer);
    }
  };

  const begun = performance.now();
  await within(new Promise<void>((resolve) => socket.once('secureConnect', resolve)), 'answer');
  // At least one way there and back.
  const roundTripMs = performance.now() - begun;
  for (const chunk of chunks)
    await within(
      new Promise<void>((resolve, reject) => socket.write(chunk, (error) => (error ? reject(error) : resolve()))),
      'take the entries',
    );
  // A server that is full or on its way down hangs up before our bytes reach it. By then that has come back to us, and
  // can't be taken for the answer to our farewell.
  await Promise.race([sleep(roundTripMs + SETTLE_MS), failed.promise]);
  saidAll = true;
  socket.end();
  await within(ended.promise, 'confirm the end');
}
