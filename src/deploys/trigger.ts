import type { AccessDecision, AccessRequest } from '../access/types.ts';
import { PipelineError, refuse } from '../errors.ts';
import type { Pipeline, RunRef } from '../pipelines/types.ts';
import type { Tx } from '../store/types.ts';
import { recordOf, type Steps } from './advance.ts';
import { circumstancesOf } from './circumstances.ts';
import type { DeployDeps } from './decisions.ts';
import { digestOf } from './digest.ts';
import { permissionFor, pipelineOf, runsBefore } from './gather.ts';
import { evaluateTrigger } from './policy.ts';
import { announce, showPrevious } from './show.ts';
import type { Deployment, ForeignStart, Service } from './types.ts';

/** A trigger whose outcome is not known is looked for this long, then a person is asked. */
const RECONCILE_MS = 30_000;
/** A pipeline that can't be reached is tried again this long before the deploy fails. */
const TRIGGER_PATIENCE_MS = 60_000;
/** Between two attempts to trigger, or to find a run. */
const RETRY_MS = 2_000;

/**
 * Starts what may start: judged once more, marked, then handed to the pipeline. What is in doubt is looked for by its key,
 * never started twice.
 */
export function createTrigger(
  deps: DeployDeps,
  { advance, end, load }: Steps,
): (data: { id: string; since?: string }) => Promise<void> {
  const { catalog, now, store } = deps;

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
    const approve = {
      permission: deployment.approval?.permission ?? 'approve',
      ...(command ? { command: command.name } : {}),
    } as const;
    const approvers = deployment.votes.filter(({ decision }) => decision === 'approve');
    const bringsOne = deployment.kind === 'deploy' || deployment.kind === 'retry';
    const { foreign } = deployment;
    // What the vendor started is bound to its run: no name of ours points to it.
    const named = bringsOne && foreign === null;
    const [requesterAccess, breakGlassAccess, approverAccess, resolved, before] = await Promise.all([
      foreign !== null && !foreign.known
        ? startedThere(foreign)
        : ask(deployment.requestedBy, permissionFor(deployment)),
      breakGlass === null ? null : ask(deployment.requestedBy, { permission: 'break-glass' }),
      Promise.all(approvers.map(({ person }) => ask(person, approve))),
      named ? resolve(service, deployment.version) : null,
      bringsOne ? runsBefore(deps, service, policy, foreign?.run.id) : null,
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
      resolved: foreign === null ? resolved : { name: version, sha },
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
      run = await begin(deployment, pipeline);
    } catch (error) {
      deps.logger.warn('pipeline did not start', { deployment: deployment.id, error });
      const failure = error instanceof PipelineError ? error : null;
      const notTaken = failure?.sent === 'no' && (!doubt || repeatable(deployment, pipeline));
      // The time to look for it begins now, however long the call took.
      if (!notTaken) return lookAgain(deployment, doubt ? since : now().toISOString());
      if (failure.retryable && elapsed(since) < TRIGGER_PATIENCE_MS) return tryAgain(deployment, since, doubt);
      // An answer that may have arrived lets the run go on, whatever came after.
      if (doubt && deployment.foreign !== null) await lost(deployment);
      else await end(deployment, 'failed', failure.code, failure.message);
      return;
    }
    // A store that fails here is the job's failure: it runs again and finds the run by its key.
    await running(deployment, run);
  };

  /** A new run; or the failed one again; or the one that waits at the vendor, let go on. */
  const begin = async (deployment: Deployment, pipeline: Pipeline): Promise<RunRef> => {
    const { foreign, rerun, votes } = deployment;
    if (foreign !== null) {
      if (!pipeline.answer)
        throw new PipelineError('PIPELINE_REJECTED', `${foreign.vendor} can no longer be answered from here.`);
      const names = votes.filter(({ decision }) => decision === 'approve').map(({ person }) => person.name);
      const by = names.join(', ') || 'the rules: no approval is needed';
      await pipeline.answer(foreign.run, foreign.gate, { approved: true, by });
      return foreign.run;
    }
    if (rerun !== null && pipeline.rerun)
      try {
        return await pipeline.rerun(rerun);
      } catch (error) {
        // Too old, or it went on by other hands: then it is a new run.
        if (!(error instanceof PipelineError) || error.code !== 'PIPELINE_REJECTED') throw error;
        deps.logger.info('a failed run can not go on; a new one is started', { deployment: deployment.id, error });
      }
    return pipeline.trigger({
      key: deployment.runKey,
      service: deployment.service,
      environment: deployment.environment,
      version: deployment.version,
      sha: deployment.sha,
      requestedBy: deployment.requestedBy.name,
      ...(deployment.command === null ? {} : { inputs: deployment.command.inputs }),
    });
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
    // An answer, or a second attempt of the same run, is the same however often it is given.
    if (deployment.foreign !== null) {
      if (elapsed(since) >= TRIGGER_PATIENCE_MS) await lost(deployment);
      else await start(deployment, pipeline, { doubt: true, since });
      return;
    }
    let run: RunRef | null = null;
    let looked = false;
    try {
      run = await pipeline.findByKey(deployment.runKey);
      looked = true;
    } catch (error) {
      deps.logger.warn('pipeline could not be asked for a run', { deployment: deployment.id, error });
    }
    if (run) return running(deployment, run);
    const again = repeatable(deployment, pipeline);
    const patience = again ? TRIGGER_PATIENCE_MS : RECONCILE_MS;
    // However long the bot was away: it looks for so long from its first look on.
    if (elapsed(since) >= patience) await lost(deployment);
    else if (looked && again) await start(deployment, pipeline, { doubt: true, since });
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
      await tx.audit.append(recordOf(changed, 'deploy.start', { outcome: 'done', code: 'OK' }), now());
      await announce(tx, changed, catalog(), 'started');
      await showPrevious(tx, changed);
      await keepOut(tx, changed, now());
      await tx.jobs.send('deploy.poll', { id: changed.id });
    });
  };

  return trigger;
}

/** The vendor let them start it; whether we may let it go on is the other rules' matter. */
function startedThere({ vendor }: ForeignStart): AccessDecision {
  return { allowed: true, code: 'OK', role: vendor };
}

/** What may be done again when it is not known whether it was done. */
function repeatable({ foreign }: Deployment, pipeline: Pipeline): boolean {
  return foreign !== null || pipeline.capabilities.idempotentTrigger;
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
