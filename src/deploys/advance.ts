import type { AuditRecord } from '../audit/types.ts';
import type { ReasonCode } from '../errors.ts';
import type { DeploymentPatch, Tx } from '../store/types.ts';
import type { DeployDeps } from './decisions.ts';
import { sourcesOf } from './machine.ts';
import { sendNext } from './queue.ts';
import { announce, show } from './show.ts';
import { type Deployment, FINAL_STATES, SYSTEM } from './types.ts';
import { watchMs } from './watch.ts';

/** A change that lost against somebody else's is tried again so often, when nothing that matters changed. */
const RETRIES = 5;

/** How jobs move a deployment on: fenced, with its cards, its audit entry and its next job in one transaction. */
export interface Steps {
  load(id: string): Promise<Deployment | null>;
  /** The fenced change with everything that goes with it; null when somebody else was there first. */
  advance(
    deployment: Deployment,
    patch: DeploymentPatch,
    extra?: (tx: Tx, changed: Deployment) => Promise<void>,
  ): Promise<Deployment | null>;
  end(
    deployment: Deployment,
    state: 'failed' | 'blocked' | 'attention' | 'succeeded' | 'cancelled',
    code: ReasonCode,
    message: string | null,
    patch?: DeploymentPatch,
  ): Promise<Deployment | null>;
}

/** An audit entry of the bot itself about a deployment. */
export function recordOf(
  deployment: Deployment,
  action: string,
  more: Pick<AuditRecord, 'outcome' | 'code'> & Partial<AuditRecord>,
): AuditRecord {
  return {
    actor: SYSTEM,
    action,
    service: deployment.service,
    environment: deployment.environment,
    version: deployment.version,
    deployment: deployment.id,
    digest: deployment.digest,
    ...(deployment.run === null ? {} : { run: deployment.run.id }),
    ...more,
  };
}

export function createSteps(deps: DeployDeps & { onEnd?: (state: Deployment['state']) => void }): Steps {
  const { catalog, now, store } = deps;

  const load = (id: string) => store.read((tx) => tx.deployments.get(id));

  const advance: Steps['advance'] = (deployment, patch, extra = async () => {}) =>
    step(deployment, patch, extra, RETRIES);

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

  const end: Steps['end'] = async (deployment, state, code, message, patch = {}) => {
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
          recordOf(changed, 'deploy.end', {
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

  return { load, advance, end };
}
