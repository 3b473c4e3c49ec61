import { z } from 'zod';
import { PLACEHOLDERS, placeholderProblem } from '../requests.ts';

function urlProblem(text: string): string | null {
  if (!URL.canParse(text)) return 'must be a URL such as https://dev.azure.com/acme';
  const { hash, hostname, pathname, password, protocol, search, username } = new URL(text);
  if (protocol !== 'https:' && protocol !== 'http:') return 'must begin with https://';
  if (username !== '' || password !== '') return 'must not hold credentials: put the token into "token"';
  if (search !== '' || hash !== '') return 'must end with the organization or collection, without "?" and "#"';
  if (hostname === 'dev.azure.com' && !/^\/[^/]+\/?$/.test(pathname))
    return 'must name the organization and nothing else: https://dev.azure.com/acme';
  return null;
}

/** `connections.azure-devops`: an organization of Azure DevOps Services, or a collection of Azure DevOps Server. */
export const azureConnectionConfig = z.strictObject({
  url: z
    .string()
    .superRefine((text, context) => {
      const problem = urlProblem(text);
      if (problem !== null) context.addIssue({ code: 'custom', message: problem });
    })
    .describe(
      'https://dev.azure.com/acme, or the collection of a server: https://tfs.example.com/tfs/DefaultCollection',
    ),
  token: z
    .string()
    .min(1)
    .optional()
    .describe('Personal access token, for Azure DevOps Server. Without it the bot’s own Entra identity is used'),
  ca: z.string().min(1).optional().describe('PEM file of certificates to trust, relative to the configuration file'),
  hook: z
    .strictObject({
      user: z
        .string()
        .regex(/^[^:\p{Cc}]*$/u, 'must not contain ":"')
        .default('shipmate')
        .describe('Basic authentication username of the service hooks'),
      password: z
        .string()
        .min(12)
        .describe('Basic authentication password of the service hooks, 12 characters or more'),
    })
    .optional()
    .describe('What the service hooks of the organization send; without it none are taken'),
});

export type AzureConnectionConfig = z.infer<typeof azureConnectionConfig>;

/** What of a connection must never be printed. */
export function azureSecrets({ hook, token }: AzureConnectionConfig): string[] {
  return [
    ...(token === undefined ? [] : [token, basic('', token)]),
    ...(hook ? [hook.password, basic(hook.user, hook.password)] : []),
  ];
}

/** user:password as it stands in a header. */
export function basic(user: string, password: string): string {
  return Buffer.from(`${user}:${password}`, 'utf8').toString('base64');
}

/** A name that is put into a path as one segment of it. */
const name = z
  .string()
  .min(1)
  .max(256)
  .refine((text) => !/\p{Cc}/u.test(text) && text !== '.' && text !== '..', 'is not a name');

const template = z
  .string()
  .max(1000)
  .superRefine((text, context) => {
    const problem = placeholderProblem(text);
    if (problem !== null) context.addIssue({ code: 'custom', message: problem });
  });

const pipeline = z.union([z.int().min(1), name]);
const connection = z.string().min(1).optional().describe('Name of the connection, when there are several');

const DEFAULT_PARAMETERS = {
  version: '{version}',
  sha: '{sha}',
  environment: '{environment}',
  shipmateKey: '{key}',
};

/** How a service is deployed by a YAML pipeline of Azure DevOps. */
export const azureDeployConfig = z.strictObject({
  'azure-devops': name.describe('Name or id of the project'),
  pipeline: pipeline.describe('Id of the pipeline (definitionId in its URL), or its name where that is unique'),
  ref: template
    .refine((text) => text.startsWith('refs/'), 'must begin with refs/heads/ or refs/tags/')
    .optional()
    .describe(
      'Branch or tag whose YAML runs, such as refs/heads/main or refs/tags/{version}. Default: that of the pipeline',
    ),
  parameters: z
    .record(z.string().regex(/^[A-Za-z_][A-Za-z0-9_-]*$/, 'is not the name of a parameter'), template)
    .refine(
      (parameters) => Object.values(parameters).includes('{key}'),
      'one parameter must be "{key}": the run is found again by it',
    )
    .default(DEFAULT_PARAMETERS)
    .describe(
      `Runtime parameters of the pipeline; ${PLACEHOLDERS.map((each) => `{${each}}`).join(' ')} and {input.NAME} are filled in`,
    ),
  skip: z.array(name).max(50).optional().describe('Stages to leave out, by their names in the YAML'),
  environments: z
    .record(z.string(), name)
    .default({})
    .describe('Environments that are named otherwise in Azure DevOps: { production: Prod-EU }'),
  connection,
});

export type AzureDeployConfig = z.infer<typeof azureDeployConfig>;

/** A service's versions are the tags of an Azure Repos repository, or the builds of a pipeline. */
export const azureVersionsConfig = z
  .strictObject({
    'azure-devops': name.describe('Name or id of the project'),
    from: z
      .enum(['tags', 'builds'])
      .default('tags')
      .describe('tags: those of a repository; builds: the successful runs of a pipeline, by their numbers'),
    repository: name
      .optional()
      .describe('Name or id of the repository. Default: the one that is named like the project'),
    tags: z
      .string()
      .min(1)
      .max(200)
      .optional()
      .describe('Which tags are versions; * stands for anything, ? for one character. Default: all'),
    pipeline: pipeline.optional().describe('With from: builds, the pipeline that builds the versions'),
    branch: z
      .string()
      .startsWith('refs/')
      .max(256)
      .optional()
      .describe('With from: builds, only runs of this branch, such as refs/heads/main'),
    connection,
  })
  .superRefine(({ branch, from, pipeline: built, tags }, context) => {
    const issue = (path: string, message: string) => context.addIssue({ code: 'custom', path: [path], message });
    if (from === 'builds' && built === undefined) issue('pipeline', 'name the pipeline that builds the versions');
    if (from === 'builds' && tags !== undefined) issue('tags', 'goes with from: tags');
    if (from === 'tags' && built !== undefined) issue('pipeline', 'goes with from: builds');
    if (from === 'tags' && branch !== undefined) issue('branch', 'goes with from: builds');
  });

export type AzureVersionsConfig = z.infer<typeof azureVersionsConfig>;
