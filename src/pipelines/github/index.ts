import type { Pipeline, PipelineDeps } from '../types.ts';
import { checkPipeline } from './check.ts';
import type { GitHubDeployConfig } from './config.ts';
import { githubOf } from './connection.ts';
import { cancelRun, rerunRun } from './control.ts';
import { answerGate } from './gates.ts';
import { readLog } from './logs.ts';
import { recentRuns } from './recent.ts';
import { readJobs, readRun, readStatus } from './run.ts';
import { createTarget } from './target.ts';
import { createTrigger, findRun } from './trigger.ts';

/** A deployment is a run of a workflow at GitHub Actions, started by workflow_dispatch. */
export function createGitHubPipeline(config: GitHubDeployConfig, deps: PipelineDeps): Pipeline {
  const connection = githubOf(deps);
  const target = createTarget(config, connection);
  return {
    kind: 'github',
    title: 'GitHub',
    capabilities: { cancel: true, rerun: true, gates: true, dryRun: false, idempotentTrigger: false },
    get pollMs() {
      return connection.client.limits.pollMs();
    },
    trigger: createTrigger(target),
    findByKey: (key) => findRun(target, key),
    status: (run) => readStatus(target, run),
    cancel: (run) => cancelRun(target, run),
    rerun: (run) => rerunRun(target, run),
    answer: (run, gate, answer) => answerGate(target, run, gate, answer),
    recent: ({ since }) => recentRuns(target, since),
    async logs(run, { lines }) {
      if ((await readRun(target, run)) === null) return [];
      return readLog(target, await readJobs(target, run), lines);
    },
    check: () => checkPipeline(target),
  };
}
