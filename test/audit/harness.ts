import { readFile } from 'node:fs/promises';
import { chain, GENESIS, hashEntry } from '../../src/audit/chain.ts';
import type { AuditSink } from '../../src/audit/sinks/index.ts';
import type { AuditEntry, AuditHead, AuditRecord } from '../../src/audit/types.ts';
import type { LogFields, Logger } from '../../src/logger.ts';
import type { Store } from '../../src/store/types.ts';

export const AT = new Date('2026-11-24T12:00:00.000Z');

export const RECORD: AuditRecord = {
  actor: { id: 'id-dana', tenantId: 'tenant', name: 'Dána' },
  action: 'deploy.request',
  outcome: 'done',
  code: 'OK',
};

export function chainOf(count: number, from: AuditHead = GENESIS, more: Partial<AuditRecord> = {}): AuditEntry[] {
  const entries: AuditEntry[] = [];
  for (let index = 0; index < count; index += 1)
    entries.push(chain(entries.at(-1) ?? from, { ...RECORD, version: `1.0.${index}`, ...more }, AT));
  return entries;
}

/** As somebody would who knows how the hash is made. */
export function rehashed(entry: AuditEntry): AuditEntry {
  return { ...entry, hash: hashEntry(entry) };
}

export async function append(store: Store, count: number, more: Partial<AuditRecord> = {}): Promise<void> {
  for (let index = 0; index < count; index += 1)
    await store.transaction((tx) => tx.audit.append({ ...RECORD, version: `1.0.${index}`, ...more }, AT));
}

export function entriesOf(store: Store): Promise<AuditEntry[]> {
  return store.transaction((tx) => tx.audit.page({ after: 0, limit: 100_000 }));
}

/** A sink in memory. `fail` makes the next write throw: before it took anything, or after it took `half`. */
export function memorySink(name = 'memory') {
  const taken: AuditEntry[] = [];
  const sink = {
    name,
    taken,
    writes: 0,
    fail: null as Error | null,
    /** Takes this many, then fails. */
    half: null as number | null,
    async write(entries: readonly AuditEntry[]) {
      sink.writes += 1;
      if (sink.fail) throw sink.fail;
      taken.push(...structuredClone(entries.slice(0, sink.half ?? entries.length)));
      if (sink.half !== null) throw new Error('the line went dead');
    },
    close: async () => undefined,
  } satisfies AuditSink & Record<string, unknown>;
  return sink;
}

export const seqsOf = (entries: readonly { seq: number }[]): number[] => entries.map(({ seq }) => seq);

export const upTo = (last: number, first = 1): number[] =>
  Array.from({ length: last - first + 1 }, (_, index) => first + index);

/** A logger that keeps what it was told. */
export function keepingLogger() {
  const told: { level: string; message: string; fields: LogFields }[] = [];
  const at =
    (level: string) =>
    (message: string, fields: LogFields = {}) =>
      void told.push({ level, message, fields });
  const logger: Logger = {
    debug: at('debug'),
    info: at('info'),
    warn: at('warn'),
    error: at('error'),
    child: () => logger,
  };
  return { logger, told, messages: () => told.map(({ message }) => message) };
}

export async function linesOf(file: string): Promise<string[]> {
  return (await readFile(file, 'utf8')).split('\n').slice(0, -1);
}
