import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { Writable } from 'node:stream';
import { type App, type AppOptions, createApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import { createLogger, createRedactor } from '../../src/logger.ts';
import type { FakeCi } from '../fakes/ci/types.ts';
import { type FakeTeams, type Person, startFakeTeams } from '../fakes/teams/index.ts';

export const TENANT = '7e7a7000-0000-4000-8000-00000000aaaa';
export const APP_ID = 'a9900000-0000-4000-8000-00000000aaaa';
export const WEB_CHANNEL = '19:web@thread.tacv2';
export const APPROVALS_CHANNEL = '19:approvals@thread.tacv2';
const GROUPS = { web: '6a000000-0000-4000-8000-00000000aaa1', leads: '6a000000-0000-4000-8000-00000000aaa2' };
/** In the bot's own environment: must never be seen in a card, a log or a child. */
export const PLANTED = 'planted-s3cret-value-4711';

const ids = {
  dana: 'd0000000-0000-4000-8000-00000000aaa1',
  alex: 'd0000000-0000-4000-8000-00000000aaa2',
  kim: 'd0000000-0000-4000-8000-00000000aaa3',
  robin: 'd0000000-0000-4000-8000-00000000aaa4',
  sam: 'd0000000-0000-4000-8000-00000000aaa5',
};

export interface TestApp {
  teams: FakeTeams;
  app: App;
  port: number;
  folder: string;
  /** Everything that was logged. */
  log(): string;
  groups: Readonly<Record<'web' | 'leads', string>>;
  dana: Person;
  /** May approve, may not deploy. */
  alex: Person;
  robin: Person;
  /** May deploy and approve. */
  sam: Person;
  /** In no group. */
  kim: Person;
  /** Stops the bot and starts a new one on the same data. `meanwhile` runs while there is none. */
  restart(meanwhile?: () => Promise<void>): Promise<void>;
  stop(): Promise<void>;
}

export interface TestAppOptions extends Pick<AppOptions, 'now'> {
  /** More of shipmate.yaml, appended. */
  yaml?: string;
  approve?: string;
  /** What production takes from; default: no order. */
  promote?: string;
  /** More keys of production, begun with a comma. */
  production?: string;
  /** A CI that the service is deployed with, instead of the small program. */
  vendor?: { fake: FakeCi };
  /** Microsoft Graph instead of the static list. */
  graph?: { url: string; credential: NonNullable<AppOptions['credential']> };
}

/** The deploy program: writes a line for each run, waits while a file says so, fails for 1.1.0. */
const PROGRAM = `#!/bin/sh
echo "$1 $2 $3" >> "$4/runs.log"
echo "::stage build"
while [ -e "$4/hold" ]; do sleep 0.05; done
echo "::stage switch"
if [ "$2" = "1.1.0" ]; then echo "smoke test: total is wrong"; exit 1; fi
echo "::sha $3"
echo "$2" > "$4/$1.version"
`;

const PEOPLE = `people:
  - { id: ${ids.dana}, groups: [web] }
  - { id: ${ids.alex}, groups: [leads] }
  - { id: ${ids.robin}, groups: [leads] }
  - { id: ${ids.sam}, groups: [web, leads] }`;

/** The whole bot over HTTP, in Teams mode with real tokens, deploying from a small git repository by a small program. */
export async function startTestApp(options: TestAppOptions = {}): Promise<TestApp> {
  const folder = mkdtempSync(path.join(os.tmpdir(), 'shipmate-app-'));
  const teams = await startFakeTeams({ tenant: TENANT, appId: APP_ID });
  makeRepository(path.join(folder, 'repo'));
  const program = path.join(folder, 'deploy.sh');
  writeFileSync(program, PROGRAM);
  chmodSync(program, 0o755);
  mkdirSync(path.join(folder, 'logs'));
  const file = path.join(folder, 'shipmate.yaml');
  const fake = options.vendor?.fake;
  // JSON is YAML.
  const deploy = fake
    ? JSON.stringify(fake.config.deploy)
    : `{ command: "${program} {environment} {version} {sha} ${folder}", stages: [build, switch] }`;
  const versions = fake ? JSON.stringify(fake.config.versions) : '{ git: ./repo }';
  const connections = fake ? `connections: ${JSON.stringify({ [fake.kind]: fake.config.connection })}` : '';
  writeFileSync(
    file,
    `tenant: ${TENANT}
bot: ${APP_ID}
url: https://shipmate.example
ports: { public: 0, internal: 0 }
credentials: { secret: "\${BOT_SECRET}" }
groups: { web: ${GROUPS.web}, leads: ${GROUPS.leads} }
${options.graph ? 'directory: graph' : PEOPLE}
channels: { web: "${WEB_CHANNEL}", approvals: "${APPROVALS_CHANNEL}" }
environments:
  staging: {}
  production: { approve: ${options.approve ?? 'leads'}, promote: ${options.promote ?? false}${options.production ?? ''} }
services:
  storefront:
    team: web
    deploy: ${deploy}
    versions: ${versions}
logs: { files: "${folder}/logs/{service}-{environment}.jsonl" }
${connections}
${options.yaml ?? ''}`,
  );
  const lines: string[] = [];
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      lines.push(chunk.toString('utf8'));
      done();
    },
  });
  const env = { PATH: process.env.PATH, BOT_SECRET: PLANTED, SHIPMATE_DATA: path.join(folder, 'data') };
  const start = async () => {
    const config = loadConfig(file, env);
    const app = await createApp(config, {
      trust: { openIdMetadataUrl: teams.openIdMetadataUrl, serviceOrigins: [teams.origin] },
      credential: {
        getToken: async (scope: string) =>
          options.graph && scope.includes('graph')
            ? options.graph.credential.getToken(scope)
            : { token: tokenFor(scope), expiresOnTimestamp: Date.now() + 3_600_000 },
      } as NonNullable<AppOptions['credential']>,
      ...(options.graph ? { graphUrl: options.graph.url } : {}),
      logger: createLogger({ level: 'debug', redact: createRedactor(config.secrets), stream }),
      references: [WEB_CHANNEL, APPROVALS_CHANNEL].map((conversationId) => ({
        conversationId,
        kind: 'channel',
        serviceUrl: teams.serviceUrl,
        channelId: 'msteams',
        tenantId: TENANT,
        bot: { id: `28:${APP_ID}`, name: 'Shipmate' },
      })),
      ...(options.now ? { now: options.now } : {}),
    });
    const { port } = await app.start();
    teams.botUrl = `http://127.0.0.1:${port}`;
    return { app, port };
  };
  const running = await start();
  const self: TestApp = {
    teams,
    app: running.app,
    port: running.port,
    folder,
    log: () => lines.join(''),
    groups: GROUPS,
    dana: teams.person({ name: 'Dana', id: ids.dana }),
    alex: teams.person({ name: 'Alex', id: ids.alex }),
    robin: teams.person({ name: 'Robin', id: ids.robin }),
    sam: teams.person({ name: 'Sam', id: ids.sam }),
    kim: teams.person({ name: 'Kim', id: ids.kim }),
    async restart(meanwhile = async () => {}) {
      await self.app.stop();
      await meanwhile();
      const next = await start();
      self.app = next.app;
      self.port = next.port;
    },
    async stop() {
      await self.app.stop();
      await teams.close();
      rmSync(folder, { recursive: true, force: true });
    },
  };
  return self;
}

/** What the bot's identity gives: the connector wants the one, Azure DevOps the other. */
export function tokenFor(scope: string): string {
  return scope.startsWith('https://api.botframework.com') ? 'outbound-token' : `entra-token-for-${scope}`;
}

function makeRepository(folder: string): void {
  mkdirSync(folder);
  const git = (...args: string[]) =>
    execFileSync(
      'git',
      [
        '-C',
        folder,
        '-c',
        'user.name=Dana',
        '-c',
        'user.email=dana@example.com',
        '-c',
        'commit.gpgsign=false',
        ...args,
      ],
      { stdio: 'ignore' },
    );
  git('init', '-q', '-b', 'main');
  for (const [version, subject] of [
    ['1.0.0', 'First release'],
    ['1.1.0', 'Discounts **bold** <at>everyone</at> ${secret}'],
    ['1.2.3', 'Fix the total'],
  ] as const) {
    writeFileSync(path.join(folder, 'version'), version);
    git('add', '.');
    git('commit', '-q', '-m', subject);
    git('tag', version);
  }
}

/** Waits for a condition without sleeping longer than needed. */
export async function eventually<T>(read: () => T | Promise<T>, timeoutMs = 15_000): Promise<NonNullable<T>> {
  const end = Date.now() + timeoutMs;
  for (;;) {
    const value = await read();
    if (value) return value as NonNullable<T>;
    if (Date.now() > end) throw new Error(`waited ${timeoutMs} ms in vain for ${String(read).slice(0, 200)}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
