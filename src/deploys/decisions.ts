import type { Person } from '../access/types.ts';
import type { AuditRecord } from '../audit/types.ts';
import { type Refusal, refuse } from '../errors.ts';
import type { Tx } from '../store/types.ts';
import { circumstancesOf } from './circumstances.ts';
import { digestOf } from './digest.ts';
import type { GatherDeps } from './gather.ts';
import { sourcesOf } from './machine.ts';
import { alreadyDecided, busy, denied, evaluateVote } from './policy.ts';
import { sendNext, supersede } from './queue.ts';
import type { Circumstances } from './rules.ts';
import { announce, show } from './show.ts';
import type { Deployment, Vote } from './types.ts';

export interface DeployDeps extends GatherDeps {
  now: () => Date;
}

export interface Decide {
  person: Person;
  id: string;
  /** Digest on the card that was clicked. */
  digest: string;
  decision: Vote['decision'];
  reason: string | null;
  conversation: string;
}

/** The deployment after a decision, or why not, with the deployment as it is where there is one. */
export type Decided = { ok: true; deployment: Deployment } | (Refusal & { deployment?: Deployment });

/** What people decide about a deployment that is there. */
export interface Decisions {
  /** Approves or rejects. A refusal for what is decided already comes with the deployment, to show it as it is. */
  decide(input: Decide): Promise<Decided>;
  /** A person looked at a deployment that needs attention: it is over, and the environment is free again. */
  close(input: { person: Person; id: string; reason: string; conversation: string }): Promise<Decided>;
}

export function createDecisions(deps: DeployDeps): Decisions {
  const { catalog, store } = deps;

  const currentDigest = (deployment: Deployment) =>
    digestOf({
      ...deployment,
      policy: catalog().policyHash(deployment.service, deployment.environment, deployment.command?.name),
    });

  const policyOf = ({ environment, service }: Deployment) =>
    catalog()
      .services.get(service)
      ?.environments.find(({ name }) => name === environment);

  /** The rules about the place, at the moment when it would start. The order of environments is asked at the trigger. */
  const moment = async (tx: Tx, deployment: Deployment): Promise<Circumstances | null> => {
    const environment = policyOf(deployment);
    if (!environment) return null;
    const { kind, requestedBy: person, service, sha, version } = deployment;
    const wish = { kind, person, at: deps.now(), zone: catalog().zone };
    return circumstancesOf(tx, wish, { service, environment, version: { name: version, sha } }, undefined);
  };

  const decide: Decisions['decide'] = async (input) => {
    const { decision, id, person } = input;
    const known = await store.read((tx) => tx.deployments.get(id));
    const record = (
      deployment: Deployment | null,
      more: Pick<AuditRecord, 'outcome' | 'code'> & Partial<AuditRecord>,
    ): AuditRecord => ({
      actor: person,
      action: `deploy.${decision}`,
      deployment: id,
      conversation: input.conversation,
      digest: input.digest,
      ...(deployment && {
        service: deployment.service,
        environment: deployment.environment,
        version: deployment.version,
      }),
      ...more,
    });
    if (known === null) {
      const refusal = refuse('DEPLOYMENT_UNKNOWN', `There is no deployment #${id}.`);
      await store.transaction((tx) =>
        tx.audit.append(record(null, { outcome: 'refused', code: refusal.code }), deps.now()),
      );
      return { ...refusal, audited: true };
    }
    const { service, environment } = known;
    // Fresh: a cached answer may colour a card, it may not decide. Outside the transaction, since it is a network call.
    const access = await deps.authoriser.authorise(
      person,
      {
        permission: known.approval?.permission ?? 'approve',
        service,
        environment,
        ...(known.command ? { command: known.command.name } : {}),
      },
      { fresh: true },
    );

    return store
      .transaction(async (tx) => {
        const refused = async (refusal: Refusal, deployment: Deployment) => {
          await tx.audit.append(record(deployment, { outcome: 'refused', code: refusal.code }), deps.now());
          return { ...refusal, audited: true as const, deployment };
        };
        const before = (await tx.deployments.get(id)) ?? known;
        const judge = async (deployment: Deployment) =>
          evaluateVote({
            circumstances: await moment(tx, deployment),
            deployment,
            voter: person,
            access,
            decision,
            cardDigest: input.digest,
            currentDigest: currentDigest(deployment),
            holder: await tx.deployments.holder(service, environment),
            now: deps.now(),
          });
        const first = await judge(before);
        if (!first.ok) return refused(first, before);
        const at = deps.now().toISOString();
        const vote: Vote = { person, decision, at, ...(input.reason === null ? {} : { reason: input.reason }) };
        // Locks the row: from here on nobody else votes, so counting again is exact.
        if (!(await tx.deployments.vote(id, vote)))
          return refused(refuse('ALREADY_VOTED', 'You have decided on this already.'), before);
        const locked = (await tx.deployments.get(id)) ?? before;
        // Decided while this vote waited for the row: it must not stay, or it would count as the one that decided.
        if (locked.state !== 'awaiting_approval') {
          const decided = withoutVote(locked, person.id);
          throw new VoteUndone(alreadyDecided(decided), decided);
        }
        const { start } = first;
        const approvals = locked.votes.filter((each) => each.decision === 'approve').length;
        const state =
          decision === 'reject' ? 'rejected' : approvals >= (locked.approval?.count ?? 1) ? start : 'awaiting_approval';
        const changed = await tx.deployments.change(
          id,
          { from: state === 'awaiting_approval' ? ['awaiting_approval'] : sourcesOf(state) },
          state === 'rejected'
            ? {
                state,
                finishedAt: at,
                problem: input.reason === null ? null : { code: 'APPROVAL_REJECTED', message: input.reason },
              }
            : { state, ...(state === 'waiting' ? { waitingSince: at } : {}) },
        );
        // The vote must not stay behind an approval that did not go through: the whole transaction is given up.
        if (changed.kind === 'busy') throw new VoteUndone(busy(changed.deployment), before);
        if (changed.kind === 'stale') throw new VoteUndone(alreadyDecided(locked), before);
        const { deployment } = changed;
        await tx.audit.append(
          record(deployment, {
            outcome: 'done',
            code: 'OK',
            ...(input.reason === null ? {} : { details: { reason: input.reason } }),
          }),
          deps.now(),
        );
        await show(tx, deployment, catalog());
        if (deployment.state === 'queued') await tx.jobs.send('deploy.trigger', { id });
        if (deployment.state === 'scheduled' && deployment.scheduledFor !== null)
          await tx.jobs.send(
            'deploy.due',
            { id },
            { delayMs: Date.parse(deployment.scheduledFor) - deps.now().getTime() },
          );
        if (deployment.state === 'waiting') {
          if (policyOf(deployment)?.concurrency === 'latest')
            await supersede(tx, deployment, 'waiting', catalog(), deps.now());
          await sendNext(tx, deployment);
        }
        // Approved in the wrong order, older ones would take back what the newer one brought.
        if (deployment.state !== 'awaiting_approval' && deployment.state !== 'rejected')
          await supersede(tx, deployment, 'awaiting_approval', catalog(), deps.now());
        if (deployment.state === 'rejected') await announce(tx, deployment, catalog(), 'ended');
        return { ok: true as const, deployment };
      })
      .catch(async (error: unknown) => {
        if (!(error instanceof VoteUndone)) throw error;
        const { refusal, deployment } = error;
        await store.transaction((tx) =>
          tx.audit.append(record(deployment, { outcome: 'refused', code: refusal.code }), deps.now()),
        );
        return { ...refusal, audited: true as const, deployment };
      });
  };

  const close: Decisions['close'] = async ({ conversation, id, person, reason }) => {
    const known = await store.read((tx) => tx.deployments.get(id));
    if (known === null) return refuse('DEPLOYMENT_UNKNOWN', `There is no deployment #${id}.`);
    const { environment, service, version } = known;
    const access = await deps.authoriser.authorise(
      person,
      { permission: 'cancel', service, environment },
      { fresh: true },
    );
    const record = {
      actor: person,
      action: 'deploy.close',
      deployment: id,
      service,
      environment,
      version,
      conversation,
    };
    return store.transaction(async (tx) => {
      const refused = async (refusal: Refusal) => {
        await tx.audit.append({ ...record, outcome: 'refused', code: refusal.code }, deps.now());
        return { ...refusal, audited: true as const, deployment: known };
      };
      if (!access.allowed) return refused(denied(access));
      const changed = await tx.deployments.change(
        id,
        { from: ['attention'] },
        {
          state: 'failed',
          finishedAt: deps.now().toISOString(),
          problem: { code: 'PIPELINE_LOST', message: `Closed by ${person.name}: ${reason}` },
        },
      );
      if (changed.kind !== 'changed') return refused(refuse('NOT_PENDING', `#${id} does not need a person any more.`));
      await tx.audit.append({ ...record, outcome: 'done', code: 'OK', details: { reason } }, deps.now());
      await show(tx, changed.deployment, catalog());
      await announce(tx, changed.deployment, catalog(), 'ended');
      await sendNext(tx, changed.deployment);
      return { ok: true as const, deployment: changed.deployment };
    });
  };

  return { decide, close };
}

function withoutVote(deployment: Deployment, personId: string): Deployment {
  return { ...deployment, votes: deployment.votes.filter((vote) => vote.person.id !== personId) };
}

class VoteUndone extends Error {
  readonly refusal: Refusal;
  readonly deployment: Deployment;
  constructor(refusal: Refusal, deployment: Deployment) {
    super(refusal.message);
    this.refusal = refusal;
    this.deployment = deployment;
  }
}
