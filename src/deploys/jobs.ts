import type { AccessDecision } from '../access/types.ts';
import type { AuditRecord } from '../audit/types.ts';
import { PipelineError, type ReasonCode, refuse, ShipmateError } from '../errors.ts';
import type { Pipeline, RunRef, RunStatus } from '../pipelines/types.ts';
import type { DeploymentPatch, Tx } from '../store/types.ts';
import type { DeployDeps } from './decisions.ts';
import { digestOf } from './digest.ts';
import { sourcesOf } from './machine.ts';
import { evaluateTrigger } from './policy.ts';
import { announce, show, showPrevious } from './show.ts';
import { type Deployment, FINAL_STATES, type Service } from './types.ts';

/** How long one poll job watches before it hands over to the next; short, so that a stop need not wait. */
const WATCH_MS = 5_000;
/** A trigger whose outcome is not known is looked for this long, then a person is asked. */
const RECONCILE_MS = 30_000;
/** A pipeline that can't be reached is tried again this long before the deploy fails. */
const TRIGGER_PATIENCE_MS = 60_000;
/** A running card is refreshed at least this often, so that its elapsed time stays true. */
const REFRESH_MS = 10_000;
/** Between two attempts to trigger, or to find a run. */
const RETRY_MS = 2_000;

const SYSTEM = { id: 'system', tenantId: '', name: 'Shipmate' };

export interface DeployJobs {
  trigger(data: { id: string; since?: string }): Promise<void>;
  poll(data: { id: string }): Promise<void>;
  expire(data: { id: string }): Promise<void>;
}

/**
 * What happens after a decision, as durable jobs. Each may run more than once: the state and the revision in the
 * store decide what is still to be done. `stopping` ends a watch early; the next start goes on.
 */
export function createDeployJobs(
  deps: DeployDeps & { stopping: AbortSignal; onEnd?: (state: Deployment['state']) => void },
): DeployJobs {
  const { store, catalog, now } = deps;

  const load = (id: string) => store.read((tx) => tx.deployments.get(id));

  const record = (
    deployment: Deployment,
    action: string,
    more: Pick<AuditRecord, 'outcome' | 'code'> & Partial<AuditRecord>,
  ): AuditRecord => ({
    actor: SYSTEM,
    action,
    service: deployment.service,
    environment: deployment.environment,
    version: deployment.version,
    deployment: deployment.id,
    digest: deployment.digest,
    ...(deployment.run === null ? {} : { run: deployment.run.id }),
    ...more,
  });

  /** The fenced change with everything that goes with it; false when somebody else was there first. */
  const advance = (
    deployment: Deployment,
    patch: DeploymentPatch,
    extra: (tx: Tx, changed: Deployment) => Promise<void> = async () => {},
  ): Promise<Deployment | null> =>
    store.transaction(async (tx) => {
      const from =
        patch.state === undefined || patch.state === deployment.state ? [deployment.state] : sourcesOf(patch.state);
      const result = await tx.deployments.change(deployment.id, { from, revision: deployment.revision }, patch);
      if (result.kind !== 'changed') return null;
      await show(tx, result.deployment, catalog());
      await extra(tx, result.deployment);
      return result.deployment;
    });

  const end = async (
    deployment: Deployment,
    state: 'failed' | 'blocked' | 'attention' | 'succeeded' | 'cancelled',
    code: ReasonCode,
    message: string | null,
    patch: DeploymentPatch = {},
  ) => {
    const final = FINAL_STATES.includes(state);
    const ended = await advance(
      deployment,
      {
        ...patch,
        state,
        ...(final ? { finishedAt: now().toISOString() } : {}),
        problem: message === null ? null : { code, message },
      },
      async (tx, changed) => {
        await tx.audit.append(
          record(changed, 'deploy.end', {
            outcome: state === 'succeeded' ? 'done' : state === 'blocked' ? 'refused' : 'failed',
            code,
            details: { state, ...(message === null ? {} : { message: message.slice(0, 300) }) },
          }),
          now(),
        );
        await announce(tx, changed, catalog(), 'ended');
      },
    );
    if (ended) deps.onEnd?.(ended.state);
    return ended;
  };

  const trigger = async ({ id, since = now().toISOString() }: { id: string; since?: string }): Promise<void> => {
    const deployment = await load(id);
    if (deployment?.state !== 'queued') return;
    const service = catalog().services.get(deployment.service);
    if (!service) {
      await end(deployment, 'blocked', 'SERVICE_UNKNOWN', `${deployment.service} is no longer in the configuration.`);
      return;
    }
    if (deployment.triggerStartedAt !== null) return reconcile(deployment, service.pipeline, since);
    const verdict = await judge(deployment, service);
    if (!verdict.ok) {
      await end(deployment, 'blocked', verdict.code, verdict.message);
      return;
    }
    // The mark is written before the call: whoever comes after a crash knows that a run may be there.
    const marked = await advance(deployment, { triggerStartedAt: now().toISOString() });
    if (marked) await start(marked, service.pipeline, { doubt: false, since });
  };

  /** Asked again, fresh, just before the trigger: people leave groups, tags move, rules change. */
  const judge = async (deployment: Deployment, service: Service) => {
    const { environment } = deployment;
    const ask = (
      person: Deployment['requestedBy'],
      permission: 'deploy' | 'rollback' | 'approve',
    ): Promise<AccessDecision> =>
      deps.authoriser.authorise(person, { permission, service: service.name, environment }, { fresh: true });
    const approvers = deployment.votes.filter(({ decision }) => decision === 'approve');
    const [requesterAccess, approverAccess, resolved] = await Promise.all([
      ask(deployment.requestedBy, deployment.kind === 'rollback' ? 'rollback' : 'deploy'),
      Promise.all(approvers.map(({ person }) => ask(person, 'approve'))),
      deployment.kind === 'rollback' ? null : resolve(service, deployment.version),
    ]);
    if (resolved instanceof PipelineError)
      return refuse(
        'VERSIONS_UNAVAILABLE',
        `It can't be checked what ${deployment.version} points to: ${resolved.message}`,
      );
    const currentDigest = digestOf({ ...deployment, policy: catalog().policyHash(service.name, environment) });
    return evaluateTrigger({ deployment, requesterAccess, approverAccess, resolved, currentDigest });
  };

  // Fails closed: what can't be checked does not run.
  const resolve = (service: Service, version: string) =>
    service.versions.resolve(version).catch((error: unknown) => {
      if (error instanceof PipelineError) return error;
      throw error;
    });

  /** `doubt`: an earlier attempt may have arrived. `since`: when the trouble began, ISO 8601. */
  const start = async (
    deployment: Deployment,
    pipeline: Pipeline,
    { doubt, since }: { doubt: boolean; since: string },
  ): Promise<void> => {
    let run: RunRef;
    try {
      run = await pipeline.trigger({
        key: deployment.runKey,
        service: deployment.service,
        environment: deployment.environment,
        version: deployment.version,
        sha: deployment.sha,
        requestedBy: deployment.requestedBy.name,
      });
    } catch (error) {
      deps.logger.warn('pipeline did not start', { deployment: deployment.id, error });
      const failure = error instanceof PipelineError ? error : null;
      const notTaken = failure?.sent === 'no' && (!doubt || pipeline.capabilities.idempotentTrigger);
      // The time to look for it begins now, however long the call took.
      if (!notTaken) return lookAgain(deployment, doubt ? since : now().toISOString());
      if (failure.retryable && elapsed(since) < TRIGGER_PATIENCE_MS) return tryAgain(deployment, since, doubt);
      await end(deployment, 'failed', failure.code, failure.message);
      return;
    }
    // A store that fails here is the job's failure: it runs again and finds the run by its key.
    await running(deployment, run);
  };

  const elapsed = (since: string) => now().getTime() - Date.parse(since);

  /** It certainly was not taken: without the mark the next attempt is a first one. */
  const tryAgain = async (deployment: Deployment, since: string, doubt: boolean): Promise<void> => {
    if (doubt) return lookAgain(deployment, since);
    await store.transaction(async (tx) => {
      const fence = { from: [deployment.state], revision: deployment.revision };
      const changed = await tx.deployments.change(deployment.id, fence, { triggerStartedAt: null });
      if (changed.kind !== 'changed') return;
      await tx.jobs.send('deploy.trigger', { id: deployment.id, since }, { delayMs: RETRY_MS });
    });
  };

  /** Whether it was taken is not known: the run is looked for by its key; it is never started twice in doubt. */
  const lookAgain = (deployment: Deployment, since: string): Promise<void> =>
    store.transaction((tx) => tx.jobs.send('deploy.trigger', { id: deployment.id, since }, { delayMs: RETRY_MS }));

  const reconcile = async (deployment: Deployment, pipeline: Pipeline, since: string): Promise<void> => {
    let run: RunRef | null = null;
    let looked = false;
    try {
      run = await pipeline.findByKey(deployment.runKey);
      looked = true;
    } catch (error) {
      deps.logger.warn('pipeline could not be asked for a run', { deployment: deployment.id, error });
    }
    if (run) return running(deployment, run);
    const patience = pipeline.capabilities.idempotentTrigger ? TRIGGER_PATIENCE_MS : RECONCILE_MS;
    // However long the bot was away: it looks for so long from its first look on.
    if (elapsed(since) >= patience) await lost(deployment);
    else if (looked && pipeline.capabilities.idempotentTrigger)
      await start(deployment, pipeline, { doubt: true, since });
    else await lookAgain(deployment, since);
  };

  const lost = (deployment: Deployment) =>
    end(
      deployment,
      'attention',
      'PIPELINE_LOST',
      'The pipeline did not say whether it started, and no run with our key is there. Look at the pipeline before anybody deploys again.',
    );

  const running = async (deployment: Deployment, run: RunRef): Promise<void> => {
    await advance(deployment, { state: 'running', run, startedAt: now().toISOString() }, async (tx, changed) => {
      await tx.audit.append(record(changed, 'deploy.start', { outcome: 'done', code: 'OK' }), now());
      await announce(tx, changed, catalog(), 'started');
      await showPrevious(tx, changed);
      await tx.jobs.send('deploy.poll', { id: changed.id });
    });
  };

  const poll = async ({ id }: { id: string }): Promise<void> => {
    const until = now().getTime() + WATCH_MS;
    let deployment = await load(id);
    let shownAt = 0;
    while (deployment?.state === 'running' && deployment.run !== null) {
      const pipeline = catalog().services.get(deployment.service)?.pipeline;
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
      if (outcome === 'ended') return;
      if (outcome.status !== null && (changed(deployment, outcome.status) || now().getTime() - shownAt > REFRESH_MS)) {
        const { stages, tail } = outcome.status;
        deployment = (await advance(deployment, { stages, tail })) ?? (await load(id));
        shownAt = now().getTime();
      }
      if (now().getTime() >= until || deps.stopping.aborted) break;
      await pause(pipeline.pollMs, deps.stopping);
      if (deployment && deps.stopping.aborted) break;
    }
    if (deployment?.state === 'running') await store.transaction((tx) => tx.jobs.send('deploy.poll', { id }));
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
    if (sha !== undefined && sha !== deployment.sha) {
      const message = `The run deployed ${sha.slice(0, 7)}, not the approved ${deployment.sha.slice(0, 7)}.`;
      await end(deployment, 'failed', 'PIPELINE_MISMATCH', message, seen);
      return 'ended';
    }
    if (status.state === 'succeeded') await end(deployment, 'succeeded', 'OK', null, seen);
    else if (status.state === 'cancelled')
      await end(deployment, 'cancelled', 'PIPELINE_FAILED', status.error ?? 'The run was cancelled.', seen);
    else if (status.state === 'failed')
      await end(deployment, 'failed', 'PIPELINE_FAILED', status.error ?? 'The pipeline failed.', seen);
    else return { status };
    return 'ended';
  };

  const expire = async ({ id }: { id: string }): Promise<void> => {
    const deployment = await load(id);
    if (deployment?.state !== 'awaiting_approval' || deployment.approval === null) return;
    const left = Date.parse(deployment.approval.expiresAt) - now().getTime();
    if (left > 0) {
      await store.transaction((tx) => tx.jobs.send('deploy.expire', { id }, { delayMs: left }));
      return;
    }
    await advance(deployment, { state: 'expired', finishedAt: now().toISOString() }, async (tx, changed) => {
      await tx.audit.append(record(changed, 'deploy.expire', { outcome: 'refused', code: 'APPROVAL_EXPIRED' }), now());
      await announce(tx, changed, catalog(), 'ended');
    });
  };

  return { trigger, poll, expire };
}

function changed(deployment: Deployment, status: RunStatus): boolean {
  return JSON.stringify([deployment.stages, deployment.tail]) !== JSON.stringify([status.stages, status.tail]);
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
