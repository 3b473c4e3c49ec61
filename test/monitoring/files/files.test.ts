import { appendFile, mkdir, open, rename, symlink, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzip } from 'node:zlib';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import type { z } from 'zod';
import { filesConfig } from '../../../src/monitoring/files/config.ts';
import { createFilesLogs } from '../../../src/monitoring/files/index.ts';
import type { LogQuery } from '../../../src/monitoring/types.ts';
import { silentLogger, temporaryFolder } from '../../contract/harness/deps.ts';

let folder: string;
let remove: () => Promise<void>;
beforeEach(async () => {
  ({ folder, remove } = await temporaryFolder());
});
afterEach(() => remove());

const START = Date.now() - 3_600_000;
const at = (second: number) => new Date(START + second * 1000).toISOString();
const json = (second: number, text: string, more: object = {}) =>
  `${JSON.stringify({ time: at(second), level: 'info', msg: text, ...more })}\n`;
const file = (name: string) => join(folder, name);

function source(config: Partial<z.input<typeof filesConfig>> = {}, options: { deadlineMs?: number } = {}) {
  const parsed = filesConfig.parse({ files: '{service}.log', ...config });
  return createFilesLogs(parsed, { logger: silentLogger, baseDir: folder }, options);
}

const query = (more: Partial<LogQuery> = {}): LogQuery => ({
  service: 'storefront',
  environment: 'staging',
  since: at(0),
  until: new Date(Date.now() + 60_000).toISOString(),
  limit: 100,
  ...more,
});
const texts = async (from: ReturnType<typeof source>, more: Partial<LogQuery> = {}) =>
  (await from.query(query(more))).lines.map(({ text }) => text);

async function streamed(from: ReturnType<typeof source>, more: Partial<LogQuery> = {}) {
  const found: string[] = [];
  for await (const { text } of from.stream(query(more), { maxLines: 10_000 })) found.push(text);
  return found;
}

describe('huge files', () => {
  const GIGABYTE = 1024 ** 3;

  it('answers from the end of 10 GB at once, with little memory', async () => {
    await writeFile(file('storefront.log'), json(0, 'long ago'));
    await truncate(file('storefront.log'), 10 * GIGABYTE);
    await appendFile(file('storefront.log'), `\n${json(10, 'almost')}${json(11, 'newest')}`);
    const before = process.memoryUsage().rss;
    const started = performance.now();
    expect(await texts(source(), { limit: 2 })).toEqual(['almost', 'newest']);
    expect(performance.now() - started).toBeLessThan(2000);
    expect(process.memoryUsage().rss - before).toBeLessThan(100 * 1024 * 1024);
  });

  it('stops at its deadline, says so, and can go on from there', async () => {
    await writeFile(file('storefront.log'), json(0, 'long ago'));
    await truncate(file('storefront.log'), 10 * GIGABYTE);
    await appendFile(file('storefront.log'), `\n${json(11, 'newest')}`);
    const impatient = source({}, { deadlineMs: 50 });
    const first = await impatient.query(query());
    expect(first.lines.map(({ text }) => text)).toEqual(['newest']);
    expect(first.partial).toMatch(/stopped after 0 seconds; older lines were not looked at/);
    expect(first.older).toBeDefined();
    const second = await impatient.query(query({ cursor: first.older ?? '' }));
    expect(second.lines).toEqual([]);
    expect(second.older).not.toBe(first.older);
  });

  it('finds a moment in the middle by halving', async () => {
    const handle = await open(file('storefront.log'), 'w');
    for (let block = 0; block < 30; block += 1) {
      const lines = Array.from({ length: 10_000 }, (_, index) =>
        json((block * 10_000 + index) / 100, `n${block * 10_000 + index}`),
      );
      await handle.write(lines.join(''));
    }
    await handle.close();
    const some = { since: at(1500), until: at(1500.05) };
    const impatient = source({}, { deadlineMs: 250 });
    expect(await texts(impatient, some)).toEqual(['n150000', 'n150001', 'n150002', 'n150003', 'n150004']);
    expect(await streamed(source(), some)).toEqual(['n150000', 'n150001', 'n150002', 'n150003', 'n150004']);
  });
});

describe('odd lines', () => {
  it('survives rubbish, NULs, colours, endless lines and wrong JSON', async () => {
    const endless = `${JSON.stringify({ time: at(2), msg: 'x'.repeat(2_000_000) })}\n`;
    await writeFile(
      file('storefront.log'),
      Buffer.concat([
        Buffer.from(json(0, 'a')),
        Buffer.from([0, 255, 254, 0, 10, 0xc3, 10]),
        Buffer.from(
          '\u001b[31m{"broken": \u001b[0m\u0007\r\n{"time": 5}\n{"time":"not a time","msg":"b"}\nnull\n[]\n\n',
        ),
        Buffer.from(endless),
        Buffer.from(`${JSON.stringify({ time: at(3), msg: 'two\nlines\tand \u2028 more' })}\n`),
        Buffer.from(json(4, 'c')),
      ]),
    );
    for (const found of [await texts(source()), await streamed(source())]) {
      expect(found[0]).toBe('a');
      expect(found.at(-1)).toBe('c');
      expect(found.at(-2)).toBe('two lines and   more');
      expect(found).toContain('{"broken":');
      for (const text of found) {
        expect(text.length).toBeLessThanOrEqual(10_000);
        expect(text).not.toMatch(/[\p{Cc}\u2028]/u);
      }
      expect(found.some((text) => text.includes('xxxx'))).toBe(true);
    }
  });

  it('reads backward and forward alike wherever pieces of the file end', async () => {
    // Lines whose lengths put newlines on and around the borders of 256 KB pieces.
    const border = 256 * 1024;
    for (const shift of [-1, 0, 1]) {
      const first = json(0, '');
      const filler = 'y'.repeat(border - first.length * 2 + shift);
      const lines = [
        json(0, 'first'),
        ...[1, 2, 3].map((second) => json(second, `${second}${filler}`)),
        json(4, 'last'),
      ];
      await writeFile(file('storefront.log'), lines.join(''));
      const forward = (await streamed(source())).map((text) => text.slice(0, 5));
      expect(forward).toEqual(['first', '1yyyy', '2yyyy', '3yyyy', 'last']);
      expect((await texts(source())).map((text) => text.slice(0, 5))).toEqual(forward);
    }
  });

  it('keeps lines without a time with the line that they belong to', async () => {
    await writeFile(
      file('storefront.log'),
      `${at(0)} INFO started\n${at(5)} ERROR failed\n  at one\n  at two\n${at(9)} INFO done\n`,
    );
    expect(await texts(source(), { level: 'error' })).toEqual(['ERROR failed', 'at one', 'at two']);
    expect(await streamed(source(), { level: 'error' })).toEqual(['ERROR failed', 'at one', 'at two']);
    const page = await source().query(query({ since: at(1), until: at(6) }));
    expect(page.lines.map(({ time, text }) => `${time} ${text}`)).toEqual([
      `${at(5)} ERROR failed`,
      ' at one',
      ' at two',
    ]);
  });

  it('waits for the end of a line that is being written', async () => {
    await writeFile(file('storefront.log'), `${json(0, 'whole')}{"time":"${at(1)}","msg":"ha`);
    expect(await texts(source())).toEqual(['whole']);
    await appendFile(file('storefront.log'), 'lf"}\n');
    expect(await texts(source())).toEqual(['whole', 'half']);
  });
});

describe('formats', () => {
  const one = async (line: string, config: Partial<z.input<typeof filesConfig>> = {}) => {
    await writeFile(file('storefront.log'), `${line}\n`);
    return (await source(config).query(query({ since: '2026-01-01T00:00:00Z' }))).lines[0];
  };

  it('knows the usual times and levels', async () => {
    const time = '2026-11-24T13:11:43.000Z';
    expect(await one('2026-11-24 13:11:43,000 [WARN] careful')).toEqual({
      time,
      level: 'warn',
      text: '[WARN] careful',
    });
    expect(await one('2026-11-24T14:11:43+01:00 level=error msg=x')).toMatchObject({ time, level: 'error' });
    expect(await one('2026/11/24 13:11:43 [crit] 12#0: nginx')).toMatchObject({ time, level: 'error' });
    expect(await one('1.2.3.4 - - [24/Nov/2026:15:11:43 +0200] "GET / HTTP/1.1" 200')).toMatchObject({ time });
    expect(await one('{"ts":1795525903,"severity":"NOTICE","message":"m"}')).toEqual({
      time,
      level: 'info',
      text: 'm',
    });
    expect(await one('{"time":1795525903000,"level":50,"msg":"pino"}')).toMatchObject({ time, level: 'error' });
    expect(await one('{"@timestamp":"2026-11-24T13:11:43Z","msg":"m","a":{"b":1},"c":"d"}')).toMatchObject({
      text: 'm a={"b":1} c=d',
    });
    expect(await one('nothing known, an ERRORS word')).toEqual({ time: '', text: 'nothing known, an ERRORS word' });
  });

  it('takes configured fields, and JSON as text where it is plain', async () => {
    const line = '{"when":"2026-11-24T13:11:43Z","sev":"warning","what":"x"}';
    expect(await one(line, { time: 'when', level: 'sev', message: 'what' })).toEqual({
      time: '2026-11-24T13:11:43.000Z',
      level: 'warn',
      text: 'x',
    });
    expect(await one(line, { format: 'plain' })).toEqual({ time: '', text: line });
  });
});

describe('several files', () => {
  it('reads rotated files as one log, and pages through a rotation', async () => {
    await writeFile(file('storefront.log.2'), json(0, 'a') + json(1, 'b'));
    await writeFile(file('storefront.log.1'), json(2, 'c') + json(3, 'd'));
    await writeFile(file('storefront.log'), json(4, 'e') + json(5, 'f'));
    await writeFile(file('storefront.log.bak'), json(5, 'not this'));
    await writeFile(file('other.log'), json(5, 'nor this'));
    expect(await texts(source())).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    expect(await streamed(source())).toEqual(['a', 'b', 'c', 'd', 'e', 'f']);
    const first = await source().query(query({ limit: 3 }));
    await rename(file('storefront.log.2'), file('storefront.log.3'));
    await rename(file('storefront.log.1'), file('storefront.log.2'));
    await rename(file('storefront.log'), file('storefront.log.1'));
    await writeFile(file('storefront.log'), json(6, 'g'));
    expect(await texts(source(), { limit: 3, cursor: first.older ?? '' })).toEqual(['a', 'b', 'c']);
    expect(await texts(source(), { cursor: first.newer ?? '' })).toEqual(['g']);
  });

  it('merges files of a pattern by time, each once', async () => {
    await mkdir(file('staging'));
    await writeFile(file('staging/storefront-1.log'), json(0, 'a') + json(2, 'c'));
    await writeFile(file('staging/storefront-2.log'), json(1, 'b') + json(3, 'd'));
    await symlink('storefront-2.log', file('staging/storefront-current.log'));
    const merged = source({ files: '{environment}/{service}-*.log' });
    expect(await texts(merged)).toEqual(['a', 'b', 'c', 'd']);
    expect(await streamed(merged)).toEqual(['a', 'b', 'c', 'd']);
    const page = await merged.query(query({ limit: 2 }));
    expect(page.lines.map(({ text }) => text)).toEqual(['c', 'd']);
    expect(await texts(merged, { cursor: page.older ?? '' })).toEqual(['a', 'b']);
  });

  it('says what it left out: compressed files, emptied and removed ones, none at all', async () => {
    expect(await source().query(query())).toMatchObject({
      lines: [],
      partial: 'There is no log file storefront.log yet.',
    });
    await writeFile(file('storefront.log'), json(0, 'a') + json(1, 'b'));
    await writeFile(file('storefront.log.2.gz'), await promisify(gzip)(json(0, 'z')));
    const page = await source().query(query({ limit: 1 }));
    expect(page.partial).toBe('Compressed older files were not read.');
    await truncate(file('storefront.log'), 0);
    const emptied = await source().query(query({ cursor: page.older ?? '' }));
    expect(emptied.partial).toContain('emptied');
    await rename(file('storefront.log'), file('gone'));
    await writeFile(file('storefront.log'), '');
    const removed = await source().query(query({ cursor: page.older ?? '' }));
    expect(removed.partial).toContain('removed');
  });

  it('reads regular files only: a pipe must not block it', async () => {
    const { execFileSync } = await import('node:child_process');
    execFileSync('mkfifo', [file('storefront.log')]);
    await mkdir(file('storefront.log.1'));
    expect((await source().query(query())).lines).toEqual([]);
  });
});

describe('paths', () => {
  it('never leaves its folders through a value', async () => {
    const open = source({ files: 'logs/{environment}/{service}.log' });
    for (const hostile of ['..', '../..', 'a/b', '/etc', '', '.hidden', 'a\0', '*', 'x..y', '-x', 'ä'])
      for (const field of ['service', 'environment'] as const) {
        await expect(open.query(query({ [field]: hostile }))).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
        const stream = open.stream(query({ [field]: hostile }), { maxLines: 1 });
        await expect(stream[Symbol.asyncIterator]().next()).rejects.toMatchObject({ code: 'ARGUMENT_INVALID' });
      }
  });

  it('explains a wrong pattern', () => {
    const problem = (files: string) => filesConfig.safeParse({ files }).error?.issues[0]?.message;
    expect(problem('logs/*/x.log')).toContain('not in a folder');
    expect(problem('logs/{region}/x.log')).toContain('{region} is not known');
    expect(problem('logs/')).toContain('name of a file');
    expect(problem('/var/log/{service}/{environment}*.log')).toBeUndefined();
  });

  it('checks the folder before the first placeholder', async () => {
    expect(await source().check()).toEqual([]);
    expect(await source({ files: 'nowhere/{service}.log' }).check()).toMatchObject([{ level: 'warning' }]);
  });
});
