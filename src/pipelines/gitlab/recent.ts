import { PipelineError } from '../../errors.ts';
import type { ForeignRun, RunStatus } from '../types.ts';
import type { GitlabConfig } from './config.ts';
import type { Gates } from './gates.ts';
import { type PlaceNames, projectPath } from './places.ts';
import { deploymentSchema, type GitlabDeployment } from './schema.ts';
import { runRef } from './start.ts';
import { isoTime } from './status.ts';
import type { GitlabConnection } from './types.ts';
import { rightWords } from './words.ts';

const MOST_RUNS = 20;
const MOST_DEPLOYMENTS = 50;
/** Blocked deployments of which one look asks the details; they are remembered for half a minute. */
const MOST_BLOCKED = 5;

const STATES: Readonly<Record<string, RunStatus['state']>> = {
  running: 'running',
  success: 'succeeded',
  failed: 'failed',
  canceled: 'cancelled',
  blocked: 'running',
};

/** How a pipeline begins that takes what it deploys from its inputs; its own commit is then that of its configuration. */
const BY_VALUES = new Set(['api', 'web', 'trigger', 'pipeline', 'parent_pipeline', 'schedule', 'chat']);

function shaOf({ deployable, sha }: GitlabDeployment): string | null {
  const byValues = BY_VALUES.has(deployable?.pipeline?.source ?? '');
  return byValues && !deployable?.tag ? null : (sha ?? null);
}

/** What was deployed in a project, whoever did it: GitLab's own list of deployments. */
export function createRecent(
  config: GitlabConfig,
  connection: GitlabConnection,
  places: PlaceNames,
  gates: Gates,
): (options: { since: Date }) => Promise<ForeignRun[]> {
  return async ({ since }) => {
    const outcome = await connection.client.call({
      family: 'pipeline',
      path: `${projectPath(config.gitlab)}/deployments`,
      query: {
        updated_after: since.toISOString(),
        order_by: 'updated_at',
        sort: 'desc',
        per_page: String(MOST_DEPLOYMENTS),
      },
      schema: deploymentSchema.array(),
    });
    if (!outcome.ok)
      throw new PipelineError('PIPELINE_REJECTED', rightWords(outcome, 'read deployments', 'the role Developer'));
    const runs: ForeignRun[] = [];
    let blocked = 0;
    for (const deployment of outcome.data) {
      const pipeline = deployment.deployable?.pipeline;
      const environment = places.ours(deployment.environment.name);
      const state = STATES[deployment.status];
      const startedAt = isoTime(pipeline?.created_at ?? deployment.created_at);
      // "created" and "skipped" are jobs that have not begun, and may never.
      if (!pipeline || environment === null || state === undefined || startedAt === undefined) continue;
      if (deployment.status === 'blocked') blocked += 1;
      const asked = deployment.status === 'blocked' && blocked <= MOST_BLOCKED;
      const gate = asked ? await gates.ofDeployment(deployment) : undefined;
      // A manual job that nobody has to start.
      if (deployment.status === 'blocked' && !gate) continue;
      runs.push({
        run: runRef(pipeline),
        environment,
        version: deployment.ref ?? '',
        sha: shaOf(deployment),
        startedBy: deployment.user?.username ?? null,
        startedAt,
        state,
        ...(gate ? { gate } : {}),
      });
    }
    return runs.sort((a, b) => Date.parse(b.startedAt) - Date.parse(a.startedAt)).slice(0, MOST_RUNS);
  };
}
