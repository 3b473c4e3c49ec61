import { z } from 'zod';
import { PERMISSIONS } from '../access/types.ts';
import { auditConfig } from '../audit/config.ts';
import { CONCURRENCIES } from '../deploys/types.ts';
import { parseDuration } from '../durations.ts';

/**
 * The shape of shipmate.yaml. Strict: an unknown key is an error. What belongs to an adapter (`deploy`, `versions`,
 * `logs`) is checked by the adapter's own schema. The editors' JSON Schema comes from here too.
 */

const KNOWN = 'known keys: ';

/** Refuses unknown keys; its complaint holds the known ones, which nobody else knows any more when it is read. */
function strict<T extends z.core.$ZodShape>(shape: T) {
  return z.strictObject(shape, { error: unknownKeys(Object.keys(shape)) });
}

function unknownKeys(known: readonly string[]) {
  return ({ code }: { code: string }) => (code === 'unrecognized_keys' ? KNOWN + known.join(' ') : undefined);
}

/** The keys that such a complaint holds. */
export function knownKeys(message: string): string[] {
  return message.startsWith(KNOWN) ? message.slice(KNOWN.length).split(' ') : [];
}

const name = z
  .string()
  .regex(/^[a-z0-9][a-z0-9._-]{0,59}$/i, 'use letters, digits, ".", "_" and "-", at most 60')
  // JavaScript sorts such keys before all others, and the order of environments means something.
  .regex(/\D/, 'use a letter in it too');
const duration = z.string().refine((text) => parseDuration(text) !== null, 'write a time like 30s, 15m, 4h or 7d');
const names = z.union([name, z.array(name).min(1, 'name at least one')], {
  error: 'write one name or a list of names',
});
const adapter = z.record(z.string(), z.unknown());

function isPattern(text: string): boolean {
  try {
    new RegExp(text, 'u');
    return true;
  } catch {
    return false;
  }
}

export const approve = z
  .union(
    [
      z.literal(false),
      name,
      z.array(name).min(1, 'name at least one'),
      strict({
        from: names,
        count: z.int().min(1).max(20).optional(),
        expires: duration.optional(),
        remind: duration.optional(),
        own: z.boolean().optional(),
      }),
    ],
    { error: 'write a group, a list of groups, { from, count, expires }, or false for none' },
  )
  .describe(
    'Who has to approve: a group, several, or { from, count, expires, remind, own }. own: the requester may. false: nobody',
  );

const freeze = z
  .array(
    strict({
      from: z.string().optional(),
      to: z.string().optional(),
      cron: z.string().optional(),
      for: duration.optional(),
      zone: z.string().optional(),
      reason: z.string().max(200).optional(),
    }),
  )
  .describe(
    'When nothing may be deployed: { from: Fri 15:00, to: Mon 08:00, zone: Europe/Berlin }, dates, or { cron, for }',
  );

const watch = z
  .union(
    [
      z.literal(false),
      z.string(),
      strict({
        url: z.string().optional(),
        command: z.union([z.string(), z.array(z.string()).min(1)]).optional(),
        for: duration.optional(),
        every: duration.optional(),
        failures: z.int().min(1).max(100).optional(),
      }),
    ],
    { error: 'write a URL, { url or command, for, every, failures }, or false for none' },
  )
  .describe(
    'What is looked at after a deploy succeeded; a bad one offers the rollback. Default: for 10m, every 30s, 3 failures',
  );

export const environment = strict({
  approve: approve.optional(),
  confirm: z.boolean().optional().describe('Ask the requester to confirm first. Default: where approval is asked'),
  production: z.boolean().optional().describe('Default: true for the last environment'),
  promote: z
    .union([z.literal(false), name], { error: 'write the name of an environment, or false for no order' })
    .optional()
    .describe('Only what runs there may come here. Default for production: the environment before'),
  concurrency: z
    .enum(CONCURRENCIES)
    .optional()
    .describe('While another deploy runs there: queue, latest (the newest that waits), reject. Default: reject'),
  freeze: freeze.optional(),
  watch: watch.optional(),
  'rollback-approval': z.boolean().optional().describe('A rollback needs the approval too. Default: false'),
});

export const service = strict({
  team: name.describe('Its group, and its channel if one has the same name'),
  channel: name.optional().describe("Another channel than the team's"),
  deploy: adapter.describe('How it is deployed; the first key names the kind'),
  versions: adapter.describe('Where its versions come from; the first key names the kind'),
  'version-url': z
    .union([z.string(), z.record(name, z.string())], { error: 'write a URL, or one URL per environment' })
    .optional()
    .describe('Where to ask what really runs: {service} and {environment} are filled in, or one URL per environment'),
  environments: z.record(name, environment).optional().describe('Rules of this service that differ'),
  freeze: freeze.optional(),
  watch: watch.optional(),
});

const role = z.union(
  [
    name,
    z.array(name).min(1, 'name at least one'),
    strict({ groups: names, services: z.array(name).optional(), environments: z.array(name).optional() }),
  ],
  { error: 'write a group, a list of groups, or { groups, services, environments }' },
);

const input = strict({
  label: z.string().max(60).optional(),
  required: z.boolean().optional(),
  choices: z.array(z.string().min(1).max(60)).min(1).max(50).optional(),
  pattern: z
    .string()
    .max(200)
    .refine(isPattern, 'write a regular expression')
    .optional()
    .describe('The whole value has to fit'),
});

const command = strict({
  summary: z.string().max(120).optional(),
  run: adapter.describe('What runs, as under deploy; {input.NAME} is filled in'),
  inputs: z
    .record(
      z.string().regex(/^[a-z][a-z0-9-]{0,29}$/, 'use small letters, digits and "-", at most 30'),
      input.nullable(),
    )
    .optional()
    .describe('What a form asks for'),
  services: z.array(name).min(1).optional().describe('Default: all'),
  environments: z.array(name).min(1).optional().describe('Default: all'),
  who: names.optional().describe("Groups that may run it. Default: the service's team"),
  approve: approve.optional().describe('Default: as for a deploy to the environment'),
  confirm: z.boolean().optional(),
});

const id = z.string().min(1).max(300);
const httpUrl = z.url({ protocol: /^https?$/, error: 'write a URL with http or https' });

export const main = strict({
  tenant: z
    .union([id, z.array(id).min(1)], { error: 'write a tenant id or a list of them' })
    .describe('Your Entra tenant id; several are possible'),
  bot: z.guid('write the application id, a GUID').optional().describe("The bot's application id"),
  mode: z.enum(['teams', 'playground']).default('teams'),
  playground: z
    .strictObject({ clients: z.array(httpUrl).min(1) })
    .optional()
    .describe('Origins of the playground clients'),
  credentials: z
    .strictObject({
      'managed-identity': z
        .union([z.literal(true), z.guid()], { error: 'write true, or the client id of a user-assigned identity' })
        .optional(),
      'workload-identity': z
        .union([z.literal(true), strict({ client: z.guid().optional(), 'token-file': z.string().optional() })])
        .optional(),
      certificate: z.string().optional(),
      secret: z.string().optional(),
    })
    .refine(
      (given) => Object.keys(given).length === 1,
      'name exactly one of managed-identity, workload-identity, certificate, secret',
    )
    .optional()
    .describe('How the bot signs in. Default: workload identity'),
  store: z
    .string()
    .regex(/^postgres(?:ql)?:\/\//, 'write a URL like postgres://user:password@host/database')
    .optional(),
  data: z.string().optional().describe('Folder for the embedded store and for runs. Default: ./.shipmate'),
  url: httpUrl.optional().describe('Public address of the bot, for links to files'),
  ports: z
    .strictObject({ public: z.int().min(0).max(65535).optional(), internal: z.int().min(0).max(65535).optional() })
    .optional(),
  include: z
    .union([z.string(), z.array(z.string())], { error: 'write a file, a pattern like services.d/*.yaml, or a list' })
    .optional()
    .describe('Files with the services of one team each; they may only tighten the rules'),
  connections: z.record(name, adapter).optional(),
  groups: z.record(name, id).default({}).describe('Names for Entra object ids of groups'),
  people: z
    .array(strict({ id, name: z.string().optional(), groups: z.array(name) }))
    .optional()
    .describe('A static directory, instead of Microsoft Graph'),
  directory: z.enum(['graph', 'static']).optional(),
  logins: z
    .record(z.string().min(1).max(100), id)
    .optional()
    .describe(
      'Who logins at GitHub, GitLab, Azure DevOps and Jenkins are: Entra object ids of people. With several connections: connection/login',
    ),
  channels: z.record(name, id).default({}).describe('Names for conversation ids of channels'),
  roles: z
    .partialRecord(z.enum(PERMISSIONS), role, { error: unknownKeys(PERMISSIONS) })
    .default({})
    .describe('Permissions beyond what teams have'),
  environments: z
    .record(name, environment.nullable())
    .refine((given) => Object.keys(given).length > 0, 'name at least one environment')
    .describe('In promotion order'),
  services: z.record(name, service).default({}),
  commands: z.record(name, command).optional().describe('Commands of your own: a name, inputs, what runs, who may'),
  freeze: freeze.optional(),
  zone: z.string().default('UTC').describe('Time zone of times that name none'),
  audit: auditConfig.optional().describe('Where the audit goes besides the store'),
  logs: adapter.optional().describe('Where logs are read; the first key names the kind'),
});

/** A team's file: its services, nothing else. */
export const included = strict({ services: z.record(name, service) });

export type Main = z.infer<typeof main>;
export type ServiceEntry = z.infer<typeof service>;
export type CommandEntry = z.infer<typeof command>;
export type WatchEntry = z.infer<typeof watch>;
export type EnvironmentEntry = z.infer<typeof environment>;
export type ApproveEntry = z.infer<typeof approve>;
