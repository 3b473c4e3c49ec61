import { createReadStream } from 'node:fs';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createAnchors } from '../../src/audit/anchor.ts';
import { canonicalJson } from '../../src/audit/canonical.ts';
import { chain, verifyChain } from '../../src/audit/chain.ts';
import { createComparison, type SinkComparison } from '../../src/audit/compare.ts';
import { sinkLines } from '../../src/audit/sink-lines.ts';
import { createFileSink } from '../../src/audit/sinks/file.ts';
import { syslogMessage } from '../../src/audit/sinks/syslog.ts';
import { createAuditStream } from '../../src/audit/stream.ts';
import type { AuditBreak, AuditEntry } from '../../src/audit/types.ts';
import { silentLogger } from '../contract/harness/deps.ts';
import { createMemoryStore } from '../helpers/store.ts';
import { AT, append, chainOf, entriesOf, RECORD, rehashed, upTo } from './harness.ts';

const jsonl = (entries: readonly unknown[]) => entries.map((entry) => `${canonicalJson(entry)}\n`).join('');

async function compare(
  store: readonly AuditEntry[],
  ...sinks: (string | AsyncIterable<Uint8Array>)[]
): Promise<SinkComparison> {
  const comparison = createComparison();
  for (const [index, sink] of sinks.entries())
    await comparison.read(`sink${index}`, typeof sink === 'string' ? [Buffer.from(sink)] : sink);
  for (const entry of store) comparison.see(entry);
  const result = comparison.finish();
  expect(result.ok).toBe(result.breaks.length === 0);
  return result;
}

const at = (entries: readonly AuditEntry[], seq: number): AuditEntry => {
  const entry = entries[seq - 1];
  if (!entry) throw new Error(`no entry ${seq}`);
  return entry;
};
/** The chain from `seq` on as somebody writes it anew who changed that one, or put others there. */
function rewritten(entries: readonly AuditEntry[], seq: number, change: (entry: AuditEntry) => object): AuditEntry[] {
  const rows = entries.slice(0, seq - 1);
  for (const entry of entries.slice(seq - 1)) {
    const { at: time, hash: _, prevHash: __, seq: number, ...record } = entry;
    const edited = number === seq ? { ...record, ...change(entry) } : record;
    rows.push(chain(rows.at(-1) ?? { seq: 0, hash: '0'.repeat(64) }, edited as typeof record, new Date(time)));
  }
  return rows;
}

const changed = (...seqs: number[]): AuditBreak[] => seqs.map((seq) => ({ kind: 'changed', seq }));

/** What somebody did to the rows, what the sink says, and what the chain says without a sink. */
const TAMPERING: readonly [string, (rows: AuditEntry[]) => AuditEntry[], sink: AuditBreak[], chain: AuditBreak[]][] = [
  ['nothing', (rows) => rows, [], []],
  ['changed one', (rows) => rows.with(4, { ...at(rows, 5), outcome: 'refused' }), changed(5), changed(5)],
  [
    'changed one, hash and all',
    (rows) => rows.with(4, rehashed({ ...at(rows, 5), outcome: 'refused' })),
    changed(5),
    changed(5),
  ],
  [
    'changed the last, hash and all',
    (rows) => rows.with(9, rehashed({ ...at(rows, 10), code: 'DUPLICATE' })),
    changed(10),
    [],
  ],
  [
    'changed one and wrote the rest anew',
    (rows) => rewritten(rows, 8, () => ({ action: 'forged' })),
    changed(8, 9, 10),
    [],
  ],
  ['removed one', (rows) => rows.toSpliced(3, 1), [{ kind: 'removed', seq: 4 }], [{ kind: 'removed', seq: 4 }]],
  ['removed the first', (rows) => rows.slice(1), [{ kind: 'removed', seq: 1 }], [{ kind: 'removed', seq: 1 }]],
  [
    'removed one and wrote the rest anew',
    (rows) => rewritten([...rows.slice(0, 6), ...rows.slice(7)], 7, () => ({})),
    [...changed(7, 8, 9), { kind: 'truncated', afterSeq: 9 }],
    [],
  ],
  [
    'swapped two',
    (rows) => rows.with(2, at(rows, 8)).with(7, at(rows, 3)),
    [
      { kind: 'reordered', seq: 3 },
      { kind: 'reordered', seq: 8 },
    ],
    [
      { kind: 'reordered', seq: 3 },
      { kind: 'reordered', seq: 8 },
    ],
  ],
  [
    'swapped two, numbers and all',
    (rows) => rows.with(2, rehashed({ ...at(rows, 4), seq: 3 })).with(3, rehashed({ ...at(rows, 3), seq: 4 })),
    changed(3, 4),
    changed(2, 3, 4),
  ],
  ['cut off the end', (rows) => rows.slice(0, 7), [{ kind: 'truncated', afterSeq: 7 }], []],
  [
    'cut off the end and went on from there',
    (rows) => [...rows.slice(0, 7), ...chainOf(2, at(rows, 7), { action: 'forged' })],
    [...changed(8, 9), { kind: 'truncated', afterSeq: 9 }],
    [],
  ],
  [
    'cut off the end and went further than before',
    (rows) => [...rows.slice(0, 7), ...chainOf(5, at(rows, 7), { action: 'forged' })],
    changed(8, 9, 10),
    [],
  ],
  ['removed everything', () => [], [{ kind: 'truncated', afterSeq: 0 }], []],
];

describe('a store that somebody was at', () => {
  let folder: string;
  let file: string;
  let rows: AuditEntry[];
  let anchors: { seq: number; hash: string }[];
  beforeAll(async () => {
    folder = await mkdtemp(path.join(tmpdir(), 'shipmate-compare-'));
    file = path.join(folder, 'audit.jsonl');
    const store = createMemoryStore();
    let time = AT.getTime();
    const anchorFile = path.join(folder, 'anchors');
    const maker = createAnchors({ store, every: 3_600_000, file: anchorFile, now: () => new Date(time) });
    for (const count of [2, 3, 2]) {
      await append(store, count);
      await maker.anchor();
      time += 3_600_000;
    }
    const sink = createFileSink(file, { logger: silentLogger });
    await createAuditStream({ store, sinks: [sink], logger: silentLogger, now: () => AT }).flush();
    await sink.close();
    rows = await entriesOf(store);
    anchors = (await readFile(anchorFile, 'utf8'))
      .trim()
      .split('\n')
      .map((line) => ({ seq: Number(line.split(' ')[1]), hash: line.split(' ')[2] ?? '' }));
    expect([rows.length, anchors.map(({ seq }) => seq)]).toEqual([10, [2, 6, 9]]);
  });
  afterAll(() => rm(folder, { recursive: true, force: true }));

  it.each(TAMPERING)('%s: the sink shows it', async (_, tamper, bySink, byChain) => {
    const tampered = tamper([...rows]);
    const result = await compare(tampered, createReadStream(file));
    expect(result).toMatchObject({ breaks: bySink, entries: 10, newest: 10, disagreeing: [], half: { count: 0 } });
    expect((await verifyChain(tampered)).breaks).toEqual(byChain);
  });

  it.each([
    ['changed the last anchored one and wrote the rest anew', 9, changed(9)],
    ['changed one before an older anchor and wrote the rest anew', 4, changed(6, 9)],
  ])('%s: anchors show it', async (_, seq, expected) => {
    const tampered = rewritten(rows, seq, () => ({ action: 'forged' }));
    expect((await verifyChain(tampered, anchors)).breaks).toEqual(expected);
  });
  it('cut off the end: the newest anchor decides, in whatever order they come', async () => {
    const tampered = rows.slice(0, 8);
    for (const given of [anchors, anchors.toReversed()])
      expect((await verifyChain(tampered, given)).breaks).toEqual([{ kind: 'truncated', afterSeq: 8 }]);
    expect((await verifyChain(tampered, anchors.slice(0, 2))).breaks).toEqual([]);
    expect((await verifyChain(rows, anchors)).breaks).toEqual([]);
  });
  it('kept two anchors that can not both be true', async () => {
    const other = { seq: 6, hash: 'f'.repeat(64) };
    expect((await verifyChain(rows, [...anchors, other])).breaks).toEqual(changed(6));
    expect((await verifyChain(rows, [other, ...anchors])).breaks).toEqual(changed(6));
  });
});

describe('what the sink lacks', () => {
  const rows = chainOf(20);
  const told = async (...sinks: string[]) => {
    const { missing, ok } = await compare(rows, ...sinks);
    expect(ok).toBe(true);
    return missing;
  };
  it('is told by where it is, and does not accuse the store', async () => {
    expect(await told(jsonl(rows))).toEqual({ older: [], between: [], newer: [] });
    expect(await told(jsonl(rows.slice(0, 15)))).toEqual({ older: [], between: [], newer: [{ seq: 16, through: 20 }] });
    expect(await told(jsonl(rows.slice(5)))).toEqual({ older: [{ seq: 1, through: 5 }], between: [], newer: [] });
    expect(await told(jsonl([...rows.slice(2, 4), at(rows, 8), ...rows.slice(10, 18)]))).toEqual({
      older: [{ seq: 1, through: 2 }],
      between: [
        { seq: 5, through: 7 },
        { seq: 9, through: 10 },
      ],
      newer: [{ seq: 19, through: 20 }],
    });
    expect(await told('')).toEqual({ older: [], between: [], newer: [{ seq: 1, through: 20 }] });
  });
  it('may be in another of its files, in any order', async () => {
    expect(await told(jsonl(rows.slice(12)), jsonl(rows.slice(0, 6)), jsonl(rows.slice(5, 14)))).toEqual({
      older: [],
      between: [],
      newer: [],
    });
  });
});

describe('entries that are in the sink more than once', () => {
  const rows = chainOf(8);
  it('are fine when they are the same', async () => {
    expect(await compare(rows, jsonl([...rows.slice(0, 5), ...rows, ...rows.slice(2)]))).toMatchObject({
      ok: true,
      entries: 8,
      disagreeing: [],
    });
  });
  it.each(['before', 'after'])(
    'are told when they differ, and the store is not what the sink was given',
    async (when) => {
      // As after a chain that was written anew and sent again.
      const other = rewritten(rows, 6, () => ({ action: 'forged' }));
      const [first, second] = when === 'before' ? [other, rows] : [rows, other];
      for (const store of [rows, other])
        expect(await compare(store, jsonl([...first, ...second.slice(5)]))).toMatchObject({
          breaks: changed(6, 7, 8),
          disagreeing: [6, 7, 8],
        });
    },
  );
});

describe('a line that was changed in the sink', () => {
  const rows = chainOf(8);
  it('does not accuse the store', async () => {
    const mangled = { ...at(rows, 3), actor: { ...RECORD.actor, name: 'D\ufffdna' } };
    expect(await compare(rows, jsonl(rows.with(2, mangled)))).toMatchObject({
      breaks: [],
      unsound: { count: 1, places: [{ file: 'sink0', line: 3, seq: 3 }] },
      missing: { between: [] },
    });
    const elsewhere = { ...at(rows, 3), seq: 99 };
    expect(await compare(rows, jsonl([...rows, elsewhere]))).toMatchObject({
      breaks: [],
      unsound: { count: 1, places: [{ file: 'sink0', line: 9, seq: 99 }] },
    });
  });
  it('is no witness, but what stands beside it is', async () => {
    const mangled = { ...at(rows, 3), code: 'DUPLICATE' };
    const store = rows.with(2, rehashed({ ...at(rows, 3), outcome: 'failed' }));
    expect(await compare(store, jsonl([...rows, mangled]))).toMatchObject({
      breaks: changed(3),
      unsound: { count: 1 },
    });
  });
  it('is what the store has too when that was changed before it was streamed: then the chain tells it', async () => {
    const store = rows.with(2, { ...at(rows, 3), outcome: 'failed' });
    expect(await compare(store, jsonl(store))).toMatchObject({ breaks: [], unsound: { count: 0 } });
    expect((await verifyChain(store)).breaks).toEqual(changed(3));
  });
});

describe('lines of a sink', () => {
  const rows = chainOf(4, undefined, { details: { text: 'a "{" and a }\\', nested: { seq: 7, hash: 'x' } } });
  const read = async (text: string | Buffer, size = 65_536) => {
    const bytes = Buffer.from(text);
    const chunks = Array.from({ length: Math.ceil(bytes.length / size) }, (_, index) =>
      bytes.subarray(index * size, (index + 1) * size),
    );
    const found: { number: number; seqs: number[]; half: boolean }[] = [];
    for await (const { entries, half, number } of sinkLines(chunks)) {
      for (const entry of entries) if (rows.some(({ seq }) => seq === entry.seq)) expect(rows).toContainEqual(entry);
      found.push({ number, seqs: entries.map(({ seq }) => seq), half });
    }
    return found;
  };
  const line = (text: string) => read(text).then(([first]) => first && { seqs: first.seqs, half: first.half });
  const third = at(rows, 3);
  const json = canonicalJson(third);
  const whole = { seqs: [3], half: false };

  it('are JSON, or JSON behind what a syslog server writes', async () => {
    const message = syslogMessage(third);
    for (const text of [
      json,
      `${json}\r`,
      `  ${json}  `,
      message,
      `2026-11-24T12:00:01+00:00 logs shipmate[4711] ${json}`,
      `Nov 24 12:00:01 logs shipmate {odd} [x] "{" ${json} trailing }`,
      `${Buffer.byteLength(message)} ${message}`,
      JSON.stringify(third, null, 1).replaceAll('\n', ' '),
      JSON.stringify(Object.fromEntries(Object.entries(third).reverse())),
    ])
      expect(await line(text)).toEqual(whole);
  });
  it('are JSON in what a collector makes of it', async () => {
    for (const wrapped of [
      { host: 'a', message: syslogMessage(third) },
      { host: 'a', event: third },
      { log: JSON.stringify({ message: json }), labels: ['{'] },
    ])
      expect(await line(JSON.stringify(wrapped))).toEqual(whole);
    expect(await line(JSON.stringify([third, at(rows, 4)]))).toEqual({ seqs: [3, 4], half: false });
  });
  it('may hold several, as octets in a row', async () => {
    const stream = rows.map((entry) => `${Buffer.byteLength(syslogMessage(entry))} ${syslogMessage(entry)}`).join('');
    expect(await line(stream)).toEqual({ seqs: [1, 2, 3, 4], half: false });
  });
  it('are half when they were cut, or ran into each other', async () => {
    const message = syslogMessage(third);
    for (let end = 12; end < json.length; end += 1)
      expect(await line(json.slice(0, end))).toEqual({ seqs: [], half: true });
    expect(await line(message.slice(0, -1))).toEqual({ seqs: [], half: true });
    expect(await line(message.slice(0, 150))).toEqual({ seqs: [], half: true });
    for (let end = 12; end < json.length; end += 7)
      expect(await line(json.slice(0, end) + canonicalJson(at(rows, 4)))).toEqual({ seqs: [4], half: true });
    expect(await line(JSON.stringify({ message }).slice(0, -9))).toEqual({ seqs: [], half: true });
  });
  it('of others are none, and nothing is wrong with them', async () => {
    for (const text of ['', 'sshd[12]: hello {', '{"level":"info"}', '{{{{{{{{', '}', '"', 'null', '[1,2]'])
      expect((await line(text)) ?? { seqs: [], half: false }).toEqual({ seqs: [], half: false });
  });
  it('do not take for an entry what somebody typed into one', async () => {
    const forged = canonicalJson(rehashed({ ...third, seq: 9 }));
    const typed = chain(third, { ...RECORD, version: forged, details: { given: JSON.parse(forged) as object } }, AT);
    for (const text of [jsonl([typed]), syslogMessage(typed), JSON.stringify({ message: canonicalJson(typed) })])
      for await (const { entries } of sinkLines([Buffer.from(text)])) expect(entries).toEqual([typed]);
  });
  it('are found wherever the file is cut into chunks', async () => {
    const text = `${jsonl(rows.slice(0, 2))}\n{"action":"x\n${jsonl(rows.slice(2))}`;
    const expected = await read(text);
    expect(expected.map(({ half, seqs }) => (half ? 'half' : seqs))).toEqual([[1], [2], [], 'half', [3], [4]]);
    for (const size of [1, 2, 3, 7, 64, 1_000]) expect(await read(text, size)).toEqual(expected);
    // Without an end of line too.
    expect((await read(text.slice(0, -1))).length).toBe(6);
  });
  it('are half when they are too long, and the next one is read', async () => {
    const long = Buffer.alloc(3_000_000, '{');
    expect(await read(Buffer.concat([long, Buffer.from(`\n${json}\n`)]))).toEqual([
      { number: 1, seqs: [], half: true },
      { number: 2, seqs: [3], half: false },
    ]);
  });
  it('cost no more than their length, whatever they are', async () => {
    const begun = performance.now();
    for (const hostile of ['{', '{"', '{"a":', '[{', '{}', '\\"{', '{"a":"{'])
      await line(hostile.repeat(Math.floor(1_000_000 / hostile.length)));
    await line(`{"message":${JSON.stringify('{'.repeat(400_000))}}`);
    expect(performance.now() - begun).toBeLessThan(10_000);
  });
  it('never throw', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.oneof(fc.string({ unit: 'binary' }), fc.constantFrom('{', '}', '"', '\\', '\n', json, '"seq":1', '[')),
        ),
        async (parts) => {
          const comparison = createComparison();
          await comparison.read('sink', [Buffer.from(parts.join(''))]);
          for (const entry of rows) comparison.see(entry);
          comparison.finish();
        },
      ),
    );
    const deep = `{"action":"a","hash":"","prevHash":"","seq":3,"x":${'['.repeat(100_000)}${']'.repeat(100_000)}}`;
    expect(await compare(rows, `${jsonl(rows)}${deep}\n`)).toMatchObject({ ok: true, half: { count: 1 } });
    const numbers = ['1e400', '-1', '2.5', '0'].map((seq) => `{"action":"a","hash":"","prevHash":"","seq":${seq}}\n`);
    expect(await compare(rows, jsonl(rows) + numbers.join(''))).toMatchObject({ ok: true, half: { count: 4 } });
  });
});

describe('a comparison of many', () => {
  it('agrees with a plain one, whatever order and copies the sink has', async () => {
    const rows = chainOf(30);
    const subset = fc.uniqueArray(fc.integer({ min: 1, max: 30 }));
    await fc.assert(
      fc.asyncProperty(subset, subset, fc.array(fc.integer({ min: 1, max: 30 })), async (gone, edited, order) => {
        const given = [...order, ...order.slice(0, 5)].map((seq) => at(rows, seq));
        const store = rows
          .filter(({ seq }) => !gone.includes(seq))
          .map((row) => (edited.includes(row.seq) ? rehashed({ ...row, action: 'forged' }) : row));
        const { breaks, entries } = await compare(store, jsonl(given));
        const inSink = new Set(order);
        const last = store.at(-1)?.seq ?? 0;
        expect(entries).toBe(inSink.size);
        const expected = upTo(30).flatMap((seq): AuditBreak[] => {
          if (!inSink.has(seq)) return [];
          if (gone.includes(seq)) return seq < last ? [{ kind: 'removed', seq }] : [];
          return edited.includes(seq) ? [{ kind: 'changed', seq }] : [];
        });
        if (Math.max(0, ...inSink) > last) expected.push({ kind: 'truncated', afterSeq: last });
        expect(breaks).toEqual(expected);
      }),
    );
  });

  it('takes a few dozen bytes for each, from a file that is not read whole', async () => {
    const folder = await mkdtemp(path.join(tmpdir(), 'shipmate-many-'));
    try {
      const file = path.join(folder, 'audit.jsonl');
      const rows = chainOf(20_000);
      await writeFile(file, jsonl(rows));
      const comparison = createComparison();
      let chunks = 0;
      let largest = 0;
      await comparison.read(
        'sink',
        (async function* () {
          for await (const chunk of createReadStream(file) as AsyncIterable<Buffer>) {
            chunks += 1;
            largest = Math.max(largest, chunk.length);
            yield chunk;
          }
        })(),
      );
      for (const entry of rows.toSpliced(500, 300)) comparison.see(entry);
      expect(comparison.finish().breaks).toEqual([{ kind: 'removed', seq: 501, through: 800 }]);
      expect(chunks).toBeGreaterThan(50);
      expect(largest).toBeLessThanOrEqual(65_536);
    } finally {
      await rm(folder, { recursive: true });
    }
  });
});
