import { ShipmateError } from '../errors.ts';
import type { DeployDeps } from './decisions.ts';
import { pipelineOf } from './gather.ts';
import { busy } from './policy.ts';
import { giveToNext, sendNext, supersede } from './queue.ts';
import { announce, nameOf, show, tell } from './show.ts';
import { type Deployment, FINAL_STATES, type ForeignStart, SYSTEM } from './types.ts';

/** Durable jobs about what waits: for its time, for its turn, for a decision. Each may run more than once. */
export interface LaterJobs {
  due(data: { id: string }): Promise<void>;
  next(data: { service: string; environment: string }): Promise<void>;
  remind(data: { id: string }): Promise<void>;
  cancel(data: { id: string }): Promise<void>;
  answer(data: { id: string }): Promise<void>;
}

export function createLaterJobs(deps: DeployDeps): LaterJobs {
  const { catalog, now, store } = deps;
  const load = (id: string) => store.read((tx) => tx.deployments.get(id));

  return {
    async due({ id }) {
      const deployment = await load(id);
      if (deployment?.state !== 'scheduled' || deployment.scheduledFor === null) return;
      const left = Date.parse(deployment.scheduledFor) - now().getTime();
      if (left > 0) {
        // Another replica's clock is ahead of ours, or this one was woken early.
        await store.transaction((tx) => tx.jobs.send('deploy.due', { id }, { delayMs: left }));
        return;
      }
      const { environment, service } = deployment;
      const policy = catalog()
        .services.get(service)
        ?.environments.find(({ name }) => name === environment);
      await store.transaction(async (tx) => {
        const fence = { from: ['scheduled'] as const, revision: deployment.revision };
        const holder = await tx.deployments.holder(service, environment);
        const waits = holder !== null && policy?.concurrency !== 'reject';
        const at = now().toISOString();
        let changed = await tx.deployments.change(
          id,
          fence,
          holder === null
            ? { state: 'queued' }
            : waits
              ? { state: 'waiting', waitingSince: at }
              : blockedBy(holder, at),
        );
        if (changed.kind === 'busy')
          changed = await tx.deployments.change(
            id,
            fence,
            policy?.concurrency === 'reject'
              ? blockedBy(changed.deployment, at)
              : { state: 'waiting', waitingSince: at },
          );
        if (changed.kind !== 'changed') return;
        const due = changed.deployment;
        await show(tx, due, catalog());
        if (due.state === 'queued') await tx.jobs.send('deploy.trigger', { id });
        if (due.state === 'waiting') {
          if (policy?.concurrency === 'latest') await supersede(tx, due, 'waiting', catalog(), now());
          await sendNext(tx, due);
        }
        const { digest, version } = due;
        const blocked = due.state === 'blocked';
        await tx.audit.append(
          {
            actor: SYSTEM,
            action: 'deploy.due',
            outcome: blocked ? 'refused' : 'done',
            code: blocked ? 'ENV_BUSY' : 'OK',
            service,
            environment,
            version,
            deployment: id,
            digest,
          },
          now(),
        );
        if (blocked) await announce(tx, due, catalog(), 'ended');
      });
    },

    next: ({ environment, service }) => store.transaction((tx) => giveToNext(tx, service, environment, catalog())),

    async remind({ id }) {
      const deployment = await load(id);
      if (deployment?.state !== 'awaiting_approval' || deployment.approval === null) return;
      const minutes = Math.round((Date.parse(deployment.approval.expiresAt) - now().getTime()) / 60_000);
      const { approvalsChannel } = catalog();
      if (minutes < 0 || approvalsChannel === undefined) return;
      const left = minutes < 1 ? 'in less than a minute' : `in ${minutes} min`;
      await store.transaction((tx) =>
        tell(
          tx,
          `deploy:${id}:remind`,
          approvalsChannel,
          `${nameOf(deployment)} (#${id}) still waits for approval, and expires ${left}.`,
          `deploy:${id}:approvals`,
        ),
      );
    },

    async cancel({ id }) {
      const deployment = await load(id);
      if (deployment?.state !== 'running' || deployment.run === null) return;
      // The run ends by itself or by this; whoever watches it sees which.
      await pipelineOf(catalog(), deployment.service, deployment)?.cancel(deployment.run);
    },

    async answer({ id }) {
      const deployment = await load(id);
      if (deployment?.foreign && deployment.startedAt === null && FINAL_STATES.includes(deployment.state))
        return turnAway(deployment, deployment.foreign);
      const gate = deployment?.gate ?? null;
      if (deployment?.state !== 'running' || deployment.run === null || gate === null || gate.answer === null) return;
      const { approved, person } = gate.answer;
      try {
        await pipelineOf(catalog(), deployment.service, deployment)?.answer?.(deployment.run, gate.id, {
          approved,
          by: person.name,
        });
      } catch (error) {
        if (!(error instanceof ShipmateError) || error.retryable) throw error;
        deps.logger.warn('a gate did not take the answer', { deployment: id, gate: gate.id, error });
      }
    },
  };

  /** A run that waits at the vendor and may not go on is told so there, with who decided or which rule. */
  async function turnAway(deployment: Deployment, { gate, run }: ForeignStart): Promise<void> {
    const { problem, state, votes } = deployment;
    const rejected = state === 'rejected' ? votes.findLast(({ decision }) => decision === 'reject') : undefined;
    const by = rejected?.person.name ?? (state === 'expired' ? 'nobody: it expired' : (problem?.message ?? 'Shipmate'));
    try {
      await pipelineOf(catalog(), deployment.service, deployment)?.answer?.(run, gate, { approved: false, by });
    } catch (error) {
      if (!(error instanceof ShipmateError) || error.retryable) throw error;
      // Somebody answered it there meanwhile.
      deps.logger.warn('a run that waits at the vendor did not take the answer', { deployment: deployment.id, error });
    }
  }

  function blockedBy(holder: Parameters<typeof busy>[0], at: string) {
    const { code, message } = busy(holder);
    return { state: 'blocked' as const, finishedAt: at, problem: { code, message } };
  }
}
