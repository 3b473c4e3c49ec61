import { randomUUID } from 'node:crypto';
import type { Person } from '../access/types.ts';
import type { AuditRecord } from '../audit/types.ts';
import { type Refusal, refuse } from '../errors.ts';
import type { ReadTx } from '../store/types.ts';
import { digestOf } from './digest.ts';
import { find, type GatherDeps, type Gathered, gather, runningVersion, type Wish } from './gather.ts';
import { sourcesOf } from './machine.ts';
import { alreadyDecided, busy, denied, evaluateRequest, evaluateVote, type RequestDecision } from './policy.ts';
import { announce, show } from './show.ts';
import type { Deployment, DeployView, EnvironmentPolicy, Vote } from './types.ts';

export interface DeployDeps extends GatherDeps {
  now: () => Date;
}

/** What would happen, and whether it may. Nothing is written. */
export interface Plan {
  ok: true;
  gathered: Gathered;
  approval: EnvironmentPolicy['approval'];
}

export interface DeployRequest extends Wish {
  reason: string | null;
  /** One effect per origin: the message's or the card's one-time id. */
  origin: string;
  /** Where its living card is shown, with the thread. */
  conversation: string;
  /** The activity that becomes the living card, when a form or a confirmation was there before. */
  activityId?: string;
  /** The commit on the confirmation that was accepted. */
  confirmedSha?: string;
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

export interface Deploys {
  plan(wish: Wish): Promise<Plan | Refusal>;
  /** Persists the deployment, its audit entry, its cards and its next job in one transaction; refusals are audited. */
  request(request: DeployRequest): Promise<{ ok: true; deployment: Deployment; duplicate: boolean } | Refusal>;
  /** Approves or rejects. A refusal for what is decided already comes with the deployment, to show it as it is. */
  decide(input: Decide): Promise<{ ok: true; deployment: Deployment } | (Refusal & { deployment?: Deployment })>;
  /** A person looked at a deployment that needs attention: it is over, and the environment is free again. */
  close(input: {
    person: Person;
    id: string;
    reason: string;
    conversation: string;
  }): Promise<{ ok: true; deployment: Deployment } | (Refusal & { deployment?: Deployment })>;
  /** Where a rollback of this service and environment would go. */
  rollbackTarget(service: string, environment: string): Promise<{ version: string; sha: string } | Refusal>;
  get(id: string): Promise<Deployment | null>;
  view(deployment: Deployment, audience: DeployView['audience']): Promise<DeployView>;
}

export function createDeploys(deps: DeployDeps): Deploys {
  const { store, catalog } = deps;

  const plan = async (wish: Wish): Promise<Plan | Refusal> => {
    const gathered = await gather(deps, wish);
    if (!gathered.ok) return gathered;
    const decision = await store.read((tx) => evaluate(tx, wish, gathered));
    return decision.ok ? { ok: true, gathered, approval: decision.approval } : decision;
  };

  const evaluate = async (
    tx: ReadTx,
    wish: Wish & { confirmedSha?: string },
    gathered: Gathered,
  ): Promise<RequestDecision> => {
    const { approvalsChannel } = catalog();
    const reference = approvalsChannel === undefined ? null : await tx.references.get(approvalsChannel);
    return evaluateRequest({
      kind: wish.kind,
      service: gathered.service.name,
      environment: gathered.environment,
      version: gathered.version,
      access: gathered.access,
      holder: await tx.deployments.holder(gathered.service.name, gathered.environment.name),
      approvalsReachable: reference !== null && reference.dead === undefined,
      ...(wish.confirmedSha === undefined ? {} : { confirmedSha: wish.confirmedSha }),
    });
  };

  const request = async (input: DeployRequest) => {
    const record = (more: Pick<AuditRecord, 'outcome' | 'code'> & Partial<AuditRecord>): AuditRecord => ({
      actor: input.person,
      action: `${input.kind === 'rollback' ? 'rollback' : 'deploy'}.request`,
      service: input.service,
      environment: input.environment,
      version: input.version,
      conversation: input.conversation,
      ...more,
    });
    const refused = async (refusal: Refusal): Promise<Refusal> => {
      await store.transaction((tx) => tx.audit.append(record({ outcome: 'refused', code: refusal.code }), deps.now()));
      return refusal;
    };
    const gathered = await gather(deps, input);
    if (!gathered.ok) return refused(gathered);

    return store.transaction(async (tx) => {
      const refuseHere = async (refusal: Refusal): Promise<Refusal> => {
        await tx.audit.append(record({ outcome: 'refused', code: refusal.code }), deps.now());
        return refusal;
      };
      // A click that comes twice finds its deployment before any rule looks at the environment it holds itself.
      const before = await tx.deployments.byOrigin(input.origin);
      if (before) return { ok: true as const, deployment: before, duplicate: true };
      const decision = await evaluate(tx, input, gathered);
      if (!decision.ok) return refuseHere(decision);
      const inserted = await tx.deployments.insert(newDeployment(input, gathered, decision.approval));
      if (inserted.kind === 'busy') return refuseHere(busy(inserted.deployment));
      const { deployment } = inserted;
      if (inserted.kind === 'duplicate') return { ok: true as const, deployment, duplicate: true };
      await tx.audit.append(
        record({
          outcome: 'done',
          code: 'OK',
          version: deployment.version,
          deployment: deployment.id,
          digest: deployment.digest,
          details: {
            kind: deployment.kind,
            sha: deployment.sha,
            from: deployment.fromVersion,
            ...(deployment.reason === null ? {} : { reason: deployment.reason }),
            approvals: deployment.approval?.count ?? 0,
          },
        }),
        deps.now(),
      );
      await show(tx, deployment, catalog(), input.activityId);
      if (deployment.approval === null) await tx.jobs.send('deploy.trigger', { id: deployment.id });
      else
        await tx.jobs.send(
          'deploy.expire',
          { id: deployment.id },
          { delayMs: Date.parse(deployment.approval.expiresAt) - deps.now().getTime() },
        );
      return { ok: true as const, deployment, duplicate: false };
    });
  };

  const newDeployment = (input: DeployRequest, gathered: Gathered, approval: EnvironmentPolicy['approval']) => {
    const { service, environment, version, from, comparison } = gathered;
    const now = deps.now();
    const bound = {
      kind: input.kind,
      service: service.name,
      environment: environment.name,
      version: version.name,
      sha: version.sha,
    };
    return {
      ...bound,
      fromVersion: from?.version ?? null,
      fromSha: from?.sha ?? null,
      changes: comparison?.commits ?? [],
      changesTotal: comparison?.total ?? 0,
      reason: input.reason,
      requestedBy: input.person,
      requestedIn: input.conversation,
      origin: input.origin,
      state: approval === null ? ('queued' as const) : ('awaiting_approval' as const),
      digest: digestOf({ ...bound, policy: catalog().policyHash(service.name, environment.name) }),
      approval:
        approval === null
          ? null
          : {
              groups: [...approval.groups],
              count: approval.count,
              expiresAt: new Date(now.getTime() + approval.expiresMs).toISOString(),
            },
      runKey: randomUUID(),
      triggerStartedAt: null,
      run: null,
      stages: [],
      tail: [],
      problem: null,
      createdAt: now.toISOString(),
      startedAt: null,
      finishedAt: null,
    };
  };

  const decide = async (input: Decide) => {
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
      return refusal;
    }
    const { service, environment } = known;
    // Fresh: a cached answer may colour a card, it may not decide. Outside the transaction, since it is a network call.
    const access = await deps.authoriser.authorise(
      person,
      { permission: 'approve', service, environment },
      { fresh: true },
    );

    return store
      .transaction(async (tx) => {
        const refused = async (refusal: Refusal, deployment: Deployment) => {
          await tx.audit.append(record(deployment, { outcome: 'refused', code: refusal.code }), deps.now());
          return { ...refusal, deployment };
        };
        const before = (await tx.deployments.get(id)) ?? known;
        const judge = async (deployment: Deployment) =>
          evaluateVote({
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
        const approvals = locked.votes.filter((each) => each.decision === 'approve').length;
        const state =
          decision === 'reject'
            ? 'rejected'
            : approvals >= (locked.approval?.count ?? 1)
              ? 'queued'
              : 'awaiting_approval';
        const changed = await tx.deployments.change(
          id,
          { from: state === 'awaiting_approval' ? ['awaiting_approval'] : sourcesOf(state) },
          state === 'rejected'
            ? {
                state,
                finishedAt: at,
                problem: input.reason === null ? null : { code: 'APPROVAL_REJECTED', message: input.reason },
              }
            : { state },
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
        if (deployment.state === 'rejected') await announce(tx, deployment, catalog(), 'ended');
        return { ok: true as const, deployment };
      })
      .catch(async (error: unknown) => {
        if (!(error instanceof VoteUndone)) throw error;
        const { refusal, deployment } = error;
        await store.transaction((tx) =>
          tx.audit.append(record(deployment, { outcome: 'refused', code: refusal.code }), deps.now()),
        );
        return { ...refusal, deployment };
      });
  };

  const close: Deploys['close'] = async ({ conversation, id, person, reason }) => {
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
        return { ...refusal, deployment: known };
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
      return { ok: true as const, deployment: changed.deployment };
    });
  };

  const currentDigest = (deployment: Deployment) =>
    digestOf({ ...deployment, policy: catalog().policyHash(deployment.service, deployment.environment) });

  const rollbackTarget = async (serviceName: string, environmentName: string) => {
    const found = find(catalog(), serviceName, environmentName);
    if (!found.ok) return found;
    const running = await runningVersion(deps, found.service, found.environment);
    const target = await store.read((tx) => lastGood(tx, serviceName, environmentName, running?.sha ?? null));
    return (
      target ??
      refuse('NO_ROLLBACK_TARGET', `I know of no earlier good version of ${serviceName} on ${environmentName}.`, {
        next: `Say \`deploy ${serviceName} environment=${environmentName}\` and choose one.`,
      })
    );
  };

  const view = (deployment: Deployment, audience: DeployView['audience']) =>
    store.read(async (tx): Promise<DeployView> => {
      const { environment, service, state } = deployment;
      const recent = await tx.deployments.list({
        service,
        environment,
        states: ['queued', 'running', 'attention', 'succeeded', 'failed', 'cancelled'],
        limit: 10,
      });
      // By when they ran, not by when they were asked for: an older request may be approved later.
      const ranAt = (each: Deployment) => each.startedAt ?? each.createdAt;
      const outdated = recent.some((each) => each.id !== deployment.id && ranAt(each) > ranAt(deployment));
      const back =
        !outdated && (state === 'succeeded' || state === 'failed')
          ? await lastGood(tx, service, environment, deployment.sha)
          : null;
      const current = catalog();
      const policy = current.services.get(service)?.environments.find(({ name }) => name === environment);
      return {
        deployment,
        audience,
        approverGroups: (deployment.approval?.groups ?? []).map((group) => current.groupName(group)),
        rollbackTo: back?.version ?? null,
        outdated,
        production: policy?.production ?? false,
      };
    });

  return {
    plan,
    request,
    decide,
    close,
    rollbackTarget,
    get: (id) => store.read((tx) => tx.deployments.get(id)),
    view,
  };
}

/**
 * The newest version that succeeded there and is not the one that runs. Before our own second deploy nothing of ours did:
 * then it is what ran there when the first one was asked for.
 */
async function lastGood(
  tx: ReadTx,
  service: string,
  environment: string,
  exceptSha: string | null,
): Promise<{ version: string; sha: string } | null> {
  const target = await tx.deployments.rollbackTarget(service, environment, exceptSha);
  if (target) return { version: target.version, sha: target.sha };
  const first = await tx.deployments.lastSucceeded(service, environment);
  if (first?.fromVersion == null || first.fromSha === null || first.kind === 'rollback') return null;
  return first.fromSha === exceptSha ? null : { version: first.fromVersion, sha: first.fromSha };
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
