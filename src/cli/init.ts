import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { ShipmateError } from '../errors.ts';
import { readOptions } from './options.ts';
import type { CliCommand } from './types.ts';

export const initCommand: CliCommand = {
  summary: 'Write a commented shipmate.yaml to start from.',
  usage: `
shipmate init [file]

  file  default: shipmate.yaml; one that is there is never overwritten`,
  async run(args, io) {
    const file = readOptions(args, {}, 1).positionals[0] ?? 'shipmate.yaml';
    try {
      writeFileSync(path.resolve(io.cwd, file), TEMPLATE, { flag: 'wx' });
    } catch (error) {
      if ((error as { code?: unknown }).code === 'EEXIST')
        throw new ShipmateError('ARGUMENT_INVALID', `${file} is there already. Move it away, or name another file.`);
      throw new ShipmateError('ARGUMENT_INVALID', `${file} can not be written. Is its folder there, and yours?`, {
        cause: error,
      });
    }
    await io.out(
      `${file} is written. Set ${VARIABLES.join(', ')} in the environment, edit the file, then: shipmate check ${file}\n`,
    );
    return 0;
  },
};

/** What the template takes from the environment. */
export const VARIABLES = ['TENANT_ID', 'BOT_ID', 'G_WEB', 'G_LEADS', 'CH_WEB', 'CH_APPROVALS'] as const;

const TEMPLATE = `# yaml-language-server: $schema=./shipmate.schema.json
# Shipmate's configuration: policy and wiring, reviewed like code. \${NAME} comes from the environment; inside { } or [ ]
# it needs quotes. Say "shipmate check" after every edit. Every key: docs/configuration.md

tenant: \${TENANT_ID}                # your Entra tenant
bot: \${BOT_ID}                      # application id of the Azure Bot
url: https://shipmate.example.com   # where people reach the bot, for links to files

# How the bot signs in: one of these four. Left out: workload identity.
# credentials: { managed-identity: true }            # or the client id of a user-assigned one
# credentials: { workload-identity: true }           # or { client: ..., token-file: ... }
# credentials: { certificate: /etc/shipmate/bot.pem } # certificate and key
# credentials: { secret: "\${BOT_SECRET}" }

# Left out: embedded, in .shipmate beside this file (one process). For several replicas:
# store: \${DATABASE_URL}

# One file per team, which may only tighten what this file says.
# include: services.d/*.yaml

groups:                             # names for Entra object ids of groups
  web: \${G_WEB}
  leads: \${G_LEADS}

channels:                           # names for conversation ids; a team's channel has the name of its group
  web: "\${CH_WEB}"
  approvals: "\${CH_APPROVALS}"      # where approvers are asked

# Rights beyond what a team has on its own services.
# roles: { break-glass: leads }

environments:                       # in promotion order; the last one is production
  staging: {}
  production:
    approve: leads                  # or { from: [leads, web], count: 2, expires: 4h }

services:
  storefront:
    team: web                       # its group and its channel
    deploy:                         # a program on this host, without a shell
      command: ["/opt/storefront/deploy", "--environment", "{environment}", "--version", "{version}", "--sha", "{sha}"]
      timeout: 15m
    versions: { git: /srv/git/storefront.git }
    # Where to ask what really runs:
    # version-url: https://{service}.{environment}.example.com/version

# Where logs are read:
# logs: { files: "/var/log/{service}/{environment}.log" }
`;
