import { createSteps, recordOf } from './advance.ts';
import type { DeployDeps } from './decisions.ts';
import { createFollow } from './follow.ts';
import { announce } from './show.ts';
import { createTrigger } from './trigger.ts';
import type { Deployment } from './types.ts';

export interface DeployJobs {
  trigger(data: { id: string; since?: string }): Promise<void>;
  poll(data: { id: string; once?: true }): Promise<void>;
  expire(data: { id: string }): Promise<void>;
}

/**
 * What happens after a decision, as durable jobs. Each may run more than once: the state and the revision in the
 * store decide what is still to be done. `stopping` ends a watch early; the next start goes on.
 */
export function createDeployJobs(
  deps: DeployDeps & { stopping: AbortSignal; onEnd?: (state: Deployment['state']) => void },
): DeployJobs {
  const { catalog, now, store } = deps;
  const steps = createSteps(deps);
  const { advance, load } = steps;

  const expire = async ({ id }: { id: string }): Promise<void> => {
    const deployment = await load(id);
    if (deployment?.state !== 'awaiting_approval' || deployment.approval === null) return;
    const left = Date.parse(deployment.approval.expiresAt) - now().getTime();
    if (left > 0) {
      await store.transaction((tx) => tx.jobs.send('deploy.expire', { id }, { delayMs: left }));
      return;
    }
    await advance(deployment, { state: 'expired', finishedAt: now().toISOString() }, async (tx, changed) => {
      await tx.audit.append(
        recordOf(changed, 'deploy.expire', { outcome: 'refused', code: 'APPROVAL_EXPIRED' }),
        now(),
      );
      await announce(tx, changed, catalog(), 'ended');
    });
  };

  return { trigger: createTrigger(deps, steps), poll: createFollow(deps, steps), expire };
}
