import { execFile, spawnSync } from 'node:child_process';
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { afterAll, describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { loadConfig } from '../../src/config.ts';

// There is no Docker on a test machine: what it would read is held against what is in this repository.

const ROOT = path.resolve(import.meta.dirname, '../..');
const read = (name: string) => readFileSync(path.join(ROOT, 'deploy', name), 'utf8');
const folder = mkdtempSync(path.join(os.tmpdir(), 'shipmate-deploy-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

interface Service {
  image: string;
  ports?: string[];
  volumes?: string[];
  networks?: string[] | Record<string, { ipv4_address?: string }>;
  depends_on?: Record<string, { condition: string }>;
  environment?: Record<string, string>;
  extra_hosts?: string[];
  healthcheck?: { test: string[] };
  read_only?: boolean;
  tmpfs?: string[];
  cap_drop?: string[];
  security_opt?: string[];
  stop_grace_period?: string;
  hostname?: string;
  pid?: string;
  user?: string;
}
const compose = parse(read('compose.yaml'), { merge: true }) as {
  services: Record<string, Service>;
  networks: Record<string, { internal?: boolean } | null>;
  volumes: Record<string, unknown>;
};
const service = (name: string): Service => {
  const found = compose.services[name];
  if (found === undefined) throw new Error(`compose.yaml has no ${name}`);
  return found;
};
const REPLICAS = ['shipmate-1', 'shipmate-2'] as const;

/** What the configuration comes to, with something for everything that .env.example names. */
const variables = [...read('.env.example').matchAll(/^([A-Z_]+)=(.*)$/gm)].map(([, name = '', value = '']) => {
  const id = `7e7a7000-0000-4000-8000-0000${name.length.toString(16).padStart(8, '0')}`;
  const filled = /PASSWORD|SECRET/.test(name) ? `s3cret${name}` : /_ID$|^G_/.test(name) ? id : 'chat.example.com';
  return [name, value === '' ? filled : value] as const;
});
const environment = Object.fromEntries(variables);
const config = loadConfig(path.join(ROOT, 'deploy/shipmate.example.yaml'), environment);

const instructions = read('Dockerfile')
  .replace(/\\\n/g, ' ')
  .split('\n')
  .filter((line) => line !== '' && !line.startsWith('#'))
  .map((line) => {
    const [, name = '', rest = ''] = /^\s*([A-Z]+)\s+(.*)$/.exec(line) ?? [];
    return { name, rest: rest.trim() };
  });
/** Those of the image that runs. */
const final = instructions.slice(instructions.findLastIndex(({ name }) => name === 'FROM'));
const only = (name: string): string => {
  const found = final.filter((each) => each.name === name);
  expect(found).toHaveLength(1);
  return found[0]?.rest ?? '';
};
const fromContext = (list: typeof instructions) =>
  list
    .filter(({ name, rest }) => name === 'COPY' && !rest.includes('--from='))
    .flatMap(({ rest }) => rest.split(/\s+/).slice(0, -1));

describe('compose.yaml', () => {
  it('hardens what runs our code and nginx', () => {
    for (const name of [...REPLICAS, 'runs', 'nginx'])
      expect(service(name)).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
      });
    for (const name of [...REPLICAS, 'nginx']) expect(service(name).tmpfs).toEqual(['/tmp']);
    for (const name of REPLICAS) expect(parseInt(service(name).stop_grace_period ?? '', 10)).toBeGreaterThan(20);
  });

  it('shows the world one port, of nginx; the internal one and the database stay inside', () => {
    const published = Object.entries(compose.services).flatMap(([name, { ports = [] }]) =>
      ports.map((port) => `${name} ${port}`),
    );
    expect(published).toEqual(['nginx ${HTTPS_PORT:-443}:8443']);
    expect(read('nginx.conf')).toContain('listen 8443 ssl;');
    expect(read('nginx.conf')).not.toContain(String(config.internalPort));
    expect(service('postgres').networks).toEqual(['database']);
    expect(service('nginx').networks).toEqual(['front']);
    expect(compose.networks.database).toEqual({ internal: true });
  });

  it('has two replicas that differ in their address only, and that nginx knows by it', () => {
    const [first, second] = REPLICAS.map((name) => {
      const { networks, ...rest } = service(name);
      return rest;
    });
    expect(first).toEqual(second);
    const addresses = REPLICAS.map((name) => {
      const { networks } = service(name);
      return `${name}:${networks && !Array.isArray(networks) ? networks.front?.ipv4_address : ''}`;
    });
    expect(service('nginx').extra_hosts).toEqual(addresses);
    const upstreams = [...read('nginx.conf').matchAll(/^ +server +(\S+:\d+) /gm)].map(([, server]) => server);
    expect(upstreams).toEqual(REPLICAS.map((name) => `${name}:${config.port}`));
  });

  it('lets both see each other’s runs: one folder, one name of the machine, one space of process ids', () => {
    for (const name of REPLICAS) {
      expect(service(name)).toMatchObject({ hostname: 'shipmate', pid: 'service:runs' });
      expect(service(name).volumes).toEqual(['./config:/etc/shipmate:ro', 'data:/var/lib/shipmate']);
    }
    expect(Object.keys(compose.volumes)).toContain('data');
    expect(final.find(({ name }) => name === 'ENV')?.rest).toContain('SHIPMATE_DATA=/var/lib/shipmate');
  });

  it('starts in order, each when the one before can work', () => {
    expect(service('shipmate-1').depends_on?.postgres?.condition).toBe('service_healthy');
    for (const name of REPLICAS) expect(service('nginx').depends_on?.[name]?.condition).toBe('service_healthy');
    expect(service('postgres').healthcheck?.test).toContain('pg_isready');
    expect(service('shipmate-1').healthcheck?.test.join(' ')).toContain(`127.0.0.1:${config.internalPort}/readyz`);
  });

  it('needs no variable that .env.example does not name, and the database has the password of the URL', () => {
    const text = read('compose.yaml') + read('shipmate.example.yaml');
    const used = new Set(
      text
        .split('\n')
        .filter((line) => !line.trim().startsWith('#'))
        .flatMap((line) => [...line.matchAll(/\$\{([A-Z_]+)/g)].map(([, name]) => name)),
    );
    expect([...used].sort()).toEqual(variables.map(([name]) => name).sort());
    expect(service('postgres').environment?.POSTGRES_PASSWORD).toMatch(/^\$\{POSTGRES_PASSWORD:\?/);
    const { POSTGRES_USER, POSTGRES_DB } = service('postgres').environment ?? {};
    expect(config.store).toBe(`postgres://${POSTGRES_USER}:${environment.POSTGRES_PASSWORD}@postgres/${POSTGRES_DB}`);
    expect(config.secrets).toContain(environment.POSTGRES_PASSWORD);
  });

  it('names files that are there', () => {
    for (const name of ['.env.example', 'shipmate.example.yaml', 'nginx.conf', 'rotate.sh', 'Dockerfile'])
      expect(existsSync(path.join(ROOT, 'deploy', name))).toBe(true);
    expect(service('nginx').volumes?.[0]).toBe('./nginx.conf:/etc/nginx/nginx.conf:ro');
    // What holds secrets must not be committed by accident.
    expect(read('.gitignore').trim().split('\n')).toEqual(['.env', 'config/', 'tls/']);
  });
});

describe('the image', () => {
  it('is of Node 24, runs as nobody special, and ends at SIGTERM without a shell between', () => {
    expect(instructions.find(({ name }) => name === 'ARG')?.rest).toBe('NODE=node:24-bookworm-slim');
    expect(only('USER')).toBe('node');
    expect(only('STOPSIGNAL')).toBe('SIGTERM');
    expect(JSON.parse(only('CMD'))).toEqual(['node', 'src/index.ts', '--config', '/etc/shipmate/shipmate.yaml']);
    expect(only('EXPOSE')).toBe(String(config.port));
    expect(read('Dockerfile')).toMatch(/apt-get install .*\bgit\b/);
  });

  it('is made of files that are there and that the ignore file lets through', () => {
    const allowed = read('Dockerfile.dockerignore')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('#'));
    expect(allowed[0]).toBe('*');
    for (const source of fromContext(instructions)) {
      expect(existsSync(path.join(ROOT, source))).toBe(true);
      expect(allowed).toContain(`!${source}`);
    }
  });

  it('has all that the bot needs to start: what it copies passes its own check', () => {
    for (const source of fromContext(final))
      cpSync(path.join(ROOT, source), path.join(folder, source), { recursive: true });
    symlinkSync(path.join(ROOT, 'node_modules'), path.join(folder, 'node_modules'));
    const run = (...args: string[]) =>
      spawnSync(process.execPath, ['--disable-warning=ExperimentalWarning', ...args], {
        cwd: folder,
        encoding: 'utf8',
        env: { PATH: process.env.PATH, ...environment },
      });
    expect(run('src/index.ts', '--help')).toMatchObject({ status: 0, stdout: expect.stringContaining('--config') });
    writeFileSync(path.join(folder, 'shipmate.yaml'), read('shipmate.example.yaml'));
    expect(run('src/cli/index.ts', 'check')).toMatchObject({ status: 0, stderr: '' });
  });

  it('has a health check that tells a bot that lives from one that does not', async () => {
    const command = JSON.parse(only('HEALTHCHECK').replace(/^.*?CMD /, '')) as string[];
    expect(command[0]).toBe('node');
    const checks = [command, service('shipmate-1').healthcheck?.test.slice(1) ?? []];
    expect(checks.map(([, , script]) => /127\.0\.0\.1:(\d+)(\/\w+)/.exec(script ?? '')?.slice(1))).toEqual([
      [String(config.internalPort), '/healthz'],
      [String(config.internalPort), '/readyz'],
    ]);
    let status = 200;
    const server = http.createServer((_req, res) => {
      // In two steps: restify, where it was loaded before, makes writeHead answer nothing.
      res.writeHead(status);
      res.end();
    });
    await new Promise<void>((done) => server.listen(0, '127.0.0.1', done));
    const { port } = server.address() as AddressInfo;
    const exitCode = (script: string) =>
      new Promise<number | null>((resolve) => {
        const args = ['-e', script.replace(String(config.internalPort), String(port))];
        execFile(process.execPath, args, (error) => resolve(error === null ? 0 : Number(error.code)));
      });
    for (const [, , script = ''] of checks) {
      status = 200;
      expect(await exitCode(script)).toBe(0);
      status = 503;
      expect(await exitCode(script)).toBe(1);
    }
    await new Promise((done) => server.close(done));
    expect(await exitCode(checks[0]?.[2] ?? '')).toBe(1);
  });
});
