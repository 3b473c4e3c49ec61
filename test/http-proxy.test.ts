import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import http, { type Server } from 'node:http';
import https from 'node:https';
import net, { type AddressInfo, type Socket } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { createHttp, type Http, type HttpOptions } from '../src/http.ts';

/** A company's network: a proxy that knows who went where, and a server whose certificate is of the company's own CA. */
let folder: string;
let ca: string;
let secure: https.Server;
let plain: Server;
let proxy: Server;
let went: string[];
const sockets = new Set<Socket>();
const opened: Http[] = [];
const client = (options: HttpOptions): Http => {
  const made = createHttp(options);
  opened.push(made);
  return made;
};
const portOf = (server: net.Server): number => (server.address() as AddressInfo).port;
const listen = (server: net.Server) =>
  new Promise<void>((resolve) => {
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket));
    });
    server.listen(0, '127.0.0.1', resolve);
  });

beforeAll(async () => {
  folder = mkdtempSync(path.join(os.tmpdir(), 'shipmate-ca-'));
  const openssl = (...args: string[]) => execFileSync('openssl', args, { cwd: folder, stdio: 'ignore' });
  const key = ['-newkey', 'rsa:2048', '-nodes', '-days', '2'];
  openssl('req', '-x509', ...key, '-keyout', 'ca.key', '-out', 'ca.pem', '-subj', '/CN=Corp CA');
  openssl('req', ...key.slice(0, 3), '-keyout', 'ci.key', '-out', 'ci.csr', '-subj', '/CN=localhost');
  writeFileSync(path.join(folder, 'san'), 'subjectAltName=DNS:localhost,IP:127.0.0.1\n');
  const sign = ['-CA', 'ca.pem', '-CAkey', 'ca.key', '-CAcreateserial', '-days', '2', '-extfile', 'san'];
  openssl('x509', '-req', '-in', 'ci.csr', ...sign, '-out', 'ci.pem');
  const read = (file: string) => readFileSync(path.join(folder, file), 'utf8');
  ca = read('ca.pem');
  secure = https.createServer({ key: read('ci.key'), cert: read('ci.pem') }, (_req, res) => res.end('{"secure":true}'));
  plain = http.createServer((_req, res) => res.end('{"plain":true}'));
  // As proxies do: plain http by the whole address, https through a tunnel.
  proxy = http.createServer((req, res) => {
    const { host, pathname } = new URL(String(req.url));
    went.push(host);
    http.get(`http://${host}${pathname}`, (onward) => onward.pipe(res));
  });
  proxy.on('connect', (req, socket) => {
    went.push(String(req.url));
    const [host = '', port = ''] = String(req.url).split(':');
    const onward = net.connect(Number(port), host, () => {
      socket.write('HTTP/1.1 200 Connection established\r\n\r\n');
      onward.pipe(socket);
      socket.pipe(onward);
    });
    for (const each of [onward, socket]) each.on('error', () => socket.destroy());
  });
  for (const server of [secure, plain, proxy]) await listen(server);
}, 60_000);
afterEach(async () => {
  await Promise.all(opened.splice(0).map((each) => each.close()));
});
afterAll(async () => {
  for (const socket of sockets) socket.destroy();
  for (const server of [secure, plain, proxy]) await new Promise((resolve) => server.close(resolve));
  rmSync(folder, { recursive: true, force: true });
});

describe('a private CA', () => {
  it('is trusted where it is named, and nowhere else', async () => {
    const url = `https://localhost:${portOf(secure)}/`;
    expect((await client({ ca }).request({ url })).json()).toEqual({ secure: true });
    await expect(client({}).request({ url })).rejects.toMatchObject({ kind: 'connection' });
    expect(await (await client({ ca }).fetch(url)).json()).toEqual({ secure: true });
  });

  it('does not make a name right that is wrong', async () => {
    const url = `https://127.0.0.2:${portOf(secure)}/`;
    await expect(client({ ca }).request({ url })).rejects.toMatchObject({ kind: 'connection' });
  });
});

describe('a proxy', () => {
  it('is gone through, also to a server of a private CA', async () => {
    went = [];
    const through = `http://127.0.0.1:${portOf(proxy)}`;
    const made = client({ ca, proxy: { http: through, https: through } });
    expect((await made.request({ url: `https://localhost:${portOf(secure)}/` })).json()).toEqual({ secure: true });
    expect((await made.request({ url: `http://localhost:${portOf(plain)}/` })).json()).toEqual({ plain: true });
    expect(await (await made.fetch(`https://localhost:${portOf(secure)}/`)).json()).toEqual({ secure: true });
    expect(new Set(went)).toEqual(new Set([`localhost:${portOf(secure)}`, `localhost:${portOf(plain)}`]));
  });

  it('is passed by for what NO_PROXY names', async () => {
    went = [];
    const through = `http://127.0.0.1:${portOf(proxy)}`;
    const made = client({ ca, proxy: { https: through, none: 'localhost,.corp' } });
    expect((await made.request({ url: `https://localhost:${portOf(secure)}/` })).json()).toEqual({ secure: true });
    expect(went).toEqual([]);
  });

  it('is not taken from the process behind our back', async () => {
    went = [];
    const before = process.env.HTTPS_PROXY;
    process.env.HTTPS_PROXY = `http://127.0.0.1:${portOf(proxy)}`;
    try {
      const made = client({ ca, proxy: { http: `http://127.0.0.1:${portOf(proxy)}` } });
      const direct = client({ ca });
      await direct.request({ url: `https://localhost:${portOf(secure)}/` });
      expect(went).toEqual([]);
      await made.request({ url: `http://localhost:${portOf(plain)}/` });
      expect(went).toEqual([`localhost:${portOf(plain)}`]);
    } finally {
      if (before === undefined) delete process.env.HTTPS_PROXY;
      else process.env.HTTPS_PROXY = before;
    }
  });
});

it('sends a form, and follows no redirect', async () => {
  const seen: string[] = [];
  const server = http.createServer(async (req, res) => {
    let body = '';
    for await (const chunk of req) body += chunk;
    seen.push(`${req.headers['content-type']} ${body}`);
    res.writeHead(302, { location: '/elsewhere' });
    res.end();
  });
  await listen(server);
  const answer = await client({}).request({
    method: 'POST',
    url: `http://127.0.0.1:${portOf(server)}/`,
    form: { a: '1&b=2', c: 'ü' },
  });
  expect(answer.status).toBe(302);
  expect(seen).toEqual(['application/x-www-form-urlencoded a=1%26b%3D2&c=%C3%BC']);
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});
