import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { LogLine, LogPage, LogQuery } from '../../src/monitoring/types.ts';
import { findHarnesses, uncoveredFolders } from './harness/find.ts';
import type { LogsHarness } from './harness/types.ts';

const harnesses = await findHarnesses('logs');

it('every folder of src/monitoring has a harness', async () => {
  expect(harnesses.length).toBeGreaterThan(0);
  expect(await uncoveredFolders('monitoring', ['logs'])).toEqual([]);
});

const START = Date.now() - 600_000;
const at = (second: number) => new Date(START + second * 1000).toISOString();
const LEVELS = ['debug', 'info', 'warn', 'error'];
const line = (number: number) => ({ time: at(number), level: LEVELS[number % 4] ?? 'info', text: `Line ${number}.` });
const lines = (from: number, to: number) => Array.from({ length: to - from }, (_, index) => line(from + index));

describe.each(harnesses)('log source $name', ({ name, harness }) => {
  let system: Awaited<ReturnType<LogsHarness['open']>>;
  beforeEach(async () => {
    system = await harness.open();
  });
  afterEach(() => system.close());

  const query = (more: Partial<LogQuery> = {}): LogQuery => ({
    service: 'storefront',
    environment: 'staging',
    since: at(0),
    until: new Date(Date.now() + 60_000).toISOString(),
    limit: 10,
    ...more,
  });
  const numbers = (page: LogPage | { lines: LogLine[] }) =>
    page.lines.map(({ text }) => Number(/Line (\d+)\./.exec(text)?.[1]));
  const range = (from: number, to: number) => lines(from, to).map((_, index) => from + index);

  it('answers the newest lines, oldest first', async () => {
    await system.write(lines(0, 100));
    expect(system.source.kind).toBe(name);
    const page = await system.source.query(query());
    expect(numbers(page)).toEqual(range(90, 100));
    expect(page.lines[0]).toMatchObject({ time: at(90), level: 'warn' });
    expect(page.partial).toBeUndefined();
  });

  it('keeps to the range: since is in it, until is not', async () => {
    await system.write(lines(0, 100));
    expect(numbers(await system.source.query(query({ since: at(20), until: at(25) })))).toEqual(range(20, 25));
    expect((await system.source.query(query({ since: at(100) }))).lines).toEqual([]);
  });

  it('filters by level and more severe ones, and by text in any case', async () => {
    await system.write(lines(0, 100));
    const severe = await system.source.query(query({ level: 'warn', limit: 4 }));
    expect(numbers(severe)).toEqual([94, 95, 98, 99]);
    expect(numbers(await system.source.query(query({ text: 'LINE 7' })))).toEqual([7, ...range(70, 80)].slice(-10));
    for (const nothing of ['.*', '" or 1=1', '`', '\\'])
      expect((await system.source.query(query({ text: nothing }))).lines).toEqual([]);
  });

  it('pages to the oldest line and back, while new lines arrive, without gap or repetition', async () => {
    await system.write(lines(0, 35));
    let page = await system.source.query(query());
    const seen = numbers(page);
    const newest = page;
    let written = 35;
    while (page.older !== undefined) {
      await system.write([line(written)]);
      written += 1;
      page = await system.source.query(query({ cursor: page.older }));
      seen.unshift(...numbers(page));
    }
    expect(seen).toEqual(range(0, 35));
    const back = numbers(page);
    while (page.newer !== undefined && back.length < written) {
      page = await system.source.query(query({ cursor: page.newer }));
      expect(page.lines.length).toBeGreaterThan(0);
      back.push(...numbers(page));
    }
    expect(back).toEqual(range(0, written));
    const added = await system.source.query(query({ cursor: newest.newer ?? '' }));
    expect(numbers(added)).toEqual(range(35, written));
  });

  it('pages within a filter', async () => {
    await system.write(lines(0, 40));
    const first = await system.source.query(query({ level: 'error', limit: 6 }));
    expect(numbers(first)).toEqual([19, 23, 27, 31, 35, 39]);
    const second = await system.source.query(query({ level: 'error', limit: 6, cursor: first.older ?? '' }));
    expect(numbers(second)).toEqual([3, 7, 11, 15]);
    expect(second.older).toBeUndefined();
  });

  it('refuses a cursor that it did not make', async () => {
    await system.write(lines(0, 3));
    for (const cursor of ['', 'x', 'e30', '../../etc/passwd', 'A'.repeat(5000)])
      await expect(system.source.query(query({ cursor }))).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
  });

  it('streams every match, oldest first, up to a number', async () => {
    await system.write(lines(0, 100));
    const collect = async (more: Partial<LogQuery>, maxLines: number) => {
      const found: LogLine[] = [];
      for await (const item of system.source.stream(query(more), { maxLines })) found.push(item);
      return numbers({ lines: found });
    };
    expect(await collect({ limit: 1 }, 1000)).toEqual(range(0, 100));
    expect(await collect({ since: at(50), level: 'error' }, 3)).toEqual([51, 55, 59]);
  });

  it('stops when the caller has gone', async () => {
    await system.write(lines(0, 3));
    const gone = AbortSignal.abort();
    await expect(system.source.query(query(), gone)).rejects.toThrow();
    const stream = system.source.stream(query(), { maxLines: 5, signal: gone });
    await expect(stream[Symbol.asyncIterator]().next()).rejects.toThrow();
  });

  it('says so when it can’t read', async () => {
    await system.write(lines(0, 3));
    expect(await system.source.check()).toEqual([]);
    await system.breakIt();
    await expect(system.source.query(query())).rejects.toMatchObject({ code: 'LOGS_UNAVAILABLE' });
  });
});
