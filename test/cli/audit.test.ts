import { appendFile, cp, readFile, rm, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { createAnchors } from '../../src/audit/anchor.ts';
import { canonicalJson } from '../../src/audit/canonical.ts';
import { chain } from '../../src/audit/chain.ts';
import { createFileSink } from '../../src/audit/sinks/file.ts';
import { syslogMessage } from '../../src/audit/sinks/syslog.ts';
import { createAuditStream } from '../../src/audit/stream.ts';
import type { AuditEntry } from '../../src/audit/types.ts';
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
    const many = `head 2 ${'c'.repeat(64)}\nhead 47\n\nAudit anchor: entry 4, ${'d'.repeat(64)}\n${out}`;
    await writeFile(path.join(cli.cwd, 'many'), many);
    expect(await cli.run('audit', 'verify', '--anchor', 'many')).toEqual({
      code: 1,
      out: '',
      err: `line 2 of many holds no whole anchor; passed over
entry 2 was changed
entry 4 was changed
5 entries; the chain is broken.
`,
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

describe('the audit compared with a sink, and with anchors', () => {
  const ENTRIES = 10;
  let folder: string;
  let entries: AuditEntry[];
  let pristine: string;
  const file = (name: string) => path.join(folder, name);
  const verify = (...argv: string[]) => one.run('audit', 'verify', ...argv);
  let one: typeof cli;

  beforeAll(async () => {
    one = await openCli();
    folder = one.cwd;
    pristine = file('pristine');
    await writeFile(file('shipmate.yaml'), LEAST);
    const store = await createStore({ dataDir: pristine, logger: silentLogger });
    const sink = createFileSink(file('audit.jsonl'), { logger: silentLogger });
    let time = at(1).getTime();
    const anchors = createAnchors({
      store,
      every: 3_600_000,
      file: file('anchors'),
      now: () => new Date(time),
    });
    // Two to begin with, and an anchor; with its own entry it is ten.
    for (const count of [2, 2, 3]) {
      for (let index = 0; index < count; index += 1)
        await store.transaction((tx) =>
          tx.audit.append(
            {
              actor: { id: `id-${index}`, tenantId: 't', name: 'Dána' },
              action: 'deploy.request',
              outcome: 'done',
              code: 'OK',
            },
            new Date(time),
          ),
        );
      await anchors.anchor();
      time += 3_600_000;
    }
    await createAuditStream({ store, sinks: [sink], logger: silentLogger, now: () => new Date(time) }).flush();
    await sink.close();
    entries = await store.transaction((tx) => tx.audit.page({ after: 0, limit: 100 }));
    await store.stop();
    expect(entries).toHaveLength(ENTRIES);
    // As a syslog server writes it.
    await writeFile(
      file('syslog.log'),
      entries.map((entry) => `2026-11-01T12:00:00+00:00 logs ${syslogMessage(entry)}\n`).join(''),
    );
  });
  afterAll(() => one.close());

  /** Gives the store back as it was, then lets somebody at it who owns the database. */
  async function tamper(edit: (database: PGlite) => Promise<unknown>): Promise<void> {
    await rm(file('.shipmate'), { recursive: true, force: true });
    await cp(pristine, file('.shipmate'), { recursive: true });
    const database = await PGlite.create(file('.shipmate/pgdata'));
    await database.exec('alter table audit disable trigger user');
    await edit(database);
    await database.exec('alter table audit enable trigger user');
    await database.close();
  }
  const put = (database: PGlite, seq: number, entry: AuditEntry) =>
    database.query('update audit set entry = $2 where seq = $1', [seq, canonicalJson(entry)]);
  const setHead = (database: PGlite, { hash, seq }: { hash: string; seq: number }) =>
    database.query('update audit_head set seq = $1, hash = $2', [seq, hash]);
  const entry = (seq: number): AuditEntry => entries[seq - 1] as AuditEntry;
  /** From this one on, chained as the program itself does it. */
  async function rewriteFrom(database: PGlite, first: number, last: number): Promise<void> {
    let head: { seq: number; hash: string } = entry(first - 1);
    await database.query('delete from audit where seq >= $1', [first]);
    while (head.seq < last) {
      const forged = chain(
        head,
        { actor: { id: 'id-9', tenantId: 't', name: 'Mallory' }, action: 'forged', outcome: 'done', code: 'OK' },
        at(2),
      );
      await database.query('insert into audit values ($1, $2, $3)', [forged.seq, forged.at, canonicalJson(forged)]);
      head = forged;
    }
    await setHead(database, head);
  }

  it('is the same as in the file and at the syslog server', async () => {
    await cp(pristine, file('.shipmate'), { recursive: true });
    for (const sink of ['audit.jsonl', 'syslog.log'])
      expect(await verify('--against', sink, '--anchor', 'anchors')).toEqual({
        code: 0,
        out: `10 entries, unbroken.\nhead 10 ${entry(10).hash}\n10 in the sink.\n`,
        err: '',
      });
  });

  it('says what the sink lacks, and that is no break', async () => {
    const lines = (await readFile(file('audit.jsonl'), 'utf8')).split('\n');
    await writeFile(
      file('part'),
      [...lines.slice(1, 3), lines[5], lines[3]?.slice(0, 90), lines[6], lines[6], ''].join('\n'),
    );
    expect(await verify('--against', 'part')).toEqual({
      code: 0,
      out: `10 entries, unbroken.\nhead 10 ${entry(10).hash}\n4 in the sink, not there yet: entries 8 to 10.\n`,
      err: `line 4 of part holds half an entry, or what is none; passed over
not in the sink, before its first: entry 1
not in the sink, though later ones are there: entries 4 to 5
`,
    });
    // The rest is in the file that was rotated away.
    await writeFile(file('part.1'), [lines[0], ...lines.slice(3, 5), ''].join('\n'));
    expect(await verify('--against', 'part', '--against', 'part.1')).toMatchObject({
      code: 0,
      out: expect.stringContaining('\n7 in the sink, not there yet: entries 8 to 10.\n'),
    });
  });

  it('needs a sink that can be read and holds entries', async () => {
    await writeFile(file('other.log'), 'sshd: hello\n');
    for (const [sink, why] of [
      ['other.log', 'There is no audit entry in other.log'],
      ['not-there', "The sink's file not-there can not be read"],
      ['.', "The sink's file . can not be read"],
    ] as const)
      expect(await verify('--against', sink)).toMatchObject({ code: 1, out: '', err: expect.stringContaining(why) });
  });

  it('tells lines of the sink that differ or were changed there', async () => {
    const changedThere = { ...entry(3), actor: { ...entry(3).actor, name: 'D?na' } };
    await cp(file('audit.jsonl'), file('odd'));
    await appendFile(file('odd'), `${canonicalJson(changedThere)}\n`);
    expect(await verify('--against', 'odd')).toMatchObject({
      code: 0,
      err: `entry 3 is in the sink more than once, and not the same
line 11 of odd, entry 3, was changed in the sink: its hash does not fit
`,
    });
  });

  it('shows an entry that was changed', async () => {
    await tamper((database) => put(database, 4, { ...entry(4), outcome: 'refused' }));
    expect(await verify('--against', 'syslog.log')).toEqual({
      code: 1,
      out: '',
      err: `entry 4 was changed
entry 4 was changed: the sink has it otherwise
10 entries; the chain is broken.
10 entries; the sink was given others.
`,
    });
  });

  it('shows one that was removed, and two that changed places', async () => {
    await tamper(async (database) => {
      await database.query('delete from audit where seq = 2');
      await put(database, 5, entry(8));
      await put(database, 8, entry(5));
    });
    const { code, err } = await verify('--against', 'audit.jsonl');
    expect(code).toBe(1);
    expect(err).toContain('entry 2 was removed\nentry 5 was reordered\nentry 8 was reordered\n');
    expect(err).toContain(`entry 2 was removed: the sink has it
entry 5 was reordered: it lies at another place in the store
entry 8 was reordered: it lies at another place in the store
`);
  });

  it('shows an end that was cut off with the head beside it, which the chain alone does not', async () => {
    await tamper(async (database) => {
      await database.query('delete from audit where seq > 8');
      await setHead(database, entry(8));
    });
    expect(await verify()).toMatchObject({ code: 0 });
    expect(await verify('--against', 'audit.jsonl')).toEqual({
      code: 1,
      out: '',
      err: 'entries after 8 are missing: the sink has entries up to 10\n8 entries; the sink was given others.\n',
    });
    expect(await verify('--anchor', 'anchors')).toEqual({
      code: 1,
      out: '',
      err: 'entries after 8 are missing\n8 entries; the chain is broken.\n',
    });
  });

  it('shows an end that was written anew, longer than before', async () => {
    await tamper((database) => rewriteFrom(database, 9, 12));
    expect(await verify()).toMatchObject({ code: 0 });
    expect(await verify('--against', 'syslog.log')).toEqual({
      code: 1,
      out: '',
      err: `entry 9 was changed: the sink has it otherwise
entry 10 was changed: the sink has it otherwise
12 entries; the sink was given others.
not in the sink yet: entries 11 to 12
`,
    });
    expect(await verify('--anchor', 'anchors')).toMatchObject({
      code: 1,
      err: 'entry 9 was changed\n12 entries; the chain is broken.\n',
    });
  });

  it('shows an end that was written anew, shorter than before, and every anchor that does not fit', async () => {
    await tamper((database) => rewriteFrom(database, 2, 7));
    expect(await verify()).toMatchObject({ code: 0 });
    const { code, err } = await verify('--against', 'audit.jsonl', '--anchor', 'anchors');
    expect(code).toBe(1);
    expect(err).toContain(
      'entry 2 was changed\nentry 5 was changed\nentries after 7 are missing\nentry 2 was changed:',
    );
    expect(err).toContain('entry 7 was changed: the sink has it otherwise\nentries after 7 are missing: the sink');
  });
});
