import { HOLDING_STATES } from '../src/deploys/types.ts';
import { INVARIANTS, type Invariant, lasting, newMemory, type Violation } from './judge.ts';
import { sleep } from './people.ts';
import { drawPlan, PHASES, type Phase, randomOf } from './plan.ts';
import { HEARTBEAT_MS, Round, type Sabotage } from './round.ts';
import type { StoreKind } from './types.ts';
import { World } from './world.ts';

export interface ChaosOptions {
  store: StoreKind;
  rounds: number;
  seed: number;
  /** URL of a PostgreSQL that a database may be made on. */
  server?: string | undefined;
  /** Plays this round only. */
  only?: number;
  /** Round n gets the n-th. */
  sabotage?: readonly Sabotage[];
  /** Nobody is killed when false. */
  kills?: boolean;
  /** Within this time after a kill a deploy has to be over. */
  patienceMs?: number;
  /** Reports every round's timeline, not only a failing one's. */
  timelines?: boolean;
  /** A line for each round, and a failing round's timeline. */
  report?: (line: string) => void;
}

export interface ChaosResult extends Record<Invariant, number> {
  store: StoreKind;
  /** Rounds that were played. */
  rounds: number;
  seed: number;
  takeovers: number;
  takeoverP50Seconds: number | null;
  takeoverP95Seconds: number | null;
  takeoverMaxSeconds: number | null;
  killsWhile: Record<Phase, number>;
  seconds: number;
}

export interface Found extends Violation {
  round: number;
}

const PATIENCE_MS = 45_000;
/** A deploy that is still on its way gets so much more time before the next round; else that one would fail for it. */
const RELEASE_MS = 60_000;

/** Plays the rounds one after the other on one data folder or database. */
export async function runChaos(options: ChaosOptions): Promise<{ result: ChaosResult; found: Found[] }> {
  const {
    kills = true,
    only,
    patienceMs = PATIENCE_MS,
    report = () => {},
    rounds,
    sabotage = [],
    seed,
    store,
  } = options;
  const started = performance.now();
  const found: Found[] = [];
  const takeovers: number[] = [];
  const killsWhile = Object.fromEntries(PHASES.map((phase) => [phase, 0])) as Record<Phase, number>;
  const memory = newMemory();
  const note = (round: number, violations: readonly Violation[], timeline: readonly string[]) => {
    for (const violation of violations) {
      found.push({ ...violation, round });
      report(`${store}, seed ${seed}, round ${round}: ${violation.invariant}: ${violation.what}`);
    }
    for (const line of timeline) report(`  ${line}`);
  };
  let played = 0;
  let heldAt = 0;
  const world = await World.open(store, rounds, options.server);
  try {
    for (let round = only ?? 1; round <= (only ?? rounds); round += 1) {
      const plan = drawPlan(seed, round, { people: world.requesters.length, kills });
      const began = performance.now();
      const outcome = await new Round(world, plan, randomOf(seed, 2_000_000 + round), patienceMs).play(
        memory,
        sabotage[round - 1] ?? null,
      );
      played += 1;
      heldAt = Math.max(heldAt, outcome.heldAt);
      takeovers.push(...outcome.takeoverMs);
      for (const phase of outcome.killsWhile) killsWhile[phase] += 1;
      note(round, outcome.violations, options.timelines || outcome.violations.length > 0 ? outcome.timeline : []);
      report(
        `${store} round ${round}: ${((performance.now() - began) / 1000).toFixed(1)} s, killed while ${outcome.killsWhile.join(' and ') || 'never'}${outcome.takeoverMs.map((ms) => `, taken over after ${(ms / 1000).toFixed(1)} s`).join('')}${outcome.violations.length > 0 ? ', BROKEN' : ''}`,
      );
      if (outcome.violations.length > 0 && !(await isFree(world))) {
        report(`${store}: production stays held, so no further round can say anything`);
        break;
      }
    }
    // What a killed process held may come once more: nothing may run again by then.
    await sleep(Math.max(0, heldAt + HEARTBEAT_MS - performance.now()));
    const facts = await world.facts();
    const last = facts ? await lasting(facts, world.runs(), memory) : [];
    const isNew = ({ what }: Violation) => !found.some((each) => each.what === what);
    note(played, last.filter(isNew), []);
    const { complaints } = world.teams.state;
    if (complaints.length > 0) throw new Error(`Teams refused calls of the bot: ${complaints.slice(0, 5).join('; ')}`);
  } finally {
    await world.close();
  }
  const counts = Object.fromEntries(
    INVARIANTS.map((invariant) => [invariant, found.filter((each) => each.invariant === invariant).length]),
  ) as Record<Invariant, number>;
  takeovers.sort((a, b) => a - b);
  const secondsAt = (share: number) => {
    const ms = takeovers[Math.max(0, Math.ceil(takeovers.length * share) - 1)];
    return ms === undefined ? null : Number((ms / 1000).toFixed(1));
  };
  return {
    result: {
      store,
      rounds: played,
      seed,
      ...counts,
      takeovers: takeovers.length,
      takeoverP50Seconds: secondsAt(0.5),
      takeoverP95Seconds: secondsAt(0.95),
      takeoverMaxSeconds: secondsAt(1),
      killsWhile,
      seconds: Math.round((performance.now() - started) / 1000),
    },
    found,
  };
}

/** Whether the next round may deploy; waits a while for it. */
async function isFree(world: World): Promise<boolean> {
  const end = performance.now() + RELEASE_MS;
  while (performance.now() < end) {
    const facts = await world.facts();
    if (facts && !facts.deployments.some(({ state }) => HOLDING_STATES.includes(state))) return true;
    await sleep(500);
  }
  return false;
}
