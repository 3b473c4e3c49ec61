/** A token bucket per key, with a bounded number of keys: the oldest goes first. */
export interface RateLimiter {
  /** False when the key has used up its share. */
  take(key: string): boolean;
}

export function createRateLimiter(options: {
  perSecond: number;
  burst: number;
  keys: number;
  now: () => number;
}): RateLimiter {
  const { burst, keys, now, perSecond } = options;
  const buckets = new Map<string, { tokens: number; at: number }>();
  return {
    take(key) {
      const at = now();
      const before = buckets.get(key);
      const tokens = before ? Math.min(burst, before.tokens + ((at - before.at) / 1000) * perSecond) : burst;
      const allowed = tokens >= 1;
      buckets.delete(key);
      buckets.set(key, { tokens: allowed ? tokens - 1 : tokens, at });
      if (buckets.size > keys) {
        const oldest = buckets.keys().next();
        if (!oldest.done) buckets.delete(oldest.value);
      }
      return allowed;
    },
  };
}
