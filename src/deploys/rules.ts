import { formatMoment, freeAfter, nextOf, openNow } from '../calendar/windows.ts';
import { type Refusal, refuse } from '../errors.ts';
import type { Block, Deployment, EnvironmentPolicy, Lock } from './types.ts';

/** The rules by their names, in the order in which they are asked. The first that refuses is the one that is told. */
export const RULES = [
  'access',
  'version',
  'lock',
  'freeze',
  'blocked version',
  'promotion',
  'concurrency',
  'approval',
] as const;
export type RuleName = (typeof RULES)[number];

/** What one rule says. Enforcement takes the first `refuse`; `why` and a dry run show all of them. */
export interface Finding {
  rule: RuleName;
  /** `needs`: it may go on, but somebody has to approve, or it has to wait. `broken`: it would refuse, were the glass not broken. */
  verdict: 'pass' | 'needs' | 'refuse' | 'broken';
  /** One sentence, plain text. */
  note: string;
  /** With `refuse` and `broken`. */
  refusal?: Refusal;
}

/** What is known about the place and the moment, whoever asks. The same at the request and at the trigger. */
export interface Circumstances {
  kind: Deployment['kind'];
  service: string;
  environment: EnvironmentPolicy;
  version: { name: string; sha: string };
  /** Who asked for the deploy. */
  person: { id: string };
  /** When it is to start. */
  at: Date;
  /** Those that cover this place. */
  locks: readonly Lock[];
  /** Somebody rolled back from this commit here. */
  block: Block | null;
  /** Null where there is no order. */
  promotion: Promotion | null;
  /** Zone in which times are told. */
  zone: string;
}

/** What is known about the environment before. */
export interface Promotion {
  environment: string;
  /** What runs there; null when nothing is known. */
  active: { version: string; sha: string | null } | null;
  /** The last one that ran there, when it did not succeed. */
  failure: Deployment | null;
}

const pass = (rule: RuleName, note: string): Finding => ({ rule, verdict: 'pass', note });
const refused = (rule: RuleName, refusal: Refusal): Finding => ({
  rule,
  verdict: 'refuse',
  note: refusal.message,
  refusal: { ...refusal, rule },
});

/** Where a lock holds: "everything", "production of storefront". */
export function placeOf({ environment, service }: Pick<Lock, 'environment' | 'service'>): string {
  if (service === '' && environment === '') return 'everything';
  if (service === '') return `${environment} of every service`;
  return environment === '' ? `every environment of ${service}` : `${environment} of ${service}`;
}

export function lockRule({ locks, person, version }: Circumstances): Finding {
  // Bound to person and change: the one who locked may bring exactly the version that the lock names.
  const against = locks.find(
    (lock) => lock.version === null || lock.version !== version.name || lock.person.id !== person.id,
  );
  if (!against)
    return pass('lock', locks.length === 0 ? 'It is not locked.' : `Your lock is for ${version.name}, so you may.`);
  const meanwhile = against.version === null ? '' : ` for ${against.version}`;
  return refused(
    'lock',
    refuse('ENV_LOCKED', `${against.person.name} locked ${placeOf(against)}${meanwhile}: ${against.reason}.`, {
      next: `${against.person.name}, or somebody who may unlock, says \`${unlockLine(against)}\`.`,
    }),
  );
}

/** The line that takes a lock away. */
export function unlockLine({ environment, service }: Pick<Lock, 'environment' | 'service'>): string {
  return ['unlock', service === '' ? 'all' : service, ...(environment === '' ? [] : [environment])].join(' ');
}

export function freezeRule({ at, environment, kind, zone }: Circumstances): Finding {
  const open = openNow(environment.freeze, at);
  if (open === null) {
    const next = nextOf(environment.freeze, at);
    return pass(
      'freeze',
      next === null ? 'No freeze.' : `No freeze until ${formatMoment(next.span.from, next.window.zone)}.`,
    );
  }
  // Going back is what ends an outage; it changes to nothing that was not there before.
  if (kind === 'rollback') return pass('freeze', 'There is a freeze, and a rollback is exempt from it.');
  const until = freeAfter(environment.freeze, at);
  const reason = open.reason === undefined ? '' : ` (${open.reason})`;
  return refused(
    'freeze',
    refuse('FROZEN', `${environment.name} is frozen: ${open.label}${reason}.`, {
      next:
        until === null
          ? 'It has no end in sight: ask whoever runs Shipmate.'
          : `Ask again after ${formatMoment(until, zone)}. A hotfix that can't wait needs the break-glass right.`,
      ...(until === null ? {} : { until: until.toISOString() }),
    }),
  );
}

export function blockRule({ block, environment, kind, service, version }: Circumstances): Finding {
  if (kind === 'rollback') return pass('blocked version', 'A rollback brings back what ran well there.');
  if (block === null || kind === 'command') return pass('blocked version', `${version.name} is not blocked here.`);
  return refused(
    'blocked version',
    refuse(
      'VERSION_BLOCKED',
      `${block.person.name} rolled back from ${version.name} on ${environment.name} (#${block.deployment}), so it stays out.`,
      { next: `Deploy a newer version, or lift that: \`unblock ${service} ${environment.name} ${version.name}\`.` },
    ),
  );
}

export function promotionRule({ environment, kind, promotion, service, version }: Circumstances): Finding {
  if (kind === 'rollback') return pass('promotion', 'A rollback is exempt from the order of environments.');
  if (kind === 'command') return pass('promotion', 'A command is not part of the order of environments.');
  if (promotion === null) return pass('promotion', 'No order is asked for here.');
  const { active, failure } = promotion;
  const first = promotion.environment;
  const again = { next: `Deploy it there first: \`deploy ${service} ${version.name} to ${first}\`.` };
  // A newer failure outranks an older success: what runs there now is not known to be good.
  if (failure !== null)
    return refused(
      'promotion',
      refuse('NOT_PROMOTED', `The last deploy to ${first} failed (#${failure.id}, ${failure.version}).`, again),
    );
  if (active === null)
    return refused(
      'promotion',
      refuse(
        'NOT_PROMOTED',
        `${environment.name} takes what runs on ${first}, and nothing is known to run there.`,
        again,
      ),
    );
  if (active.sha === null || !sameCommit(active.sha, version.sha))
    return refused(
      'promotion',
      refuse('NOT_PROMOTED', `${environment.name} takes what runs on ${first}, and that is ${active.version}.`, again),
    );
  return pass('promotion', `${active.version} runs on ${first}.`);
}

/** A service may tell its commit in short. */
export function sameCommit(one: string, other: string): boolean {
  const [short = '', long = ''] = [one, other].sort((a, b) => a.length - b.length);
  return short.length >= 7 && long.startsWith(short);
}

/** The rules about the place and the moment, which break-glass may break, all but the lock. */
export const CIRCUMSTANTIAL = [lockRule, freezeRule, blockRule, promotionRule] as const;

/** A lock says that somebody is at work there: it is taken away by name, never broken in passing. */
export function breakable(rule: RuleName): boolean {
  return rule === 'freeze' || rule === 'blocked version' || rule === 'promotion' || rule === 'approval';
}
