import { ShipmateError } from '../errors.ts';
import type { Pipeline, RunRef, RunStatus } from '../pipelines/types.ts';
import type { Tx } from '../store/types.ts';
import { recordOf, type Steps } from './advance.ts';
import type { DeployDeps } from './decisions.ts';
import { pipelineOf } from './gather.ts';
import { nameOf, tell } from './show.ts';
import { type Deployment, type GateState, SYSTEM } from './types.ts';
import { watchOf } from './watch.ts';

/** How long one poll job watches before it hands over to the next; short, so that a stop need not wait. */
const WATCH_MS = 5_000;
/** A wait up to this is not worth a timer of its own. */
const SHORT_MS = 1_000;
/** A running card is refreshed at least this often, so that its elapsed time stays true. */
const REFRESH_MS = 10_000;

/** Follows a run to its end. `stopping` ends a look early; the next start goes on. */
export function createFollow(
  deps: DeployDeps & { stopping: AbortSignal },
  { advance, end, load }: Steps,
): (data: { id: string; once?: true }) => Promise<void> {
  const { catalog, now, store } = deps;

  const poll = async ({ id, once }: { id: string; once?: true }): Promise<void> => {
    const until = now().getTime() + WATCH_MS;
    let deployment = await load(id);
    let shownAt = 0;
    let wait = 0;
    while (deployment?.state === 'running' && deployment.run !== null) {
      const pipeline = pipelineOf(catalog(), deployment.service, deployment);
      if (!pipeline) {
        await end(
          deployment,
          'attention',
          'SERVICE_UNKNOWN',
          `${deployment.service} is no longer in the configuration.`,
        );
        return;
      }
      const outcome = await look(deployment, pipeline, deployment.run);
      if (outcome === 'ended') {
        deployment = await load(id);
        // Mostly it is over; else somebody changed it at the same moment, and it is looked at again.
        if (deployment?.state !== 'running' || now().getTime() >= until) break;
        await pause(pipeline.pollMs, deps.stopping);
        continue;
      }
      if (outcome.status !== null && (changed(deployment, outcome.status) || now().getTime() - shownAt > REFRESH_MS)) {
        const { stages, tail } = outcome.status;
        const gate = gateOf(deployment, outcome.status);
        const asks = gate !== null && gate.id !== deployment.gate?.id;
        // The vendor guards the environment: who let this deploy start here has answered that.
        const answers = asks && gate.answer !== null;
        const seen = asks ? { stages, tail, gate } : { stages, tail };
        deployment =
          (await advance(deployment, seen, async (tx, each) => {
            if (answers) {
              const details = { gate: gate.id, question: gate.question.slice(0, 200) };
              await tx.audit.append(recordOf(each, 'gate.approve', { outcome: 'done', code: 'OK', details }), now());
              await tx.jobs.send('deploy.answer', { id: each.id });
            } else if (asks) await askAtGate(tx, each, gate.question);
          })) ?? (await load(id));
        shownAt = now().getTime();
      }
      wait = pipeline.pollMs;
      // A long wait is a job's, not a worker's; a short one goes over to the next job without a gap, on any replica.
      const late = now().getTime() + (wait > SHORT_MS ? wait : 0) >= until;
      if (once || late || deps.stopping.aborted) break;
      await pause(wait, deps.stopping);
      if (deployment && deps.stopping.aborted) break;
    }
    // Another look goes on by itself.
    if (once || deployment?.state !== 'running') return;
    const delayMs = deps.stopping.aborted || wait <= SHORT_MS ? 0 : wait;
    await store.transaction((tx) => tx.jobs.send('deploy.poll', { id }, { delayMs, singletonKey: `poll:${id}` }));
  };

  /** Who may answer is asked in the thread of the approvals' card, else where the deploy is followed. */
  const askAtGate = async (tx: Tx, deployment: Deployment, question: string): Promise<void> => {
    const { approvalsChannel, services } = catalog();
    const conversation = approvalsChannel ?? services.get(deployment.service)?.channel ?? deployment.requestedIn;
    await tell(
      tx,
      `deploy:${deployment.id}:gate:${deployment.gate?.id ?? ''}`,
      conversation,
      `${nameOf(deployment)} waits for an answer: ${question}`,
      approvalsChannel === undefined ? undefined : `deploy:${deployment.id}:approvals`,
    );
  };

  const look = async (
    deployment: Deployment,
    pipeline: Pipeline,
    run: RunRef,
  ): Promise<'ended' | { status: RunStatus | null }> => {
    let status: RunStatus;
    try {
      status = await pipeline.status(run);
    } catch (error) {
      const final = error instanceof ShipmateError && !error.retryable;
      deps.logger.warn('pipeline status failed', { deployment: deployment.id, error });
      if (!final) return { status: null };
      await end(deployment, 'attention', error.code, error.message);
      return 'ended';
    }
    const { sha, stages, tail } = status;
    const seen = { stages, tail, ...(status.url ? { run: { ...run, url: status.url } } : {}) };
    const bound = deployment.kind !== 'command' && deployment.sha !== '';
    if (sha !== undefined && bound && sha !== deployment.sha) {
      const message = `The run deployed ${sha.slice(0, 7)}, not the approved ${deployment.sha.slice(0, 7)}.`;
      // Whatever it still does is not what anybody approved.
      if (status.state === 'queued' || status.state === 'running')
        await pipeline.cancel(run).catch((error: unknown) => {
          deps.logger.error('a run that is not the approved one could not be stopped', {
            deployment: deployment.id,
            error,
          });
        });
      await end(deployment, 'failed', 'PIPELINE_MISMATCH', message, seen);
      return 'ended';
    }
    if (status.state === 'succeeded')
      await end(deployment, 'succeeded', 'OK', null, { ...seen, watch: watchOf(deployment, catalog(), now()) });
    else if (status.state === 'cancelled' || (deployment.cancel !== null && status.state === 'failed')) {
      const { cancel } = deployment;
      const by = cancel === null ? (status.error ?? 'The run was cancelled.') : `Cancelled by ${cancel.person.name}`;
      const why = cancel?.reason ? `: ${cancel.reason}` : '';
      await end(deployment, 'cancelled', cancel === null ? 'PIPELINE_FAILED' : 'CANCELLED', `${by}${why}`, seen);
    } else if (status.state === 'failed' && deployment.gate?.answer?.approved === false)
      await end(
        deployment,
        'failed',
        'GATE_REJECTED',
        `${deployment.gate.answer.person.name} said no to: ${deployment.gate.question}`,
        seen,
      );
    else if (status.state === 'failed')
      await end(deployment, 'failed', 'PIPELINE_FAILED', status.error ?? 'The pipeline failed.', seen);
    else return { status };
    return 'ended';
  };

  return poll;
}

function changed(deployment: Deployment, status: RunStatus): boolean {
  const asks = gateOf(deployment, status);
  return (
    (asks !== null && asks.id !== deployment.gate?.id) ||
    JSON.stringify([deployment.stages, deployment.tail]) !== JSON.stringify([status.stages, status.tail])
  );
}

/** What the run asks a person now, as the deployment keeps it. */
function gateOf(deployment: Deployment, status: RunStatus): GateState | null {
  const { gate } = status;
  if (gate === undefined || gate.id === deployment.gate?.id) return null;
  // The guard of another environment is a request of its own, under the rules of that one (foreign.ts).
  if (gate.environment !== undefined && gate.environment !== deployment.environment) return null;
  const open = { id: gate.id, question: gate.question.slice(0, 300) };
  if (gate.environment !== deployment.environment) return { ...open, answer: null };
  const approvers = deployment.votes.filter(({ decision }) => decision === 'approve').map(({ person }) => person.name);
  const name = approvers.join(', ') || deployment.requestedBy.name;
  const at = deployment.votes.at(-1)?.at ?? deployment.createdAt;
  return { ...open, answer: { person: { ...SYSTEM, name }, approved: true, at } };
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) return resolve();
    const timer = setTimeout(done, ms);
    function done() {
      clearTimeout(timer);
      signal.removeEventListener('abort', done);
      resolve();
    }
    signal.addEventListener('abort', done);
  });
}
