import { parseAllDocuments } from 'yaml';
import { PipelineError } from '../../errors.ts';
import type { GitlabClient } from './client.ts';
import { type GitlabConfig, type GitlabConnectionConfig, pipelineValues } from './config.ts';
import { projectPath } from './places.ts';
import { branchSchema, environmentSchema, projectSchema, tokenSchema, versionSchema } from './schema.ts';
import { pipelineName } from './start.ts';
import type { GitlabConnection } from './types.ts';

type Finding = { level: 'error' | 'warning'; message: string };

const DEVELOPER = 30;
const SOON_MS = 14 * 86_400_000;
const LONGEST_FILE = 1_048_576;

const error = (message: string): Finding => ({ level: 'error', message });
const warning = (message: string): Finding => ({ level: 'warning', message });

/** What was found; that GitLab can't be asked is a finding too. */
async function findings(look: () => Promise<Finding[]>): Promise<Finding[]> {
  try {
    return await look();
  } catch (problem) {
    if (problem instanceof PipelineError) return [error(problem.message)];
    throw problem;
  }
}

/** GitLab as a whole: can it be reached, is it new enough, is the token right. */
export function checkConnection(config: GitlabConnectionConfig, client: GitlabClient, now: Date): Promise<Finding[]> {
  const family = 'pipeline';
  return findings(async () => {
    const found: Finding[] = [];
    const version = await client.call({ family, path: '/version', schema: versionSchema });
    if (version.ok) {
      const [major = 0, minor = 0] = version.data.version.split(/[.-]/).map(Number);
      if (major < 16 || (major === 16 && minor < 9))
        found.push(
          error(`GitLab ${version.data.version} can't find a pipeline by its name. Update it to 16.9 or later.`),
        );
    }
    for (const [name, approver] of [['token', false] as const, ['approver', true] as const]) {
      if (approver && config.approver === undefined) continue;
      const path = '/personal_access_tokens/self';
      const token = await client.call({ family, path, schema: tokenSchema, approver });
      // Other kinds of tokens can't ask about themselves.
      if (!token.ok) continue;
      const { active, expires_at: expires, scopes } = token.data;
      if (!active) found.push(error(`The access token \`${name}\` is not active. Make a new one.`));
      if (!scopes.includes('api'))
        found.push(error(`The access token \`${name}\` lacks the scope api. Make a new one with it.`));
      const left = Date.parse(expires ?? '') - now.getTime();
      if (left < SOON_MS)
        found.push(warning(`The access token \`${name}\` ends on ${expires}. Make a new one by then.`));
    }
    const { hostname, protocol } = new URL(config.url);
    if (protocol === 'http:' && !/^(?:localhost|127\.|\[::1\])/.test(hostname))
      found.push(warning('`url` begins with http:, so the access token can be read on the way. Use https.'));
    return found;
  });
}

/** One project: its name, its branch, its rights, and what its .gitlab-ci.yml has to have. */
export function checkPipeline(config: GitlabConfig, { client }: GitlabConnection): Promise<Finding[]> {
  const family = 'pipeline';
  const base = projectPath(config.gitlab);
  return findings(async () => {
    const project = await client.call({ family, path: base, schema: projectSchema });
    if (!project.ok)
      return [
        error(
          `The access token sees no project ${config.gitlab}. Correct \`gitlab\`, or make the token a member of it.`,
        ),
      ];
    const { builds_access_level: builds, ci_config_path: file, default_branch: branch, permissions } = project.data;
    const found: Finding[] = [];
    const levels = [permissions?.project_access?.access_level, permissions?.group_access?.access_level];
    const level = Math.max(...levels.map((each) => each ?? 0));
    if (level < DEVELOPER)
      found.push(error(`The access token's role in ${config.gitlab} is too low. It needs the role Developer.`));
    if (builds === 'disabled')
      found.push(error(`CI/CD is switched off in ${config.gitlab}. Switch it on in Settings > General > Visibility.`));
    const ref = config.ref ?? branch;
    if (!ref) return [...found, error(`${config.gitlab} has no default branch. Push one, or set \`ref\`.`)];
    const path = `${base}/repository/branches/${encodeURIComponent(ref)}`;
    const named = await client.call({ family, path, schema: branchSchema });
    if (!named.ok && named.status === 404)
      return [...found, error(`${config.gitlab} has no branch ${ref}. Correct \`ref\`.`)];
    if (named.ok && named.data.protected && !named.data.can_push && !named.data.developers_can_merge)
      found.push(
        warning(
          `${ref} is protected, and the access token may not push to it. Unless it may merge to it, it can't run pipelines there.`,
        ),
      );
    found.push(...(await checkFile(config, client, ref, file || '.gitlab-ci.yml')));
    found.push(...(await checkPlaces(config, client)));
    return found;
  });
}

async function checkPlaces(config: GitlabConfig, client: GitlabClient): Promise<Finding[]> {
  const names = Object.values(config.environments);
  if (names.length === 0) return [];
  const outcome = await client.call({
    family: 'pipeline',
    path: `${projectPath(config.gitlab)}/environments`,
    query: { per_page: '100' },
    schema: environmentSchema.array(),
  });
  if (!outcome.ok || outcome.next !== null) return [];
  const known = outcome.data.map(({ name }) => name);
  return names
    .filter((name) => !known.includes(name))
    .map((name) =>
      warning(`${config.gitlab} has no environment ${name} yet. Correct \`environments\`, or deploy there.`),
    );
}

/** A configuration that lies elsewhere, or includes others, can't be read as a whole: then only what is certain is said. */
async function checkFile(config: GitlabConfig, client: GitlabClient, ref: string, file: string): Promise<Finding[]> {
  // "path@group/project" and URLs.
  if (/[@:]/.test(file)) return [];
  const query = new URLSearchParams({ ref }).toString();
  const path = `${projectPath(config.gitlab)}/repository/files/${encodeURIComponent(file)}/raw?${query}`;
  const read = await client.tail(path, LONGEST_FILE);
  if (read === null) return [error(`${config.gitlab} has no ${file} on ${ref}. Add it, see docs/pipelines/gitlab.md.`)];
  if (read.cut) return [];
  const documents = parseAllDocuments(read.text, { logLevel: 'silent' });
  if (!Array.isArray(documents)) return [];
  const parts = documents.map((document): unknown => (document.errors.length > 0 ? undefined : document.toJS()));
  const { kind, values } = pipelineValues(config);
  const found: Finding[] = [];
  if (kind === 'inputs') {
    const declared = parts.length > 1 ? at(at(parts[0], 'spec'), 'inputs') : undefined;
    for (const name of Object.keys(values))
      if (at(declared, name) === undefined && !(isMap(declared) && Object.hasOwn(declared, name)))
        found.push(
          error(`${file} on ${ref} has no input named ${name}. Add it under spec.inputs, or correct \`inputs\`.`),
        );
  }
  const content = parts.at(-1);
  // What is included may have it.
  const unsure = at(content, 'include') === undefined ? error : warning;
  for (const [key, job] of Object.entries({ job: config.job, gate: config.gate }))
    if (job !== undefined && at(content, job) === undefined)
      found.push(unsure(`${file} on ${ref} has no job named ${job}. Correct \`${key}\`.`));
  const name = at(at(content, 'workflow'), 'name');
  if (typeof name === 'string' && filledName(name, kind, values) === pipelineName('{key}')) return found;
  const [key = 'key'] = Object.keys(values).filter((each) => values[each] === '{key}');
  const wanted = pipelineName(kind === 'inputs' ? `$[[ inputs.${key} ]]` : `$${key}`);
  const words = `${file} on ${ref} needs workflow: name: '${wanted}'. Without it a pipeline can't be found again.`;
  return [...found, unsure(words)];
}

/** A pipeline's name as GitLab makes it, with our placeholders still in it. */
function filledName(name: string, kind: 'inputs' | 'variables', values: Readonly<Record<string, string>>): string {
  const place = kind === 'inputs' ? /\$\[\[\s*inputs\.([\w-]+)\s*\]\]/g : /\$(?:(\w+)|\{(\w+)\})/g;
  return name.replace(place, (all, first?: string, second?: string) => values[first ?? second ?? ''] ?? all).trim();
}

function isMap(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

function at(value: unknown, key: string): unknown {
  return isMap(value) && Object.hasOwn(value, key) ? value[key] : undefined;
}
