import { createHash } from 'node:crypto';
import { canonicalJson } from './canonical.ts';
import { hashEntry } from './chain.ts';
import { isAscending, outOfPlace } from './order.ts';
import { sinkLines } from './sink-lines.ts';
import type { AuditBreak, AuditEntry } from './types.ts';

/** Consecutive numbers, both included. */
export interface Span {
  seq: number;
  through: number;
}

/** A place in a sink's file. */
export interface Place {
  /** As it was handed in. */
  file: string;
  line: number;
}

export interface SinkComparison {
  /** False when the store is not what the sink was given. */
  ok: boolean;
  /** Entries in the sink, each counted once. */
  entries: number;
  /**
   * What is wrong with the store: `changed`: the sink has the entry with another content; `removed`: it has it, the store
   * has not; `truncated`: the same beyond the store's last entry; `reordered`: it lies at another place in the store.
   */
  breaks: AuditBreak[];
  /** Newest entry of the sink; 0 for none. */
  newest: number;
  /** What the store has and the sink has not, by where: before the sink's first entry, among its own, after its last. */
  missing: { older: Span[]; between: Span[]; newer: Span[] };
  /** Entries that are in the sink more than once, and not the same each time. */
  disagreeing: number[];
  /** Lines of the sink that were cut, or ran into each other. `places` names the first fifty. */
  half: { count: number; places: Place[] };
  /** Entries whose own hash does not fit in the sink, where the store has another or none: changed there, no witness. */
  unsound: { count: number; places: (Place & { seq: number })[] };
}

export interface Comparison {
  /**
   * Reads one file of the sink, or one more: rotated files and those of several replicas are taken together, in any order.
   * To be done before the store is read, since entries come to the sink after they are in the store.
   * @throws what reading throws
   */
  read(file: string, chunks: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): Promise<void>;
  /** Each entry of the store, in the store's order. */
  see(entry: AuditEntry): void;
  finish(): SinkComparison;
}

const NAMED = 50;
/** Longer runs of one kind are told as one. */
const MOST_NAMED = 100;
const DIGEST_BYTES = 32;
const SOUND = 1;
const SEEN = 2;

/** Compares the store with a sink. Holds a number and a digest per line of the sink, and a number per entry of the store. */
export function createComparison(): Comparison {
  const kept = new Kept();
  const half: SinkComparison['half'] = { count: 0, places: [] };
  const unsound: SinkComparison['unsound'] = { count: 0, places: [] };
  const files: string[] = [];
  const inStore: number[] = [];
  const absent: number[] = [];
  const changed = new Set<number>();

  const tellUnsound = (index: number): void => {
    unsound.count += 1;
    if (unsound.places.length >= NAMED) return;
    const { file, line } = kept.place(index);
    unsound.places.push({ file: files[file] ?? '', line, seq: kept.seq(index) });
  };

  return {
    async read(file, chunks) {
      files.push(file);
      for await (const { entries, half: isHalf, number } of sinkLines(chunks)) {
        let whole = !isHalf;
        for (const entry of entries) {
          const digest = digestOf(entry);
          // A number that no entry has: nothing that it could be compared with.
          if (digest === null || !isNumber(entry.seq)) whole = false;
          else kept.add(entry.seq, digest, isSound(entry), files.length - 1, number);
        }
        if (whole) continue;
        half.count += 1;
        if (half.places.length < NAMED) half.places.push({ file, line: number });
      }
    },

    see(entry) {
      // Such a row is named by the chain.
      if (!isNumber(entry?.seq)) return;
      const { seq } = entry;
      inStore.push(seq);
      const digest = digestOf(entry);
      let found = false;
      for (const index of kept.find(seq)) {
        found = true;
        kept.mark(index);
        if (digest !== null && kept.equals(index, digest)) continue;
        // Whoever changes a line in the sink, by hand or by a wrong character set, must not accuse the store.
        if (kept.isSound(index)) changed.add(seq);
        else tellUnsound(index);
      }
      if (!found) absent.push(seq);
    },

    finish() {
      const last = inStore.reduce((most, seq) => Math.max(most, seq), 0);
      const gone: number[] = [];
      let beyond = false;
      for (const index of kept.unseen()) {
        const seq = kept.seq(index);
        if (!kept.isSound(index)) tellUnsound(index);
        else if (seq > last) beyond = true;
        else if (gone.at(-1) !== seq) gone.push(seq);
      }
      const breaks: AuditBreak[] = [
        ...[...changed].map((seq) => ({ kind: 'changed' as const, seq })),
        ...spans(gone).flatMap(removed),
        ...(isAscending(inStore) ? [] : outOfPlace(inStore)).map((seq) => ({ kind: 'reordered' as const, seq })),
      ].sort((a, b) => a.seq - b.seq);
      if (beyond) breaks.push({ kind: 'truncated', afterSeq: last });
      const { disagreeing, entries, newest, oldest } = kept.summary();
      const missing = spans(absent.sort((a, b) => a - b));
      return {
        ok: breaks.length === 0,
        entries,
        newest,
        breaks,
        missing: {
          older: missing.filter(({ seq }) => seq < oldest),
          between: missing.filter(({ seq }) => seq > oldest && seq < newest),
          newer: missing.filter(({ seq }) => seq > newest),
        },
        disagreeing,
        half,
        unsound,
      };
    },
  };
}

function isNumber(seq: unknown): seq is number {
  return Number.isSafeInteger(seq) && (seq as number) > 0;
}

/** Over everything, the hash included; null for what is nested too deep to be an entry. */
function digestOf(entry: AuditEntry): Buffer | null {
  try {
    return createHash('sha256').update(canonicalJson(entry)).digest();
  } catch (error) {
    if (error instanceof RangeError) return null;
    throw error;
  }
}

function isSound(entry: AuditEntry): boolean {
  return hashEntry(entry) === entry.hash;
}

/** Of ascending numbers. */
function spans(seqs: readonly number[]): Span[] {
  const found: Span[] = [];
  for (const seq of seqs) {
    const last = found.at(-1);
    if (last && seq <= last.through + 1) last.through = seq;
    else found.push({ seq, through: seq });
  }
  return found;
}

function removed({ seq, through }: Span): (AuditBreak & { seq: number })[] {
  if (through - seq >= MOST_NAMED) return [{ kind: 'removed', seq, through }];
  return Array.from({ length: through - seq + 1 }, (_, index) => ({ kind: 'removed', seq: seq + index }));
}

/** What is kept of the sink: flat arrays that grow, since a file may have millions of lines. */
class Kept {
  #count = 0;
  #seqs = new Float64Array(1_024);
  #digests = Buffer.alloc(1_024 * DIGEST_BYTES);
  #flags = new Uint8Array(1_024);
  #files = new Uint16Array(1_024);
  #lines = new Uint32Array(1_024);
  #ascending = true;
  /** Indices by number; of equal ones the first read comes first. */
  #order: Uint32Array | null = null;

  add(seq: number, digest: Buffer, sound: boolean, file: number, line: number): void {
    if (this.#count === this.#seqs.length) this.#grow();
    const index = this.#count;
    this.#ascending &&= index === 0 || seq >= this.seq(index - 1);
    this.#seqs[index] = seq;
    this.#digests.set(digest, index * DIGEST_BYTES);
    this.#flags[index] = sound ? SOUND : 0;
    this.#files[index] = file;
    this.#lines[index] = line;
    this.#count += 1;
    this.#order = null;
  }

  seq(index: number): number {
    return this.#seqs[index] ?? 0;
  }

  place(index: number): { file: number; line: number } {
    return { file: this.#files[index] ?? 0, line: this.#lines[index] ?? 0 };
  }

  isSound(index: number): boolean {
    return ((this.#flags[index] ?? 0) & SOUND) !== 0;
  }

  mark(index: number): void {
    this.#flags[index] = (this.#flags[index] ?? 0) | SEEN;
  }

  equals(index: number, digest: Buffer): boolean {
    return this.#digest(index).equals(digest);
  }

  /** Indices of this number. */
  *find(seq: number): Generator<number> {
    let low = 0;
    let high = this.#count;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if (this.seq(this.#at(middle)) < seq) low = middle + 1;
      else high = middle;
    }
    for (; low < this.#count && this.seq(this.#at(low)) === seq; low += 1) yield this.#at(low);
  }

  /** Indices that were not marked, by number. */
  *unseen(): Generator<number> {
    for (let position = 0; position < this.#count; position += 1) {
      const index = this.#at(position);
      if (((this.#flags[index] ?? 0) & SEEN) === 0) yield index;
    }
  }

  summary(): { entries: number; oldest: number; newest: number; disagreeing: number[] } {
    let entries = 0;
    const disagreeing = new Set<number>();
    for (let position = 0; position < this.#count; position += 1) {
      const index = this.#at(position);
      const before = position === 0 ? -1 : this.#at(position - 1);
      if (before < 0 || this.seq(before) !== this.seq(index)) entries += 1;
      else if (!this.equals(before, this.#digest(index))) disagreeing.add(this.seq(index));
    }
    const [oldest, newest] = this.#count === 0 ? [0, 0] : [this.seq(this.#at(0)), this.seq(this.#at(this.#count - 1))];
    return { entries, oldest, newest, disagreeing: [...disagreeing] };
  }

  #digest(index: number): Buffer {
    return this.#digests.subarray(index * DIGEST_BYTES, (index + 1) * DIGEST_BYTES);
  }

  #at(position: number): number {
    if (this.#ascending) return position;
    this.#order ??= new Uint32Array(this.#count)
      .map((_, index) => index)
      .sort((a, b) => this.seq(a) - this.seq(b) || a - b);
    return this.#order[position] ?? 0;
  }

  #grow(): void {
    const size = this.#seqs.length * 2;
    const grown = <A extends Float64Array | Uint8Array | Uint16Array | Uint32Array>(larger: A, smaller: A): A => {
      larger.set(smaller);
      return larger;
    };
    this.#seqs = grown(new Float64Array(size), this.#seqs);
    this.#digests = grown(Buffer.alloc(size * DIGEST_BYTES), this.#digests);
    this.#flags = grown(new Uint8Array(size), this.#flags);
    this.#files = grown(new Uint16Array(size), this.#files);
    this.#lines = grown(new Uint32Array(size), this.#lines);
  }
}
