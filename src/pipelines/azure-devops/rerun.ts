import { PipelineError } from '../../errors.ts';
import type { RunRef } from '../types.ts';
import type { AzureClient } from './client.ts';
import type { Runs } from './runs.ts';
import { failedStages, isOver, stateOf, wasRunAgain } from './timeline.ts';

/** Lets the stages that failed run again, within the same run. Source: Azure DevOps REST API, "Stages - Update". */
export function createRerun(client: AzureClient, project: string, runs: Runs) {
  /** The run goes on already, or went on to its end: somebody asked before. */
  async function goesOn(run: RunRef): Promise<boolean> {
    const build = await runs.open(run);
    const records = await runs.records(run);
    return wasRunAgain(records) && (!isOver(build) || stateOf(build, records) === 'succeeded');
  }

  return async function rerun(run: RunRef): Promise<RunRef> {
    const build = await runs.open(run);
    const records = await runs.records(run);
    const ref = runs.refOf(build.id);
    const state = stateOf(build, records);
    if (state !== 'failed') {
      if (state !== 'cancelled' && wasRunAgain(records)) return ref;
      const over = state === 'cancelled' ? 'it was cancelled' : 'it ended well';
      const why = isOver(build) ? over : 'it is still under way';
      throw new PipelineError('PIPELINE_REJECTED', `Run ${build.id} can't be run again: ${why}.`);
    }
    const stages = failedStages(records);
    if (stages.length === 0)
      throw new PipelineError(
        'PIPELINE_REJECTED',
        `Run ${build.id} has no stage that failed, so there is nothing to run again. Start a new deployment.`,
      );
    for (const stage of stages) {
      const answer = await client.ask({
        method: 'PATCH',
        path: [project, '_apis', 'build', 'builds', ref.id, 'stages', stage],
        json: { state: 'retry', forceRetryAllJobs: false },
        right: '"Queue builds"',
      });
      // Two who ask at once: the vendor takes one, and the other finds it going on.
      if (!answer.ok && !(await goesOn(run)))
        throw new PipelineError(
          'PIPELINE_REJECTED',
          `The stage ${stage} of run ${build.id} can't be run again. Start a new deployment.${answer.message === '' ? '' : ` Azure DevOps says: ${answer.message}`}`,
        );
    }
    return ref;
  };
}
