/**
 * Teams' limits for one bot in one thread: messages within a span of milliseconds.
 * Source: Microsoft, "Optimize your bot with rate limiting in Teams".
 */
const LIMITS: readonly (readonly [count: number, ms: number])[] = [
  [7, 1_000],
  [8, 2_000],
  [60, 30_000],
  [1_800, 3_600_000],
];
const THREADS = 5_000;

export interface Throttle {
  /** Milliseconds to wait before this thread may be written to; 0 counts the message as sent. */
  take(thread: string): number;
}

/** Keeps a little under the limits instead of running into them. Bounded memory: a quiet thread is forgotten first. */
export function createThrottle(now: () => number): Throttle {
  const sent = new Map<string, number[]>();
  return {
    take(thread) {
      const at = now();
      const times = (sent.get(thread) ?? []).filter((time) => at - time < 3_600_000);
      let wait = 0;
      for (const [count, ms] of LIMITS) {
        const oldest = times.at(-count);
        if (oldest !== undefined) wait = Math.max(wait, oldest + ms - at);
      }
      if (wait <= 0) times.push(at);
      sent.delete(thread);
      sent.set(thread, times);
      if (sent.size > THREADS) {
        const quiet = sent.keys().next();
        if (!quiet.done) sent.delete(quiet.value);
      }
      return Math.max(0, wait);
    },
  };
}
