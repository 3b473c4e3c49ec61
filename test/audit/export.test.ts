import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { chain, GENESIS, verifyChain } from '../../src/audit/chain.ts';
import { CSV_HEADER, toCsv, toJsonl } from '../../src/audit/export.ts';
import type { AuditEntry, AuditRecord } from '../../src/audit/types.ts';

const AT = new Date('2026-11-24T12:00:00.000Z');

function entryOf(more: Partial<AuditRecord> & { name?: string } = {}): AuditEntry {
  const { name = 'Dana', ...rest } = more;
  return chain(
    GENESIS,
    { actor: { id: 'id', tenantId: 't', name }, action: 'logs.read', outcome: 'done', code: 'OK', ...rest },
    AT,
  );
}

/** What a program that follows RFC 4180 reads. */
function cellsOf(line: string): string[] {
  const cells: string[] = [];
  let rest = `${line},`;
  while (rest !== '') {
    const match = /^(?:"((?:[^"]|"")*)"|([^",\r\n]*)),/.exec(rest);
    if (!match) throw new Error(`not CSV: ${JSON.stringify(rest)}`);
    cells.push(match[1]?.replaceAll('""', '"') ?? match[2] ?? '');
    rest = rest.slice(match[0].length);
  }
  return cells;
}

const hostile = fc.oneof(
  fc.string({ unit: 'binary', maxLength: 60 }),
  fc
    .tuple(fc.constantFrom('=', '+', '-', '@', '\t', '\r', '\n', ' =', '"', ','), fc.string())
    .map((parts) => parts.join('')),
);

describe('CSV', () => {
  it('has a cell for each column, whatever is in them', () => {
    fc.assert(
      fc.property(hostile, hostile, (name, version) => {
        const cells = cellsOf(toCsv(entryOf({ name, version, details: { text: name } })));
        expect(cells).toHaveLength(CSV_HEADER.split(',').length);
        expect(cells[CSV_HEADER.split(',').indexOf('seq')]).toBe('1');
      }),
    );
  });
  it('holds no cell that a spreadsheet takes for a formula', () => {
    fc.assert(
      fc.property(hostile, (text) => {
        for (const cell of cellsOf(toCsv(entryOf({ name: text, version: text, conversation: text }))))
          expect(cell).not.toMatch(/^[=+\-@\t\r]/);
      }),
    );
    expect(toCsv(entryOf({ version: '=HYPERLINK("http://x")' }))).toContain(`"'=HYPERLINK(""http://x"")"`);
  });
});

describe('JSON lines', () => {
  it('are one line each, and verify when they are read again', async () => {
    await fc.assert(
      fc.asyncProperty(hostile, async (text) => {
        const line = toJsonl(entryOf({ name: text, details: { text, [text]: 1 } }));
        expect(line).not.toMatch(/[\r\n]/);
        expect(await verifyChain([JSON.parse(line) as AuditEntry])).toMatchObject({ ok: true, entries: 1 });
      }),
    );
  });
});
