import { createHash } from 'node:crypto';
import { canonicalJson } from './canonical.ts';
import type { AuditBreak, AuditEntry, AuditRecord, AuditVerification } from './types.ts';

export const GENESIS = { seq: 0, hash: '0'.repeat(64) } as const;

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
  return JSON.stringify(plain).length <= MAX_DETAILS ? plain : { cut: JSON.stringify(plain).slice(0, MAX_TEXT) };
}

/**
 * Checks entries in the order given. Each break is named once, and one broken row does not taint the rows after it:
 * the chain goes on from what the row claims to be. An `anchor` is a head that was kept elsewhere: entries that are
 * missing at the end show only against it.
 */
export async function verifyChain(
  entries: AsyncIterable<AuditEntry> | Iterable<AuditEntry>,
  anchor?: { seq: number; hash: string },
): Promise<AuditVerification> {
  const breaks: AuditBreak[] = [];
  let count = 0;
  let head: { seq: number; hash: string } = GENESIS;
  let highest = 0;
  let anchored = anchor === undefined || anchor.seq === 0;
  for await (const entry of entries) {
    count += 1;
    if (entry.seq <= highest) breaks.push({ kind: 'reordered', seq: entry.seq });
    else {
      for (let missing = highest + 1; missing < entry.seq; missing += 1) breaks.push({ kind: 'removed', seq: missing });
      const intact = hashEntry(entry) === entry.hash;
      // Right by itself but not linked to the row before, which is there and intact: it was written anew.
      const linked = entry.seq !== head.seq + 1 || entry.prevHash === head.hash;
      if (!intact || !linked) breaks.push({ kind: 'changed', seq: entry.seq });
      highest = entry.seq;
      head = { seq: entry.seq, hash: entry.hash };
    }
    if (anchor && entry.seq === anchor.seq) {
      anchored = true;
      if (entry.hash !== anchor.hash && !breaks.some((each) => 'seq' in each && each.seq === entry.seq))
        breaks.push({ kind: 'changed', seq: entry.seq });
    }
  }
  if (!anchored && anchor && highest < anchor.seq) breaks.push({ kind: 'truncated', afterSeq: highest });
  return { ok: breaks.length === 0, entries: count, head, breaks };
}
