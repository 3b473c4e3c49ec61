import type { Store, Tx } from '../store/types.ts';
import { openLines } from './lines.ts';

export interface Anchor {
  seq: number;
  hash: string;
  /** ISO 8601. */
  at: string;
  /** Plain text for people: "Audit anchor: entry 4711, <hash>". */
  text: string;
}

export interface AnchorDeps {
  store: Pick<Store, 'read' | 'transaction'>;
  /** Absolute. Lines "head <seq> <hash> <time>" are appended to it. */
  file?: string;
  /** Milliseconds. Periods are counted from 1970, so that replicas and restarts agree on them. */
  every: number;
  now: () => Date;
  /** Sends the text on its way, in the transaction that makes the anchor: once when it commits, never otherwise. */
  post?: (tx: Tx, text: string) => Promise<void>;
}

export interface Anchors {
  /**
   * Makes the anchor of this period, unless one was made by any replica: then, and while the audit is empty, null. Call it
   * once a minute or so. A line that was not written to the file because the process died, or because the file could not
   * be written, is written by a later call.
   * @throws ShipmateError STORE_UNAVAILABLE, or what the file system says; the anchor is made then, and its line is due
   */
  anchor(): Promise<Anchor | null>;
}

const SYSTEM = { id: 'system', tenantId: '', name: 'Shipmate' };
/** "<period> head <seq> <hash> <time>" of the newest anchor, and the same once its line is in the file. */
const MADE = 'audit:anchor';
const WRITTEN = 'audit:anchor:written';
/** So long the replica that made an anchor may take to write its line before another one does. */
const GRACE_MS = 60_000;

/** Tells the newest entry somewhere else, once per period, so that a missing end and a chain written anew show. */
export function createAnchors({ every, file, now, post, store }: AnchorDeps): Anchors {
  const lines = file === undefined ? null : openLines(file);

  /** After the commit: a line of an anchor that was rolled back would accuse an honest store, and a slow disk hold it up. */
  const write = async (made: string): Promise<void> => {
    if (!lines) return;
    try {
      await lines.append([made.slice(made.indexOf('head '))]);
    } finally {
      await lines.close();
    }
    await store.transaction((tx) => tx.settings.set(WRITTEN, made));
  };

  const writeIfDue = async (made: string | null, written: string | null): Promise<void> => {
    if (!lines || made === null || made === written) return;
    const at = Date.parse(made.split(' ').at(-1) ?? '');
    if (Number.isNaN(at) || Math.abs(now().getTime() - at) < GRACE_MS) return;
    await write(made);
  };

  return {
    async anchor() {
      const time = now();
      const period = `${every}:${Math.floor(time.getTime() / every)}`;
      const [made, written] = await store.read(async (tx) => [
        await tx.settings.get(MADE),
        await tx.settings.get(WRITTEN),
      ]);
      if (made?.startsWith(`${period} `)) {
        await writeIfDue(made, written ?? null);
        return null;
      }
      const anchor = await store.transaction(async (tx): Promise<Anchor | null> => {
        // The head as it is before the entry about it: an entry can't hold its own hash, and this one shall say exactly what
        // was told, so that whoever finds a line or a post can look it up, and whoever finds the entry knows that there was
        // one. The entry itself is covered by the next anchor. An entry that comes between does no harm to what was told.
        const { hash, seq } = await tx.audit.head();
        if (seq === 0) return null;
        // Replicas ask for the same claim, and the loser waits for the winner's end.
        if (!(await tx.claims.claim(`audit:anchor:${period}`, new Date(time.getTime() + 2 * every)))) return null;
        const at = time.toISOString();
        const text = `Audit anchor: entry ${seq}, ${hash}`;
        await tx.audit.append(
          { actor: SYSTEM, action: 'audit.anchor', outcome: 'done', code: 'AUDIT_ANCHORED', details: { seq, hash } },
          time,
        );
        await tx.settings.set(MADE, `${period} head ${seq} ${hash} ${at}`);
        await post?.(tx, text);
        return { seq, hash, at, text };
      });
      if (anchor) await write(`${period} head ${anchor.seq} ${anchor.hash} ${anchor.at}`);
      return anchor;
    },
  };
}
