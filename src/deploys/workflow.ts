import { randomUUID } from 'node:crypto';
import type { AuditRecord } from '../audit/types.ts';
import { type Refusal, refuse } from '../errors.ts';
import type { ReadTx } from '../store/types.ts';
import { createDecisions, type Decisions, type DeployDeps } from './decisions.ts';
import { digestOf } from './digest.ts';
import { find, type Gathered, gather, runningVersion, type Wish } from './gather.ts';
import { busy, evaluateRequest, type RequestDecision } from './policy.ts';
import { show } from './show.ts';
import type { Deployment, DeployView, EnvironmentPolicy } from './types.ts';

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

export interface Deploys extends Decisions {
  plan(wish: Wish): Promise<Plan | Refusal>;
  /** Persists the deployment, its audit entry, its cards and its next job in one transaction; refusals are audited. */
  request(request: DeployRequest): Promise<{ ok: true; deployment: Deployment; duplicate: boolean } | Refusal>;
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
      return { ...refusal, audited: true };
    };
    const gathered = await gather(deps, input);
    if (!gathered.ok) return refused(gathered);

    return store.transaction(async (tx) => {
      const refuseHere = async (refusal: Refusal): Promise<Refusal> => {
        await tx.audit.append(record({ outcome: 'refused', code: refusal.code }), deps.now());
        return { ...refusal, audited: true };
      };
      // A click that comes twice finds its deployment before any rule looks at the environment it holds itself.
      const before = await tx.deployments.byOrigin(input.origin);
      if (before)
        return isSame(before, { ...input, version: gathered.version.name })
          ? { ok: true as const, deployment: before, duplicate: true }
          : refuseHere(
              refuse('ACTION_USED', `This card was used already, for #${before.id}.`, { next: 'Ask for a new one.' }),
            );
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
    ...createDecisions(deps),
    rollbackTarget,
    get: (id) => store.read((tx) => tx.deployments.get(id)),
    view,
  };
}

/** A click that comes twice, not another wish on a card that was used. */
function isSame(before: Deployment, { environment, person, service, version }: DeployRequest): boolean {
  return (
    before.requestedBy.id === person.id &&
    before.service === service &&
    before.environment === environment &&
    before.version === version
  );
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
