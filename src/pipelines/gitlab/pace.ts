import type { HttpAnswer } from '../../http.ts';

const BASE_MS = 4_000;
const MOST_MS = 60_000;
/** From this share of the limit on, looks are spread over the time until it is lifted. */
const NEAR = 0.2;
/** Requests of one look, about. */
const LOOK = 3;

/**
 * How often to look, by GitLab's rate limit headers (docs.gitlab.com/administration/settings/user_and_ip_rate_limits,
 * "Response headers": RateLimit-Limit, -Remaining, and -Reset in seconds since 1970; Retry-After in seconds).
 */
export function createPace(now: () => Date): {
  hear(status: number, headers: HttpAnswer['headers']): void;
  pollMs(): number;
} {
  let slowUntil = 0;
  let slowMs = BASE_MS;
  return {
    hear(status, headers) {
      const at = now().getTime();
      const read = (name: string) => {
        const value = headers[name];
        return typeof value === 'string' && /^\d{1,12}$/.test(value) ? Number(value) : null;
      };
      if (status === 429) {
        const wait = Math.min(Math.max((read('retry-after') ?? 30) * 1000, BASE_MS), MOST_MS);
        slowUntil = at + wait;
        slowMs = wait;
        return;
      }
      const [limit, remaining, reset] = ['limit', 'remaining', 'reset'].map((name) => read(`ratelimit-${name}`));
      if (limit == null || remaining == null || reset == null || remaining >= limit * NEAR) return;
      slowUntil = reset * 1000;
      slowMs = Math.min(Math.max(((slowUntil - at) * LOOK) / Math.max(remaining, 1), BASE_MS), MOST_MS);
    },
    pollMs: () => (now().getTime() < slowUntil ? Math.round(slowMs) : BASE_MS),
  };
}
