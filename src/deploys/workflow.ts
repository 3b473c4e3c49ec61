import type { AuditRecord } from '../audit/types.ts';
import { type Refusal, refuse } from '../errors.ts';
import type { ReadTx } from '../store/types.ts';
import { waitingFor } from './circumstances.ts';
import { createDecisions, type Decisions, type DeployDeps } from './decisions.ts';
import { find, type Gathered, gather, pipelineOf, runningVersion, type Wish } from './gather.ts';
import { createInterventions, type Interventions } from './interventions.ts';
import { createLocks, type LockActions } from './locks.ts';
import { createPlacing, type DeployRequest } from './placing.ts';
import { decisionOf, judgeRequest, type RequestDecision } from './policy.ts';
import { type Rehearsal, rehearse } from './rehearse.ts';
import { createReviews, type Reviews } from './reviews.ts';
import type { Finding } from './rules.ts';
import { seen, show } from './show.ts';
import {
  type Catalog,
  type Deployment,
  type DeployView,
  type EnvironmentPolicy,
  HOLDING_STATES,
  PENDING_STATES,
} from './types.ts';

/** What would happen, and whether it may. Nothing is written. */
export interface Plan {
  ok: true;
  gathered: Gathered;
  approval: EnvironmentPolicy['approval'];
  start: 'now' | 'waiting' | 'scheduled';
  /** What every rule said. */
  findings: readonly Finding[];
}

export type { DeployRequest } from './placing.ts';

/** What every rule says to a wish, and what follows. Of the same evaluation that enforces. */
export interface Explanation {
  findings: readonly Finding[];
  decision: RequestDecision;
  /** Null when it did not come so far: no right, or nothing of that name. */
  gathered: Gathered | null;
}

export interface Deploys extends Decisions, Interventions, LockActions, Reviews {
  plan(wish: Wish): Promise<Plan | Refusal>;
  explain(wish: Wish): Promise<Explanation>;
  /** What the pipeline says to it; null where it has no way to say. Nothing runs. */
  rehearse(wish: Wish, gathered: Gathered): Promise<Rehearsal | null>;
  /** Persists the deployment, its audit entry, its cards and its next job in one transaction; refusals are audited. */
  request(request: DeployRequest): Promise<{ ok: true; deployment: Deployment; duplicate: boolean } | Refusal>;
  /** Where a rollback of this service and environment would go. */
  rollbackTarget(service: string, environment: string): Promise<{ version: string; sha: string } | Refusal>;
  get(id: string): Promise<Deployment | null>;
  /** Somebody acted on a card of this deployment: the card is known from now on, and lives. */
  seen(id: string, card: { activityId: string; conversation: string }): Promise<void>;
  view(deployment: Deployment, audience: DeployView['audience']): Promise<DeployView>;
}

export function createDeploys(deps: DeployDeps): Deploys {
  const { store, catalog } = deps;
  const { begin, factsOf, place } = createPlacing(deps);

  const plan = async (wish: Wish): Promise<Plan | Refusal> => {
    const { decision, findings, gathered } = await explain(wish);
    if (!decision.ok) return decision;
    // Whoever was allowed was gathered for.
    if (gathered === null) throw new Error('a decision without facts');
    return { ok: true, gathered, approval: decision.approval, start: decision.start, findings };
  };

  const explain = async (wish: Wish): Promise<Explanation> => {
    const gathered = await gather(deps, wish);
    if (!gathered.ok)
      return {
        // What can't even be looked up is about the version, unless it is about the right.
        findings: [
          {
            rule: gathered.code.startsWith('VERSION') ? 'version' : 'access',
            verdict: 'refuse',
            note: gathered.message,
          },
        ],
        decision: gathered,
        gathered: null,
      };
    const facts = await store.read((tx) => factsOf(tx, wish, gathered));
    const findings = judgeRequest(facts);
    return { findings, decision: decisionOf(findings, facts), gathered };
  };

  const request = async (input: DeployRequest) => {
    const record = (more: Pick<AuditRecord, 'outcome' | 'code'> & Partial<AuditRecord>): AuditRecord => ({
      actor: input.person,
      action: `${input.kind === 'rollback' || input.kind === 'command' ? input.kind : 'deploy'}.request`,
      service: input.service,
      environment: input.environment,
      version: input.version,
      conversation: input.conversation,
      ...(input.command ? { details: { command: input.command.name } } : {}),
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
      const placed = await place(tx, input, gathered);
      if (!placed.ok) return refuseHere(placed);
      const { deployment } = placed;
      if (placed.duplicate) return { ok: true as const, deployment, duplicate: true };
      await tx.audit.append(
        record({
          outcome: 'done',
          code: deployment.breakGlass === null ? 'OK' : 'BREAK_GLASS',
          version: deployment.version,
          deployment: deployment.id,
          digest: deployment.digest,
          details: {
            kind: deployment.kind,
            sha: deployment.sha,
            from: deployment.fromVersion,
            ...(deployment.reason === null ? {} : { reason: deployment.reason }),
            approvals: deployment.approval?.count ?? 0,
            ...(deployment.command === null ? {} : { command: deployment.command }),
            ...(deployment.scheduledFor === null ? {} : { scheduledFor: deployment.scheduledFor }),
            ...(deployment.breakGlass === null
              ? {}
              : { breakGlass: deployment.breakGlass.reason, broken: deployment.breakGlass.broken }),
          },
        }),
        deps.now(),
      );
      await show(tx, deployment, catalog(), input.activityId);
      await begin(tx, deployment, gathered.environment);
      return { ok: true as const, deployment, duplicate: false };
    });
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
        deploysOnly: true,
        limit: 10,
      });
      // By when they ran, not by when they were asked for: an older request may be approved later.
      const ranAt = (each: Deployment) => each.startedAt ?? each.createdAt;
      const outdated = recent.some((each) => ran(each) && each.id !== deployment.id && ranAt(each) > ranAt(deployment));
      const back =
        !outdated && deployment.kind !== 'command' && (state === 'succeeded' || state === 'failed')
          ? await lastGood(tx, service, environment, deployment.sha)
          : null;
      const current = catalog();
      const waiting = state === 'waiting' ? await waitingFor(tx, service, environment) : [];
      const block =
        deployment.kind === 'rollback' && deployment.fromSha !== null
          ? await tx.blocks.get(service, environment, deployment.fromSha)
          : null;
      const policy = current.services.get(service)?.environments.find(({ name }) => name === environment);
      return {
        deployment,
        audience,
        approverGroups: (deployment.approval?.groups ?? []).map((group) => current.groupName(group)),
        rollbackTo: back?.version ?? null,
        outdated,
        production: policy?.production ?? false,
        position: state === 'waiting' ? waiting.findIndex(({ id }) => id === deployment.id) + 1 : null,
        cancellable: cancellable(deployment, current),
        blocked: block && { version: block.version, sha: block.sha },
      };
    });

  return {
    plan,
    explain,
    rehearse: (wish, gathered) => rehearse(deps, wish, gathered),
    request,
    ...createDecisions(deps),
    ...createInterventions(deps),
    ...createLocks(deps),
    ...createReviews(deps),
    rollbackTarget,
    seen: (id, card) => store.transaction((tx) => seen(tx, id, card)),
    get: (id) => store.read((tx) => tx.deployments.get(id)),
    view,
  };
}

/** What was taken back before it ran changed nothing there. */
function ran({ startedAt, state }: Deployment): boolean {
  return startedAt !== null || HOLDING_STATES.includes(state);
}

/** Whether anything is left to stop or to take back. */
function cancellable(deployment: Deployment, catalog: Catalog): boolean {
  const { cancel, service, state, triggerStartedAt } = deployment;
  if (PENDING_STATES.includes(state)) return true;
  if (state === 'queued') return triggerStartedAt === null;
  return (
    state === 'running' && cancel === null && pipelineOf(catalog, service, deployment)?.capabilities.cancel === true
  );
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
