/**
 * What of a list of sequence numbers is out of place. Two rows that changed places are named both; for anything else
 * the fewest rows are named whose removal leaves the rest in order. A second row with the same number is out of place.
 */
export function outOfPlace(seqs: readonly number[]): number[] {
  const seen = new Set<number>();
  const copies: number[] = [];
  const rows: number[] = [];
  for (const seq of seqs)
    if (seen.has(seq)) copies.push(seq);
    else {
      seen.add(seq);
      rows.push(seq);
    }
  return [...blocks(rows).flatMap(strays), ...copies];
}

/** True when every number is greater than the one before. */
export function isAscending(seqs: readonly number[]): boolean {
  return seqs.every((seq, index) => index === 0 || seq > (seqs[index - 1] ?? 0));
}

/** The shortest stretches that hold all disorder: before and after one, everything is in order. */
function blocks(rows: readonly number[]): number[][] {
  const leastAfter: number[] = new Array(rows.length);
  let least = Number.POSITIVE_INFINITY;
  for (let index = rows.length - 1; index >= 0; index -= 1) {
    leastAfter[index] = least;
    least = Math.min(least, rows[index] ?? least);
  }
  const found: number[][] = [];
  let block: number[] = [];
  let highest = 0;
  for (const [index, seq] of rows.entries()) {
    block.push(seq);
    highest = Math.max(highest, seq);
    if (highest > (leastAfter[index] ?? 0)) continue;
    if (block.length > 1) found.push(block);
    block = [];
  }
  return found;
}

function strays(block: readonly number[]): number[] {
  const inOrder = block.toSorted((a, b) => a - b);
  const moved = block.filter((seq, index) => seq !== inOrder[index]);
  if (moved.length === 2) return moved;
  const kept = longestAscending(block);
  return block.filter((seq) => !kept.has(seq));
}

/** Patience sorting: n log n, since a hostile file may be long. */
function longestAscending(block: readonly number[]): Set<number> {
  /** Index of the least last element of an ascending row of length position + 1. */
  const ends: number[] = [];
  const before: number[] = [];
  for (const [index, seq] of block.entries()) {
    let low = 0;
    let high = ends.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((block[ends[middle] ?? 0] ?? 0) < seq) low = middle + 1;
      else high = middle;
    }
    before[index] = low === 0 ? -1 : (ends[low - 1] ?? -1);
    ends[low] = index;
  }
  const kept = new Set<number>();
  for (let index = ends.at(-1) ?? -1; index >= 0; index = before[index] ?? -1) kept.add(block[index] ?? 0);
  return kept;
}
