import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { appendFile, readFile } from 'node:fs/promises';
import path from 'node:path';
import { createInterface } from 'node:readline';
import { describe, expect, it } from '@jest/globals';
import { createComparison } from '../../src/audit/compare.ts';
import { sinkLines } from '../../src/audit/sink-lines.ts';
import { createFileSink } from '../../src/audit/sinks/file.ts';
import { createAuditStream } from '../../src/audit/stream.ts';
import type { AuditEntry } from '../../src/audit/types.ts';
import type { Store } from '../../src/store/types.ts';
import { silentLogger } from '../contract/harness/deps.ts';
import { createMemoryStore, openTestStore } from '../helpers/store.ts';
import { AT, append, chainOf, entriesOf, keepingLogger, memorySink, seqsOf, upTo } from './harness.ts';

const now = () => AT;

function streamTo(store: Pick<Store, 'read' | 'transaction'>, ...sinks: ReturnType<typeof memorySink>[]) {
  const { logger, messages, told } = keepingLogger();
  return { ...createAuditStream({ store, sinks, logger, now }), messages, told };
}

const progress = (store: Store, name = 'memory') =>
  store.transaction((tx) => tx.settings.get(`audit:sink:${name}`)).then((value) => Number(value?.split(' ')[0] ?? 0));

describe('the stream of the audit', () => {
  it('gives a sink every entry once, in order, and goes on from there', async () => {
    const store = createMemoryStore();
    const sink = memorySink();
    const stream = streamTo(store, sink);
    await stream.flush();
    expect(sink.writes).toBe(0);
    await append(store, 3);
    await stream.flush();
    await append(store, 2);
    await stream.flush();
    await stream.flush();
    expect(sink.taken).toEqual(await entriesOf(store));
    expect(sink.writes).toBe(2);
    expect(await progress(store)).toBe(5);
    // A new process knows it too.
    await append(store, 1);
    await streamTo(store, sink).flush();
    expect(seqsOf(sink.taken)).toEqual(upTo(6));
    expect(stream.told).toEqual([]);
  });

  it('catches up page by page, and records each', async () => {
    const store = createMemoryStore();
    await store.transaction(async (tx) => {
      for (let index = 0; index < 1_203; index += 1) await tx.audit.append(chainOf(1)[0] as AuditEntry, AT);
    });
    const sink = memorySink();
    const write = sink.write;
    sink.write = async (entries) => {
      if (sink.writes === 2) sink.fail = new Error('full');
      await write(entries);
    };
    const stream = streamTo(store, sink);
    await stream.flush();
    expect([sink.taken.length, await progress(store)]).toEqual([1_000, 1_000]);
    sink.fail = null;
    sink.write = write;
    await stream.flush();
    expect(seqsOf(sink.taken)).toEqual(upTo(1_203));
  });

  it('tries a sink that fails again, and lets the others go on', async () => {
    const store = createMemoryStore();
    const [good, bad] = [memorySink('good'), memorySink('bad')];
    const stream = streamTo(store, bad, good);
    bad.fail = new Error('away');
    for (let round = 0; round < 3; round += 1) {
      await append(store, 2);
      await stream.flush();
    }
    expect(seqsOf(good.taken)).toEqual(upTo(6));
    expect([bad.taken, await progress(store, 'bad')]).toEqual([[], 0]);
    expect(stream.told).toHaveLength(3);
    expect(stream.told[0]).toMatchObject({
      level: 'error',
      message: 'an audit sink does not take entries',
      fields: { after: 0, awaySince: AT.toISOString(), error: bad.fail },
    });
    bad.fail = null;
    await stream.flush();
    expect(seqsOf(bad.taken)).toEqual(upTo(6));
    expect(stream.messages().at(-1)).toBe('an audit sink takes entries again');
  });

  it('does not wait with one sink for another that hangs', async () => {
    const store = createMemoryStore();
    const [good, stuck] = [memorySink('good'), memorySink('stuck')];
    const { promise, resolve } = Promise.withResolvers<void>();
    stuck.write = () => promise;
    const stream = streamTo(store, stuck, good);
    await append(store, 1);
    const first = stream.flush();
    await append(store, 1);
    const second = stream.flush();
    while (good.taken.length < 2) await new Promise((done) => setTimeout(done, 5));
    resolve();
    await Promise.all([first, second]);
    expect(await progress(store, 'stuck')).toBe(2);
  });

  it('sends again what a sink took by half', async () => {
    const store = createMemoryStore();
    const sink = memorySink();
    const stream = streamTo(store, sink);
    await append(store, 4);
    sink.half = 3;
    await stream.flush();
    expect([seqsOf(sink.taken), await progress(store)]).toEqual([upTo(3), 0]);
    sink.half = null;
    await stream.flush();
    expect(seqsOf(sink.taken)).toEqual([1, 2, 3, 1, 2, 3, 4]);
  });

  it('sends again what a sink took when the process ended before it was recorded', async () => {
    const store = createMemoryStore();
    const sink = memorySink();
    await append(store, 2);
    await streamTo(store, sink).flush();
    await append(store, 2);
    const dying: Pick<Store, 'read' | 'transaction'> = {
      read: (fn) => store.read(fn),
      transaction: () => Promise.reject(new Error('killed')),
    };
    await expect(streamTo(dying, sink).flush()).rejects.toThrow('killed');
    expect([seqsOf(sink.taken), await progress(store)]).toEqual([upTo(4), 2]);
    await append(store, 1);
    await streamTo(store, sink).flush();
    expect(seqsOf(sink.taken)).toEqual([1, 2, 3, 4, 3, 4, 5]);
  });

  it('says when the store is away', async () => {
    const store = createMemoryStore();
    await append(store, 1);
    const sink = memorySink();
    store.breakWith(new Error('no database'));
    await expect(streamTo(store, sink).flush()).rejects.toThrow('no database');
    store.breakWith(null);
    await streamTo(store, sink).flush();
    expect(seqsOf(sink.taken)).toEqual([1]);
  });

  it('runs once at a time, and once more for what came meanwhile', async () => {
    const store = createMemoryStore();
    const sink = memorySink();
    const write = sink.write;
    const { promise, resolve } = Promise.withResolvers<void>();
    const writing = Promise.withResolvers<void>();
    let open = 0;
    sink.write = async (entries) => {
      open += 1;
      expect(open).toBe(1);
      writing.resolve();
      await promise;
      await write(entries);
      open -= 1;
    };
    const stream = streamTo(store, sink);
    await append(store, 1);
    const first = stream.flush();
    await writing.promise;
    const flushes = [stream.flush()];
    await append(store, 1);
    for (let index = 0; index < 10; index += 1) flushes.push(stream.flush());
    resolve();
    await first;
    await Promise.all(flushes);
    expect(seqsOf(sink.taken)).toEqual([1, 2]);
    expect(sink.writes).toBe(2);
  });

  it('keeps order and leaves nothing out when two replicas are at it', async () => {
    const store = createMemoryStore();
    const sinks = [memorySink(), memorySink()];
    for (const sink of sinks) {
      const write = sink.write;
      sink.write = async (entries) => {
        await new Promise((resolve) => setTimeout(resolve, Math.random() * 3));
        await write(entries);
      };
    }
    const replicas = sinks.map((sink) => streamTo(store, sink));
    await Promise.all(
      Array.from({ length: 30 }, async (_, index) => {
        await append(store, 1);
        await replicas[index % 2]?.flush();
      }),
    );
    await replicas[0]?.flush();
    expect(await progress(store)).toBe(30);
    const all = new Set(sinks.flatMap(({ taken }) => seqsOf(taken)));
    expect([...all].sort((a, b) => a - b)).toEqual(upTo(30));
    for (const { taken } of sinks) {
      const first = [...new Set(seqsOf(taken))];
      expect(first).toEqual(first.toSorted((a, b) => a - b));
    }
  });

  it('leaves the progress of a replica that was faster', async () => {
    const store = createMemoryStore();
    const [slow, fast] = [memorySink(), memorySink()];
    const { promise, resolve } = Promise.withResolvers<void>();
    const write = slow.write;
    slow.write = async (entries) => {
      await promise;
      await write(entries);
    };
    await append(store, 2);
    const slowly = streamTo(store, slow).flush();
    await new Promise((done) => setTimeout(done, 20));
    await append(store, 3);
    await streamTo(store, fast).flush();
    resolve();
    await slowly;
    expect(await progress(store)).toBe(5);
  });

  it('sends everything again when the end was removed and its numbers come a second time', async () => {
    const store = createMemoryStore();
    const sink = memorySink();
    await append(store, 5);
    await streamTo(store, sink).flush();
    // Somebody removed 4 and 5 from the store, and two others followed.
    const entries = await entriesOf(store);
    const forged = [...entries.slice(0, 3), ...chainOf(2, entries[2], { action: 'forged' })];
    const { messages, flush } = streamTo(withRows(store, forged), sink);
    await flush();
    expect(messages()).toEqual(['the audit is not what a sink was given; all of it is sent again']);
    expect(sink.taken.slice(5)).toEqual(forged);
    // Once, not for ever.
    await flush();
    expect(sink.taken).toHaveLength(10);
  });

  it('goes on behind rows that somebody removed or renumbered, and tells it', async () => {
    const store = createMemoryStore();
    const entries = chainOf(6);
    const rows = entries.filter(({ seq }) => seq !== 3).map((row) => (row.seq === 6 ? { ...row, seq: 10 ** 9 } : row));
    const sink = memorySink();
    const stream = streamTo(withRows(store, rows), sink);
    await stream.flush();
    expect(sink.taken).toEqual(rows);
    expect(stream.messages()).toContain('the audit has a gap or a row out of place');
    // The forged number did not carry it away from what comes next.
    expect(await progress(store)).toBeLessThanOrEqual(6);
  });
});

/** The store as it is after somebody wrote other rows into its table. */
function withRows(store: Store, rows: readonly AuditEntry[]): Pick<Store, 'read' | 'transaction'> {
  return {
    transaction: (fn) => store.transaction(fn),
    read: (fn) =>
      store.read((tx) =>
        fn({
          ...tx,
          audit: {
            page: async ({ after, limit }) => rows.filter(({ seq }) => seq > after).slice(0, limit),
            head: async () => ({ seq: 6, hash: '' }),
          },
        }),
      ),
  };
}

describe('a process that is killed while it streams', () => {
  it('leaves a file that has every entry, in order, once the next one caught up', async () => {
    const { close, dataDir, reopen, store } = await openTestStore('pglite');
    const file = path.join(dataDir, '..', 'audit.jsonl');
    try {
      await store.stop();
      let acknowledged = 0;
      for (let round = 0; round < 3; round += 1) {
        acknowledged = await killedAfter(8 + round * 5, dataDir, file);
        // What a machine that lost its power may leave.
        if (round === 1) await appendFile(file, '{"action":"deploy.requ');
      }
      // What was acknowledged was in the file before.
      const seen = new Set<number>();
      const comparison = createComparison();
      const read = async () => {
        for await (const { entries } of sinkLines([await readFile(file)])) for (const { seq } of entries) seen.add(seq);
      };
      await read();
      for (const seq of upTo(acknowledged)) expect(seen.has(seq)).toBe(true);

      const again = await reopen();
      const sink = createFileSink(file, { logger: silentLogger });
      await createAuditStream({ store: again, sinks: [sink], logger: silentLogger, now }).flush();
      await sink.close();
      await read();
      const entries = await entriesOf(again);
      expect([...seen]).toEqual(upTo(entries.length));
      await comparison.read(file, [await readFile(file)]);
      for (const entry of entries) comparison.see(entry);
      expect(comparison.finish()).toMatchObject({
        ok: true,
        entries: entries.length,
        missing: { older: [], between: [], newer: [] },
        disagreeing: [],
        unsound: { count: 0 },
        half: { count: 1 },
      });
    } finally {
      await close();
    }
  }, 90_000);
});

/** Gives the last number that was acknowledged. */
async function killedAfter(lines: number, dataDir: string, file: string): Promise<number> {
  const program = path.join(import.meta.dirname, 'stream-child.ts');
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', program, dataDir, file], {
    env,
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  const exited = once(child, 'exit');
  let last = 0;
  let count = 0;
  for await (const line of createInterface({ input: child.stdout })) {
    last = Number(line);
    count += 1;
    if (count === lines) child.kill('SIGKILL');
  }
  await exited;
  if (count < lines) throw new Error('the child ended by itself');
  return last;
}
