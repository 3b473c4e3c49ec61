import type { AccessDecision, AccessRequest } from '../access/types.ts';
import type { AuditRecord } from '../audit/types.ts';
import { PipelineError, type ReasonCode, refuse, ShipmateError } from '../errors.ts';
import type { Pipeline, RunRef, RunStatus } from '../pipelines/types.ts';
import type { DeploymentPatch, Tx } from '../store/types.ts';
import { circumstancesOf } from './circumstances.ts';
import type { DeployDeps } from './decisions.ts';
import { digestOf } from './digest.ts';
import { permissionFor, pipelineOf, runsBefore } from './gather.ts';
import { sourcesOf } from './machine.ts';
import { evaluateTrigger } from './policy.ts';
import { sendNext } from './queue.ts';
import { announce, nameOf, show, showPrevious, tell } from './show.ts';
import { type Deployment, FINAL_STATES, type GateState, type Service } from './types.ts';
import { watchMs, watchOf } from './watch.ts';

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

/** A change that lost against somebody else's is tried again so often, when nothing that matters changed. */
const RETRIES = 5;

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
  ): Promise<Deployment | null> => step(deployment, patch, extra, RETRIES);

  const step = async (
    deployment: Deployment,
    patch: DeploymentPatch,
    extra: (tx: Tx, changed: Deployment) => Promise<void>,
    retries: number,
  ): Promise<Deployment | null> => {
    const advanced = await store.transaction(async (tx) => {
      const from =
        patch.state === undefined || patch.state === deployment.state ? [deployment.state] : sourcesOf(patch.state);
      const result = await tx.deployments.change(deployment.id, { from, revision: deployment.revision }, patch);
      if (result.kind !== 'changed') return null;
      await show(tx, result.deployment, catalog());
      await extra(tx, result.deployment);
      if (FINAL_STATES.includes(result.deployment.state)) await sendNext(tx, result.deployment);
      return result.deployment;
    });
    if (advanced !== null || retries === 0) return advanced;
    // What people do beside it (ask to cancel, review) moves the revision and nothing that matters here.
    const current = await load(deployment.id);
    const same =
      current !== null &&
      current.state === deployment.state &&
      current.triggerStartedAt === deployment.triggerStartedAt &&
      current.run?.id === deployment.run?.id;
    return same && current.revision !== deployment.revision ? step(current, patch, extra, retries - 1) : null;
  };

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
        if (changed.watch !== null)
          await tx.jobs.send('deploy.watch', { id: changed.id }, { delayMs: watchMs(changed) });
      },
    );
    if (ended) deps.onEnd?.(ended.state);
    return ended;
  };

  const trigger = async ({ id, since = now().toISOString() }: { id: string; since?: string }): Promise<void> => {
    const deployment = await load(id);
    if (deployment?.state !== 'queued') return;
    const service = catalog().services.get(deployment.service);
    const pipeline = pipelineOf(catalog(), deployment.service, deployment);
    if (!service || !pipeline) {
      await end(
        deployment,
        'blocked',
        'SERVICE_UNKNOWN',
        `${deployment.command?.name ?? deployment.service} is no longer in the configuration.`,
      );
      return;
    }
    if (deployment.triggerStartedAt !== null) return reconcile(deployment, pipeline, since);
    const verdict = await judge(deployment, service);
    if (!verdict.ok) {
      await end(deployment, 'blocked', verdict.code, verdict.message);
      return;
    }
    // The mark is written before the call: whoever comes after a crash knows that a run may be there.
    const marked = await advance(deployment, { triggerStartedAt: now().toISOString() });
    if (marked) await start(marked, pipeline, { doubt: false, since });
  };

  /** Asked again, fresh, just before the trigger: people leave groups, tags move, rules change. */
  const judge = async (deployment: Deployment, service: Service) => {
    const { breakGlass, command, environment } = deployment;
    const policy = service.environments.find(({ name }) => name === environment);
    if (!policy) return refuse('ENVIRONMENT_UNKNOWN', `${service.name} has no environment "${environment}" any more.`);
    const ask = (
      person: Deployment['requestedBy'],
      request: Pick<AccessRequest, 'permission' | 'command'>,
    ): Promise<AccessDecision> =>
      deps.authoriser.authorise(person, { ...request, service: service.name, environment }, { fresh: true });
    const approve = { permission: 'approve', ...(command ? { command: command.name } : {}) } as const;
    const approvers = deployment.votes.filter(({ decision }) => decision === 'approve');
    const bringsOne = deployment.kind === 'deploy' || deployment.kind === 'retry';
    const [requesterAccess, breakGlassAccess, approverAccess, resolved, before] = await Promise.all([
      ask(deployment.requestedBy, permissionFor(deployment)),
      breakGlass === null ? null : ask(deployment.requestedBy, { permission: 'break-glass' }),
      Promise.all(approvers.map(({ person }) => ask(person, approve))),
      bringsOne ? resolve(service, deployment.version) : null,
      bringsOne ? runsBefore(deps, service, policy) : null,
    ]);
    if (resolved instanceof PipelineError)
      return refuse(
        'VERSIONS_UNAVAILABLE',
        `It can't be checked what ${deployment.version} points to: ${resolved.message}`,
      );
    const currentDigest = digestOf({
      ...deployment,
      policy: catalog().policyHash(service.name, environment, command?.name),
    });
    const { kind, requestedBy: person, sha, version } = deployment;
    const circumstances = await store.read((tx) =>
      circumstancesOf(
        tx,
        { kind, person, at: now(), zone: catalog().zone },
        { service: service.name, environment: policy, version: { name: version, sha } },
        before ?? undefined,
      ),
    );
    return evaluateTrigger({
      deployment,
      requesterAccess,
      approverAccess,
      resolved,
      currentDigest,
      circumstances,
      breakGlassAccess,
    });
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
        ...(deployment.command === null ? {} : { inputs: deployment.command.inputs }),
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
      await keepOut(tx, changed, now());
      await tx.jobs.send('deploy.poll', { id: changed.id });
    });
  };

  const poll = async ({ id }: { id: string }): Promise<void> => {
    const until = now().getTime() + WATCH_MS;
    let deployment = await load(id);
    let shownAt = 0;
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
        const seen = asks ? { stages, tail, gate } : { stages, tail };
        deployment =
          (await advance(deployment, seen, async (tx, each) => {
            if (asks) await askAtGate(tx, each, gate.question);
          })) ?? (await load(id));
        shownAt = now().getTime();
      }
      if (now().getTime() >= until || deps.stopping.aborted) break;
      await pause(pipeline.pollMs, deps.stopping);
      if (deployment && deps.stopping.aborted) break;
    }
    if (deployment?.state === 'running') await store.transaction((tx) => tx.jobs.send('deploy.poll', { id }));
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
    if (sha !== undefined && deployment.kind !== 'command' && sha !== deployment.sha) {
      const message = `The run deployed ${sha.slice(0, 7)}, not the approved ${deployment.sha.slice(0, 7)}.`;
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

/** What somebody goes back from stays out, from the moment that it is taken away, until somebody lifts that. */
async function keepOut(tx: Tx, deployment: Deployment, at: Date): Promise<void> {
  const { environment, fromSha, fromVersion, id, kind, requestedBy, service, sha } = deployment;
  if (kind !== 'rollback' || fromSha === null || fromSha === sha) return;
  const version = fromVersion ?? fromSha.slice(0, 7);
  await tx.blocks.add({
    service,
    environment,
    sha: fromSha,
    version,
    person: requestedBy,
    deployment: id,
    at: at.toISOString(),
  });
}

function changed(deployment: Deployment, status: RunStatus): boolean {
  const asks = gateOf(deployment, status);
  return (
    (asks !== null && asks.id !== deployment.gate?.id) ||
    JSON.stringify([deployment.stages, deployment.tail]) !== JSON.stringify([status.stages, status.tail])
  );
}

/** What the run asks a person now, as the deployment keeps it. */
function gateOf({ gate }: Deployment, status: RunStatus): GateState | null {
  if (status.gate === undefined || status.gate.id === gate?.id) return null;
  return { id: status.gate.id, question: status.gate.question.slice(0, 300), answer: null };
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
