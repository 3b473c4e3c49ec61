import { createHash } from 'node:crypto';
import { canonicalJson } from './canonical.ts';
import { isAscending, outOfPlace } from './order.ts';
import type { AuditBreak, AuditEntry, AuditHead, AuditRecord, AuditVerification } from './types.ts';

export const GENESIS = { seq: 0, hash: '0'.repeat(64) } as const;

/** UTF-16 units of one text, and bytes of the details' JSON. */
const MAX_TEXT = 500;
const MAX_DETAILS = 4_096;

/** SHA-256, hex, over the canonical JSON of everything but the hash itself. */
export function hashEntry(entry: Omit<AuditEntry, 'hash'>): string {
  const { hash: _, ...content } = entry as AuditEntry;
  return createHash('sha256').update(canonicalJson(content)).digest('hex');
}

/** The next entry of the chain. Long texts are cut, so that an entry stays small whatever somebody typed. */
export function chain(head: { seq: number; hash: string }, record: AuditRecord, at: Date): AuditEntry {
  const { actor, details, ...rest } = record;
  const content: Omit<AuditEntry, 'hash'> = {
    ...cutAll(rest),
    actor: cutAll({ id: actor.id, tenantId: actor.tenantId, name: actor.name }),
    ...(details === undefined ? {} : { details: bounded(details) }),
    seq: head.seq + 1,
    at: at.toISOString(),
    prevHash: head.hash,
  };
  return { ...content, hash: hashEntry(content) };
}

function cutAll<T extends object>(fields: T): T {
  const entries = Object.entries(fields).filter(([, value]) => value !== undefined);
  return Object.fromEntries(entries.map(([key, value]) => [key, typeof value === 'string' ? cut(value) : value])) as T;
}

function cut(text: string): string {
  // A lone surrogate does not survive UTF-8, and the hash would not be found again; nor does PostgreSQL store NUL.
  const clean = text.toWellFormed().replaceAll('\0', '\ufffd');
  return clean.length <= MAX_TEXT ? clean : `${clean.slice(0, MAX_TEXT - 1).toWellFormed()}\u2026`;
}

function bounded(details: Record<string, unknown>): Record<string, unknown> {
  const plain = JSON.parse(JSON.stringify(details), (_key, value: unknown) =>
    typeof value === 'string' ? cut(value) : value,
  ) as Record<string, unknown>;
  const json = JSON.stringify(plain);
  return Buffer.byteLength(json) <= MAX_DETAILS ? plain : { cut: cut(json) };
}

/** How many missing rows of one gap are named one by one; a longer gap is named by its first and last. */
const MOST_NAMED = 100;

/**
 * Checks entries in the order given. Each break is named once, and one broken row does not taint the rows after it:
 * - `changed`: its hash does not fit its content, or the row after it, itself intact, was chained to another hash (it
 *   was written anew, hash and all). Of two neighbours that don't fit, the earlier one is named.
 * - `removed`: its number is missing; `reordered`: it is there, at another place (see `outOfPlace`).
 * - `truncated`: the newest of the `anchors`, heads that were kept elsewhere, is beyond the last entry. Without an anchor
 *   neither a missing end nor a last row that was written anew can show; a row with another hash than one of its anchors
 *   is `changed`.
 * Holds a number per entry, so that a million entries are a few megabytes.
 */
export async function verifyChain(
  entries: AsyncIterable<AuditEntry> | Iterable<AuditEntry>,
  anchors: AuditHead | readonly AuditHead[] = [],
): Promise<AuditVerification> {
  const anchored = new Map<number, Set<string>>();
  let newest = 0;
  for (const { hash, seq } of [anchors].flat()) {
    anchored.set(seq, (anchored.get(seq) ?? new Set()).add(hash));
    newest = Math.max(newest, seq);
  }
  const changed = new Set<number>();
  const seqs: number[] = [];
  let head: { seq: number; hash: string } = GENESIS;
  // Rows whose neighbour has not come yet: in an orderly chain there is one.
  const awaitNext = new Map<number, string>([[GENESIS.seq, GENESIS.hash]]);
  const awaitPrevious = new Map<number, string>();
  for await (const entry of entries) {
    const { hash, prevHash, seq } = entry;
    seqs.push(seq);
    // A row with a number that no row can have was put in, whatever its hash says.
    const intact = Number.isSafeInteger(seq) && seq > 0 && hashEntry(entry) === hash;
    if (!intact) changed.add(seq);
    // Two lines that name different hashes for one row are not both true, whatever the row says.
    for (const claimed of anchored.get(seq) ?? []) if (claimed !== hash) changed.add(seq);

    const previous = awaitNext.get(seq - 1);
    awaitNext.delete(seq - 1);
    // Only an intact row is a witness against the one before it. The first has nobody before it to blame.
    if (!intact) awaitPrevious.delete(seq);
    else if (previous === undefined) awaitPrevious.set(seq, prevHash);
    else if (previous !== prevHash) changed.add(Math.max(1, seq - 1));

    const claimed = awaitPrevious.get(seq + 1);
    awaitPrevious.delete(seq + 1);
    if (claimed === undefined) awaitNext.set(seq, hash);
    else if (claimed !== hash) changed.add(seq);

    if (seq > head.seq) head = { seq, hash };
  }
  const breaks: AuditBreak[] = [
    ...[...changed].map((seq) => ({ kind: 'changed' as const, seq })),
    ...gaps(seqs),
    ...(isAscending(seqs) ? [] : outOfPlace(seqs)).map((seq) => ({ kind: 'reordered' as const, seq })),
  ].sort((a, b) => a.seq - b.seq);
  if (head.seq < newest) breaks.push({ kind: 'truncated', afterSeq: head.seq });
  return { ok: breaks.length === 0, entries: seqs.length, head, breaks };
}

function gaps(seqs: readonly number[]): { kind: 'removed'; seq: number; through?: number }[] {
  const found: { kind: 'removed'; seq: number; through?: number }[] = [];
  let before = 0;
  for (const seq of isAscending(seqs) ? seqs : seqs.toSorted((a, b) => a - b)) {
    // A forged number may be huge: a long gap is one line, not one for each row.
    if (seq - before - 1 > MOST_NAMED) found.push({ kind: 'removed', seq: before + 1, through: seq - 1 });
    else for (let missing = before + 1; missing < seq; missing += 1) found.push({ kind: 'removed', seq: missing });
    before = Math.max(before, seq);
  }
  return found;
}
