/** What happens in a round, drawn from the seed and the round's number alone, so that a round can be drawn again. */

/** A deploy's life as it is seen from outside, in order. The "-ing" phases have a request or a program in flight. */
export const PHASES = [
  'asking',
  'asked',
  'confirming',
  'confirmed',
  'approving',
  'triggering',
  'running',
  'ending',
  'ended',
] as const;
export type Phase = (typeof PHASES)[number];

export interface Plan {
  version: string;
  /** The program fails for this version. */
  fails: boolean;
  where: 'personal' | 'channel';
  /** Which of the people that may ask. */
  requester: number;
  /** Seconds that the program's two stages take. */
  pace: [number, number];
  /** Milliseconds between seeing a card and clicking on it. */
  think: { confirm: number; approve: number };
  /** Two clicks at once, as impatient people make them. */
  doubleClick: { confirm: boolean; approve: boolean };
  /** Teams delivers the request once more although it was answered. */
  redeliver: boolean;
  /** Null: nobody is killed (sabotage shows that the checks see something). */
  kill: {
    phase: Phase;
    afterMs: number;
    /** The second kill, so many milliseconds after the first; null in most rounds. */
    againAfterMs: number | null;
  } | null;
}

/** Milliseconds after the phase began within which the kill falls: about as long as the phase itself takes. */
const REACH: Readonly<Record<Phase, number>> = {
  asking: 110,
  asked: 150,
  confirming: 90,
  confirmed: 150,
  approving: 60,
  triggering: 350,
  running: 800,
  ending: 900,
  ended: 250,
};
// Every five rounds have three of the first and two of the second, whose kill mostly costs the wait for a takeover: so
// a short run meets both and takes about the same time whatever the seed.
const BEFORE: readonly Phase[] = ['asking', 'asked', 'confirming', 'confirmed', 'confirmed', 'approving'];
const AFTER: readonly Phase[] = ['triggering', 'running', 'ending', 'ended'];
const TWICE = 0.15;
const LATEST_AGAIN_MS = 11_000;

export function versionOf(round: number, fails: boolean): string {
  return `1.${round}.${fails ? 1 : 0}`;
}

export function drawPlan(seed: number, round: number, { people, kills }: { people: number; kills: boolean }): Plan {
  const random = randomOf(seed, round);
  const fails = random() < 0.2;
  const phase = phaseOf(seed, round);
  return {
    version: versionOf(round, fails),
    fails,
    where: random() < 0.5 ? 'personal' : 'channel',
    requester: Math.floor(random() * people),
    pace: [0.1 + random() * 0.4, 0.1 + random() * 0.3],
    think: { confirm: 60 + random() * 140, approve: 60 + random() * 140 },
    doubleClick: { confirm: random() < 0.25, approve: random() < 0.25 },
    redeliver: random() < 0.15,
    kill: kills
      ? {
          phase,
          afterMs: random() * REACH[phase],
          // Even on a logarithmic scale: into the restart, into the work after it, and into the wait for a takeover.
          againAfterMs: random() < TWICE ? 100 * (LATEST_AGAIN_MS / 100) ** random() : null,
        }
      : null,
  };
}

function phaseOf(seed: number, round: number): Phase {
  const index = round - 1;
  const deck = Math.floor(index / 10);
  const random = randomOf(seed, 1_000_000 + deck);
  const before = shuffled(BEFORE, random);
  const after = shuffled(AFTER, random);
  const halves = [0, 1].map((half) =>
    shuffled([...before.slice(half * 3, half * 3 + 3), ...after.slice(half * 2, half * 2 + 2)], random),
  );
  return halves.flat()[index % 10] ?? 'running';
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  const result = [...items];
  for (let last = result.length - 1; last > 0; last -= 1) {
    const other = Math.floor(random() * (last + 1));
    [result[last], result[other]] = [result[other] as T, result[last] as T];
  }
  return result;
}

/** mulberry32, begun anew for each stream. */
export function randomOf(seed: number, stream: number): () => number {
  let state = (Math.imul(seed, 0x9e3779b1) ^ Math.imul(stream + 1, 0x85ebca6b)) >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}
