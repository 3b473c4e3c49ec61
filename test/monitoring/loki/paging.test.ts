import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { type Entry, type Reader, readAll, readPage } from '../../../src/monitoring/loki/paging.ts';

/** A store whose lines of one moment are given in any order at the border of an answer, but always the same one by `at`. */
function store(times: readonly number[]) {
  const entries: Entry[] = times
    .toSorted((a, b) => a - b)
    .map((ns, index) => ({ ns: BigInt(ns), id: `i${index}`, line: { time: '', text: String(index) } }));
  let most = 0;
  const reader: Reader = {
    async read({ from, to }, direction, limit) {
      const inside = entries.filter(({ ns }) => ns >= from && ns < to);
      const found = direction === 'backward' ? inside.slice(-limit) : inside.slice(0, limit);
      most = Math.max(most, found.length);
      const border = direction === 'backward' ? found[0]?.ns : found.at(-1)?.ns;
      // Of the border's moment, others than the nearest ones may come.
      const group = inside.filter(({ ns }) => ns === border);
      const count = found.filter(({ ns }) => ns === border).length;
      const others = direction === 'backward' ? group.slice(0, count) : group.slice(-count);
      const whole = found.filter(({ ns }) => ns !== border);
      return {
        entries: direction === 'backward' ? [...others, ...whole] : [...whole, ...others],
        full: found.length >= limit,
      };
    },
    at: async (ns) => entries.filter((entry) => entry.ns === ns),
  };
  return { entries, reader, most: () => most };
}

const RANGE = { from: 0n, to: 100n };
const NOW = 1;
const times = fc.array(fc.nat(12), { maxLength: 60 });

describe('pages', () => {
  it('have every line once, in order, both ways, however many have the same time', async () => {
    await fc.assert(
      fc.asyncProperty(times, fc.integer({ min: 1, max: 9 }), async (given, limit) => {
        const { entries, reader } = store(given);
        const all = entries.map(({ line }) => line.text);
        const ask = (cursor?: string) =>
          readPage(reader, RANGE, { limit, ...(cursor === undefined ? {} : { cursor }) }, NOW);
        let page = await ask();
        const seen = page.lines.map(({ text }) => text);
        expect(seen.length).toBe(Math.min(limit, all.length));
        while (page.older !== undefined) {
          page = await ask(page.older);
          expect(page.lines.length).toBeGreaterThan(0);
          expect(page.lines.length).toBeLessThanOrEqual(limit);
          seen.unshift(...page.lines.map(({ text }) => text));
        }
        expect(seen).toEqual(all);
        const back = page.lines.map(({ text }) => text);
        for (let turns = 0; page.newer !== undefined; turns += 1) {
          page = await ask(page.newer);
          back.push(...page.lines.map(({ text }) => text));
          expect(turns).toBeLessThan(100);
        }
        expect(back).toEqual(all);
        // And one step back from any place is the page before it.
        if (page.older !== undefined && page.lines.length > 0) {
          const before = await ask(page.older);
          const first = all.length - page.lines.length;
          expect(before.lines.map(({ text }) => text)).toEqual(all.slice(Math.max(0, first - limit), first));
        }
      }),
      { numRuns: 1500 },
    );
  });

  it('are read one after the other as a whole, with few in memory', async () => {
    await fc.assert(
      fc.asyncProperty(times, fc.integer({ min: 2, max: 9 }), async (given, batch) => {
        const { entries, most, reader } = store(given);
        const seen: string[] = [];
        for await (const piece of readAll(reader, RANGE, batch)) seen.push(...piece.map(({ line }) => line.text));
        expect(seen).toEqual(entries.map(({ line }) => line.text));
        expect(most()).toBeLessThanOrEqual(batch);
      }),
      { numRuns: 500 },
    );
  });

  it('stay within the range whatever a cursor says', async () => {
    const { reader } = store(Array.from({ length: 50 }, (_, index) => index * 10));
    const range = { from: 100n, to: 200n };
    const inside = ['10', '11', '12', '13', '14', '15', '16', '17', '18', '19'];
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom('older', 'newer'),
        fc.oneof(fc.nat(600).map(String), fc.bigInt({ min: 0n, max: 8_999_999_999_999_999_999n }).map(String)),
        fc.option(fc.constantFrom('i0', 'i15', 'i49', 'nobody'), { nil: undefined }),
        async (to, ns, id) => {
          const cursor = Buffer.from(JSON.stringify({ to, ns, ...(id === undefined ? {} : { id }) })).toString(
            'base64url',
          );
          const page = await readPage(reader, range, { limit: 20, cursor }, NOW);
          for (const { text } of page.lines) expect(inside).toContain(text);
        },
      ),
      { numRuns: 500 },
    );
  });

  it('are refused to cursors that nobody wrote', async () => {
    const { reader } = store([1, 2, 3]);
    const write = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');
    for (const cursor of [
      write({ to: 'older', ns: 5 }),
      write({ to: 'older', ns: '-5' }),
      write({ to: 'older', ns: '9999999999999999999' }),
      write({ to: 'sideways', ns: '5' }),
      write({ to: 'older', ns: '5', id: '" or 1' }),
      write({ to: 'older', ns: '5', query: '{app="x"}' }),
      write(null),
    ])
      await expect(readPage(reader, RANGE, { limit: 2, cursor }, NOW)).rejects.toMatchObject({
        code: 'ARGUMENT_INVALID',
      });
  });
});
