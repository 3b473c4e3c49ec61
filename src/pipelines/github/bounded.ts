/** A map that forgets the oldest entry when it holds more than `most`. */
export function createBounded<K, V>(most: number): Map<K, V> & { put(key: K, value: V): void } {
  const map = new Map<K, V>();
  return Object.assign(map, {
    put(key: K, value: V) {
      map.delete(key);
      map.set(key, value);
      if (map.size <= most) return;
      for (const oldest of map.keys()) {
        map.delete(oldest);
        return;
      }
    },
  });
}
