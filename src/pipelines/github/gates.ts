import { PipelineError } from '../../errors.ts';
import { plainValue } from '../requests.ts';
import type { Gate, RunRef } from '../types.ts';
import { parseRunId } from './ref.ts';
import * as answers from './schema.ts';
import type { Target } from './target.ts';

/**
 * Shipmate is a custom deployment protection rule of an environment
 * (docs.github.com/actions/deployment/protecting-deployments/creating-custom-deployment-protection-rules). Other guards of
 * an environment (people who review, a timer, another App) are not ours to answer, and are not shown.
 */

const RULE_MS = 10 * 60_000;

interface Place {
  id: string;
  /** At GitHub. */
  name: string;
}

const gateId = ({ id }: Place) => `env-${id}`;

/** Environments that a run waits for, whoever guards them. */
export async function waitingFor({ connection, repository }: Target, ref: RunRef): Promise<Place[]> {
  const { client } = connection;
  const pending = await client.read(answers.pendingDeployments, () =>
    client.octokit.request('GET /repos/{owner}/{repo}/actions/runs/{run_id}/pending_deployments', {
      ...repository,
      run_id: parseRunId(ref).run,
    }),
  );
  return pending.flatMap(({ environment: { id, name } }) =>
    id === undefined || name === undefined ? [] : [{ id, name }],
  );
}

/** Whether Shipmate's App guards an environment. Asked again after ten minutes. */
async function guards({ config, connection, repository }: Target, environment: string): Promise<boolean> {
  const { client, memory } = connection;
  const key = `${config.github}/${environment}`.toLowerCase();
  const known = memory.rules.get(key);
  if (known !== undefined && known.until > connection.now().getTime()) return known.is;
  const self = await connection.self();
  const result = await client.attempt(answers.protectionRules, () =>
    client.octokit.request('GET /repos/{owner}/{repo}/environments/{environment_name}/deployment_protection_rules', {
      ...repository,
      environment_name: environment,
    }),
  );
  if (!result.ok && result.status !== 404) throw result.error;
  const rules = result.ok ? (result.data.custom_deployment_protection_rules ?? []) : [];
  const is = rules.some(({ app, enabled }) => enabled && app.id === self.id);
  memory.rules.put(key, { is, until: connection.now().getTime() + RULE_MS });
  return is;
}

/** What the App answered to a gate, oldest first, as it stands at GitHub: of all attempts together, without a time. */
async function history({ connection, repository }: Target, ref: RunRef, gate: string): Promise<boolean[]> {
  const { client } = connection;
  const { slug } = await connection.self();
  const reviews = await client.read(answers.approvals, () =>
    client.octokit.request('GET /repos/{owner}/{repo}/actions/runs/{run_id}/approvals', {
      ...repository,
      run_id: parseRunId(ref).run,
    }),
  );
  return reviews
    .filter(({ state, user }) => state !== 'pending' && user?.login === `${slug}[bot]`)
    .filter(({ environments }) => environments.some(({ id }) => id !== undefined && `env-${id}` === gate))
    .map(({ state }) => state === 'approved');
}

/** What was answered already, as it is remembered here or stands at GitHub. Null: nothing. */
async function answered(target: Target, ref: RunRef, gate: string, waits: boolean): Promise<boolean | null> {
  const known = target.connection.memory.answers.get(`${ref.id}/${gate}`);
  if (known !== undefined) return known;
  // An attempt that waits again was answered before, not now.
  if (waits && parseRunId(ref).attempt > 1) return null;
  return (await history(target, ref, gate)).at(-1) ?? null;
}

/** The first environment that waits for Shipmate's word, if there is one. */
export async function gateOf(target: Target, ref: RunRef, places?: readonly Place[]): Promise<Gate | undefined> {
  for (const place of places ?? (await waitingFor(target, ref))) {
    if (!(await guards(target, place.name)) || (await answered(target, ref, gateId(place), true)) !== null) continue;
    return {
      id: gateId(place),
      question: `May this run go on to ${plainValue(place.name)}?`,
      environment: target.ours(place.name),
    };
  }
  return undefined;
}

/** @throws PipelineError PIPELINE_REJECTED when it is not there, or was answered otherwise */
export async function answerGate(
  target: Target,
  ref: RunRef,
  gate: string,
  { approved, by }: { approved: boolean; by: string },
): Promise<void> {
  const { connection, repository } = target;
  const { client, memory } = connection;
  const unknown = () =>
    new PipelineError('PIPELINE_REJECTED', 'The run does not wait for this any more. Look at the run at GitHub.');
  if (!/^env-\d{1,15}$/.test(gate)) throw unknown();
  const place = (await waitingFor(target, ref)).find((each) => gateId(each) === gate);
  const settle = (before: boolean | null, otherwise: () => Error) => {
    if (before === null) throw otherwise();
    if (before !== approved)
      throw new PipelineError(
        'PIPELINE_REJECTED',
        `This was ${before ? 'approved' : 'rejected'} already; the first answer stays.`,
      );
  };
  const before = await answered(target, ref, gate, place !== undefined);
  if (place === undefined || before !== null) return settle(before, unknown);
  const earlier = parseRunId(ref).attempt > 1 ? (await history(target, ref, gate)).length : 0;
  const state = approved ? 'approved' : 'rejected';
  const result = await client.send(() =>
    client.octokit.request('POST /repos/{owner}/{repo}/actions/runs/{run_id}/deployment_protection_rule', {
      ...repository,
      run_id: parseRunId(ref).run,
      environment_name: place.name,
      state,
      comment: `${approved ? 'Approved' : 'Rejected'} in Teams by ${plainValue(by) || 'somebody'}`,
    }),
  );
  if (result.ok) {
    memory.answers.put(`${ref.id}/${gate}`, approved);
    return;
  }
  if (result.status >= 500) throw result.error;
  // Somebody else was faster, or it is over; what GitHub has counts.
  const now = (await history(target, ref, gate)).slice(earlier);
  settle(now.at(-1) ?? null, () => result.error);
}
