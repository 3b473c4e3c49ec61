import { writeFile } from 'node:fs/promises';
import path from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createStore } from '../../src/store/index.ts';
import { LEAST } from '../config/harness.ts';
import { silentLogger } from '../contract/harness/deps.ts';
import { openCli } from './harness.ts';

const at = (day: number) => new Date(`2026-11-0${day}T12:00:00.000Z`);
const LAST_DAY = 5;

let cli: Awaited<ReturnType<typeof openCli>>;
let dataDir: string;

async function fill(): Promise<void> {
  const store = await createStore({ dataDir, logger: silentLogger });
  for (let day = 1; day <= LAST_DAY; day += 1)
    await store.transaction((tx) =>
      tx.audit.append(
        {
          actor: { id: `id-${day}`, tenantId: 't', name: day === 2 ? '=HYPERLINK("x"), "Ana"' : 'Ana' },
          action: 'deploy.request',
          outcome: 'done',
          code: 'OK',
          service: 'storefront',
        },
        at(day),
      ),
    );
  await store.stop();
}

beforeAll(async () => {
  cli = await openCli();
  dataDir = path.join(cli.cwd, '.shipmate');
  await writeFile(path.join(cli.cwd, 'shipmate.yaml'), LEAST);
});
afterAll(() => cli.close());

describe('the audit on the command line', () => {
  // One after the other: a store takes a second to open.
  it('is none where there is no store', async () => {
    expect(await cli.run('audit', 'verify')).toMatchObject({
      code: 1,
      err: expect.stringContaining(`There is no store in ${dataDir}`),
    });
    await fill();
  });

  it('is verified, and gives an anchor', async () => {
    const { code, out } = await cli.run('audit', 'verify', '--config', 'shipmate.yaml');
    expect(code).toBe(0);
    expect(out).toMatch(/^5 entries, unbroken\.\nhead 5 [0-9a-f]{64}\n$/);
    await writeFile(path.join(cli.cwd, 'anchor'), out);
    expect(await cli.run('audit', 'verify', '--anchor', 'anchor')).toMatchObject({ code: 0 });
    await writeFile(path.join(cli.cwd, 'later.json'), JSON.stringify({ seq: 9, hash: 'a'.repeat(64) }));
    expect(await cli.run('audit', 'verify', '--anchor', 'later.json')).toMatchObject({
      code: 1,
      err: expect.stringContaining('entries after 5 are missing'),
    });
    await writeFile(path.join(cli.cwd, 'other'), `head 3 ${'b'.repeat(64)}\n`);
    expect(await cli.run('audit', 'verify', '--anchor', 'other')).toMatchObject({
      code: 1,
      err: expect.stringContaining('entry 3 was changed'),
    });
    await writeFile(path.join(cli.cwd, 'empty'), '');
    for (const none of ['empty', 'not-there'])
      expect(await cli.run('audit', 'verify', '--anchor', none)).toMatchObject({ code: 1, out: '' });
  });

  it('is exported as JSON lines, within times', async () => {
    const days = async (...argv: string[]) =>
      (await cli.run('audit', 'export', ...argv)).out
        .split('\n')
        .filter(Boolean)
        .map((line) => (JSON.parse(line) as { seq: number }).seq);
    expect(await days()).toEqual([1, 2, 3, 4, 5]);
    expect(await days('--since', '2026-11-02', '--until', '2026-11-04T12:00:00Z')).toEqual([2, 3]);
    expect(await days('--since', '2026-11-02T13:00:00+01:00')).toEqual([2, 3, 4, 5]);
    expect(await days('--since', '2027-01-01')).toEqual([]);
  });

  it('is exported as CSV that no spreadsheet runs', async () => {
    const { code, out } = await cli.run('audit', 'export', '--format', 'csv', '--until', '2026-11-03');
    const lines = out.split('\r\n');
    expect(code).toBe(0);
    expect(lines).toHaveLength(4);
    expect(lines[0]).toMatch(/^seq,at,actorId,/);
    expect(lines[2]).toContain(`,"'=HYPERLINK(""x""), ""Ana""",`);
  });

  it('is not opened while the bot has it', async () => {
    const store = await createStore({ dataDir, logger: silentLogger });
    try {
      for (const what of ['verify', 'export'])
        expect(await cli.run('audit', what)).toMatchObject({
          code: 1,
          out: '',
          err: expect.stringMatching(/stop the bot first[\s\S]*\[STORE_IN_USE\]/),
        });
    } finally {
      await store.stop();
    }
  });

  it('names the row that somebody changed, and the end that somebody cut off', async () => {
    const edit = async (sql: string) => {
      const database = await PGlite.create(path.join(dataDir, 'pgdata'));
      // Whoever owns the database can do this; the chain shows it.
      await database.exec(`alter table audit disable trigger user; ${sql}; alter table audit enable trigger user`);
      await database.close();
    };
    await edit(`update audit set entry = replace(entry, 'id-3', 'id-4') where seq = 3`);
    expect(await cli.run('audit', 'verify')).toEqual({
      code: 1,
      out: '',
      err: 'entry 3 was changed\n5 entries; the chain is broken.\n',
    });
    await edit(`delete from audit where seq in (2, 5)`);
    const { code, err } = await cli.run('audit', 'verify');
    expect(code).toBe(1);
    expect(err).toContain('entry 2 was removed\nentry 3 was changed\nentries after 4 are missing\n');
  });
});
