import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { canonicalJson } from '../../src/audit/canonical.ts';
import { chain, GENESIS, hashEntry, verifyChain } from '../../src/audit/chain.ts';
import type { AuditBreak, AuditEntry, AuditRecord } from '../../src/audit/types.ts';

const AT = new Date('2026-11-24T12:00:00.000Z');
const RECORD: AuditRecord = {
  actor: { id: 'id-dana', tenantId: 'tenant', name: 'Dana' },
  action: 'deploy.request',
  outcome: 'done',
  code: 'OK',
};

function chainOf(count: number): AuditEntry[] {
  const entries: AuditEntry[] = [];
  for (let index = 0; index < count; index += 1)
    entries.push(chain(entries.at(-1) ?? GENESIS, { ...RECORD, version: `1.0.${index}` }, AT));
  return entries;
}

function at(entries: readonly AuditEntry[], index: number): AuditEntry {
  const entry = entries[index];
  if (!entry) throw new Error(`no entry at ${index}`);
  return entry;
}

/** As somebody would who knows how the hash is made. */
function rehashed(entry: AuditEntry): AuditEntry {
  return { ...entry, hash: hashEntry(entry) };
}

async function breaksOf(entries: readonly AuditEntry[], anchor?: { seq: number; hash: string }): Promise<AuditBreak[]> {
  const { breaks, ok } = await verifyChain(entries, anchor);
  expect(ok).toBe(breaks.length === 0);
  return breaks;
}

/** A chain of 2 to 30 rows and the index of one of them. */
const chainAndIndex = fc
  .integer({ min: 2, max: 30 })
  .chain((length) => fc.record({ length: fc.constant(length), index: fc.nat(length - 1) }));

describe('an intact chain', () => {
  it('verifies, against its head too', async () => {
    const entries = chainOf(20);
    const { hash, seq } = at(entries, 19);
    expect(await verifyChain(entries, { seq, hash })).toEqual({
      ok: true,
      entries: 20,
      head: { seq, hash },
      breaks: [],
    });
    expect(await verifyChain([])).toEqual({ ok: true, entries: 0, head: GENESIS, breaks: [] });
  });
  it('that has grown since the anchor was kept verifies', async () => {
    const entries = chainOf(20);
    expect(await breaksOf(entries, at(entries, 9))).toEqual([]);
  });
  it('holds hostile text, and it survives a file', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(
          fc.record({
            name: fc.string({ unit: 'binary', maxLength: 700 }),
            details: fc.dictionary(fc.string({ unit: 'binary' }), fc.jsonValue()),
          }),
          { maxLength: 5 },
        ),
        async (rows) => {
          const entries: AuditEntry[] = [];
          for (const { details, name } of rows)
            entries.push(
              chain(entries.at(-1) ?? GENESIS, { ...RECORD, actor: { ...RECORD.actor, name }, details }, AT),
            );
          const read = entries.map((entry) => JSON.parse(Buffer.from(canonicalJson(entry)).toString()) as AuditEntry);
          expect(await breaksOf(read)).toEqual([]);
        },
      ),
    );
  });
  it('keeps each entry small', () => {
    const long = '\u{1f6a2}'.repeat(5_000);
    const entry = chain(GENESIS, { ...RECORD, version: long, details: { a: long, b: Array(300).fill(long) } }, AT);
    expect(entry.version?.length).toBeLessThanOrEqual(500);
    expect(entry.version?.isWellFormed()).toBe(true);
    expect(Buffer.byteLength(JSON.stringify(entry.details))).toBeLessThanOrEqual(4_096);
    const wide = chain(
      GENESIS,
      {
        ...RECORD,
        details: { a: '\u8239'.repeat(400), b: '\u8239'.repeat(400), c: '\u8239'.repeat(400), d: '\u8239'.repeat(400) },
      },
      AT,
    );
    expect(Buffer.byteLength(JSON.stringify(wide.details))).toBeLessThanOrEqual(4_096);
  });
});

describe('one change', () => {
  const EDITS: ((entry: AuditEntry) => AuditEntry)[] = [
    (entry) => ({ ...entry, actor: { ...entry.actor, id: 'somebody else' } }),
    (entry) => ({ ...entry, outcome: 'refused' }),
    (entry) => ({ ...entry, details: { added: true } }),
    (entry) => ({ ...entry, at: '2020-01-01T00:00:00.000Z' }),
    ({ version: _, ...entry }) => entry,
  ];
  const HASHES: ((entry: AuditEntry) => AuditEntry)[] = [
    (entry) => ({ ...entry, hash: 'f'.repeat(64) }),
    (entry) => ({ ...entry, prevHash: 'f'.repeat(64) }),
    (entry) => ({ ...entry, hash: 'f'.repeat(64), prevHash: 'e'.repeat(64), code: 'DUPLICATE' }),
  ];
  it('is named, and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(chainAndIndex, fc.constantFrom(...EDITS, ...HASHES), async ({ index, length }, edit) => {
        const entries = chainOf(length);
        entries[index] = edit(at(entries, index));
        expect(await breaksOf(entries)).toEqual([{ kind: 'changed', seq: index + 1 }]);
      }),
    );
  });
  it('by somebody who makes a new hash is named, and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(chainAndIndex, fc.constantFrom(...EDITS), async ({ index, length }, edit) => {
        const entries = chainOf(length);
        const head = at(entries, length - 1);
        entries[index] = rehashed(edit(at(entries, index)));
        expect(await breaksOf(entries, head)).toEqual([{ kind: 'changed', seq: index + 1 }]);
      }),
    );
  });
  it('by somebody who writes the whole rest anew shows against the anchor', async () => {
    await fc.assert(
      fc.asyncProperty(chainAndIndex, async ({ index, length }) => {
        const entries = chainOf(length);
        const head = at(entries, length - 1);
        for (let each = index; each < length; each += 1) {
          const { hash: _, ...content } = at(entries, each);
          const prevHash = entries[each - 1]?.hash ?? GENESIS.hash;
          const edited = { ...content, prevHash, ...(each === index ? { action: 'forged' } : {}) };
          entries[each] = { ...edited, hash: hashEntry(edited) };
        }
        expect(await breaksOf(entries, head)).toEqual([{ kind: 'changed', seq: length }]);
      }),
    );
  });
  it('that puts a row in is named', async () => {
    const entries = chainOf(5);
    for (const seq of [2.5, 0, -3]) {
      const forged = rehashed({ ...at(entries, 2), seq, action: 'forged' });
      expect(await breaksOf(entries.toSpliced(2, 0, forged))).toContainEqual({ kind: 'changed', seq });
    }
    const again = rehashed({ ...at(entries, 2), action: 'forged' });
    expect(await breaksOf(entries.toSpliced(3, 0, again))).toContainEqual({ kind: 'reordered', seq: 3 });
  });
});

describe('rows that are gone', () => {
  it('are named each, and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(chainAndIndex, fc.integer({ min: 1, max: 5 }), async ({ index, length }, count) => {
        const entries = chainOf(length);
        const gone = entries.slice(index, index + count).map(({ seq }) => seq);
        const head = at(entries, length - 1);
        const rest = entries.toSpliced(index, count);
        const toTheEnd = index + count >= length;
        expect(await breaksOf(rest, head)).toEqual(
          toTheEnd ? [{ kind: 'truncated', afterSeq: index }] : gone.map((seq) => ({ kind: 'removed', seq })),
        );
      }),
    );
  });
  it('at the end show only against an anchor', async () => {
    const entries = chainOf(10);
    expect(await breaksOf(entries.slice(0, 7))).toEqual([]);
    expect(await breaksOf(entries.slice(0, 7), at(entries, 9))).toEqual([{ kind: 'truncated', afterSeq: 7 }]);
    expect(await breaksOf([], at(entries, 9))).toEqual([{ kind: 'truncated', afterSeq: 0 }]);
  });
  it('are one line when they are many, whatever number somebody forged', async () => {
    const entries = chainOf(3);
    entries.push(rehashed({ ...at(entries, 2), seq: Number.MAX_SAFE_INTEGER }));
    expect(await breaksOf(entries)).toEqual([{ kind: 'removed', seq: 4, through: Number.MAX_SAFE_INTEGER - 1 }]);
  });
});

describe('rows in another order', () => {
  it('that changed places are both named, and nothing else', async () => {
    await fc.assert(
      fc.asyncProperty(chainAndIndex, fc.nat(29), async ({ index, length }, offset) => {
        const other = (index + 1 + (offset % (length - 1))) % length;
        const entries = chainOf(length);
        const head = at(entries, length - 1);
        [entries[index], entries[other]] = [at(entries, other), at(entries, index)];
        const seqs = [index + 1, other + 1].sort((a, b) => a - b);
        expect(await breaksOf(entries, head)).toEqual(seqs.map((seq) => ({ kind: 'reordered', seq })));
      }),
    );
  });
  it('of which one moved far are that one', async () => {
    const entries = chainOf(12);
    const [moved] = entries.splice(2, 1);
    expect(await breaksOf([...entries.slice(0, 9), ...(moved ? [moved] : []), ...entries.slice(9)])).toEqual([
      { kind: 'reordered', seq: 3 },
    ]);
  });
  it('and a row that comes twice are told from a removal and a change elsewhere', async () => {
    const entries = chainOf(12);
    entries[9] = { ...at(entries, 9), outcome: 'failed' };
    const rows = [...entries.slice(0, 3), at(entries, 1), ...entries.slice(4)];
    expect(await breaksOf(rows)).toEqual([
      { kind: 'reordered', seq: 2 },
      { kind: 'removed', seq: 4 },
      { kind: 'changed', seq: 10 },
    ]);
  });
});

describe('canonical JSON', () => {
  it('is the same whatever the order of members', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        const shuffled = Object.fromEntries(Object.entries(value).reverse());
        expect(canonicalJson(shuffled)).toBe(canonicalJson(value));
        expect(JSON.parse(canonicalJson(value))).toEqual(JSON.parse(JSON.stringify(value)));
      }),
    );
  });
  it('leaves out what is undefined and refuses what JSON does not hold', () => {
    expect(canonicalJson({ b: 1, a: undefined, c: [undefined] })).toBe('{"b":1,"c":[null]}');
    expect(() => canonicalJson({ a: () => 1 })).toThrow(TypeError);
  });
});
