import { execFileSync } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { chmodSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import pg from 'pg';
import { loadConfig } from '../src/config.ts';
import type { ConversationRef } from '../src/store/types.ts';
import { type FakeTeams, type Person, startFakeTeams } from '../test/fakes/teams/index.ts';
import { versionOf } from './plan.ts';
import { BotProcess } from './process.ts';
import type { BotArguments, Facts, StoreKind } from './types.ts';

const TENANT = '7e7a7000-0000-4000-8000-00000000cccc';
const APP_ID = 'a9900000-0000-4000-8000-00000000cccc';
const GROUPS = { web: '6a000000-0000-4000-8000-00000000ccc1', leads: '6a000000-0000-4000-8000-00000000ccc2' };
export const WEB_CHANNEL = '19:web@thread.tacv2';
export const APPROVALS_CHANNEL = '19:approvals@thread.tacv2';
/** Several, so that no chat comes near Teams' limit of messages. */
const REQUESTERS = ['Dana', 'Deniz', 'Dora', 'Dirk', 'Dewi', 'Dalia'];
const APPROVERS = ['Alex', 'Robin'];

/** One line for each run; and one for its end, so that a kill can be aimed at it. */
const PROGRAM = `#!/bin/sh
echo "$1 $2 $3 $4" >> "$5/runs.log"
[ -e "$5/twice" ] && echo "$1 $2 $3 $4" >> "$5/runs.log"
read -r build switch < "$5/pace"
echo "::stage build"
sleep "$build"
echo "::stage switch"
sleep "$switch"
echo "::sha $4"
echo "$1" >> "$5/ends.log"
case "$3" in *.1) echo "smoke test: total is wrong"; exit 1 ;; esac
`;

export interface Run {
  key: string;
  environment: string;
  version: string;
}

/** Everything around the bots: Teams, people, repository, program, database; and the bots themselves. */
export class World {
  readonly kind: StoreKind;
  readonly teams: FakeTeams;
  readonly folder: string;
  readonly requesters: Person[];
  readonly approvers: Person[];
  /** Living ones; the embedded store has one, PostgreSQL two. */
  bots: BotProcess[] = [];
  /** Where the timeline of the round is kept. */
  tell: (what: string) => void = () => {};
  readonly #argument: BotArguments;
  readonly #env: Record<string, string | undefined>;
  readonly #dropDatabase: () => Promise<unknown>;
  readonly #databaseUrl: string | null;
  #lives = 0;

  private constructor(
    kind: StoreKind,
    teams: FakeTeams,
    folder: string,
    databaseUrl: string | null,
    dropDatabase: () => Promise<unknown>,
  ) {
    this.kind = kind;
    this.teams = teams;
    this.folder = folder;
    this.#databaseUrl = databaseUrl;
    this.#dropDatabase = dropDatabase;
    this.requesters = REQUESTERS.map((name, index) => teams.person({ name, id: personId(index) }));
    this.approvers = APPROVERS.map((name, index) => teams.person({ name, id: personId(100 + index) }));
    this.#env = {
      PATH: process.env.PATH,
      HOME: process.env.HOME,
      BOT_SECRET: 'not-a-real-secret-4711',
      SHIPMATE_DATA: path.join(folder, 'data'),
      LOG_LEVEL: 'info',
      // The second life starts faster; what is measured is not the start.
      NODE_COMPILE_CACHE: path.join(os.tmpdir(), 'shipmate-chaos-compiled'),
    };
    this.#argument = {
      config: writeConfig(folder, databaseUrl, this.#env),
      metadataUrl: teams.openIdMetadataUrl,
      origin: teams.origin,
      references: [WEB_CHANNEL, APPROVALS_CHANNEL].map(
        (conversationId): ConversationRef => ({
          conversationId,
          kind: 'channel',
          serviceUrl: teams.serviceUrl,
          channelId: 'msteams',
          tenantId: TENANT,
          bot: { id: `28:${APP_ID}`, name: 'Shipmate' },
        }),
      ),
    };
  }

  /** `server`: URL of a PostgreSQL that a database may be made on. */
  static async open(kind: StoreKind, rounds: number, server: string | undefined): Promise<World> {
    const folder = mkdtempSync(path.join(os.tmpdir(), 'shipmate-chaos-'));
    const teams = await startFakeTeams({ tenant: TENANT, appId: APP_ID });
    makeRepository(path.join(folder, 'repo'), rounds);
    const program = path.join(folder, 'deploy.sh');
    writeFileSync(program, PROGRAM);
    chmodSync(program, 0o755);
    const database = kind === 'postgres' ? await makeDatabase(server) : { url: null, drop: async () => {} };
    const world = new World(kind, teams, folder, database.url, database.drop);
    try {
      await world.startMissing();
      return world;
    } catch (error) {
      const said = world.bots.flatMap((bot) => bot.complaints(0)).map(({ line }) => line);
      await world.close();
      throw new Error(`the bots did not start: ${String(error)}\n${said.join('\n')}`);
    }
  }

  /** Starts what is not there, one after the other, and waits until all listen. */
  async startMissing(): Promise<void> {
    this.bots = this.bots.filter((bot) => !bot.dead);
    while (this.bots.length < (this.kind === 'pglite' ? 1 : 2)) {
      const bot = this.#newBot();
      this.bots.push(bot);
      await bot.up;
    }
    await Promise.all(this.bots.map((bot) => bot.up));
  }

  #newBot(): BotProcess {
    this.#lives += 1;
    const name = `bot-${this.#lives}`;
    const logFile = path.join(this.folder, `${name}.log`);
    this.tell(`${name} starts`);
    return new BotProcess(name, logFile, this.#argument, this.#env, (what) => this.tell(what));
  }

  /** A new life in the place of a dead one. Does not wait for it. */
  restart(): BotProcess {
    this.bots = this.bots.filter((bot) => !bot.dead);
    const bot = this.#newBot();
    this.bots.push(bot);
    return bot;
  }

  get alive(): BotProcess[] {
    return this.bots.filter((bot) => bot.isUp);
  }

  /** Everything that is stored, or null when nobody can tell now. */
  async facts(): Promise<Facts | null> {
    for (const bot of this.alive) {
      const facts = await bot.facts();
      if (facts) return facts;
    }
    return null;
  }

  pace(seconds: readonly [number, number]): void {
    writeFileSync(path.join(this.folder, 'pace'), `${seconds[0].toFixed(3)} ${seconds[1].toFixed(3)}\n`);
  }

  /** Sabotage: the program writes its line twice. */
  programRunsTwice(on: boolean): void {
    const file = path.join(this.folder, 'twice');
    if (on) writeFileSync(file, '');
    else rmSync(file, { force: true });
  }

  /** The program's own log: one line for each run. */
  runs(): Run[] {
    return this.#lines('runs.log').map((line) => {
      const [key = '', environment = '', version = ''] = line.split(' ');
      return { key, environment, version };
    });
  }

  /** Keys of the runs that the program was done with. */
  ends(): string[] {
    return this.#lines('ends.log');
  }

  #lines(name: string): string[] {
    const file = path.join(this.folder, name);
    return existsSync(file) ? readFileSync(file, 'utf8').split('\n').filter(Boolean) : [];
  }

  /** Sabotage: removes an audit row behind the bot's back. */
  async removeAuditRow(seq: number): Promise<void> {
    const statements = `alter table audit disable trigger all; delete from audit where seq = ${seq}; alter table audit enable trigger all`;
    if (this.#databaseUrl !== null) {
      await withDatabase(this.#databaseUrl, (client) => client.query(statements));
      return;
    }
    for (const bot of this.bots) await bot.stop();
    const database = await PGlite.create(path.join(this.folder, 'data', 'pgdata'));
    await database.exec(statements);
    await database.close();
    await this.startMissing();
  }

  async close(): Promise<void> {
    await Promise.all(this.bots.map((bot) => bot.stop()));
    await this.teams.close();
    await this.#dropDatabase();
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 5 });
  }
}

function personId(index: number): string {
  return `d0000000-0000-4000-8000-0000000${String(index).padStart(5, '0')}`;
}

function writeConfig(folder: string, store: string | null, env: Record<string, string | undefined>): string {
  const file = path.join(folder, 'shipmate.yaml');
  const person = (group: string) => (_name: string, index: number) =>
    `  - { id: ${personId(group === 'leads' ? 100 + index : index)}, groups: [${group}] }`;
  const yaml = (production: string) => `tenant: ${TENANT}
bot: ${APP_ID}
url: https://shipmate.example
ports: { public: 0, internal: 0 }
credentials: { secret: "\${BOT_SECRET}" }
${store === null ? '' : `store: ${store}`}
groups: { web: ${GROUPS.web}, leads: ${GROUPS.leads} }
people:
${[...REQUESTERS.map(person('web')), ...APPROVERS.map(person('leads'))].join('\n')}
channels: { web: "${WEB_CHANNEL}", approvals: "${APPROVALS_CHANNEL}" }
environments:
  staging: {}
  production: { ${production} }
services:
  storefront:
    team: web
    deploy: { command: "${folder}/deploy.sh {key} {environment} {version} {sha} ${folder}", stages: [build, switch] }
    versions: { git: ./repo }
`;
  // Straight to production, also where the order of environments would be enforced.
  writeFileSync(file, yaml('approve: leads, promote: false'));
  try {
    loadConfig(file, env);
  } catch {
    writeFileSync(file, yaml('approve: leads'));
    loadConfig(file, env);
  }
  return file;
}

/** A commit and its tags for each round: one version that works and one that does not. */
function makeRepository(folder: string, rounds: number): void {
  mkdirSync(folder);
  execFileSync('git', ['-C', folder, 'init', '-q', '--bare'], { stdio: 'ignore' });
  const commits = Array.from({ length: rounds }, (_, index) => {
    const round = index + 1;
    const subject = `Change ${round}`;
    const at = 1_700_000_000 + round * 60;
    const tags = [false, true].map((fails) => `reset refs/tags/${versionOf(round, fails)}\nfrom :${round}\n`);
    return `commit refs/heads/main\nmark :${round}\ncommitter Dana <dana@example.com> ${at} +0000\ndata ${subject.length}\n${subject}\n${tags.join('')}`;
  });
  execFileSync('git', ['-C', folder, 'fast-import', '--quiet'], { input: commits.join('\n') });
}

async function makeDatabase(server: string | undefined): Promise<{ url: string; drop: () => Promise<unknown> }> {
  if (server === undefined) throw new Error('PostgreSQL is needed: set SHIPMATE_TEST_PG to its URL');
  const name = `shipmate_chaos_${randomUUID().replaceAll('-', '')}`;
  await withDatabase(server, (client) => client.query(`create database ${name}`));
  return {
    url: Object.assign(new URL(server), { pathname: `/${name}` }).href,
    drop: () => withDatabase(server, (client) => client.query(`drop database if exists ${name} with (force)`)),
  };
}

async function withDatabase<T>(url: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}
