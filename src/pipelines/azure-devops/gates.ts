import { PipelineError } from '../../errors.ts';
import { plainValue } from '../requests.ts';
import type { Gate, RunRef } from '../types.ts';
import type { AzureClient } from './client.ts';
import type { Parameters } from './parameters.ts';
import type { Runs } from './runs.ts';
import { approval, approvals, type Build, type TimelineRecord } from './schema.ts';
import { hasApproval, isOver, nameOf, waitingApprovals } from './timeline.ts';

const GUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
const APPROVE = '"Approver" of the environment (Approvals and checks)';
const LONGEST_QUESTION = 200;

/** The first approval that the run waits for. */
export function gateOf(build: Build, records: readonly TimelineRecord[], parameters: Parameters): Gate | null {
  if (isOver(build) || build.status === 'cancelling') return null;
  const [first] = waitingApprovals(records).filter(({ id }) => GUID.test(id));
  if (first === undefined) return null;
  const environment = parameters.guarded(build, first.stage);
  const stage = first.stage === undefined ? 'The run' : `The stage ${nameOf(first.stage)}`;
  return {
    id: first.id,
    question: plainValue(`${stage} of run ${build.buildNumber ?? build.id} waits for an approval.`, LONGEST_QUESTION),
    ...(environment === null ? {} : { environment }),
  };
}

/** Answers approvals. Where two answers race, the vendor takes one. */
export function createAnswers(client: AzureClient, project: string, runs: Runs) {
  const path = [project, '_apis', 'pipelines', 'approvals'];

  function gone(status: string): PipelineError {
    const why: Record<string, string> = {
      approved: 'it was approved already',
      rejected: 'it was rejected already',
      canceled: 'the run was cancelled',
      timedOut: 'its time is over',
    };
    return new PipelineError(
      'PIPELINE_REJECTED',
      `This approval does not wait for an answer any more: ${why[status] ?? `its state is "${status}"`}.`,
    );
  }

  async function statusOf(id: string): Promise<string> {
    const answer = await client.ask({ path: [...path, id], right: '"View builds"' });
    if (answer.status === 404) throw unknown(id);
    if (!answer.ok) throw client.refused(answer);
    return client.parse(approval, answer).status;
  }

  function unknown(id: string): PipelineError {
    return new PipelineError('PIPELINE_REJECTED', `This run has no approval ${JSON.stringify(id.slice(0, 60))}.`);
  }

  return async function answer(run: RunRef, gate: string, { approved, by }: { approved: boolean; by: string }) {
    // Only what this run waits for: an approval that was meant for one run opens no other.
    if (!GUID.test(gate) || !hasApproval(await runs.records(run), gate)) throw unknown(gate);
    const wanted = approved ? 'approved' : 'rejected';
    const before = await statusOf(gate);
    if (before === wanted) return;
    if (before !== 'pending') throw gone(before);

    const comment = `${approved ? 'Approved' : 'Rejected'} in Teams by ${plainValue(by)}`;
    const update = { approvalId: gate, status: wanted, comment };
    const taken = await client.ask({ method: 'PATCH', path, json: [update], right: APPROVE });
    if (taken.ok) {
      const [after] = client.parse(approvals, taken).value;
      // Still "pending" where more than one person has to approve: ours is counted.
      if (after === undefined || after.status === wanted || (approved && after.status === 'pending')) return;
      throw gone(after.status);
    }
    const after = await statusOf(gate);
    if (after === wanted) return;
    if (after !== 'pending') throw gone(after);
    throw new PipelineError(
      'PIPELINE_REJECTED',
      `Azure DevOps does not take the answer of the bot's identity. Make it an approver of the environment, and the only one that is needed. It says: ${taken.message || `HTTP ${taken.status}`}`,
    );
  };
}
