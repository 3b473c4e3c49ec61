import { setTimeout as wait } from 'node:timers/promises';
import { PipelineError } from '../../errors.ts';

/** docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api */

const BASE_POLL_MS = 4_000;
const SLOWEST_POLL_MS = 60_000;
/** Without Retry-After: "wait for at least one minute before retrying". */
const QUIET_MS = 60_000;
/** So long a request waits by itself for a limit to be over. */
const PATIENCE_MS = 2_000;
/** Longest time that is believed; GitHub's limits are over within an hour. */
const LONGEST_HOLD_MS = 3_600_000;

/** What GitHub said about how often it may be asked. One per connection: the limit is the installation's. */
export interface Limits {
  /** Waits out a limit that is nearly over. @throws PipelineError PIPELINE_UNAVAILABLE while one holds longer */
  ready(): Promise<void>;
  /** Learns from an answer. @throws PipelineError PIPELINE_UNAVAILABLE when it is a refusal because of a limit */
  learn(status: number, headers: Headers): void;
  /** Milliseconds between two looks at a run. */
  pollMs(): number;
}

export function createLimits(now: () => Date): Limits {
  let holdUntil = 0;
  let quietUntil = 0;
  /** Of the hour's requests, from 0 to 1. */
  let left = 1;
  let resetAt = 0;

  return {
    async ready() {
      const ms = holdUntil - now().getTime();
      if (ms <= 0) return;
      if (ms > PATIENCE_MS) throw limited(new Date(holdUntil));
      await wait(ms);
    },

    learn(status, headers) {
      const at = now().getTime();
      const number = (name: string) => {
        const value = headers.get(name);
        return value !== null && /^\d{1,12}$/.test(value) ? Number(value) : null;
      };
      const [limit, remaining, reset] = [
        number('x-ratelimit-limit'),
        number('x-ratelimit-remaining'),
        number('x-ratelimit-reset'),
      ];
      if (limit !== null && limit > 0 && remaining !== null) left = remaining / limit;
      if (reset !== null) resetAt = Math.min(reset * 1000, at + LONGEST_HOLD_MS);
      if (status !== 403 && status !== 429) return;
      const retryAfter = number('retry-after');
      if (retryAfter !== null) holdUntil = Math.max(holdUntil, at + Math.min(retryAfter * 1000, LONGEST_HOLD_MS));
      else if (remaining === 0) holdUntil = Math.max(holdUntil, resetAt);
      // Any other 403 is about a right.
      else if (status !== 429) return;
      quietUntil = at + QUIET_MS;
      throw limited(holdUntil > at ? new Date(holdUntil) : undefined);
    },

    pollMs() {
      const at = now().getTime();
      if (at < quietUntil || at < holdUntil) return SLOWEST_POLL_MS;
      if (at >= resetAt || left > 0.5) return BASE_POLL_MS;
      if (left > 0.2) return BASE_POLL_MS * 2;
      return left > 0.05 ? BASE_POLL_MS * 5 : SLOWEST_POLL_MS;
    },
  };
}

function limited(until?: Date): PipelineError {
  const when = until === undefined ? 'in a minute' : `after ${until.toISOString().slice(11, 16)} UTC`;
  return new PipelineError(
    'PIPELINE_UNAVAILABLE',
    `GitHub takes no more requests of the App for now (rate limit). Try again ${when}.`,
    { retryable: true },
  );
}
