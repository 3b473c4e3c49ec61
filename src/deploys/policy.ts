import type { AccessDecision, Person } from '../access/types.ts';
import { formatMoment } from '../calendar/windows.ts';
import { type Refusal, refuse } from '../errors.ts';
import type { Version } from '../pipelines/types.ts';
import {
  breakable,
  CIRCUMSTANTIAL,
  type Circumstances,
  type Finding,
  freezeRule,
  lockRule,
  type RuleName,
} from './rules.ts';
import type { ApprovalPolicy, Deployment } from './types.ts';

/**
 * The rules of a deploy as pure functions: facts in, a decision out. I/O happens outside, so that enforcement,
 * explanation and tests ask the very same question.
 */

export interface RequestFacts extends Circumstances {
  version: Version;
  /** May this person deploy (or roll back, or run the command) here? */
  access: AccessDecision;
  /** Who holds the environment now. */
  holder: Deployment | null;
  /** How many wait for it already. */
  waiting: number;
  /** The bot can post to the approvals channel. */
  approvalsReachable: boolean;
  /** The commit that was confirmed, when there was a confirmation. */
  confirmedSha?: string;
  /** What this kind of wish needs; a rollback mostly nothing. */
  approval: ApprovalPolicy | null;
  /** Asked for with the glass broken; null: not asked for. */
  breakGlass: { access: AccessDecision; reason: string } | null;
  /** It is to start later, at `at`. Rules about the moment are asked again then. */
  scheduled: boolean;
  /** Names of the groups that may approve, and of those that may break the glass, for people. */
  approvers: readonly string[];
  breakers: readonly string[];
}

export type RequestDecision =
  | { ok: true; approval: ApprovalPolicy | null; start: 'now' | 'waiting' | 'scheduled'; broken: RuleName[] }
  | Refusal;

export function denied(access: Extract<AccessDecision, { allowed: false }>): Refusal {
  const next =
    access.code === 'DIRECTORY_UNAVAILABLE'
      ? 'Try again in a minute. If it stays, tell whoever runs Shipmate.'
      : access.groups.length > 0
        ? `Ask somebody in ${access.groups.join(' or ')}, or ask to join.`
        : 'Ask whoever runs Shipmate who may do this.';
  return refuse(access.code, access.message, { next, rule: 'access', who: access.groups });
}

/** Everything that every rule says to this wish, in the order in which they are asked. Somebody without access learns no more. */
export function judgeRequest(facts: RequestFacts): Finding[] {
  const { access, breakGlass } = facts;
  if (!access.allowed) return [refusing('access', denied(access))];
  if (breakGlass !== null && !breakGlass.access.allowed) return [refusing('access', denied(breakGlass.access))];
  if (breakGlass !== null && breakGlass.reason.trim() === '')
    return [
      refusing(
        'access',
        refuse('ARGUMENT_MISSING', 'Breaking the glass needs a reason.', { next: 'Add reason="...".' }),
      ),
    ];
  const findings = [
    { rule: 'access', verdict: 'pass', note: `You may do this (${access.role}).` } as const,
    versionRule(facts),
    ...CIRCUMSTANTIAL.map((rule) => (facts.scheduled && rule === lockRule ? later(rule(facts)) : rule(facts))),
    concurrencyRule(facts),
    approvalRule(facts),
  ].map((finding) => (facts.scheduled && finding.rule === 'promotion' ? later(finding) : finding));
  return findings.map((finding) => withWho(breakGlass === null ? finding : broken(finding), facts));
}

/** May this be requested, and does it need an approval, or to wait? The first rule that refuses is told. */
export function evaluateRequest(facts: RequestFacts): RequestDecision {
  return decisionOf(judgeRequest(facts), facts);
}

/** The decision that these findings are. */
export function decisionOf(findings: readonly Finding[], facts: RequestFacts): RequestDecision {
  const against = findings.find(({ verdict }) => verdict === 'refuse');
  if (against?.refusal) return against.refusal;
  const waits = findings.some(({ rule, verdict }) => rule === 'concurrency' && verdict === 'needs');
  return {
    ok: true,
    approval: facts.breakGlass === null ? facts.approval : null,
    start: facts.scheduled ? 'scheduled' : waits ? 'waiting' : 'now',
    broken: findings.filter(({ verdict }) => verdict === 'broken').map(({ rule }) => rule),
  };
}

function refusing(rule: RuleName, refusal: Refusal): Finding {
  return { rule, verdict: 'refuse', note: refusal.message, refusal: { ...refusal, rule } };
}

/** It is in the future: what is in the way now is told, and asked again then. */
function later(finding: Finding): Finding {
  if (finding.verdict !== 'refuse') return finding;
  return { rule: finding.rule, verdict: 'needs', note: `${finding.note} That is asked again when it starts.` };
}

function broken(finding: Finding): Finding {
  const stands = finding.verdict !== 'refuse' && !(finding.rule === 'approval' && finding.verdict === 'needs');
  return stands || !breakable(finding.rule) ? finding : { ...finding, verdict: 'broken' };
}

/** Who could go on where this rule refuses. */
function withWho(finding: Finding, { breakers }: RequestFacts): Finding {
  if (finding.refusal === undefined || !breakable(finding.rule) || breakers.length === 0) return finding;
  return { ...finding, refusal: { ...finding.refusal, who: breakers } };
}

function versionRule({ confirmedSha, version }: RequestFacts): Finding {
  if (confirmedSha !== undefined && confirmedSha !== version.sha)
    return refusing(
      'version',
      refuse(
        'VERSION_MOVED',
        `${version.name} now points to ${version.sha.slice(0, 7)}; you confirmed ${confirmedSha.slice(0, 7)}.`,
        { next: 'Find out who moved the tag, then ask for the deploy again.' },
      ),
    );
  return { rule: 'version', verdict: 'pass', note: `${version.name} is commit ${version.sha.slice(0, 7)}.` };
}

function concurrencyRule({ environment, holder, scheduled, waiting }: RequestFacts): Finding {
  if (holder === null || scheduled)
    return {
      rule: 'concurrency',
      verdict: 'pass',
      note: scheduled ? 'Whether it is free is asked when it starts.' : 'Nobody else deploys there.',
    };
  if (environment.concurrency === 'reject' || holder.state === 'attention')
    return refusing('concurrency', busy(holder));
  return {
    rule: 'concurrency',
    verdict: 'needs',
    note:
      environment.concurrency === 'latest' && waiting > 0
        ? `It waits for #${holder.id} and takes the place of what waits there.`
        : `It waits for #${holder.id}${waiting > 0 ? ` and ${waiting} more` : ''}.`,
  };
}

function approvalRule(facts: RequestFacts): Finding {
  const { approval, approvers, environment, service } = facts;
  if (approval === null) return { rule: 'approval', verdict: 'pass', note: 'No approval is needed.' };
  if (approval.groups.length === 0 || approval.count < 1)
    return refusing(
      'approval',
      refuse(
        'APPROVERS_EMPTY',
        `Nobody can approve a deploy of ${service} to ${environment.name}: the list is empty.`,
        { next: 'Ask whoever runs Shipmate to name approvers in its configuration.' },
      ),
    );
  if (!facts.approvalsReachable && facts.breakGlass === null)
    return refusing(
      'approval',
      refuse('CHANNEL_UNKNOWN', 'I do not know the approvals channel yet, so nobody would see the request.', {
        next: 'Add the bot to the approvals channel and mention it there once, then ask again.',
      }),
    );
  const who = approvers.join(' or ') || 'a group that has no name';
  const other = approval.own ? '' : ', not you';
  return {
    rule: 'approval',
    verdict: 'needs',
    note:
      approval.count === 1
        ? `One of ${who} has to approve${other}.`
        : `${approval.count} of ${who} have to approve${other}.`,
  };
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
  /** What is known about the place at the moment when it would start; null when it is no longer in the configuration. */
  circumstances: Circumstances | null;
  now: Date;
}

/** `start`: what becomes of it once the vote completes the approval. */
export type VoteDecision = { ok: true; complete: boolean; start: 'queued' | 'waiting' | 'scheduled' } | Refusal;

/** May this person's decision count, and is the deploy decided with it? */
export function evaluateVote(facts: VoteFacts): VoteDecision {
  const { access, circumstances, deployment, voter } = facts;
  const { approval } = deployment;
  // First of all: what became of it is shown to approvers only.
  if (!access.allowed) return denied(access);
  if (deployment.state !== 'awaiting_approval' || approval === null) return alreadyDecided(deployment);
  if (voter.id === deployment.requestedBy.id && approval.own !== true)
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
  const scheduled = deployment.scheduledFor !== null && Date.parse(deployment.scheduledFor) > facts.now.getTime();
  const start = scheduled ? 'scheduled' : facts.holder === null ? 'queued' : 'waiting';
  if (facts.decision === 'reject') return { ok: true, complete: true, start };
  const approvals = deployment.votes.filter((vote) => vote.decision === 'approve').length + 1;
  const complete = approvals >= approval.count;
  if (!complete) return { ok: true, complete, start };
  // The last approval starts it: what would stop it at once is said now, and the request stays.
  if (!scheduled && circumstances !== null) {
    const against = [lockRule(circumstances), freezeRule(circumstances)].find(({ verdict }) => verdict === 'refuse');
    if (against?.refusal) return against.refusal;
    if (
      facts.holder !== null &&
      (circumstances.environment.concurrency === 'reject' || facts.holder.state === 'attention')
    )
      return busy(facts.holder);
  }
  return { ok: true, complete, start };
}

export function alreadyDecided(deployment: Deployment): Refusal {
  const last = deployment.votes.at(-1);
  const by = last ? ` by ${last.person.name}` : '';
  const words: Partial<Record<Deployment['state'], string>> = {
    queued: `approved${by}`,
    scheduled: `approved${by}, and scheduled`,
    waiting: `approved${by}, and waits for its turn`,
    running: 'already running',
    succeeded: 'already deployed',
    rejected: `rejected${by}`,
    expired: 'expired',
    cancelled: 'taken back',
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
  circumstances: Circumstances;
  /** May the requester still break the glass? Null when the glass is whole. */
  breakGlassAccess: AccessDecision | null;
}

/** Everything that held when it was asked for and approved must still hold at the moment of the trigger. */
export function evaluateTrigger(facts: TriggerFacts): { ok: true } | Refusal {
  const { breakGlassAccess, circumstances, deployment, resolved } = facts;
  const again = { next: 'Ask for the deploy again.' };
  for (const access of [facts.requesterAccess, breakGlassAccess])
    if (access !== null && !access.allowed) {
      const { code, message } = access;
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
  const against = CIRCUMSTANTIAL.map((rule) => rule(circumstances)).find(
    ({ rule, verdict }) => verdict === 'refuse' && !(deployment.breakGlass !== null && breakable(rule)),
  );
  if (against?.refusal) return against.refusal;
  // A rollback brings back the commit that succeeded there, whatever became of its tag; a command brings none.
  if (deployment.kind === 'rollback') return { ok: true };
  if (deployment.kind !== 'command') {
    if (resolved === null) return refuse('VERSION_UNKNOWN', `${deployment.version} is no longer there.`, again);
    if (resolved.sha !== deployment.sha)
      return refuse(
        'VERSION_MOVED',
        `${deployment.version} now points to ${resolved.sha.slice(0, 7)}, not to ${deployment.sha.slice(0, 7)} as asked for.`,
        { next: 'Find out who moved the tag, then ask again.' },
      );
  }
  if (facts.currentDigest !== deployment.digest)
    return refuse('DIGEST_CHANGED', 'The rules for this deploy changed after it was asked for.', again);
  return { ok: true };
}

/** "begins at Fri 27 Nov 15:00 (Europe/Berlin)": said ahead where a freeze is near. */
export function freezeAhead(
  next: { window: { zone: string }; span: { from: Date } } | null,
  now: Date,
  withinMs: number,
): string | null {
  if (next === null || next.span.from.getTime() - now.getTime() > withinMs) return null;
  return `A freeze begins at ${formatMoment(next.span.from, next.window.zone)}.`;
}
