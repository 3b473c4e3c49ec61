import type { Deployment, DeploymentState } from '../deploys/types.ts';
import { plain } from './text.ts';

export type Tone = 'default' | 'accent' | 'good' | 'warning' | 'attention';

/** "3 min 4 s", "45 s", "2 h 5 min", "3 d 4 h"; at most two units. */
export function duration(ms: number): string {
  const seconds = Math.max(0, Math.round(ms / 1000));
  if (seconds === 0) return 'under 1 s';
  const units: readonly [number, string][] = [
    [Math.floor(seconds / 86_400), 'd'],
    [Math.floor((seconds % 86_400) / 3_600), 'h'],
    [Math.floor((seconds % 3_600) / 60), 'min'],
    [seconds % 60, 's'],
  ];
  const first = units.findIndex(([amount]) => amount > 0);
  return units
    .slice(first, first + 2)
    .filter(([amount]) => amount > 0)
    .map(([amount, unit]) => `${amount} ${unit}`)
    .join(' ');
}

/** Milliseconds from one ISO time to another (or a Date), or null when either is missing or no time. */
export function between(from: string | null | undefined, to: string | Date | null | undefined): number | null {
  if (!from || !to) return null;
  const ms = new Date(to).getTime() - Date.parse(from);
  return Number.isNaN(ms) ? null : ms;
}

/** ISO 8601 without milliseconds, the only form that the client's {{DATE()}} takes; empty when it is no time. */
export function clientTime(time: string | Date | null | undefined): string {
  if (!time) return '';
  const date = new Date(time);
  return Number.isNaN(date.getTime()) ? '' : `${date.toISOString().slice(0, 19)}Z`;
}

export function environmentTone(name: string, production: boolean): Tone {
  if (production) return 'attention';
  return /^(staging|stage|preprod|pre-production)$/i.test(name) ? 'accent' : 'default';
}

export interface StateWord {
  sign: string;
  word: string;
  tone: Tone;
}

const STATES: Readonly<Record<DeploymentState, StateWord>> = {
  awaiting_approval: { sign: '◷', word: 'Waiting for approval', tone: 'warning' },
  scheduled: { sign: '○', word: 'Scheduled', tone: 'accent' },
  waiting: { sign: '○', word: 'Waiting its turn', tone: 'warning' },
  queued: { sign: '◷', word: 'Queued', tone: 'warning' },
  running: { sign: '●', word: 'Running', tone: 'accent' },
  attention: { sign: '▲', word: 'A person must look', tone: 'attention' },
  succeeded: { sign: '✔', word: 'Succeeded', tone: 'good' },
  failed: { sign: '✖', word: 'Failed', tone: 'attention' },
  cancelled: { sign: '⊘', word: 'Cancelled', tone: 'default' },
  rejected: { sign: '⊘', word: 'Rejected', tone: 'default' },
  expired: { sign: '⊘', word: 'Expired', tone: 'default' },
  blocked: { sign: '⊘', word: 'Blocked', tone: 'attention' },
};

/** Sign, one or two words and colour: for lists. */
export function stateWord(state: DeploymentState): StateWord {
  return STATES[state];
}

/** The same with what belongs to it: progress, duration, where it failed, by whom. */
export function stateLine(deployment: Deployment, now: Date): StateWord {
  const base = { ...STATES[deployment.state], ...special(deployment) };
  const more = detail(deployment, now);
  return more === '' ? base : { ...base, word: `${base.word}${more}` };
}

/** Where the state alone says too little. */
function special({ gate, problem, state, watch }: Deployment): Partial<StateWord> {
  if (state === 'running' && gate !== null && gate.answer === null)
    return { sign: '◷', word: 'Waiting for an answer', tone: 'warning' };
  if (state === 'succeeded' && watch?.state === 'unhealthy') return { sign: '✖', word: 'Unhealthy', tone: 'attention' };
  if (state === 'cancelled' && problem?.code === 'WITHDRAWN') return { word: 'Withdrawn' };
  if (state === 'cancelled' && problem?.code === 'SUPERSEDED') return { word: 'Superseded' };
  if (state === 'cancelled' && problem?.code === 'OUT_OF_BAND') return { word: 'Void' };
  return {};
}

function detail(deployment: Deployment, now: Date): string {
  const { finishedAt, stages, startedAt, state, votes } = deployment;
  switch (state) {
    case 'running': {
      if (deployment.gate !== null && deployment.gate.answer === null) return '';
      const elapsed = between(startedAt, now);
      const current = stages.findIndex((stage) => stage.state === 'running');
      const at = current >= 0 ? current + 1 : stages.filter((stage) => stage.state !== 'waiting').length;
      return [
        ...(stages.length > 0 && at > 0 ? [`${at} of ${stages.length}`] : []),
        ...(elapsed === null ? [] : [duration(elapsed)]),
      ]
        .map((part) => ` · ${part}`)
        .join('');
    }
    case 'succeeded': {
      if (deployment.watch?.state === 'unhealthy') return '';
      const took = between(startedAt, finishedAt);
      return took === null ? '' : ` in ${duration(took)}`;
    }
    case 'failed': {
      const failed = stages.find((stage) => stage.state === 'failed');
      return failed ? ` at “${plain(failed.name, 40)}”` : '';
    }
    case 'rejected': {
      const by = votes.findLast((vote) => vote.decision === 'reject');
      return by ? ` by ${plain(by.person.name, 60)}` : '';
    }
    case 'expired':
      return ': nobody decided in time';
    case 'waiting':
      return '';
    default:
      return '';
  }
}
