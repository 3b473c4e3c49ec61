import type { HealthProbe } from '../monitoring/types.ts';
import type { DeployDeps } from './decisions.ts';
import { announce, show } from './show.ts';
import { type Catalog, type Deployment, SYSTEM, type WatchPolicy, type WatchState } from './types.ts';

const AGAIN_MS = 5_000;

function policyOf(catalog: Catalog, { environment, service }: Deployment): WatchPolicy | null {
  const found = catalog.services.get(service)?.environments.find(({ name }) => name === environment);
  return found?.watch ?? null;
}

/** How the watch begins when a deployment has succeeded; null where nothing is watched. */
export function watchOf(deployment: Deployment, catalog: Catalog, now: Date): WatchState | null {
  const policy = deployment.kind === 'command' ? null : policyOf(catalog, deployment);
  if (policy === null) return null;
  return { state: 'watching', until: new Date(now.getTime() + policy.forMs).toISOString(), failures: 0, problem: null };
}

/** The first look is soon: what is broken from the start is seen at once. */
export function watchMs({ watch }: Deployment): number {
  return watch === null ? 0 : 1_000;
}

/**
 * One look after a deployment succeeded, as a durable job that comes again. So many bad ones in a row make it unhealthy:
 * its card offers the rollback. A newer deployment in the same place ends the watch.
 */
export async function watch(deps: DeployDeps & { health: HealthProbe }, id: string): Promise<void> {
  const { catalog, now, store } = deps;
  const deployment = await store.read((tx) => tx.deployments.get(id));
  if (deployment?.state !== 'succeeded' || deployment.watch?.state !== 'watching') return;
  const policy = policyOf(catalog(), deployment);
  const { environment, service } = deployment;
  const holder = await store.read((tx) => tx.deployments.holder(service, environment));
  const last = await store.read((tx) => tx.deployments.lastSucceeded(service, environment));
  if (policy === null || (holder !== null && holder.kind !== 'command') || last?.id !== id)
    return finish(deps, deployment, null);
  const problem = await deps.health.check(policy.check);
  const failures = problem === null ? 0 : deployment.watch.failures + 1;
  const next: WatchState = { ...deployment.watch, failures, problem: problem?.slice(0, 300) ?? null };
  if (failures >= policy.failures) return finish(deps, deployment, { ...next, state: 'unhealthy' });
  const over = Date.parse(deployment.watch.until) <= now().getTime();
  // One that is bad at the very end is looked at until it is known to be good or bad.
  if (over && failures === 0) return finish(deps, deployment, { ...next, state: 'healthy' });
  await store.transaction(async (tx) => {
    const changed = await tx.deployments.change(
      id,
      { from: ['succeeded'], revision: deployment.revision },
      { watch: next },
    );
    const seen = (deployment.watch?.failures ?? 0) !== failures;
    if (changed.kind === 'changed' && seen) await show(tx, changed.deployment, catalog());
    // Somebody changed it at the same moment: it is looked at again.
    await tx.jobs.send('deploy.watch', { id }, { delayMs: changed.kind === 'changed' ? policy.everyMs : AGAIN_MS });
  });
}

async function finish(deps: DeployDeps, deployment: Deployment, outcome: WatchState | null): Promise<void> {
  const { catalog, now, store } = deps;
  const { digest, environment, id, service, version } = deployment;
  await store.transaction(async (tx) => {
    const changed = await tx.deployments.change(
      id,
      { from: ['succeeded'], revision: deployment.revision },
      { watch: outcome },
    );
    if (changed.kind !== 'changed') {
      await tx.jobs.send('deploy.watch', { id }, { delayMs: AGAIN_MS });
      return;
    }
    await show(tx, changed.deployment, catalog());
    if (outcome === null) return;
    const bad = outcome.state === 'unhealthy';
    await tx.audit.append(
      {
        actor: SYSTEM,
        action: 'deploy.watch',
        outcome: bad ? 'failed' : 'done',
        code: bad ? 'UNHEALTHY' : 'HEALTHY',
        service,
        environment,
        version,
        deployment: id,
        digest,
        ...(outcome.problem === null ? {} : { details: { problem: outcome.problem } }),
      },
      now(),
    );
    if (bad) await announce(tx, changed.deployment, catalog(), 'unhealthy');
  });
}
