import { verifyChain } from '../src/audit/chain.ts';
import type { AuditEntry } from '../src/audit/types.ts';
import { stateWord } from '../src/cards/words.ts';
import { type Deployment, FINAL_STATES } from '../src/deploys/types.ts';
import type { SentActivity } from '../test/fakes/teams/connector.ts';
import { cardContent, readCard } from '../test/fakes/teams/index.ts';
import type { Facts, Look } from './types.ts';
import type { Run } from './world.ts';

export const INVARIANTS = ['lostActions', 'doubleTriggers', 'stuckDeploys', 'auditBreaks'] as const;
export type Invariant = (typeof INVARIANTS)[number];

export interface Violation {
  invariant: Invariant;
  what: string;
}

/** What somebody did and was answered 2xx for. */
export type Acknowledged =
  | { did: 'ask'; shown: boolean }
  | { did: 'confirm'; person: string; id: string | null }
  | { did: 'approve'; person: string };

export interface RoundFacts {
  version: string;
  fails: boolean;
  acknowledged: readonly Acknowledged[];
  /** What was still missing when nobody waited any longer; null when all was well in time. */
  overdue: string | null;
  look: Look;
  facts: Facts;
  activities: readonly SentActivity[];
}

/** What is remembered from round to round. */
export interface Memory {
  /** Acknowledged deployments of all rounds, with their final states. */
  known: Map<string, Deployment['state']>;
  /** Runs that were counted as double already. */
  doubled: Set<string>;
  anchor: { seq: number; hash: string } | undefined;
}

export function newMemory(): Memory {
  return { known: new Map(), doubled: new Set(), anchor: undefined };
}

/** Everything that a round did wrong. */
export async function judge(round: RoundFacts, runs: readonly Run[], memory: Memory): Promise<Violation[]> {
  const mine = round.facts.deployments.filter(({ version }) => version === round.version);
  const violations = [
    ...lostActions(round, mine),
    ...stuckDeploys(round, mine, runs),
    ...lostEntries(round.facts.audit, mine),
    ...(mine.length > 1
      ? [{ invariant: 'doubleTriggers' as const, what: `one click made ${mine.map(({ id }) => `#${id}`).join(', ')}` }]
      : []),
    ...(await lasting(round.facts, runs, memory)),
  ];
  for (const { id, state } of mine) if (FINAL_STATES.includes(state)) memory.known.set(id, state);
  return violations;
}

/** What holds for all rounds up to now: nothing acknowledged goes, nothing runs twice, the chain is whole. */
export async function lasting(facts: Facts, runs: readonly Run[], memory: Memory): Promise<Violation[]> {
  const violations: Violation[] = [];
  const states = new Map(facts.deployments.map(({ id, state }) => [id, state]));
  for (const [id, state] of memory.known)
    if (states.get(id) !== state) {
      violations.push({ invariant: 'lostActions', what: `#${id} was ${state} and is ${states.get(id) ?? 'gone'}` });
      memory.known.delete(id);
    }

  const keys = new Map(facts.deployments.map(({ id, runKey }) => [runKey, id]));
  const counted = Map.groupBy(runs, ({ key }) => key);
  for (const [key, each] of counted) {
    const id = keys.get(key);
    if ((each.length === 1 && id !== undefined) || memory.doubled.has(key)) continue;
    memory.doubled.add(key);
    const what = id === undefined ? `a run without a deployment: ${key}` : `#${id} ran ${each.length} times`;
    violations.push({ invariant: 'doubleTriggers', what });
  }

  const verified = await verifyChain(facts.audit, facts.head);
  if (!verified.ok) violations.push({ invariant: 'auditBreaks', what: JSON.stringify(verified.breaks.slice(0, 5)) });
  const { anchor } = memory;
  const anchored = anchor && facts.audit.find(({ seq }) => seq === anchor.seq);
  if (anchor && anchored?.hash !== anchor.hash)
    violations.push({ invariant: 'auditBreaks', what: `entry ${anchor.seq} is not what it was a round ago` });
  memory.anchor = facts.head;
  return violations;
}

function lostActions({ acknowledged }: RoundFacts, mine: readonly Deployment[]): Violation[] {
  const lost = (what: string) => [{ invariant: 'lostActions' as const, what }];
  return acknowledged.flatMap((action) => {
    if (action.did === 'ask') return action.shown ? [] : lost('the request was answered, and no confirmation came');
    if (action.did === 'confirm') {
      const made = mine.filter(({ id, requestedBy }) => requestedBy.id === action.person && id === (action.id ?? id));
      return made.length > 0 ? [] : lost(`a confirmation was answered with #${action.id}, and it is not there`);
    }
    const counts = mine.some(({ votes }) =>
      votes.some(({ decision, person }) => decision === 'approve' && person.id === action.person),
    );
    return counts ? [] : lost(`an approval by ${action.person} was answered, and it is not there`);
  });
}

function stuckDeploys(round: RoundFacts, mine: readonly Deployment[], runs: readonly Run[]): Violation[] {
  const stuck = (what: string) => [{ invariant: 'stuckDeploys' as const, what }];
  if (round.overdue !== null) return stuck(`in vain for ${round.overdue}`);
  const expected = round.fails ? 'failed' : 'succeeded';
  return mine.flatMap(({ id, problem, runKey, state }) => {
    const ran = runs.some(({ key }) => key === runKey);
    if (state === expected && ran) return [];
    return stuck(`#${id} is ${state} and ${ran ? 'ran' : 'never ran'}; due was ${expected}: ${problem?.message ?? ''}`);
  });
}

/** Each done action has its entry, once. */
function lostEntries(audit: readonly AuditEntry[], mine: readonly Deployment[]): Violation[] {
  return mine.flatMap((deployment) => {
    const entries = audit.filter((entry) => entry.deployment === deployment.id && entry.outcome !== 'refused');
    const expected = [
      { action: 'deploy.request', actor: deployment.requestedBy.id },
      ...deployment.votes.map(({ decision, person }) => ({ action: `deploy.${decision}`, actor: person.id })),
      ...(deployment.startedAt === null ? [] : [{ action: 'deploy.start', actor: 'system' }]),
      ...(deployment.finishedAt === null ? [] : [{ action: 'deploy.end', actor: 'system' }]),
    ];
    return expected.flatMap(({ action, actor }) => {
      const found = entries.filter((entry) => entry.action === action && entry.actor.id === actor).length;
      if (found === 1) return [];
      return [{ invariant: 'auditBreaks' as const, what: `#${deployment.id} has ${found} entries of ${action}` }];
    });
  });
}

/** What is not yet as it has to be in the end; empty when the deploy is over and every card of it says so. */
export function unsettled({ deployments, rows }: Look, activities: readonly SentActivity[]): string[] {
  if (deployments.length === 0) return ['a deployment'];
  return deployments.flatMap((deployment) => {
    const { id, state } = deployment;
    if (!FINAL_STATES.includes(state)) return [`the end of #${id}, which is ${state}`];
    const late = rows
      .filter(({ key, payload }) => key.startsWith(`deploy:${id}:`) && payload.kind === 'deployment')
      .filter(({ activityId, sentVersion, version }) => activityId === null || sentVersion < version)
      .map(({ activityId, dead, key, posting, sentVersion, version }) => {
        const how = dead ?? (posting ? 'a POST began' : activityId === null ? 'not posted' : 'not edited');
        return `the card ${key} (${how}; has version ${sentVersion} of ${version})`;
      });
    const { sign, word } = stateWord(state);
    const cards = cardsOf(id, activities);
    const stale = cards
      .filter((card) => !readCard(cardContent(card)).includes(`${sign} ${word}`))
      .map((card) => `the card ${card.id} in ${card.conversation}, which says "${firstLine(card)}", not "${word}"`);
    const missing = ['requester', 'approvals']
      .filter((audience) => !rows.some(({ key }) => key === `deploy:${id}:${audience}`))
      .map((audience) => `the ${audience}'s card of #${id}`);
    return [...late, ...stale, ...missing];
  });
}

/** Every card that shows this deployment, also one that the bot knows nothing of. */
export function cardsOf(id: string, activities: readonly SentActivity[]): SentActivity[] {
  const footer = new RegExp(`^#${id}\\b`, 'm');
  return activities.filter(
    (each) => Array.isArray(each.activity.attachments) && footer.test(readCard(cardContent(each))),
  );
}

function firstLine(card: SentActivity): string {
  return readCard(cardContent(card)).split('\n')[0] ?? '';
}
