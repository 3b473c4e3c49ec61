import { type ChildProcess, execFile, execFileSync, fork } from 'node:child_process';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { request } from 'node:http';
import { createServer } from 'node:net';
import os from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import pg from 'pg';
import type { AuditEntry } from '../../src/audit/types.ts';
import { type FakeTeams, type Person, startFakeTeams } from '../fakes/teams/index.ts';
import { APP_ID, APPROVALS_CHANNEL, eventually, PLANTED, TENANT, WEB_CHANNEL } from '../helpers/app.ts';
import { onServer } from '../helpers/store.ts';
import type { Said } from './replica-child.ts';

const execute = promisify(execFile);
const ROOT = path.resolve(import.meta.dirname, '../..');
const NGINX = process.env.SHIPMATE_NGINX_BIN ?? '/usr/sbin/nginx';
const SERVER = process.env.SHIPMATE_TEST_PG;
const GROUPS = { web: '6a000000-0000-4000-8000-00000000aaa1', leads: '6a000000-0000-4000-8000-00000000aaa2' };
const SAM = 'd0000000-0000-4000-8000-000000000000';
const APPROVERS = 50;

/** Why there is no nginx on this machine, in words; null when there is one. */
export const NGINX_MISSING = existsSync(NGINX) ? null : 'nginx: apt-get install nginx-light, or set SHIPMATE_NGINX_BIN';
/** The same for all that a site needs. */
export const SITE_MISSING = SERVER === undefined ? 'PostgreSQL: set SHIPMATE_TEST_PG to its URL' : NGINX_MISSING;

export interface Replica {
  readonly name: string;
  /** Its public port, which stays the same over restarts. */
  readonly port: number;
  readonly internalPort: number;
  /** Looks at runs, as they are heard of. */
  readonly looks: { at: number; run: string }[];
  running(): boolean;
  /** Loads it and lets it wait for `go`. */
  load(): Promise<void>;
  go(): Promise<void>;
  kill(): Promise<void>;
  /** Sends SIGTERM; resolves with the exit code. */
  terminate(): Promise<number | null>;
  /** Turns that it has answered. */
  turns(): Promise<number>;
  ready(): Promise<boolean>;
}

/** Two replicas on one empty database and one folder of runs, behind nginx, with a Teams in front. */
export interface Site {
  folder: string;
  database: string;
  teams: FakeTeams;
  replicas: readonly [Replica, Replica];
  /** May deploy, and may approve what others asked for. */
  sam: Person;
  approvers: readonly Person[];
  /** Each run of the deploy program: "environment version". */
  runs(): string[];
  /** A run waits while it is held. */
  hold(): void;
  release(): void;
  query<T>(text: string): Promise<T[]>;
  /** Keeps the row of the newest deployment, so that all who want to change it come at the same moment. */
  keepNewest(): Promise<{ id: string; waiting(): Promise<number>; release(): Promise<void> }>;
  audit(): Promise<AuditEntry[]>;
  /** Runs the shipped deploy/rotate.sh for one of the replicas. */
  rotate(action: 'out' | 'in', replica: Replica): Promise<void>;
  stop(): Promise<void>;
}

/** Writes a line for each run, and waits while a file says so. */
const PROGRAM = `#!/bin/sh
echo "$1 $2" >> "$4/runs.log"
echo "::stage build"
while [ -e "$4/hold" ]; do sleep 0.05; done
echo "::stage switch"
echo "::sha $3"
`;

export async function startSite(): Promise<Site> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'shipmate-site-'));
  const database = `shipmate_topology_${process.pid}_${Date.now()}`;
  await onServer(`create database ${database}`);
  const url = Object.assign(new URL(SERVER ?? ''), { pathname: `/${database}` }).href;
  const teams = await startFakeTeams({ tenant: TENANT, appId: APP_ID });
  const approvers = Array.from({ length: APPROVERS }, (_, index) =>
    teams.person({ name: `Approver ${index + 1}`, id: `d1000000-0000-4000-8000-${String(index).padStart(12, '0')}` }),
  );
  makeRepository(path.join(folder, 'repo'));
  writeFileSync(path.join(folder, 'deploy.sh'), PROGRAM);
  chmodSync(path.join(folder, 'deploy.sh'), 0o755);
  writeFileSync(path.join(folder, 'shipmate.yaml'), configuration(folder, url, approvers));

  const ports = await freePorts(3);
  const [first, second] = ports.slice(1).map((port, index) => makeReplica(`replica ${index + 1}`, port, folder, teams));
  if (first === undefined || second === undefined) throw new Error('two replicas need two ports');
  const replicas = [first, second] as const;

  const nginxFolder = path.join(folder, 'nginx');
  const nginxUrl = nginx('start', nginxFolder, ports);
  teams.botUrl = nginxUrl;
  teams.raw = (body, headers = {}) =>
    ask('POST', `${nginxUrl}/api/messages`, body, { 'content-type': 'application/json', ...headers });
  const pool = new pg.Pool({ connectionString: url, max: 2 });
  const query = async <T>(text: string): Promise<T[]> => (await pool.query(text)).rows as T[];

  return {
    folder,
    database,
    teams,
    replicas,
    sam: teams.person({ name: 'Sam', id: SAM }),
    approvers,
    runs() {
      const file = path.join(folder, 'runs.log');
      return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
    },
    hold: () => writeFileSync(path.join(folder, 'hold'), ''),
    release: () => rmSync(path.join(folder, 'hold'), { force: true }),
    query,
    async keepNewest() {
      const client = await pool.connect();
      await client.query('begin');
      const text = 'select id from deployments order by id desc limit 1 for update';
      const { rows } = await client.query<{ id: string }>(text);
      return {
        id: rows[0]?.id ?? '',
        waiting: async () => {
          const where = `datname = current_database() and wait_event_type = 'Lock'`;
          const found = await query<{ n: string }>(`select count(*) as n from pg_stat_activity where ${where}`);
          return Number(found[0]?.n);
        },
        release: async () => {
          await client.query('commit');
          client.release();
        },
      };
    },
    audit: async () =>
      (await query<{ entry: string }>('select entry from audit order by seq')).map(
        ({ entry }) => JSON.parse(entry) as AuditEntry,
      ),
    async rotate(action, { port }) {
      const env = {
        PATH: process.env.PATH,
        NGINX_CONF: path.join(nginxFolder, 'nginx.conf'),
        NGINX_RELOAD: `kill -HUP "$(cat ${path.join(nginxFolder, 'nginx.pid')})"`,
      };
      await execute('bash', [path.join(ROOT, 'deploy/rotate.sh'), action, `127.0.0.1:${port}`], { env });
    },
    async stop() {
      rmSync(path.join(folder, 'hold'), { force: true });
      for (const replica of replicas) if (replica.running()) await replica.kill();
      nginx('stop', nginxFolder, ports);
      await teams.close();
      await pool.end();
      await onServer(`drop database if exists ${database} with (force)`);
      rmSync(folder, { recursive: true, force: true });
    },
  };
}

/** Runs scripts/peers/nginx.sh; `ports` are nginx's own and those of two replicas. Gives the last line that it prints. */
export function nginx(action: 'start' | 'stop', folder: string, [port, ...upstreams]: readonly number[]): string {
  const args = [path.join(ROOT, 'scripts/peers/nginx.sh'), action, port, folder, ...upstreams].map(String);
  return execFileSync('bash', args, { encoding: 'utf8' }).trim().split('\n').at(-1) ?? '';
}

function makeReplica(name: string, port: number, folder: string, teams: FakeTeams): Replica {
  const references = [WEB_CHANNEL, APPROVALS_CHANNEL].map((conversationId) => ({
    conversationId,
    kind: 'channel',
    serviceUrl: teams.serviceUrl,
    channelId: 'msteams',
    tenantId: TENANT,
    bot: { id: `28:${APP_ID}`, name: 'Shipmate' },
  }));
  const args = [path.join(folder, 'shipmate.yaml'), teams.openIdMetadataUrl, teams.origin, JSON.stringify(references)];
  let child: ChildProcess | null = null;
  let exited: Promise<number | null> = Promise.resolve(null);
  let internalPort = 0;
  const looks: { at: number; run: string }[] = [];
  const hear = (kind: Said['kind']): Promise<Said> => {
    const process = child;
    if (process === null) throw new Error(`${name} does not run`);
    return new Promise((resolve, reject) => {
      const over = () => reject(new Error(`${name} ended before it was ${kind}`));
      process.once('exit', over);
      process.on('message', function listen(said: Said) {
        if (said.kind === 'failed') reject(new Error(`${name}: ${said.why}`));
        if (said.kind !== kind) return;
        process.off('exit', over);
        process.off('message', listen);
        resolve(said);
      });
    });
  };
  const internal = (what: string) => fetch(`http://127.0.0.1:${internalPort}/${what}`);
  return {
    name,
    port,
    get internalPort() {
      return internalPort;
    },
    looks,
    running: () => child !== null,
    async load() {
      const started = fork(path.join(import.meta.dirname, 'replica-child.ts'), args, {
        env: {
          PATH: process.env.PATH,
          BOT_SECRET: PLANTED,
          SHIPMATE_DATA: path.join(folder, 'data'),
          PORT: String(port),
          LOG_LEVEL: 'error',
        },
        execArgv: ['--disable-warning=ExperimentalWarning'],
        stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
      });
      child = started;
      exited = new Promise((resolve) =>
        started.once('exit', (code) => {
          child = null;
          resolve(code);
        }),
      );
      started.on('message', (said: Said) => {
        if (said.kind === 'looks') looks.push({ at: Date.now(), run: said.run });
      });
      await hear('loaded');
    },
    async go() {
      const ready = hear('ready');
      child?.send('go');
      const said = await ready;
      if (said.kind === 'ready') internalPort = said.internalPort;
    },
    async kill() {
      child?.kill('SIGKILL');
      await exited;
    },
    terminate() {
      child?.kill('SIGTERM');
      return exited;
    },
    async turns() {
      const text = await (await internal('metrics')).text();
      const counts = [...text.matchAll(/^shipmate_turn_seconds_count\{.*\} (\d+)$/gm)];
      return counts.reduce((sum, [, count]) => sum + Number(count), 0);
    },
    ready: async () => (await internal('readyz')).status === 200,
  };
}

function configuration(folder: string, url: string, approvers: readonly Person[]): string {
  return `tenant: ${TENANT}
bot: ${APP_ID}
url: https://shipmate.example
ports: { internal: 0 }
store: ${url}
credentials: { secret: "\${BOT_SECRET}" }
groups: { web: ${GROUPS.web}, leads: ${GROUPS.leads} }
people:
  - { id: ${SAM}, groups: [web, leads] }
${approvers.map(({ id }) => `  - { id: ${id}, groups: [leads] }`).join('\n')}
channels: { web: "${WEB_CHANNEL}", approvals: "${APPROVALS_CHANNEL}" }
environments:
  staging: {}
  canary: { approve: { from: leads, expires: 2s } }
  production: { approve: leads, promote: false }
services:
  storefront:
    team: web
    deploy: { command: "${folder}/deploy.sh {environment} {version} {sha} ${folder}", stages: [build, switch] }
    versions: { git: ./repo }
`;
}

/**
 * Asks with a connection of its own. On one that is kept, a client may write just when nginx, told to reload, closes it;
 * then the request is lost before the site under test has seen it.
 */
export function ask(
  method: string,
  url: string,
  body: string | Buffer = '',
  headers: Record<string, string> = {},
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const length = body.length === 0 ? {} : { 'content-length': String(Buffer.byteLength(body)) };
    const sent = request(url, { method, agent: false, headers: { ...length, ...headers } }, (answer) => {
      let text = '';
      answer.setEncoding('utf8');
      answer.on('data', (chunk: string) => {
        text += chunk;
      });
      answer.on('end', () => resolve({ status: answer.statusCode ?? 0, text }));
      answer.on('error', reject);
    });
    sent.on('error', reject);
    sent.end(body);
  });
}

/** Ports that nobody has at this moment. All are held until the last is found, so that they differ. */
export async function freePorts(count: number): Promise<number[]> {
  const servers = Array.from({ length: count }, () => createServer());
  await Promise.all(servers.map((server) => new Promise<void>((done) => server.listen(0, '127.0.0.1', done))));
  const ports = servers.map((server) => (server.address() as { port: number }).port);
  await Promise.all(servers.map((server) => new Promise((done) => server.close(done))));
  return ports;
}

function makeRepository(folder: string): void {
  mkdirSync(folder);
  const identity = ['-c', 'user.name=Dana', '-c', 'user.email=dana@example.com', '-c', 'commit.gpgsign=false'];
  const git = (...args: string[]) =>
    execFileSync('git', ['-C', folder, ...identity, ...args], { stdio: ['ignore', 'ignore', 'inherit'] });
  git('init', '-q', '-b', 'main');
  for (const version of ['1.0.0', '1.1.0', '1.2.0', '1.3.0', '1.4.0', '1.5.0']) {
    git('commit', '-q', '--allow-empty', '-m', `Release ${version}`);
    git('tag', version);
  }
}

/** The first look at a run after this moment, by this replica. */
export async function looked(replica: Replica, since: number, timeoutMs = 30_000): Promise<number> {
  const look = await eventually(() => replica.looks.find(({ at }) => at > since), timeoutMs);
  return look.at;
}
