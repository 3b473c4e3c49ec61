import { z } from 'zod';
import { placeholderProblem } from '../requests.ts';

const JOB_SEGMENT = /^[^/\p{Cc}]{1,200}$/u;

/** Jenkins's own rules for names of items (hudson.model.Items, jenkins.model.Jenkins.checkGoodName), folders by "/". */
function isJobPath(path: string): boolean {
  const segments = path.split('/');
  return (
    path.length <= 500 &&
    segments.every((each) => JOB_SEGMENT.test(each) && each !== '.' && each !== '..' && !/[?*\\]/.test(each))
  );
}

const jobPath = z
  .string()
  .refine(isJobPath, 'must be a job with its folders, such as deploy/billing, without a "/" at the beginning or end');

const PARAMETER_NAME = /^[A-Za-z_][A-Za-z0-9_.-]{0,99}$/;
const parameterName = z.string().regex(PARAMETER_NAME, 'is not the name of a parameter');

const connectionName = z.string().min(1).optional().describe('Which entry of connections, where there are several');

/** The address of a server, without a "/" at its end; null when it is none. */
export function serverUrl(text: string): string | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  const plain = url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  return plain && /^https?:$/.test(url.protocol) ? `${url.origin}${url.pathname.replace(/\/+$/, '')}` : null;
}

/** `connections.jenkins`: a Jenkins controller, and the user that the bot is there. */
export const jenkinsConnectionConfig = z.strictObject({
  url: z
    .string()
    .refine((text) => serverUrl(text) !== null, 'must be a URL with http or https, without user, "?" and "#"')
    .describe('Address of Jenkins, with its path where it has one: https://ci.example.com/jenkins'),
  user: z
    .string()
    .min(1)
    .refine((name) => !/[:\p{Cc}]/u.test(name), 'must not contain ":" or control characters')
    .describe('Id of the bot’s user in Jenkins'),
  token: z
    .string()
    .min(1)
    .refine((token) => !/\p{Cc}/u.test(token), 'must be one line')
    .describe('API token of that user, not its password'),
  ca: z.string().min(1).optional().describe('PEM file with certificates to trust, relative to the configuration file'),
  secret: z
    .string()
    .min(16)
    .optional()
    .describe('Shared with Jenkinsfiles that notify the bot; at least 16 characters. Without it the bot only polls'),
});

export type JenkinsConnectionConfig = z.infer<typeof jenkinsConnectionConfig>;

const deployEntry = z.strictObject({
  jenkins: jobPath.describe('The job that deploys, with its folders: deploy/billing'),
  version: parameterName.optional().describe('The job’s parameter that takes the version. Default: VERSION'),
  parameters: z
    .record(parameterName, z.string().max(1000))
    .optional()
    .describe(
      'All parameters of the job with their values; {service} {environment} {version} {sha} {key} are filled in. Default: the version, SHA, ENVIRONMENT and SHIPMATE_KEY',
    ),
  environments: z
    .record(z.string(), z.string().min(1).max(200))
    .default({})
    .describe('Shipmate’s environments by what {environment} becomes, where they are named otherwise'),
  gate: z
    .string()
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,59}$/, 'must have 1 to 60 letters, digits, ".", "_" or "-"')
    .default('Shipmate')
    .describe('Id of the input step that guards the environment; an approval in chat answers it'),
  connection: connectionName,
});

/** How a service is deployed by a Jenkins job. */
export const jenkinsDeployConfig = deployEntry.superRefine((entry, context) => {
  const problem = (path: (string | number)[], message: string) => context.addIssue({ code: 'custom', path, message });
  const { environments, parameters, version } = entry;
  const theirs = Object.values(environments);
  if (new Set(theirs).size < theirs.length)
    problem(['environments'], 'two environments must not be the same place in Jenkins');
  if (parameters === undefined) {
    if (['SHA', 'ENVIRONMENT', 'SHIPMATE_KEY'].includes(version ?? ''))
      problem(['version'], `${version} takes something else; name all parameters in "parameters"`);
    return;
  }
  if (version !== undefined && !parameters[version]?.includes('{version}'))
    problem(['version'], `with "parameters" the version is named there: ${version}: "{version}"`);
  for (const [name, text] of Object.entries(parameters)) {
    const wrong = placeholderProblem(text);
    if (wrong !== null) problem(['parameters', name], wrong);
  }
  const texts = Object.values(parameters);
  if (texts.filter((text) => text === '{key}').length !== 1)
    problem(['parameters'], 'exactly one of them must be "{key}": the run is found again by it');
});

export type JenkinsDeployConfig = z.infer<typeof jenkinsDeployConfig>;

/** A service's versions are the builds of a Jenkins job that went well. */
export const jenkinsVersionsConfig = z.strictObject({
  jenkins: jobPath.describe('The job that builds, with its folders: build/billing'),
  name: z
    .enum(['displayName', 'number', 'description'])
    .default('displayName')
    .describe('What of a build is the name of the version: its display name (without "#"), number or description'),
  repository: z
    .string()
    .min(1)
    .max(300)
    .optional()
    .describe('Part of the URL of the git repository that is meant, for a build that checks out several'),
  connection: connectionName,
});

export type JenkinsVersionsConfig = z.infer<typeof jenkinsVersionsConfig>;

/** Every parameter that a build is started with, with placeholders. */
export function parametersOf(config: JenkinsDeployConfig): Readonly<Record<string, string>> {
  return (
    config.parameters ?? {
      [config.version ?? 'VERSION']: '{version}',
      SHA: '{sha}',
      ENVIRONMENT: '{environment}',
      SHIPMATE_KEY: '{key}',
    }
  );
}

/** The parameter that is exactly this placeholder; null when there is none. */
export function parameterFor(config: JenkinsDeployConfig, placeholder: string): string | null {
  const found = Object.entries(parametersOf(config)).find(([, text]) => text === placeholder);
  return found?.[0] ?? null;
}

/** /job/deploy/job/billing for deploy/billing. */
export function pathOf(job: string): string {
  return job
    .split('/')
    .map((each) => `/job/${encodeURIComponent(each)}`)
    .join('');
}

/** What of a connection must never be printed: also as it stands in the header. */
export function jenkinsSecrets({ secret, token, user }: JenkinsConnectionConfig): string[] {
  const basic = Buffer.from(`${user}:${token}`).toString('base64');
  return [token, basic, ...(secret === undefined ? [] : [secret])];
}
