import type { AccessDecision, Person } from '../access/types.ts';
import { type Refusal, refuse } from '../errors.ts';
import type { Version } from '../pipelines/types.ts';
import type { Deployment, EnvironmentPolicy } from './types.ts';

/**
 * The rules of a deploy as pure functions: facts in, a decision out. I/O happens outside, so that enforcement,
 * explanation and tests ask the very same question.
 */

export interface RequestFacts {
  kind: Deployment['kind'];
  service: string;
  environment: EnvironmentPolicy;
  version: Version;
  /** May this person deploy (or roll back) here? */
  access: AccessDecision;
  /** Who holds the environment now. */
  holder: Deployment | null;
  /** The bot can post to the approvals channel. */
  approvalsReachable: boolean;
  /** The commit that was confirmed, when there was a confirmation. */
  confirmedSha?: string;
}

export type RequestDecision = { ok: true; approval: EnvironmentPolicy['approval'] } | Refusal;

export function denied(access: Extract<AccessDecision, { allowed: false }>): Refusal {
  const next =
    access.code === 'DIRECTORY_UNAVAILABLE'
      ? 'Try again in a minute. If it stays, tell whoever runs Shipmate.'
      : access.groups.length > 0
        ? `Ask somebody in ${access.groups.join(' or ')}, or ask to join.`
        : 'Ask whoever runs Shipmate who may do this.';
  return refuse(access.code, access.message, { next });
}

/** May this be requested, and does it need an approval? */
export function evaluateRequest(facts: RequestFacts): RequestDecision {
  const { access, environment, holder, kind, service, version } = facts;
  if (!access.allowed) return denied(access);
  if (facts.confirmedSha !== undefined && facts.confirmedSha !== version.sha)
    return refuse(
      'VERSION_MOVED',
      `${version.name} now points to ${version.sha.slice(0, 7)}; you confirmed ${facts.confirmedSha.slice(0, 7)}.`,
      { next: 'Find out who moved the tag, then ask for the deploy again.' },
    );
  if (holder !== null) return busy(holder);
  // A rollback brings back what succeeded there: it needs no second approval by default, because minutes count.
  const approval = kind === 'rollback' ? null : environment.approval;
  if (approval === null) return { ok: true, approval };
  if (approval.groups.length === 0 || approval.count < 1)
    return refuse(
      'APPROVERS_EMPTY',
      `Nobody can approve a deploy of ${service} to ${environment.name}: the list is empty.`,
      {
        next: 'Ask whoever runs Shipmate to name approvers in its configuration.',
      },
    );
  if (!facts.approvalsReachable)
    return refuse('CHANNEL_UNKNOWN', 'I do not know the approvals channel yet, so nobody would see the request.', {
      next: 'Add the bot to the approvals channel and mention it there once, then ask again.',
    });
  return { ok: true, approval };
}

export function busy(holder: Deployment): Refusal {
  return refuse(
    'ENV_BUSY',
    `${holder.environment} of ${holder.service} is busy: ${holder.requestedBy.name} is deploying ${holder.version} (#${holder.id}).`,
    {
      next:
        holder.state === 'attention'
          ? 'That one needs a person to look at it first.'
          : 'Wait until it ends, then ask again.',
    },
  );
}

export interface VoteFacts {
  deployment: Deployment;
  voter: Person;
  /** Asked fresh, never from a cache. */
  access: AccessDecision;
  decision: 'approve' | 'reject';
  /** Digest on the card that was clicked. */
  cardDigest: string;
  /** Digest by today's policy; differs when the rules changed since the request. */
  currentDigest: string;
  holder: Deployment | null;
  now: Date;
}

export type VoteDecision = { ok: true; complete: boolean } | Refusal;

/** May this person's decision count, and is the deploy decided with it? */
export function evaluateVote(facts: VoteFacts): VoteDecision {
  const { access, deployment, voter } = facts;
  const { approval } = deployment;
  // First of all: what became of it is shown to approvers only.
  if (!access.allowed) return denied(access);
  if (deployment.state !== 'awaiting_approval' || approval === null) return alreadyDecided(deployment);
  if (voter.id === deployment.requestedBy.id)
    return refuse('OWN_DEPLOY', 'You asked for this deploy, so somebody else has to decide on it.', {
      next: 'Ask another approver to look at the card.',
    });
  if (Date.parse(approval.expiresAt) <= facts.now.getTime())
    return refuse('APPROVAL_EXPIRED', `The request #${deployment.id} is too old to be decided.`, {
      next: 'Ask for the deploy again.',
    });
  if (facts.cardDigest !== deployment.digest || facts.currentDigest !== deployment.digest)
    return refuse(
      'DIGEST_CHANGED',
      `What #${deployment.id} stands for, or the rules for it, changed since it was asked for.`,
      {
        next: 'Ask for the deploy again.',
      },
    );
  if (deployment.votes.some((vote) => vote.person.id === voter.id))
    return refuse('ALREADY_VOTED', 'You have decided on this already.');
  if (facts.decision === 'reject') return { ok: true, complete: true };
  const approvals = deployment.votes.filter((vote) => vote.decision === 'approve').length + 1;
  const complete = approvals >= approval.count;
  if (complete && facts.holder !== null) return busy(facts.holder);
  return { ok: true, complete };
}

export function alreadyDecided(deployment: Deployment): Refusal {
  const last = deployment.votes.at(-1);
  const by = last ? ` by ${last.person.name}` : '';
  const words: Partial<Record<Deployment['state'], string>> = {
    queued: `approved${by}`,
    running: 'already running',
    succeeded: 'already deployed',
    rejected: `rejected${by}`,
    expired: 'expired',
  };
  return refuse(
    'NOT_PENDING',
    `#${deployment.id} is not waiting for a decision: it is ${words[deployment.state] ?? 'over'}.`,
  );
}

export interface TriggerFacts {
  deployment: Deployment;
  requesterAccess: AccessDecision;
  /** One per approve vote, in the order of the votes. Asked fresh. */
  approverAccess: readonly AccessDecision[];
  /** What the version's name points to now; null when it is gone. */
  resolved: Version | null;
  currentDigest: string;
}

/** Everything that held when it was asked for and approved must still hold at the moment of the trigger. */
export function evaluateTrigger(facts: TriggerFacts): { ok: true } | Refusal {
  const { deployment, resolved } = facts;
  const again = { next: 'Ask for the deploy again.' };
  if (!facts.requesterAccess.allowed) {
    const { code, message } = facts.requesterAccess;
    return refuse(code, `${deployment.requestedBy.name} may no longer do this. ${message}`, again);
  }
  const lost = facts.approverAccess.findIndex((access) => !access.allowed);
  if (lost >= 0) {
    const access = facts.approverAccess[lost];
    const approver = deployment.votes.filter((vote) => vote.decision === 'approve')[lost];
    if (access && !access.allowed)
      return refuse(
        access.code,
        `${approver?.person.name ?? 'An approver'} may no longer approve this. ${access.message}`,
        again,
      );
  }
  if (deployment.approval !== null && facts.approverAccess.length < deployment.approval.count)
    return refuse('APPROVAL_NEEDED', 'The approvals are not complete.', again);
  // A rollback brings back the commit that succeeded there, whatever became of its tag.
  if (deployment.kind === 'rollback') return { ok: true };
  if (resolved === null) return refuse('VERSION_UNKNOWN', `${deployment.version} is no longer there.`, again);
  if (resolved.sha !== deployment.sha)
    return refuse(
      'VERSION_MOVED',
      `${deployment.version} now points to ${resolved.sha.slice(0, 7)}, not to ${deployment.sha.slice(0, 7)} as asked for.`,
      { next: 'Find out who moved the tag, then ask again.' },
    );
  if (facts.currentDigest !== deployment.digest)
    return refuse('DIGEST_CHANGED', 'The rules for this deploy changed after it was asked for.', again);
  return { ok: true };
}
