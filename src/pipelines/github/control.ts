import { setTimeout as wait } from 'node:timers/promises';
import { PipelineError } from '../../errors.ts';
import type { RunRef } from '../types.ts';
import { lost, parseRunId, refId } from './ref.ts';
import type { WorkflowRun } from './schema.ts';
import * as answers from './schema.ts';
import type { Target } from './target.ts';

/** How long GitHub may need until it shows a second attempt. */
const APPEARS_MS = [0, 250, 500, 1_000, 2_000] as const;

/** The newest attempt. @throws PipelineError */
async function newest({ config, connection, repository }: Target, run: number): Promise<WorkflowRun> {
  const { client } = connection;
  const result = await client.attempt(answers.run, () =>
    client.octokit.request('GET /repos/{owner}/{repo}/actions/runs/{run_id}', {
      ...repository,
      run_id: run,
      exclude_pull_requests: true,
    }),
  );
  if (result.ok) return result.data;
  if (result.status === 404) throw lost(`${config.github} has no run ${run} any more.`);
  throw result.error;
}

/** GitHub knows one attempt at a time: an earlier one is over. */
export async function cancelRun(target: Target, ref: RunRef): Promise<void> {
  const { connection, repository } = target;
  const { attempt, run } = parseRunId(ref);
  const now = await newest(target, run);
  if (now.status === 'completed' || (now.run_attempt ?? 1) !== attempt) return;
  const result = await connection.client.send(() =>
    connection.client.octokit.request('POST /repos/{owner}/{repo}/actions/runs/{run_id}/cancel', {
      ...repository,
      run_id: run,
    }),
  );
  // 409: it ended in the meantime.
  if (!result.ok && result.status !== 409) throw result.error;
}

/**
 * The next attempt of a run, with the jobs that failed and those after them. The number of the attempt makes it happen
 * once: whoever comes second finds it begun.
 */
export async function rerunRun(target: Target, ref: RunRef): Promise<RunRef> {
  const { connection, repository } = target;
  const { client, memory } = connection;
  const { attempt, run } = parseRunId(ref);
  const next = refId(String(run), attempt + 1);
  const now = await newest(target, run);
  const found = { id: next, url: now.html_url };
  if ((now.run_attempt ?? 1) > attempt) return found;
  if (now.status !== 'completed' || (now.conclusion !== 'failure' && now.conclusion !== 'timed_out'))
    throw new PipelineError(
      'PIPELINE_REJECTED',
      `Only a run that failed can go on, and this one ${now.status === 'completed' ? `ended as ${now.conclusion}` : 'is not over'}. Deploy again instead.`,
    );
  const result = await client.send(() =>
    client.octokit.request('POST /repos/{owner}/{repo}/actions/runs/{run_id}/rerun-failed-jobs', {
      ...repository,
      run_id: run,
    }),
  );
  if (!result.ok && result.status >= 500) throw result.error;
  // Refused: perhaps because somebody else was faster.
  for (const ms of result.ok ? APPEARS_MS : [0]) {
    await wait(ms);
    if (((await newest(target, run)).run_attempt ?? 1) <= attempt) continue;
    memory.made.put(next, connection.now().getTime());
    return found;
  }
  if (result.ok) {
    memory.made.put(next, connection.now().getTime());
    return found;
  }
  throw result.error;
}
