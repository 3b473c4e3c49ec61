import { z } from 'zod';
import { placeholderProblem } from '../requests.ts';

/** What is set for a pipeline unless the entry says otherwise; `.gitlab-ci.yml` declares them under `spec.inputs`. */
export const DEFAULT_INPUTS: Readonly<Record<string, string>> = {
  version: '{version}',
  sha: '{sha}',
  environment: '{environment}',
  key: '{key}',
};

// GitLab's own rule for paths: docs.gitlab.com/user/reserved_names ("Rules for usernames, project and group names").
const PROJECT = /^(?:\d{1,12}|[A-Za-z0-9_][\w.-]*(?:\/[A-Za-z0-9_][\w.-]*)+)$/;
const project = z
  .union([z.string(), z.int().min(1).transform(String)])
  .pipe(z.string().regex(PROJECT, 'must be the path of a project, such as acme/storefront, or its number'));

const refName = z
  .string()
  .max(200)
  .refine(
    (name) => name !== '' && !/[\p{Cc}\s~^:?*[\\]|\.\.|@\{|\/\/|^[-./]|[./]$/u.test(name),
    'is not the name of a branch or tag',
  );

const text = z
  .string()
  .max(1_000)
  .superRefine((value, context) => {
    const problem = placeholderProblem(value);
    if (problem !== null) context.addIssue({ code: 'custom', message: problem });
  });

const connection = z
  .string()
  .min(1)
  .optional()
  .describe('Which entry of connections, where there are several of the kind gitlab');

/** How a service is deployed by a pipeline of GitLab CI. */
export const gitlabConfig = z
  .strictObject({
    gitlab: project.describe('Path of the project, such as acme/storefront, or its number'),
    ref: refName.optional().describe("Branch whose .gitlab-ci.yml runs; the project's default branch unless said"),
    inputs: z
      .record(z.string().regex(/^[A-Za-z_][\w-]{0,99}$/, 'is not the name of an input'), text)
      .optional()
      .describe('Inputs of the pipeline (GitLab 18.1 and later); {version} {sha} {environment} {key} are filled in'),
    variables: z
      .record(z.string().regex(/^[A-Za-z_]\w{0,99}$/, 'is not the name of a variable'), text)
      .optional()
      .describe('Pipeline variables instead of inputs, for servers before 18.1'),
    environments: z
      .record(z.string().min(1), z.string().min(1).max(255))
      .default({})
      .describe("Shipmate's names of environments and GitLab's, where they differ"),
    job: z
      .string()
      .min(1)
      .max(255)
      .optional()
      .describe('Job whose log says which commit was deployed; the one that ends last unless said'),
    gate: z
      .string()
      .min(1)
      .max(255)
      .optional()
      .describe('A manual job that an approval in chat starts, where GitLab has no deployment approvals'),
    connection,
  })
  .superRefine((config, context) => {
    if (config.inputs !== undefined && config.variables !== undefined)
      context.addIssue({ code: 'custom', path: ['variables'], message: 'choose one: inputs or variables' });
    const [name, values] = config.variables === undefined ? ['inputs', config.inputs] : ['variables', config.variables];
    if (values !== undefined && !Object.values(values).some((value) => value.includes('{key}')))
      context.addIssue({
        code: 'custom',
        path: [name],
        message: 'one of them must have {key}: the pipeline is found again by it',
      });
  });

export type GitlabConfig = z.infer<typeof gitlabConfig>;

/** What a pipeline is given, and how. */
export function pipelineValues(config: GitlabConfig): {
  kind: 'inputs' | 'variables';
  values: Readonly<Record<string, string>>;
} {
  if (config.variables !== undefined) return { kind: 'variables', values: config.variables };
  return { kind: 'inputs', values: config.inputs ?? DEFAULT_INPUTS };
}

const SOURCES = ['tags', 'releases'] as const;

/** A service's versions are the tags or the releases of a GitLab project. */
export const gitlabVersionsConfig = z
  .strictObject({
    gitlab: z
      .union([z.enum(SOURCES), project])
      .describe('tags or releases of the project that deploys; or the path of another project'),
    from: z.enum(SOURCES).optional().describe('tags (unless said) or releases, where gitlab: names a project'),
    project: project.optional().describe('Path of the project, where gitlab: says tags or releases'),
    connection,
  })
  .superRefine((config, context) => {
    const short = SOURCES.some((source) => source === config.gitlab);
    if (short && config.project === undefined)
      context.addIssue({ code: 'custom', path: ['project'], message: 'say which project: project: acme/storefront' });
    if (short && config.from !== undefined)
      context.addIssue({ code: 'custom', path: ['from'], message: 'gitlab: says it already; leave one of them out' });
    if (!short && config.project !== undefined)
      context.addIssue({ code: 'custom', path: ['project'], message: 'gitlab: names the project already' });
  });

export type GitlabVersionsConfig = z.infer<typeof gitlabVersionsConfig>;

/** Both forms of the entry as one. */
export function versionsOf(config: GitlabVersionsConfig): { project: string; from: (typeof SOURCES)[number] } {
  const short = SOURCES.find((source) => source === config.gitlab);
  if (short !== undefined) return { project: config.project ?? '', from: short };
  return { project: config.gitlab, from: config.from ?? 'tags' };
}

function baseUrl(value: string): string | null {
  if (!URL.canParse(value)) return null;
  const { hash, password, protocol, search, username } = new URL(value);
  if (!/^https?:$/.test(protocol) || hash !== '' || search !== '' || username !== '' || password !== '') return null;
  return value.replace(/\/+$/, '');
}

/** The key of a signing secret: what follows "whsec_", in base64 (standardwebhooks.com); null when it is none. */
export function signingKey(secret: string): Buffer | null {
  const encoded = secret.replace(/^whsec_/, '');
  if (!/^[A-Za-z0-9+/]{22,172}={0,2}$/.test(encoded)) return null;
  const key = Buffer.from(encoded, 'base64');
  return key.length >= 16 ? key : null;
}

/** gitlab.com or a server of your own. */
export const gitlabConnectionConfig = z.strictObject({
  url: z
    .string()
    .default('https://gitlab.com')
    .refine((value) => baseUrl(value) !== null, 'must be a URL such as https://gitlab.example.com, without credentials')
    .transform((value) => baseUrl(value) ?? value)
    .describe('Address of the server, with its path if it has one'),
  token: z.string().min(6).describe('Project or group access token with the scope api'),
  approver: z
    .string()
    .min(6)
    .optional()
    .describe('Another access token that answers deployment approvals; the same one unless said'),
  ca: z
    .string()
    .min(1)
    .optional()
    .describe('PEM file with the certificates of a private authority, relative to this file'),
  secret: z.string().min(6).optional().describe("The webhooks' secret token, which comes in X-Gitlab-Token"),
  signing: z
    .string()
    .refine((value) => signingKey(value) !== null, 'must be what GitLab shows as signing token: whsec_...')
    .optional()
    .describe("The webhooks' signing token; then nothing is believed that is not signed with it"),
});

export type GitlabConnectionConfig = z.infer<typeof gitlabConnectionConfig>;

/** What of a connection must never be printed. */
export function connectionSecrets({ approver, secret, signing, token }: GitlabConnectionConfig): string[] {
  const given = [token, approver, secret, signing, signing?.replace(/^whsec_/, '')];
  return given.filter((value) => value !== undefined);
}
