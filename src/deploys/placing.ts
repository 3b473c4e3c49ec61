import { randomUUID } from 'node:crypto';
import type { Refusal } from '../errors.ts';
import type { RunRef } from '../pipelines/types.ts';
import type { ReadTx, Tx } from '../store/types.ts';
import { circumstancesOf, waitingFor } from './circumstances.ts';
import type { DeployDeps } from './decisions.ts';
import { digestOf } from './digest.ts';
import { approvalFor, type Gathered, type Wish } from './gather.ts';
import { decisionOf, judgeRequest, type RequestDecision, type RequestFacts } from './policy.ts';
import { sendNext, supersede } from './queue.ts';
import { glassBroken } from './reviews.ts';
import type { Deployment, EnvironmentPolicy, ForeignStart } from './types.ts';

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
  /** The failed run that a retry goes on from, and the commit that it was about. */
  rerun?: { run: RunRef; sha: string };
  /** It began at the vendor. */
  foreign?: ForeignStart;
}

/** Where nothing says so. */
const DEFAULT_REMIND_MS = 30 * 60_000;

/** How a wish becomes a deployment: what the rules are asked, the row, and its first job. */
export function createPlacing(deps: DeployDeps) {
  const { catalog } = deps;

  const factsOf = async (
    tx: ReadTx,
    wish: Wish & { confirmedSha?: string },
    gathered: Gathered,
  ): Promise<RequestFacts> => {
    const { approvalsChannel, groupName, whoMay, zone } = catalog();
    const { access, approval, before, breakGlassAccess, environment, service, version } = gathered;
    const reference = approvalsChannel === undefined ? null : await tx.references.get(approvalsChannel);
    const at = wish.scheduledFor === undefined ? deps.now() : new Date(wish.scheduledFor);
    const place = { service: service.name, environment, version };
    const circumstances = await circumstancesOf(tx, { kind: wish.kind, person: wish.person, at, zone }, place, before);
    return {
      ...circumstances,
      version,
      access,
      holder: await tx.deployments.holder(service.name, environment.name),
      waiting: (await waitingFor(tx, service.name, environment.name)).length,
      approvalsReachable: reference !== null && reference.dead === undefined,
      approval,
      breakGlass: breakGlassAccess === null ? null : { access: breakGlassAccess, reason: wish.breakGlass ?? '' },
      scheduled: wish.scheduledFor !== undefined,
      approvers: (approval?.groups ?? []).map((group) => groupName(group)),
      breakers: whoMay('break-glass', service.name, environment.name),
      ...(wish.confirmedSha === undefined ? {} : { confirmedSha: wish.confirmedSha }),
    };
  };

  /** Judges and inserts. Somebody else may take the environment between the two: then it is judged again, with them there. */
  const place = async (
    tx: Tx,
    input: DeployRequest,
    gathered: Gathered,
  ): Promise<{ ok: true; deployment: Deployment; duplicate: boolean } | Refusal> => {
    for (;;) {
      const facts = await factsOf(tx, input, gathered);
      const decision = decisionOf(judgeRequest(facts), facts);
      if (!decision.ok) return decision;
      const inserted = await tx.deployments.insert(newDeployment(input, gathered, decision));
      if (inserted.kind === 'busy') continue;
      return { ok: true, deployment: inserted.deployment, duplicate: inserted.kind === 'duplicate' };
    }
  };

  /** Sends the first job of a new deployment, and does what its coming means for others. */
  const begin = async (tx: Tx, deployment: Deployment, environment: EnvironmentPolicy): Promise<void> => {
    const { approval, id, state } = deployment;
    const now = deps.now();
    if (state === 'awaiting_approval' && approval !== null) {
      const left = Date.parse(approval.expiresAt) - now.getTime();
      await tx.jobs.send('deploy.expire', { id }, { delayMs: left });
      // A command, and a run that began elsewhere, may have an approval of their own.
      const policy = approvalFor(catalog(), deployment, environment) ?? environment.approval;
      const remindMs = left - (policy?.remindMs ?? DEFAULT_REMIND_MS);
      if (remindMs > 0 && remindMs < left) await tx.jobs.send('deploy.remind', { id }, { delayMs: remindMs });
    }
    if (state === 'queued') await tx.jobs.send('deploy.trigger', { id });
    if (state === 'waiting') {
      if (environment.concurrency === 'latest') await supersede(tx, deployment, 'waiting', catalog(), now);
      await sendNext(tx, deployment);
    }
    if (state === 'scheduled' && deployment.scheduledFor !== null)
      await tx.jobs.send('deploy.due', { id }, { delayMs: Date.parse(deployment.scheduledFor) - now.getTime() });
    if (deployment.breakGlass !== null) {
      await glassBroken(tx, deployment, catalog());
      // Approved afterwards, an older request would take the hotfix back.
      await supersede(tx, deployment, 'awaiting_approval', catalog(), now);
    }
  };

  const newDeployment = (
    input: DeployRequest,
    gathered: Gathered,
    { approval, broken, start }: Extract<RequestDecision, { ok: true }>,
  ) => {
    const { service, environment, version, from, comparison } = gathered;
    const now = deps.now();
    const scheduledFor = input.scheduledFor ?? null;
    const bound = {
      kind: input.kind,
      service: service.name,
      environment: environment.name,
      version: version.name,
      sha: version.sha,
      command: input.command ?? null,
      scheduledFor,
    };
    const expiresAt = now.getTime() + (approval?.expiresMs ?? 0);
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
      state: approval !== null ? ('awaiting_approval' as const) : start === 'now' ? ('queued' as const) : start,
      digest: digestOf({ ...bound, policy: catalog().policyHash(service.name, environment.name, input.command?.name) }),
      approval:
        approval === null
          ? null
          : {
              groups: [...approval.groups],
              count: approval.count,
              // What is not approved by the time it was to start does not start.
              expiresAt: new Date(
                scheduledFor === null ? expiresAt : Math.min(expiresAt, Date.parse(scheduledFor)),
              ).toISOString(),
              own: approval.own,
              ...(approval.permission === undefined ? {} : { permission: approval.permission }),
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
      waitingSince: approval === null && start === 'waiting' ? now.toISOString() : null,
      cancel: null,
      gate: null,
      breakGlass:
        input.breakGlass === undefined ? null : { reason: input.breakGlass, broken, reminders: 0, review: null },
      watch: null,
      foreign: input.foreign ?? null,
      // The same name may point elsewhere now: that is another run.
      rerun: input.rerun?.sha === version.sha ? input.rerun.run : null,
    };
  };

  return { factsOf, place, newDeployment, begin };
}
