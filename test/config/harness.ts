import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { ConfigError, type LoadedConfig, loadConfig } from '../../src/config.ts';

export const GUIDS = {
  tenant: '10000000-0000-4000-8000-000000000001',
  bot: '10000000-0000-4000-8000-000000000002',
  web: '10000000-0000-4000-8000-00000000000a',
  pay: '10000000-0000-4000-8000-00000000000b',
  leads: '10000000-0000-4000-8000-00000000000c',
  oncall: '10000000-0000-4000-8000-00000000000d',
  auditors: '10000000-0000-4000-8000-00000000000e',
} as const;

export const ENV: Readonly<Record<string, string>> = {
  TENANT_ID: GUIDS.tenant,
  BOT_ID: GUIDS.bot,
  G_WEB: GUIDS.web,
  G_PAY: GUIDS.pay,
  G_LEADS: GUIDS.leads,
  G_ONCALL: GUIDS.oncall,
  G_AUDIT: GUIDS.auditors,
  CH_WEB: '19:web@thread.tacv2',
  CH_PAY: '19:pay@thread.tacv2',
  CH_APPROVALS: '19:approvals@thread.tacv2',
  CH_OPS: '19:ops@thread.tacv2',
  DATABASE_URL: 'postgres://shipmate:Sw0rdf%21sh@db.corp:5432/shipmate?sslmode=require',
};

/** The configuration of the project's own page, without what later versions bring. */
export const EXAMPLE = `tenant: \${TENANT_ID}
bot: \${BOT_ID}
url: https://shipmate.corp
store: \${DATABASE_URL}            # left out: embedded, in ./.shipmate
include: services.d/*.yaml
groups:                           # names for Entra object ids
  web: \${G_WEB}
  pay: \${G_PAY}
  leads: \${G_LEADS}
  oncall: \${G_ONCALL}
  auditors: \${G_AUDIT}
channels: { web: "\${CH_WEB}", pay: "\${CH_PAY}", approvals: "\${CH_APPROVALS}", ops: "\${CH_OPS}" }
roles: { break-glass: oncall, audit: auditors }
environments:                     # the order is the promotion order
  staging: {}
  production:
    approve: leads                # or { from: [leads, sec], count: 2, expires: 4h }
services:
  storefront:
    team: web                     # its group and its channel
    deploy: { command: "./deploy {environment} {version}" }
    versions: { git: ./repo }
logs: { files: "logs/{service}.log" }
`;

/** Nothing but what has to be there. */
export const LEAST = `tenant: ${GUIDS.tenant}
bot: ${GUIDS.bot}
url: https://shipmate.corp
groups: { web: ${GUIDS.web} }
channels: { approvals: "19:approvals" }
environments: { staging: , production: }
services:
  storefront: { team: web, deploy: { command: ./deploy }, versions: { git: ./repo } }
`;

/** Loads files from a folder of their own; the first is the main one. */
export function load(files: string | Record<string, string>, env: Readonly<Record<string, string | undefined>> = ENV) {
  const folder = mkdtempSync(path.join(tmpdir(), 'shipmate-config-'));
  const all = typeof files === 'string' ? { 'shipmate.yaml': files } : files;
  try {
    for (const [name, text] of Object.entries(all)) {
      mkdirSync(path.dirname(path.join(folder, name)), { recursive: true });
      writeFileSync(path.join(folder, name), text);
    }
    return loadConfig(path.join(folder, Object.keys(all)[0] ?? ''), env);
  } finally {
    rmSync(folder, { recursive: true });
  }
}

/** What is wrong, as "file:line:column path: message", the file without its folder. */
export function problems(
  files: string | Record<string, string>,
  env: Readonly<Record<string, string | undefined>> = ENV,
): string[] {
  try {
    load(files, env);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    return error.problems.map(
      ({ column, file, line, message, path: at }) =>
        `${path.basename(file)}:${line}:${column} ${at === '' ? '' : `${at}: `}${message}`,
    );
  }
  return [];
}

export function policyOf(config: LoadedConfig, service: string, environment: string) {
  return config.services.find(({ name }) => name === service)?.environments.find(({ name }) => name === environment);
}
