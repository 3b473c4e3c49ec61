import { z } from 'zod';
import { placeholderProblem } from '../requests.ts';

export const GITHUB_COM = 'https://api.github.com';
export const SOURCES = ['releases', 'tags', 'deployments'] as const;
export type Source = (typeof SOURCES)[number];

/** docs.github.com/rest/actions/workflows: "The maximum number of properties is 25". */
const MOST_INPUTS = 25;

const REPOSITORY = /^[A-Za-z0-9][A-Za-z0-9_-]{0,99}\/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100}$/;
const connection = z
  .string()
  .min(1)
  .optional()
  .describe('Name of the connection, where there are several to GitHub; default "github"');

const environments = z
  .record(z.string().min(1), z.string().min(1).max(255))
  .default({})
  .describe('Names of environments at GitHub by the names here, where they differ');

/** One run of a workflow is one deployment. */
export const githubDeployConfig = z.strictObject({
  github: z.string().regex(REPOSITORY, 'must be a repository, as owner/name').describe('Repository, as owner/name'),
  workflow: z
    .string()
    .regex(/^[\w.-]{1,200}\.ya?ml$/, 'must be the name of a file in .github/workflows, like deploy.yml')
    .describe('File in .github/workflows that deploys; it has to be started by workflow_dispatch'),
  ref: z
    .string()
    .refine(isRefName, 'is not the name of a branch')
    .optional()
    .describe('Branch whose workflow file runs; default the default branch of the repository'),
  inputs: z
    .record(
      z.string(),
      z
        .string()
        .max(1000)
        .superRefine((text, context) => {
          const problem = placeholderProblem(text);
          if (problem !== null) context.addIssue({ code: 'custom', message: problem });
        }),
    )
    .superRefine((inputs, context) => {
      for (const name of Object.keys(inputs))
        if (!/^[A-Za-z_][\w-]{0,99}$/.test(name))
          context.addIssue({ code: 'custom', path: [name], message: 'is not the name of an input' });
    })
    .refine((inputs) => Object.keys(inputs).length <= MOST_INPUTS, `GitHub takes at most ${MOST_INPUTS} inputs`)
    .refine(
      (inputs) => Object.values(inputs).some((text) => text.includes('{key}')),
      'one input must hold {key}: the run is found again by it',
    )
    .default({ version: '{version}', sha: '{sha}', environment: '{environment}', key: '{key}' })
    .describe('Inputs of the workflow, with placeholders'),
  environments,
  connection,
});
export type GitHubDeployConfig = z.infer<typeof githubDeployConfig>;

/** A service's versions are a repository's releases or tags, or what was deployed from it. */
export const githubVersionsConfig = z
  .strictObject({
    github: z
      .string()
      .regex(
        /^(?:releases|tags|deployments|[A-Za-z0-9][A-Za-z0-9_-]{0,99}\/(?!\.{1,2}$)[A-Za-z0-9._-]{1,100})$/,
        'must be releases, tags or deployments, or a repository as owner/name',
      )
      .describe(
        'releases, tags or deployments of the repository that the service is deployed from; or another repository',
      ),
    repo: z
      .string()
      .regex(REPOSITORY, 'must be a repository, as owner/name')
      .optional()
      .describe('Repository, where "github" names none; default the one of "deploy"'),
    from: z.enum(SOURCES).optional().describe('What a version is, where "github" is a repository; default releases'),
    prerelease: z.boolean().default(false).describe('Whether releases that are marked as pre-release are versions too'),
    environment: z
      .string()
      .min(1)
      .max(255)
      .optional()
      .describe('Only with deployments: those to this environment, by its name at GitHub'),
    connection,
  })
  .refine((entry) => !(entry.github.includes('/') && entry.repo !== undefined && entry.repo !== entry.github), {
    path: ['repo'],
    message: 'names a second repository; leave it out, or write "github: releases"',
  })
  .refine((entry) => entry.github.includes('/') || entry.from === undefined, {
    path: ['from'],
    message: 'says the same as "github" a second time; leave it out',
  });
export type GitHubVersionsConfig = z.infer<typeof githubVersionsConfig>;

export const githubConnectionConfig = z.strictObject({
  app: z
    .union([z.string().regex(/^[A-Za-z0-9._-]{1,60}$/, 'must be the id of a GitHub App'), z.int().min(1)])
    .transform(String)
    .describe('Id of the GitHub App (its App ID or Client ID)'),
  key: z.string().min(1).describe('Private key of the App: path of the PEM file, or its text'),
  url: z
    .string()
    .refine(isBaseUrl, 'must be an https address without user, password and query, like https://ghe.corp/api/v3')
    .default(GITHUB_COM)
    .describe('Base URL of the REST API; for GitHub Enterprise Server https://HOST/api/v3'),
  ca: z.string().min(1).optional().describe('PEM file of certificates to trust, for a server with a private CA'),
  secret: z
    .string()
    .min(16, 'must have at least 16 characters')
    .optional()
    .describe("Secret of the App's webhook; without one no webhook is taken"),
  installation: z
    .union([z.string().regex(/^\d{1,15}$/, 'must be a number'), z.int().min(1)])
    .transform(Number)
    .optional()
    .describe("Id of the App's installation; default the one of the repository"),
});
export type GitHubConnectionConfig = z.infer<typeof githubConnectionConfig>;

export function splitRepository(name: string): { owner: string; repo: string } {
  const [owner = '', repo = ''] = name.split('/');
  return { owner, repo };
}

/** git's rules for the name of a branch or tag (git-check-ref-format(1)), and at most 200 characters. */
export function isRefName(name: string): boolean {
  return (
    name.length > 0 &&
    name.length <= 200 &&
    !/[\p{Cc}\s~^:?*[\\]|\.\.|@\{|\/\/|^[-./]|[./]$|\/\.|\.lock(?:\/|$)/u.test(name) &&
    name !== '@'
  );
}

/** Tokens go there: in the clear only on this machine. */
function isBaseUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const { hash, hostname, password, protocol, search, username } = new URL(text);
  if (username !== '' || password !== '' || search !== '' || hash !== '') return false;
  return protocol === 'https:' || (protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(hostname));
}
