import type { Logger } from '../logger.ts';
import type { Store } from '../store/types.ts';
import type { AuditSink } from './sinks/types.ts';
import type { AuditEntry } from './types.ts';

export interface AuditStream {
  /**
   * Gives each sink what it has not taken yet, in order, page by page. A sink that fails is logged and asked again at the
   * next flush; the others go on. A call while a flush runs is answered by one that begins after it. Safe to repeat, and
   * safe on several replicas: entries then come more than once, never out of order and never with a gap.
   * @throws ShipmateError STORE_UNAVAILABLE
   */
  flush(): Promise<void>;
}

export interface AuditStreamDeps {
  store: Pick<Store, 'read' | 'transaction'>;
  sinks: readonly AuditSink[];
  logger: Logger;
  now: () => Date;
}

/** The last entry that a sink took. */
interface Taken {
  seq: number;
  hash: string;
}

const PAGE = 500;
const NOTHING: Taken = { seq: 0, hash: '' };

/**
 * How far a sink came is a setting, "audit:sink:<name>" with "<seq> <hash>", written after the sink took the entries. So a
 * process that dies in between sends them again, and none is left out. The sequence has no holes that fill up later: the
 * chain's head is locked until its entry is committed.
 */
export function createAuditStream({ logger, now, sinks, store }: AuditStreamDeps): AuditStream {
  const lanes = sinks.map((sink) => coalesced(feeder(sink)));
  return {
    async flush() {
      const results = await Promise.allSettled(lanes.map((run) => run()));
      for (const result of results) if (result.status === 'rejected') throw result.reason;
    },
  };

  function feeder(sink: AuditSink): () => Promise<void> {
    const key = `audit:sink:${sink.name}`;
    const log = logger.child({ sink: sink.name });
    let awaySince: Date | null = null;

    const offer = async (entries: readonly AuditEntry[], after: number): Promise<boolean> => {
      try {
        await sink.write(entries);
      } catch (error) {
        awaySince ??= now();
        log.error('an audit sink does not take entries', { after, awaySince: awaySince.toISOString(), error });
        return false;
      }
      if (awaySince) log.info('an audit sink takes entries again', { after, awaySince: awaySince.toISOString() });
      awaySince = null;
      return true;
    };

    /** Where to go on. Everything is sent again when the store no longer holds what the sink took last. */
    const resume = async (recorded: string | null): Promise<Taken> => {
      if (recorded === null) return NOTHING;
      const [, digits = '0', hash = ''] = /^(\d{1,15}) (.*)$/s.exec(recorded) ?? [];
      const seq = Number(digits);
      const [row] = seq === 0 ? [] : await store.read((tx) => tx.audit.page({ after: seq - 1, limit: 1 }));
      if (row && row.hash === hash) return { seq, hash };
      // Entries were removed or written anew. Their numbers come a second time, so nothing can be left out by number.
      log.error('the audit is not what a sink was given; all of it is sent again', { seq });
      return NOTHING;
    };

    return async () => {
      let recorded = await store.read((tx) => tx.settings.get(key));
      let taken = await resume(recorded);
      for (;;) {
        const after = taken.seq;
        const page = await store.read((tx) => tx.audit.page({ after, limit: PAGE }));
        const last = page.at(-1);
        if (!last) return;
        const head = await store.read((tx) => tx.audit.head());
        const stray = page.findIndex((entry, index) => entry.seq !== after + 1 + index);
        if (stray >= 0) log.error('the audit has a gap or a row out of place', { seq: after + 1 + stray });
        if (!(await offer(page, after))) return;
        // A row that somebody changed may claim any number. So many rows were read, so no lower number is left behind.
        const seq = last.seq > after && last.seq <= head.seq ? last.seq : after + page.length;
        taken = { seq, hash: last.hash };
        const value = `${seq} ${last.hash}`;
        const before = recorded;
        const mine = await store.transaction(async (tx) => {
          // Another replica was at it meanwhile: its progress stands, and it goes on.
          if ((await tx.settings.get(key)) !== before) return false;
          await tx.settings.set(key, value);
          return true;
        });
        if (!mine || page.length < PAGE) return;
        recorded = value;
      }
    };
  }
}

/** One run at a time; calls meanwhile share one run after it. */
function coalesced(run: () => Promise<void>): () => Promise<void> {
  let running: Promise<void> | null = null;
  let next: Promise<void> | null = null;
  const start = (): Promise<void> => {
    const mine = run().finally(() => {
      running = null;
    });
    running = mine;
    return mine;
  };
  return () => {
    if (!running) return start();
    next ??= running
      .catch(() => undefined)
      .then(() => {
        next = null;
        return running ?? start();
      });
    return next;
  };
}
