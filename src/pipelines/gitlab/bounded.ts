/** A map that forgets what was written longest ago, so that it can't grow without end. */
export interface Bounded<V> {
  get(key: string): V | undefined;
  set(key: string, value: V): void;
}

export function createBounded<V>(most: number): Bounded<V> {
  const entries = new Map<string, V>();
  return {
    get: (key) => entries.get(key),
    set(key, value) {
      entries.delete(key);
      entries.set(key, value);
      if (entries.size <= most) return;
      const [oldest] = entries.keys();
      if (oldest !== undefined) entries.delete(oldest);
    },
  };
}
