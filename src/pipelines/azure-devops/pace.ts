import type { HttpAnswer } from '../../http.ts';

const USUAL_MS = 4_000;
const NEAR_MS = 15_000;
const OVER_MS = 30_000;
const MOST_MS = 60_000;
/** Consumption is counted over a sliding window of five minutes. */
const WINDOW_MS = 5 * 60_000;
const NEAR = 0.2;

/**
 * How often to look. The vendor's headers are there only when its limit is near: X-RateLimit-Remaining and -Limit (units
 * of work), X-RateLimit-Delay and Retry-After (seconds). Source: Azure DevOps docs, "Rate and usage limits".
 */
export function createPace(now: () => Date) {
  let slow = { ms: USUAL_MS, until: 0 };

  return {
    get pollMs(): number {
      return now().getTime() < slow.until ? slow.ms : USUAL_MS;
    },
    see({ headers, status }: HttpAnswer): void {
      const number = (name: string) => {
        const value = headers[name];
        return typeof value === 'string' && value.trim() !== '' ? Number(value) : Number.NaN;
      };
      const at = now().getTime();
      const remaining = number('x-ratelimit-remaining');
      const limit = number('x-ratelimit-limit');
      const after = Math.min(Math.max(number('retry-after') * 1000 || 0, 0), MOST_MS);
      const over = status === 429 || after > 0 || remaining <= 0 || number('x-ratelimit-delay') > 0;
      const current = at < slow.until ? slow.ms : USUAL_MS;
      if (over) slow = { ms: Math.max(OVER_MS, after), until: at + WINDOW_MS };
      else if (remaining < limit * NEAR) slow = { ms: Math.max(NEAR_MS, current), until: at + WINDOW_MS };
    },
  };
}
