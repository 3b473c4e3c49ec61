import { PipelineError } from '../../errors.ts';
import { plainValue } from '../requests.ts';
import type { Gate, RunRef } from '../types.ts';
import type { GitlabConfig } from './config.ts';
import { type PlaceNames, projectPath } from './places.ts';
import {
  approvalSchema,
  deploymentDetailsSchema,
  deploymentSchema,
  type GitlabDeployment,
  type GitlabDeploymentDetails,
  type GitlabJob,
  jobSchema,
  pipelineSchema,
} from './schema.ts';
import type { GitlabConnection } from './types.ts';
import { rightWords } from './words.ts';

/**
 * Where a run waits: at a protected environment with deployment approvals (gate "d" and the deployment's number), or at
 * the manual job that the entry names (gate "j" and the job's number).
 */

const BY_US = /^(?:Approved|Rejected) in Teams by /;
const CANCELLED = 'Cancelled in Teams';
/** States of a manual job that nobody has started. */
const NOT_BEGUN = new Set(['created', 'manual', 'canceled', 'skipped']);
/** So long the details of a deployment in the list are good. */
const FRESH_MS = 30_000;
/** Jobs that wait at the same time, of which we look for a gate. */
const MOST_WAITING = 3;

export interface Gates {
  /** The gate at which these jobs wait, if they do. */
  find(jobs: readonly GitlabJob[]): Promise<Gate | undefined>;
  /** The gate of a deployment of the list that is blocked. */
  ofDeployment(deployment: GitlabDeployment): Promise<Gate | undefined>;
  answer(run: RunRef, gate: string, answer: { approved: boolean; by: string }): Promise<void>;
  /** Ends what waits for approval, so that nobody can let it go on. True when there was something. */
  withdraw(jobs: readonly GitlabJob[]): Promise<boolean>;
  /** Whether this job was ended by withdraw. */
  wasWithdrawn(job: GitlabJob): Promise<boolean>;
}

function rejected(message: string): PipelineError {
  return new PipelineError('PIPELINE_REJECTED', message);
}

const GONE = 'Nothing waits for this answer any more. Look at the pipeline in GitLab.';

export function isManualGate(job: { name: string; status: string }, config: GitlabConfig): boolean {
  return job.status === 'manual' && job.name === config.gate;
}

export function approvalsOf(deployment: GitlabDeploymentDetails) {
  const ofRules = deployment.approval_summary?.rules.flatMap((rule) => rule.deployment_approvals ?? []) ?? [];
  return [...(deployment.approvals ?? []), ...ofRules];
}

/** How many approvals are missing, by the count or, where a server has rules only, by these. */
export function pendingOf({
  approval_summary: summary,
  pending_approval_count: count,
}: GitlabDeploymentDetails): number {
  const missing = (summary?.rules ?? []).map(({ deployment_approvals: given, required_approvals: needed }) =>
    Math.max((needed ?? 0) - (given ?? []).filter(({ status }) => status === 'approved').length, 0),
  );
  return Math.max(count ?? 0, ...missing, 0);
}

/** It waits for approvals. A manual job's deployment is "blocked" too, with none to wait for. */
function waits(deployment: GitlabDeploymentDetails): boolean {
  return deployment.status === 'blocked' && pendingOf(deployment) > 0;
}

function decisionOf(deployment: GitlabDeploymentDetails): boolean | null {
  const approvals = approvalsOf(deployment);
  if (approvals.some(({ status }) => status === 'rejected')) return false;
  return approvals.some(({ status }) => status === 'approved') && !waits(deployment) ? true : null;
}

export function createGates(config: GitlabConfig, connection: GitlabConnection, places: PlaceNames): Gates {
  const { client } = connection;
  const base = projectPath(config.gitlab);
  const family = 'pipeline';

  async function details(id: number | string): Promise<GitlabDeploymentDetails | null> {
    const path = `${base}/deployments/${id}`;
    const outcome = await client.call({ family, path, schema: deploymentDetailsSchema });
    if (outcome.ok) return outcome.data;
    if (outcome.status === 404) return null;
    throw rejected(rightWords(outcome, 'read deployments', 'the role Developer'));
  }

  /** Deployments that jobs make: by what is known, else one look at the list. */
  async function deploymentsFor(jobs: readonly GitlabJob[], status: string | null): Promise<Map<number, number>> {
    const known = () =>
      new Map(
        jobs.flatMap(({ id }) => {
          const deployment = connection.deployments.get(String(id));
          return deployment === undefined ? [] : [[id, deployment] as const];
        }),
      );
    if (jobs.length === 0 || known().size === jobs.length) return known();
    const outcome = await client.call({
      family,
      path: `${base}/deployments`,
      query: { order_by: 'id', sort: 'desc', per_page: '100', ...(status === null ? {} : { status }) },
      schema: deploymentSchema.array(),
    });
    if (!outcome.ok) throw rejected(rightWords(outcome, 'read deployments', 'the role Developer'));
    for (const { deployable, id } of outcome.data)
      if (deployable) connection.deployments.set(String(deployable.id), id);
    return known();
  }

  function approvalGate(deployment: GitlabDeploymentDetails): Gate | undefined {
    // Others have to approve as well: we did what we could.
    if (!waits(deployment) || approvalsOf(deployment).some(({ comment }) => BY_US.test(comment ?? '')))
      return undefined;
    const environment = places.ours(deployment.environment.name);
    const question = `GitLab asks for approval of the deployment to ${deployment.environment.name}.`;
    return { id: `d${deployment.id}`, question: plainValue(question, 200), ...(environment ? { environment } : {}) };
  }

  function manualGate(job: { id: number; name: string }, environmentName: string | undefined): Gate {
    const environment = environmentName === undefined ? null : places.ours(environmentName);
    const question = plainValue(`GitLab waits for somebody to start the job ${job.name}.`, 200);
    return { id: `j${job.id}`, question, ...(environment ? { environment } : {}) };
  }

  /** Starts a manual job; one that was started already is fine. */
  async function play(job: number): Promise<void> {
    const outcome = await client.call({ family, method: 'POST', path: `${base}/jobs/${job}/play`, schema: jobSchema });
    if (outcome.ok) return;
    const now = await client.call({ family, path: `${base}/jobs/${job}`, schema: jobSchema });
    if (now.ok && now.data.status !== 'manual') return;
    throw rejected(
      rightWords(outcome, 'start the job that waits', 'to be allowed to deploy to the protected environment'),
    );
  }

  /** The answer was given before, or by somebody else: fine when it is the same. */
  async function settle(deployment: GitlabDeploymentDetails, approved: boolean): Promise<void> {
    const decision = decisionOf(deployment);
    if (decision === null) throw rejected(GONE);
    if (decision !== approved)
      throw rejected(`This was ${decision ? 'approved' : 'rejected'} already. Look at the pipeline in GitLab.`);
    // Approved, and then the bot died before it started the job.
    if (approved && deployment.deployable?.status === 'manual') await play(deployment.deployable.id);
  }

  function refusal(outcome: { status: number; message: string; scope: boolean }, environment: string): PipelineError {
    if (/own deployment/i.test(outcome.message))
      return rejected(
        `GitLab lets nobody approve a deployment that they started, and the same access token did. In Settings > CI/CD > Protected environments tick "Allow pipeline triggerer to approve deployment", or set \`approver\` of the connection.`,
      );
    const name = plainValue(environment, 100);
    if (/permission to approve/i.test(outcome.message) || outcome.status === 403 || outcome.status === 404)
      return rejected(
        `The access token has no right to approve deployments to ${name}. Add its role or group to the approval rules of the protected environment.`,
      );
    return rejected(`GitLab did not take the answer: ${outcome.message}`);
  }

  async function approve(deployment: GitlabDeploymentDetails, status: 'approved' | 'rejected', comment: string) {
    return client.call({
      family,
      method: 'POST',
      path: `${base}/deployments/${deployment.id}/approval`,
      json: { status, comment },
      schema: approvalSchema,
      approver: true,
    });
  }

  async function answerApproval(run: RunRef, id: string, { approved, by }: { approved: boolean; by: string }) {
    const found = await details(id);
    if (found === null || String(found.deployable?.pipeline?.id) !== run.id) throw rejected(GONE);
    if (!waits(found)) return settle(found, approved);
    const comment = `${approved ? 'Approved' : 'Rejected'} in Teams by ${plainValue(by) || 'somebody'}`;
    const outcome = await approve(found, approved ? 'approved' : 'rejected', comment);
    const after = await details(id);
    if (after === null) throw rejected(GONE);
    if (outcome.ok) {
      // With approval rules GitLab leaves the job to be started by hand ("Approve or reject a deployment").
      if (approved && !waits(after) && after.deployable) await play(after.deployable.id);
      return;
    }
    if (!waits(after)) return settle(after, approved);
    throw refusal(outcome, found.environment.name);
  }

  async function answerManual(run: RunRef, id: string, { approved }: { approved: boolean }): Promise<void> {
    const outcome = await client.call({ family, path: `${base}/jobs/${id}`, schema: jobSchema });
    if (!outcome.ok || String(outcome.data.pipeline?.id) !== run.id || outcome.data.name !== config.gate)
      throw rejected(GONE);
    const job = outcome.data;
    const begun = job.started_at != null || !NOT_BEGUN.has(job.status);
    const decision = begun ? true : (await hasCancelled(run)) ? false : null;
    if (decision === approved) return;
    if (decision !== null)
      throw rejected(`This was ${decision ? 'approved' : 'rejected'} already. Look at the pipeline in GitLab.`);
    if (job.status !== 'manual') throw rejected(GONE);
    if (approved) return play(job.id);
    const path = `${base}/pipelines/${run.id}/cancel`;
    const cancelled = await client.call({ family, method: 'POST', path, schema: pipelineSchema });
    if (!cancelled.ok) throw rejected(rightWords(cancelled, 'cancel pipelines', 'the role Developer'));
    if (!(await hasCancelled(run))) throw rejected(NOTHING_TO_CANCEL);
  }

  /** Something of the run was cancelled: that is all that GitLab does to one that waits for a manual job. */
  async function hasCancelled(run: RunRef): Promise<boolean> {
    const path = `${base}/pipelines/${run.id}/jobs`;
    const jobs = await client.call({ family, path, query: { per_page: '100' }, schema: jobSchema.array() });
    if (!jobs.ok) throw rejected(GONE);
    return jobs.data.some(({ status }) => status === 'canceled');
  }

  return {
    async find(jobs) {
      const waiting = jobs.filter(({ status }) => status === 'manual').slice(0, MOST_WAITING);
      // Older servers don't mark a manual job's deployment as blocked.
      const deployments = await deploymentsFor(waiting, config.gate === undefined ? 'blocked' : null);
      for (const job of waiting) {
        const id = deployments.get(job.id);
        const deployment = id === undefined ? null : await details(id);
        const gate = deployment && approvalGate(deployment);
        if (gate) return gate;
        if (isManualGate(job, config) && !(deployment && waits(deployment)))
          return manualGate(job, deployment?.environment.name);
      }
      return undefined;
    },

    async ofDeployment(deployment) {
      const { deployable, environment, id } = deployment;
      const remembered = connection.blocked.get(String(id));
      const isFresh = remembered !== undefined && Date.now() - remembered.at < FRESH_MS;
      const known = isFresh ? remembered.details : await details(id);
      if (known === null) return undefined;
      // An approval does not change the deployment's own time, so it is only our own time that counts.
      if (!isFresh) connection.blocked.set(String(id), { at: Date.now(), details: known });
      const gate = approvalGate(known);
      if (gate || !deployable || waits(known)) return gate;
      return isManualGate(deployable, config) ? manualGate(deployable, environment.name) : undefined;
    },

    async answer(run, gate, given) {
      const [, kind, id = ''] = /^([dj])([1-9]\d{0,17})$/.exec(gate) ?? [];
      if (kind === undefined || gate.endsWith('\n')) throw rejected(GONE);
      if (kind === 'd') await answerApproval(run, id, given);
      else await answerManual(run, id, given);
    },

    async withdraw(jobs) {
      const waiting = jobs.filter(({ status }) => status === 'manual');
      const deployments = await deploymentsFor(waiting, 'blocked');
      let any = false;
      for (const id of deployments.values()) {
        const deployment = await details(id);
        if (deployment === null || !waits(deployment)) continue;
        const outcome = await approve(deployment, 'rejected', CANCELLED);
        if (!outcome.ok) throw refusal(outcome, deployment.environment.name);
        any = true;
      }
      return any;
    },

    async wasWithdrawn(job) {
      const id = (await deploymentsFor([job], 'failed')).get(job.id);
      const deployment = id === undefined ? null : await details(id);
      return deployment !== null && approvalsOf(deployment).some(({ comment }) => comment === CANCELLED);
    },
  };
}

export const NOTHING_TO_CANCEL =
  'GitLab can not cancel a pipeline in which only a manual job is left. Leave it, or give the pipeline a last job after it (the example in docs/pipelines/gitlab.md has one).';
