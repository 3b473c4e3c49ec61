import type { ForeignRun } from '../types.ts';
import { gateOf, waitingFor } from './gates.ts';
import { refId } from './ref.ts';
import { stateOf } from './run.ts';
import type { Deployment, WorkflowRun } from './schema.ts';
import * as answers from './schema.ts';
import type { Target } from './target.ts';

const MOST = 20;
/** Deployments that are looked at; a run's own one is made when its job begins. */
const DEPLOYMENTS = 50;
/**
 * Further questions in one look, beside the list of runs. What they find is remembered, so that the next look goes on
 * where this one stopped; a run whose environment is not known yet is left out until then.
 */
const BUDGET = 5;

/** What the reference workflow's `run-name` says. Only for runs with inputs: of others the name is a commit's message. */
const TITLE = /^Deploy (\S{1,128}) to (\S.{0,254}) \[([^\]\s]{0,64})\]$/;

/**
 * Runs of the workflow since then. GitHub does not say with a run where it deploys to: that stands in its name, where the
 * workflow has our `run-name`; in what it waits for; or in the deployment that GitHub made for a job with an
 * `environment`, whose statuses link to the run.
 */
export async function recentRuns(target: Target, since: Date): Promise<ForeignRun[]> {
  const { config, connection, repository } = target;
  const { client } = connection;
  let left = BUDGET;
  /** Whether one more question may be asked. */
  const may = () => {
    left -= 1;
    return left >= 0;
  };
  const { workflow_runs } = await client.read(answers.runs, () =>
    client.octokit.request('GET /repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs', {
      ...repository,
      workflow_id: config.workflow,
      created: `>=${since.toISOString().slice(0, 19)}Z`,
      exclude_pull_requests: true,
      per_page: MOST,
    }),
  );
  const runs = workflow_runs.filter((run) => Date.parse(run.created_at) >= since.getTime() - 1_000);
  const deployed = createDeployed(target, may);
  const found: ForeignRun[] = [];
  for (const run of runs) {
    const one = await describe(target, run, deployed, may);
    if (one !== null) found.push(one);
  }
  return found;
}

type Deployed = ReturnType<typeof createDeployed>;

async function describe(
  target: Target,
  run: WorkflowRun,
  deployed: Deployed,
  may: () => boolean,
): Promise<ForeignRun | null> {
  const ref = { id: refId(run.id, run.run_attempt), url: run.html_url };
  const base = {
    run: ref,
    startedBy: run.triggering_actor?.login ?? run.actor?.login ?? null,
    startedAt: run.run_started_at ?? run.created_at,
    state: stateOf(run),
  };
  const [, version, named] = (run.event === 'workflow_dispatch' ? TITLE.exec(run.display_title) : null) ?? [];
  const fallback = { version: version ?? run.head_branch ?? run.head_sha.slice(0, 7) };
  // What a run with inputs checks out, only its workflow knows.
  const sha = version === undefined ? run.head_sha : null;
  if (run.status === 'waiting' && may()) {
    const places = await waitingFor(target, ref);
    const gate = may() ? await gateOf(target, ref, places) : undefined;
    const environment = gate?.environment ?? (places[0] && target.ours(places[0].name));
    if (environment !== undefined)
      return { ...base, ...fallback, environment, sha, ...(gate === undefined ? {} : { state: 'running', gate }) };
  }
  if (named !== undefined) return { ...base, ...fallback, environment: target.ours(named), sha };
  const deployment = await deployed(run);
  if (deployment === null) return null;
  return { ...base, ...fallback, environment: target.ours(deployment.environment), sha };
}

/** The newest deployment that a run has made. */
function createDeployed({ connection, repository }: Target, may: () => boolean) {
  const { client, memory } = connection;
  let listed: Promise<Deployment[]> | null = null;
  const list = () => {
    listed ??= may()
      ? client.read(answers.deployments, () =>
          client.octokit.request('GET /repos/{owner}/{repo}/deployments', { ...repository, per_page: DEPLOYMENTS }),
        )
      : Promise.resolve([]);
    return listed;
  };
  /** Undefined: not asked yet, and no question left. */
  const maker = async ({ id }: Deployment): Promise<string | null | undefined> => {
    const known = memory.madeBy.get(id);
    if (known !== undefined) return known;
    if (!may()) return undefined;
    const statuses = await client.read(answers.deploymentStatuses, () =>
      client.octokit.request('GET /repos/{owner}/{repo}/deployments/{deployment_id}/statuses', {
        ...repository,
        deployment_id: Number(id),
        per_page: 1,
      }),
    );
    const [newest] = statuses;
    // It has none in the first moments.
    if (newest === undefined) return undefined;
    const link = /\/actions\/runs\/(\d{1,15})(?:\/|$)/.exec(newest.log_url || newest.target_url || '');
    memory.madeBy.put(id, link?.[1] ?? null);
    return link?.[1] ?? null;
  };
  return async (run: WorkflowRun): Promise<Deployment | null> => {
    const begun = Date.parse(run.created_at) - 1_000;
    for (const deployment of await list()) {
      if (deployment.sha !== run.head_sha || Date.parse(deployment.created_at) < begun) continue;
      if ((await maker(deployment)) === run.id) return deployment;
    }
    return null;
  };
}
