import { parse } from 'yaml';
import { z } from 'zod';
import { PipelineError } from '../../errors.ts';
import { plainValue } from '../requests.ts';
import type { GitHubConnectionConfig, Source } from './config.ts';
import { splitRepository } from './config.ts';
import type { GitHubConnection } from './connection.ts';
import * as answers from './schema.ts';
import type { Target } from './target.ts';

interface Finding {
  level: 'error' | 'warning';
  message: string;
}

/** What the App needs, and for what: README.md of this folder says more. */
const NEEDED: Readonly<Record<string, { access: 'read' | 'write'; why: string; level: Finding['level'] }>> = {
  actions: { access: 'write', why: 'to start, cancel and re-run workflows', level: 'error' },
  contents: { access: 'read', why: 'to read versions, commits and the workflow file', level: 'error' },
  deployments: { access: 'write', why: 'to answer the guard of an environment', level: 'error' },
  checks: { access: 'read', why: 'to read which commit a run says it deployed', level: 'warning' },
};
const EVENTS = ['workflow_run', 'deployment_status', 'deployment_protection_rule'];
const MOST_ENVIRONMENTS = 10;

/** The findings of a check, and of what it stumbled over. */
async function findings(work: (add: (level: Finding['level'], message: string) => void) => Promise<void>) {
  const found: Finding[] = [];
  try {
    await work((level, message) => found.push({ level, message }));
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error;
    found.push({ level: 'error', message: error.message });
  }
  return found;
}

function addMissing(
  permissions: Readonly<Record<string, unknown>>,
  who: string,
  add: (level: Finding['level'], message: string) => void,
): void {
  for (const [name, { access, level, why }] of Object.entries(NEEDED)) {
    const has = permissions[name];
    if (has === 'write' || has === 'admin' || has === access) continue;
    const word = `${name[0]?.toUpperCase()}${name.slice(1)}`;
    add(level, `${who} lacks the permission ${word}: ${access === 'write' ? 'Read and write' : 'Read-only'}, ${why}.`);
  }
}

export function checkConnection(connection: GitHubConnection, config: GitHubConnectionConfig): Promise<Finding[]> {
  return findings(async (add) => {
    const { client } = connection;
    const app = await client.read(answers.app, () => client.octokit.request('GET /app', { request: { as: 'app' } }));
    const { events = [], permissions = {} } = app ?? {};
    addMissing(permissions, 'The GitHub App', add);
    const missing = config.secret === undefined ? [] : EVENTS.filter((event) => !events.includes(event));
    if (missing.length > 0)
      add(
        'warning',
        `The GitHub App is not subscribed to ${missing.join(', ')}, so that the bot hears of them later. Tick them under "Subscribe to events".`,
      );
  });
}

export function checkPipeline(target: Target): Promise<Finding[]> {
  const { config, connection, repository } = target;
  const { client } = connection;
  const { octokit } = client;
  return findings(async (add) => {
    const installed = await client.read(answers.installation, () =>
      octokit.request('GET /repos/{owner}/{repo}/installation', { ...repository, request: { as: 'app' } }),
    );
    if (installed.suspended_at !== null) {
      add('error', `The GitHub App is suspended for ${config.github}. Let an owner take the suspension back.`);
      return;
    }
    addMissing(installed.permissions, `The App's installation on ${config.github}`, add);
    const ref = await target.ref();
    const workflow = await client.attempt(answers.workflow, () =>
      octokit.request('GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}', {
        ...repository,
        workflow_id: config.workflow,
      }),
    );
    if (!workflow.ok) {
      if (workflow.status !== 404) throw workflow.error;
      add(
        'error',
        `${config.github} has no workflow ${config.workflow}. Correct "workflow", or push the file to the default branch.`,
      );
      return;
    }
    if (workflow.data.state !== 'active')
      add('error', `The workflow ${config.workflow} is disabled. Enable it under Actions at GitHub.`);
    const branch = await client.attempt(answers.branch, () =>
      octokit.request('GET /repos/{owner}/{repo}/branches/{branch}', { ...repository, branch: ref }),
    );
    if (!branch.ok) {
      if (branch.status !== 404) throw branch.error;
      add('error', `${config.github} has no branch ${ref}. Correct "ref".`);
      return;
    }
    if (!branch.data.protected)
      add(
        'warning',
        `The branch ${ref} of ${config.github} is not protected: whoever can push to it can change what a deploy does.`,
      );
    await checkFile(target, ref, add);
    for (const name of Object.values(config.environments).slice(0, MOST_ENVIRONMENTS)) {
      const there = await client.attempt(z.unknown(), () =>
        octokit.request('GET /repos/{owner}/{repo}/environments/{environment_name}', {
          ...repository,
          environment_name: name,
        }),
      );
      if (there.ok) continue;
      if (there.status !== 404) throw there.error;
      add(
        'warning',
        `${config.github} has no environment ${JSON.stringify(name)} yet. Correct "environments", or make it.`,
      );
    }
  });
}

const workflowFile = z.object({
  'run-name': z.string().optional(),
  on: z.union([z.string(), z.array(z.string()), z.record(z.string(), z.unknown())]),
});
const dispatchTrigger = z
  .object({
    inputs: z
      .record(z.string(), z.object({ required: z.boolean().optional(), default: z.unknown().optional() }).nullable())
      .nullish(),
  })
  .nullish();

/** Whether the workflow takes what it is given, and is named so that it can be found. */
async function checkFile(
  { config, connection, repository }: Target,
  ref: string,
  add: (level: Finding['level'], message: string) => void,
): Promise<void> {
  const { client } = connection;
  const file = await client.attempt(answers.file, () =>
    client.octokit.request('GET /repos/{owner}/{repo}/contents/{path}', {
      ...repository,
      path: `.github/workflows/${config.workflow}`,
      ref,
    }),
  );
  if (!file.ok) {
    if (file.status !== 404) throw file.error;
    add('error', `.github/workflows/${config.workflow} is not on the branch ${ref}. Push it there, or correct "ref".`);
    return;
  }
  const content = workflowFile.safeParse(readYaml(Buffer.from(file.data.content, 'base64').toString('utf8')));
  if (!content.success) {
    add('warning', `The workflow ${config.workflow} could not be read, so that its inputs are not checked.`);
    return;
  }
  const { on, 'run-name': runName = '' } = content.data;
  const events = typeof on === 'string' ? [on] : Array.isArray(on) ? on : Object.keys(on);
  if (!events.includes('workflow_dispatch')) {
    add('error', `The workflow ${config.workflow} can't be started by others. Add "on: workflow_dispatch" to it.`);
    return;
  }
  const trigger = dispatchTrigger.safeParse(typeof on === 'string' || Array.isArray(on) ? null : on.workflow_dispatch);
  if (!trigger.success) {
    add('warning', `The inputs of ${config.workflow} could not be read, so that they are not checked.`);
    return;
  }
  const declared = trigger.data?.inputs ?? {};
  const unknown = Object.keys(config.inputs).filter((name) => !Object.hasOwn(declared, name));
  if (unknown.length > 0)
    add(
      'error',
      `The workflow ${config.workflow} has no input named ${unknown.join(', ')}. Add it under on.workflow_dispatch.inputs, or correct "inputs".`,
    );
  for (const [name, input] of Object.entries(declared))
    if (input?.required === true && input.default === undefined && !Object.hasOwn(config.inputs, name))
      add('error', `The workflow ${config.workflow} requires the input ${plainValue(name, 60)}. Add it to "inputs".`);
  const keyInputs = Object.entries(config.inputs).flatMap(([name, text]) => (text.includes('{key}') ? [name] : []));
  if (
    !keyInputs.some((name) =>
      new RegExp(`\\[\\$\\{\\{\\s*(?:github\\.event\\.)?inputs\\.${name}\\s*\\}\\}\\]\\s*$`).test(runName),
    )
  )
    add(
      'error',
      `The run-name of ${config.workflow} does not end with the key, so that a run could not be found again. Write "run-name: Deploy \${{ inputs.version }} to \${{ inputs.environment }} [\${{ inputs.${keyInputs[0]} }}]".`,
    );
}

function readYaml(text: string): unknown {
  try {
    return parse(text, { maxAliasCount: 20 });
  } catch {
    return undefined;
  }
}

export function checkVersions(
  connection: GitHubConnection,
  name: string,
  list: () => Promise<unknown[]>,
  source: Source,
): Promise<Finding[]> {
  return findings(async (add) => {
    const { client } = connection;
    await client.read(answers.repository, () =>
      client.octokit.request('GET /repos/{owner}/{repo}', splitRepository(name)),
    );
    if ((await list()).length === 0) add('warning', `${name} has no ${source} yet, so there is no version to deploy.`);
  });
}
