import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { type App, createApp } from '../src/app.ts';
import { loadConfig } from '../src/config.ts';
import { createLogger, createRedactor } from '../src/logger.ts';
import type { Pipeline, VersionSource } from '../src/pipelines/types.ts';
import { ALEX, APP, DANA, TENANT } from './teams.ts';

const WEB = '6a000000-0000-4000-8000-0000000000be';
const LEADS = '6a000000-0000-4000-8000-0000000000ae';
const SHA = 'a'.repeat(40);

const running: { app: App | null } = { app: null };

/** The whole bot as it ships, with the embedded store. Only the pipeline and the versions are scripted: they are other systems. */
export async function startShipmate(metadataUrl: string, origin: string, data: string): Promise<number> {
  const file = path.join(data, 'shipmate.yaml');
  writeFileSync(
    file,
    `tenant: ${TENANT}
bot: ${APP}
url: https://bench.example
ports: { public: 0, internal: 0 }
groups: { web: ${WEB}, leads: ${LEADS} }
people: [{ id: ${DANA}, groups: [web] }, { id: ${ALEX}, groups: [leads] }]
channels: { approvals: "19:approvals@thread.tacv2" }
environments:
  direct: { approve: leads, confirm: false, production: false }
  production: { approve: leads }
services:
  storefront:
    team: web
    deploy: { command: "true" }
    versions: { git: . }
`,
  );
  const config = loadConfig(file, { SHIPMATE_DATA: data, PATH: process.env.PATH });
  const app = await createApp(config, {
    trust: { openIdMetadataUrl: metadataUrl, serviceOrigins: [origin], requestsPerSecond: 100_000 },
    credential: { getToken: async () => ({ token: 'bench', expiresOnTimestamp: Date.now() + 3_600_000 }) },
    logger: createLogger({ level: 'error', redact: createRedactor() }),
    references: [
      {
        conversationId: '19:approvals@thread.tacv2',
        kind: 'channel',
        serviceUrl: `${origin}/emea/`,
        channelId: 'msteams',
        tenantId: TENANT,
        bot: { id: `28:${APP}`, name: 'Shipmate' },
      },
    ],
    catalog: (built) => ({
      ...built,
      services: new Map(
        [...built.services].map(([name, service]) => [name, { ...service, pipeline: idle, versions: one }]),
      ),
    }),
  });
  running.app = app;
  const { port } = await app.start();
  return port;
}

const version = { name: '1.2.3', sha: SHA };
const one: VersionSource = {
  kind: 'bench',
  list: async () => [version],
  search: async () => [version],
  resolve: async (name) => (name === version.name ? version : null),
  compare: async () => ({ commits: [], total: 0, backwards: false }),
  check: async () => [],
};
const idle: Pipeline = {
  kind: 'bench',
  capabilities: { cancel: false, rerun: false, gates: false, dryRun: false, idempotentTrigger: true },
  pollMs: 1_000,
  trigger: async ({ key }) => ({ id: key }),
  findByKey: async () => null,
  status: async () => ({ state: 'succeeded', stages: [], tail: [] }),
  cancel: async () => {},
  logs: async () => [],
  check: async () => [],
};

/** The store's own speed: state, audit entry and job in one transaction, one after the other. */
export async function commitsPerSecond(): Promise<number> {
  const { app } = running;
  if (!app) return 0;
  const rounds = 200;
  const started = performance.now();
  for (let round = 0; round < rounds; round += 1)
    await app.store.transaction(async (tx) => {
      await tx.settings.set('bench', String(round));
      await tx.audit.append(
        { actor: { id: DANA, tenantId: TENANT, name: 'bench' }, action: 'bench', outcome: 'done', code: 'OK' },
        new Date(),
      );
      await tx.jobs.send('deploy.expire', { id: '0' });
    });
  return rounds / ((performance.now() - started) / 1000);
}
