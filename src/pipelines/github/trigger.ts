import { setTimeout as wait } from 'node:timers/promises';
import { PipelineError } from '../../errors.ts';
import { fill, isValid, validateRequest } from '../requests.ts';
import type { RunRef, TriggerRequest } from '../types.ts';
import type { Problem } from './problems.ts';
import * as answers from './schema.ts';
import type { Target } from './target.ts';

const TRIGGER_TIMEOUT_MS = 15_000;
/** Runs on a page, and how many pages at most: GitHub itself ends at 1,000 runs. */
const PAGE = 50;
const MOST_PAGES = 20;
/** No deployment is looked for longer than that. */
const OLDEST_MS = 7 * 86_400_000;
/** A server that does not tell the run shows it after a moment. */
const APPEARS_MS = [250, 500, 1_000, 2_000, 3_000] as const;

/** What stands in brackets at the end of a run's name, by the workflow's `run-name`. */
export function keyInTitle(title: string): string | null {
  return /\[([a-z0-9][a-z0-9-]{7,63})\]$/.exec(title)?.[1] ?? null;
}

/**
 * The run of our workflow and our branch whose name ends with the key. A copy that somebody started by hand with the
 * same key is younger.
 */
export async function findRun({ config, connection, ref, repository }: Target, key: string): Promise<RunRef | null> {
  if (!isValid('key', key)) return null;
  const { client } = connection;
  const branch = await ref();
  const oldest = connection.now().getTime() - OLDEST_MS;
  let found: RunRef | null = null;
  for (let page = 1; page <= MOST_PAGES; page += 1) {
    const { workflow_runs: runs } = await client.read(answers.runs, () =>
      client.octokit.request('GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs', {
        ...repository,
        workflow_id: config.workflow,
        event: 'workflow_dispatch',
        branch,
        exclude_pull_requests: true,
        per_page: PAGE,
        page,
      }),
    );
    for (const run of runs)
      if (keyInTitle(run.display_title) === key && run.head_branch === branch && run.event === 'workflow_dispatch')
        found = { id: run.id, url: run.html_url };
    const last = runs.at(-1);
    if (found !== null || runs.length < PAGE || last === undefined || Date.parse(last.created_at) < oldest) break;
  }
  return found;
}

/** Starts the workflow once per key: of this process by memory, of others by the run's name. */
export function createTrigger(target: Target): (request: TriggerRequest) => Promise<RunRef> {
  const { config, connection } = target;
  const { client, memory } = connection;

  async function start(request: TriggerRequest, place: string): Promise<RunRef> {
    const known = memory.triggered.get(place);
    if (known !== undefined && known !== 'unknown') return known;
    const there = await findRun(target, request.key);
    if (there !== null) return there;
    if (known === 'unknown') throw doubt(client.server);
    const ref = await target.ref();
    const tells = await connection.tellsRun(config.github);
    const values = {
      service: request.service,
      environment: target.theirs(request.environment),
      version: request.version,
      sha: request.sha,
      key: request.key,
    };
    const inputs = Object.fromEntries(
      Object.entries(config.inputs).map(([name, text]) => [name, fill(text, values, request.inputs)]),
    );
    const manner = { creates: true, timeoutMs: TRIGGER_TIMEOUT_MS } as const;
    const dispatch = () =>
      client.octokit.request('POST /repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches', {
        ...target.repository,
        workflow_id: config.workflow,
        ref,
        inputs,
        ...(tells ? { return_run_details: true } : {}),
        request: manner,
      });
    const answer = await client.attempt(answers.dispatchAnswer, dispatch, manner);
    if (!answer.ok) {
      if (answer.error.sent === 'unknown') throw answer.error;
      throw refusal(answer, target, ref);
    }
    if (answer.data !== null) return { id: answer.data.workflow_run_id, url: answer.data.html_url };
    for (const ms of APPEARS_MS) {
      await wait(ms);
      const run = await findRun(target, request.key);
      if (run !== null) return run;
    }
    throw doubt(client.server);
  }

  return async (request) => {
    validateRequest(request);
    const place = `${config.github}/${config.workflow}/${request.key}`.toLowerCase();
    const running = memory.triggering.get(place);
    if (running !== undefined) return running;
    const own = start(request, place)
      .then((run) => {
        memory.triggered.put(place, run);
        memory.made.put(run.id, connection.now().getTime());
        return run;
      })
      .catch((error: unknown) => {
        if (error instanceof PipelineError && error.sent === 'unknown') memory.triggered.put(place, 'unknown');
        throw error;
      })
      .finally(() => memory.triggering.delete(place));
    memory.triggering.set(place, own);
    return own;
  };
}

function doubt(server: string): PipelineError {
  return new PipelineError(
    'PIPELINE_UNAVAILABLE',
    `${server} took the request, but shows no run with its key yet. If none comes, look whether the workflow has "run-name: Deploy \${{ inputs.version }} to \${{ inputs.environment }} [\${{ inputs.key }}]".`,
    { retryable: true, sent: 'unknown' },
  );
}

/** GitHub's refusals of a dispatch in words that say what to change. */
function refusal({ error, said, status }: Problem, { config, repository }: Target, ref: string): PipelineError {
  const { workflow } = config;
  const where = `${repository.owner}/${repository.repo}`;
  const reject = (message: string) => new PipelineError('PIPELINE_REJECTED', message, { cause: error.cause });
  if (status === 404)
    return reject(
      `${where} has no workflow ${workflow}, or the App may not start it. Correct "workflow", or give the App the permission Actions: write.`,
    );
  if (status !== 422) return error;
  const unexpected = /Unexpected inputs provided: (.+)/i.exec(said)?.[1];
  if (unexpected !== undefined) {
    const names = [...unexpected.matchAll(/"([^"]+)"/g)].map(([, name]) => name).join(', ');
    return reject(
      `The workflow ${workflow} has no input named ${names === '' ? unexpected : names}. Add it under on.workflow_dispatch.inputs on ${ref}, or correct "inputs".`,
    );
  }
  const required = /Required input '([^']+)' not provided/i.exec(said)?.[1];
  if (required !== undefined)
    return reject(`The workflow ${workflow} requires the input ${required}. Add it to "inputs" of the service.`);
  if (/does not have '?workflow_dispatch/i.test(said))
    return reject(`The workflow ${workflow} can't be started by others. Add "on: workflow_dispatch" to it on ${ref}.`);
  if (/no ref found/i.test(said))
    return reject(`${where} has no branch ${ref}. Correct "ref" of the service, or push the branch.`);
  if (/disabled/i.test(said)) return reject(`The workflow ${workflow} is disabled. Enable it under Actions at GitHub.`);
  return error;
}
