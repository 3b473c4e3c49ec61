import { z } from 'zod';
import { parseDuration } from '../../durations.ts';
import { levelsConfig, namesConfig } from './lines.ts';

/** The address of a server, without a "/" at its end; null when it is none. */
export function serverUrl(text: string): string | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  const plain = url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  return plain && /^https?:$/.test(url.protocol) ? `${url.origin}${url.pathname.replace(/\/+$/, '')}` : null;
}

const oneLine = (text: string) => !/\p{Cc}/u.test(text);
const secret = z.string().min(1).refine(oneLine, 'must be one line');

/** `connections.loki`: a Loki, or what stands before it. */
export const lokiConnectionConfig = z
  .strictObject({
    url: z
      .string()
      .refine((text) => serverUrl(text) !== null, 'must be a URL with http or https, without user, "?" and "#"')
      .describe('Address of Loki, without /loki/api: https://loki.example.com'),
    // https://grafana.com/docs/loki/latest/operations/multi-tenancy/: letters, digits and !-_.*'()
    org: z
      .string()
      .regex(/^[A-Za-z0-9!_.*'()-]{1,150}(?:\|[A-Za-z0-9!_.*'()-]{1,150}){0,20}$/, 'is not the name of a tenant')
      .optional()
      .describe('Tenant (X-Scope-OrgID), or several with "|" between them; left out where Loki has only one'),
    user: z
      .string()
      .min(1)
      .refine((name) => oneLine(name) && !name.includes(':'), 'must not contain ":" or control characters')
      .optional()
      .describe('User for basic authentication'),
    password: secret.optional().describe('Password of that user'),
    token: secret.optional().describe('Bearer token, instead of user and password'),
    ca: z.string().min(1).optional().describe('PEM file of a private certificate authority'),
    timeout: z
      .string()
      .refine((text) => (parseDuration(text) ?? Number.POSITIVE_INFINITY) <= 120_000, 'must be a time up to 2m')
      .default('10s')
      .describe('How long one question may take, with its retries'),
  })
  .superRefine(({ password, token, user }, context) => {
    const problem = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
    if (user !== undefined && password === undefined) problem('user', 'a user needs "password"');
    if (password !== undefined && user === undefined) problem('password', 'a password needs "user"');
    if (token !== undefined && user !== undefined) problem('token', 'is instead of "user" and "password"');
  });

export type LokiConnectionConfig = z.infer<typeof lokiConnectionConfig>;

/** What of a connection must never be printed. */
export function lokiSecrets({ password, token, user }: LokiConnectionConfig): string[] {
  return [
    ...(password === undefined ? [] : [password, Buffer.from(`${user}:${password}`).toString('base64')]),
    ...(token === undefined ? [] : [token]),
  ];
}

const LABEL = /^[A-Za-z_][A-Za-z0-9_]{0,99}$/;

/** Where logs of services are in Loki. */
export const lokiLogsConfig = z
  .strictObject({
    loki: z
      .record(z.string().regex(LABEL, 'is not the name of a label'), z.string().min(1).max(200))
      .describe('Labels by the value that they must have; {service} and {environment} are filled in'),
    parser: z
      .enum(['none', 'json', 'logfmt'])
      .default('none')
      .describe('none: "level" is a label. json, logfmt: "level" is a field of the line'),
    level: z
      .string()
      .min(1)
      .max(200)
      .refine(oneLine, 'must be one line')
      .optional()
      .describe(
        'Label of the level (detected_level), or with a parser the field (level); in JSON also log.level, ["log.level"]',
      ),
    levels: levelsConfig,
    message: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .describe('With parser json, the field of the message; left out: msg, message'),
    services: namesConfig.describe('Services by what {service} becomes, where the labels name them otherwise'),
    environments: namesConfig.describe(
      'Environments by what {environment} becomes, where the labels name them otherwise',
    ),
    connection: z.string().min(1).optional().describe('Which entry of connections, where there are several'),
  })
  .superRefine(({ level, loki, parser }, context) => {
    const problem = (path: string[], message: string) => context.addIssue({ code: 'custom', path, message });
    const values = Object.entries(loki);
    if (!values.some(([, text]) => text.includes('{service}')))
      problem(['loki'], 'one label must have {service} in its value: else everybody reads the logs of every service');
    for (const [label, text] of values)
      for (const [, name] of text.matchAll(/\{([^}]*)\}/g))
        if (name !== 'service' && name !== 'environment')
          problem(['loki', label], `{${name}} is not known; there are {service}, {environment}`);
    if (level === undefined) return;
    if (parser === 'none' && !LABEL.test(level)) problem(['level'], 'is not the name of a label');
    // As in Loki's pkg/logql/log/jsonexpr: names with "." between them, ["name"], [0].
    if (
      parser === 'json' &&
      !/^(?:[A-Za-z_]\w*|\["[^"\]]+"\])(?:\.[A-Za-z_]\w*|\["[^"\]]+"\]|\[\d{1,3}\])*$/.test(level)
    )
      problem(
        ['level'],
        'is not a path to a field; write log.level for a field in another, ["log.level"] for one with a dot',
      );
    if (parser === 'logfmt' && !/^[^\s="\p{Cc}]+$/u.test(level)) problem(['level'], 'is not the name of a field');
  });

export type LokiLogsConfig = z.infer<typeof lokiLogsConfig>;
