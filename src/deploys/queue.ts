import type { AuditRecord } from '../audit/types.ts';
import type { ReasonCode } from '../errors.ts';
import type { Tx } from '../store/types.ts';
import { waitingFor } from './circumstances.ts';
import { announce, show } from './show.ts';
import { type Catalog, type Deployment, SYSTEM } from './types.ts';

/**
 * Says that the environment was let go, or that somebody began to wait for it. A job decides after the commit: whoever
 * lets go and whoever begins to wait at the same moment each send one, and at least one of them sees both.
 */
export async function sendNext(tx: Tx, { environment, service }: Deployment): Promise<void> {
  await tx.jobs.send('deploy.next', { service, environment });
}

/** Gives the environment to the first that waits for it, if nobody holds it. */
export async function giveToNext(tx: Tx, service: string, environment: string, catalog: Catalog): Promise<void> {
  if ((await tx.deployments.holder(service, environment)) !== null) return;
  const [next, ...others] = await waitingFor(tx, service, environment);
  if (!next) return;
  const changed = await tx.deployments.change(next.id, { from: ['waiting'] }, { state: 'queued' });
  if (changed.kind !== 'changed') return;
  await show(tx, changed.deployment, catalog);
  await tx.jobs.send('deploy.trigger', { id: next.id });
  // Everybody behind it has moved up.
  for (const each of others) await show(tx, each, catalog);
}

/** Takes back what does not run yet. False when it was no longer there to be taken back. */
export async function takeBack(
  tx: Tx,
  deployment: Deployment,
  catalog: Catalog,
  why: { code: ReasonCode; message: string; record: Pick<AuditRecord, 'actor' | 'action'> & Partial<AuditRecord> },
  now: Date,
): Promise<Deployment | null> {
  const { code, message, record } = why;
  const changed = await tx.deployments.change(
    deployment.id,
    { from: [deployment.state], revision: deployment.revision },
    { state: 'cancelled', finishedAt: now.toISOString(), problem: { code, message } },
  );
  if (changed.kind !== 'changed') return null;
  const { digest, environment, id, service, version } = changed.deployment;
  await tx.audit.append(
    { outcome: 'done', code, service, environment, version, deployment: id, digest, ...record },
    now,
  );
  await show(tx, changed.deployment, catalog);
  await announce(tx, changed.deployment, catalog, 'ended');
  if (deployment.state === 'queued') await sendNext(tx, deployment);
  if (deployment.state === 'waiting')
    for (const each of await waitingFor(tx, service, environment)) await show(tx, each, catalog);
  return changed.deployment;
}

/** What a newer one makes pointless: older requests that nobody has decided on, or those that wait where only the newest may. */
export async function supersede(
  tx: Tx,
  by: Deployment,
  state: 'awaiting_approval' | 'waiting',
  catalog: Catalog,
  now: Date,
): Promise<void> {
  const { environment, service } = by;
  const found = await tx.deployments.list({ service, environment, states: [state], limit: 100 });
  for (const each of found) {
    if (each.id === by.id || (state === 'awaiting_approval' && Number(each.id) > Number(by.id))) continue;
    // A rollback and a command are no older version of the same wish.
    if (each.kind === 'rollback' || each.kind === 'command' || by.kind === 'command') continue;
    await takeBack(
      tx,
      each,
      catalog,
      {
        code: 'SUPERSEDED',
        message: `#${by.id} (${by.version}) took its place.`,
        record: { actor: SYSTEM, action: 'deploy.supersede', details: { by: by.id } },
      },
      now,
    );
  }
}
