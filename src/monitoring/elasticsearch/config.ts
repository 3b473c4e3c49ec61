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

/** `connections.elasticsearch`: a cluster of Elasticsearch or OpenSearch. */
export const elasticConnectionConfig = z
  .strictObject({
    url: z
      .string()
      .refine((text) => serverUrl(text) !== null, 'must be a URL with http or https, without user, "?" and "#"')
      .describe('Address of Elasticsearch or OpenSearch (not of Kibana): https://es.example.com:9200'),
    user: z
      .string()
      .min(1)
      .refine((name) => oneLine(name) && !name.includes(':'), 'must not contain ":" or control characters')
      .optional()
      .describe('User for basic authentication'),
    password: secret.optional().describe('Password of that user'),
    key: z
      .string()
      .regex(/^[A-Za-z0-9+/_=-]{10,1000}$/, 'must be the "encoded" form of an API key')
      .optional()
      .describe('API key in its encoded form (Elasticsearch), instead of user and password'),
    ca: z.string().min(1).optional().describe('PEM file of a private certificate authority'),
    timeout: z
      .string()
      .refine((text) => (parseDuration(text) ?? Number.POSITIVE_INFINITY) <= 120_000, 'must be a time up to 2m')
      .default('10s')
      .describe('How long one question may take, with its retries'),
  })
  .superRefine(({ key, password, user }, context) => {
    const problem = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
    if (user !== undefined && password === undefined) problem('user', 'a user needs "password"');
    if (password !== undefined && user === undefined) problem('password', 'a password needs "user"');
    if (key !== undefined && user !== undefined) problem('key', 'is instead of "user" and "password"');
  });

export type ElasticConnectionConfig = z.infer<typeof elasticConnectionConfig>;

/** What of a connection must never be printed. */
export function elasticSecrets({ key, password, user }: ElasticConnectionConfig): string[] {
  return [
    ...(password === undefined ? [] : [password, Buffer.from(`${user}:${password}`).toString('base64')]),
    // An encoded key is the base64 of id:secret.
    ...(key === undefined ? [] : [key, Buffer.from(key, 'base64').toString('utf8').split(':')[1] ?? '']),
  ].filter((each) => each !== '');
}

// Names of indices, data streams and aliases with "*", of other clusters with ":", several with ",", without some with "-".
const PART = /^-?(?:[a-z0-9*][a-z0-9._*-]*:)?[a-z0-9.*][a-z0-9._*+-]*$/;

function isIndexPattern(text: string): boolean {
  return text.length <= 500 && text.split(',').every((part) => PART.test(part) && !/^\.{1,2}$/.test(part));
}

const field = z.string().regex(/^[A-Za-z0-9_@][A-Za-z0-9_@.-]{0,199}$/, 'is not the name of a field');

/** Where logs of services are in Elasticsearch or OpenSearch. The names of fields are those of ECS unless said. */
export const elasticLogsConfig = z.strictObject({
  elasticsearch: z
    .string()
    .refine(isIndexPattern, 'must be names of indices in small letters, such as logs-* or logs-web-*,logs-pay-*')
    .describe('Indices, data streams or aliases; "*" and "," as in Elasticsearch'),
  service: field.default('service.name').describe('Field of the service; of the type keyword'),
  environment: field.default('service.environment').describe('Field of the environment; of the type keyword'),
  level: field.default('log.level').describe('Field of the level; of the type keyword, or a number'),
  message: field.default('message').describe('Field of the message; of the type text, so that words in it are found'),
  time: field.default('@timestamp').describe('Field of the time; of the type date or date_nanos'),
  show: z.array(field).max(20).default([]).describe('Further fields that are shown after the message, as name=value'),
  levels: levelsConfig,
  services: namesConfig.describe('Services by what the field has, where it names them otherwise'),
  environments: namesConfig.describe('Environments by what the field has, where it names them otherwise'),
  connection: z.string().min(1).optional().describe('Which entry of connections, where there are several'),
});

export type ElasticLogsConfig = z.infer<typeof elasticLogsConfig>;
