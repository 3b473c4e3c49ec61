import { readFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { verifyChain } from '../../src/audit/chain.ts';
import { loadConfig } from '../../src/config.ts';
import type { SentActivity } from '../fakes/teams/connector.ts';
import { cardContent, type Person, readCard } from '../fakes/teams/index.ts';
import { APPROVALS_CHANNEL, eventually, PLANTED, startTestApp, type TestApp, WEB_CHANNEL } from '../helpers/app.ts';

const YAML = `roles: { break-glass: leads, lock: leads, unlock: leads }
audit: { file: ./audit.jsonl, anchor: { file: ./anchors.txt } }
commands:
  restart:
    summary: Restart a service.
    inputs: { mode: { choices: [rolling, hard], required: true } }
    run:
      command: ["/bin/sh", "-c", "echo restarted $0 $1 $2", "{service}", "{environment}", "{input.mode}"]
  ask:
    summary: Run what asks.
    approve: false
    run:
      command:
        - /bin/sh
        - -c
        - 'echo "::gate go Really go on?"; while [ ! -e "$SHIPMATE_GATES/go" ]; do sleep 0.1; done; head -n 1 "$SHIPMATE_GATES/go"; [ "$(head -n 1 "$SHIPMATE_GATES/go")" = approved ]'
`;

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp({ yaml: YAML, promote: 'staging' });
}, 60_000);
afterAll(async () => {
  await t?.stop();
});

const shown = (card: SentActivity): string => readCard(cardContent(card));
const ask = async (line: string, person: Person = t.sam): Promise<SentActivity> => {
  const before = t.teams.cards(person.personal).length;
  await person.says(line);
  return eventually(() => t.teams.cards(person.personal)[before]);
};
const becomes = (card: SentActivity, what: RegExp) => eventually(() => what.test(shown(card)));

describe('in chat', () => {
  it('a lock is put on, shown, explained and taken away', async () => {
    expect(shown(await ask('lock storefront staging reason="db migration"'))).toMatch(/Locked: staging of storefront/);
    const refused = await ask('deploy storefront 1.2.3 to staging');
    expect(shown(refused)).toMatch(/Sam locked staging of storefront: db migration[\s\S]*ENV_LOCKED/);
    expect(shown(await ask('status storefront'))).toMatch(/Locked by Sam/);
    const before = t.teams.cards(t.sam.personal).length;
    await t.sam.clicks(refused, 'deploy.why');
    const why = await eventually(() => t.teams.cards(t.sam.personal)[before]);
    expect(shown(why)).toMatch(/It would be refused[\s\S]*Sam locked[\s\S]*No freeze[\s\S]*Nobody else deploys there/);
    expect(shown(await ask('unlock storefront staging', t.dana))).toMatch(/ACCESS_DENIED/);
    expect(shown(await ask('unlock storefront staging'))).toMatch(/Unlocked/);
  });

  it('why, and a dry run, change nothing', async () => {
    expect(shown(await ask("why can't I deploy storefront to production?"))).toMatch(
      /It would be refused[\s\S]*takes what runs on staging[\s\S]*NOT_PROMOTED/,
    );
    expect(shown(await ask('deploy storefront 1.2.3 to staging dry-run'))).toMatch(/It would run/);
    expect(shown(await ask('why storefront production', t.kim))).toMatch(/no right to deploy[\s\S]*ACCESS_DENIED/);
    expect(await t.app.store.read((tx) => tx.deployments.list({ limit: 5 }))).toEqual([]);
  });

  it('production takes what runs on staging, and an approver finds it in their list', async () => {
    await becomes(await ask('deploy storefront 1.2.3 to staging'), /Succeeded/);
    const confirm = await ask('deploy storefront 1.2.3 to production');
    await t.sam.clicks(confirm, 'deploy.confirm');
    await eventually(() => t.teams.cards(APPROVALS_CHANNEL).find((card) => /Waiting for approval/.test(shown(card))));
    expect(shown(await ask('approvals'))).toMatch(/Nothing waits for you/);
    const list = await ask('approvals', t.alex);
    expect(shown(list)).toMatch(/One thing waits for you[\s\S]*storefront 1\.2\.3/);
    const before = t.teams.cards(t.alex.personal).length;
    await t.alex.clicks(list, 'deploy.view');
    const opened = await eventually(() => t.teams.cards(t.alex.personal)[before]);
    await t.alex.clicks(opened, 'deploy.approve');
    await becomes(confirm, /Succeeded/);
  }, 30_000);

  it('a schedule names its time, and is taken back by its number', async () => {
    expect(shown(await ask('deploy storefront 1.0.0 to staging at 25:00'))).toMatch(/TIME_INVALID/);
    const card = await ask('deploy storefront 1.0.0 to staging at tomorrow 22:00 Europe/Berlin');
    await becomes(card, /Scheduled/);
    const id = /#(\d+)/.exec(shown(card))?.[1];
    await ask(`cancel ${id} reason="changed my mind"`);
    await becomes(card, /Withdrawn[\s\S]*changed my mind/);
  });

  it('a glass is broken with a reason, told, and reviewed by somebody else', async () => {
    expect(shown(await ask('break-glass storefront 1.0.0 production'))).toMatch(/ARGUMENT_MISSING/);
    expect(shown(await ask('break-glass storefront 1.0.0 production reason="down"', t.dana))).toMatch(/ACCESS_DENIED/);
    const card = await ask('break-glass storefront 1.0.0 production reason="checkout is down"');
    expect(shown(card)).toMatch(/Everybody is told[\s\S]*checkout is down/);
    await t.sam.clicks(card, 'deploy.confirm');
    await becomes(card, /Succeeded/);
    await eventually(() =>
      t.teams.state.activities.find(
        (it) => /broke the glass/.test(String(it.activity.text ?? '')) && it.conversation.startsWith(WEB_CHANNEL),
      ),
    );
    const id = /#(\d+)/.exec(shown(card))?.[1];
    expect(shown(await ask(`review ${id} reason="fine"`))).toMatch(/REVIEW_OWN/);
    expect(shown(await ask(`review ${id} reason="looked at it"`, t.alex))).toMatch(/reviewed by Alex: looked at it/);
  }, 30_000);

  it('a declared command has a form, checks what is typed, runs, and answers what it asks', async () => {
    expect(shown(await ask('restart storefront staging mode=soft'))).toMatch(/none of the choices/);
    const card = await ask('restart storefront staging mode=rolling');
    await becomes(card, /restart storefront on staging[\s\S]*mode=rolling/);
    await becomes(card, /Succeeded/);
    expect(shown(await ask('restart storefront staging mode=rolling', t.alex))).toMatch(/ACCESS_DENIED/);
    const asks = await ask('ask storefront staging');
    await becomes(asks, /Waiting for an answer[\s\S]*Really go on\?/);
    await t.dana.clicks(asks, 'gate.answer');
    await becomes(asks, /Succeeded/);
    expect(shown(asks)).toMatch(/Really go on\?[\s\S]*Dana/);
  }, 30_000);
});

describe('the configuration', () => {
  const file = () => path.join(t.folder, 'shipmate.yaml');
  const env = () => ({ PATH: process.env.PATH, BOT_SECRET: PLANTED, SHIPMATE_DATA: path.join(t.folder, 'data') });
  const reload = () => t.app.reload(() => loadConfig(file(), env()));

  it('is taken over while the bot runs; a bad one changes nothing', async () => {
    const before = readFileSync(file(), 'utf8');
    writeFileSync(
      file(),
      before.replace('staging: {}', 'staging: { freeze: [{ from: "2020-01-01", to: "2099-01-01" }] }'),
    );
    expect(await reload()).toMatchObject({
      ok: false,
      problem: expect.stringMatching(/shipmate\.yaml:\d+:\d+ .*never end/),
    });
    expect(shown(await ask('deploy storefront 1.0.0 to staging dry-run'))).toMatch(/It would run/);
    writeFileSync(
      file(),
      before.replace(
        'staging: {}',
        'staging: { freeze: [{ from: "2026-01-01", to: "2026-12-31", reason: "moving house" }] }',
      ),
    );
    expect(await reload()).toMatchObject({
      ok: true,
      changes: expect.arrayContaining([expect.stringContaining('staging')]),
    });
    expect(shown(await ask('deploy storefront 1.0.0 to staging'))).toMatch(/frozen[\s\S]*moving house[\s\S]*FROZEN/);
    writeFileSync(file(), before.replace(/^bot: .*/m, 'bot: 11111111-1111-4111-8111-111111111111'));
    expect(await reload()).toMatchObject({ ok: false, problem: expect.stringContaining('needs a restart: bot') });
    writeFileSync(file(), before);
    expect(await reload()).toMatchObject({ ok: true });
    expect(shown(await ask('deploy storefront 1.0.0 to staging dry-run'))).toMatch(/It would run/);
  }, 20_000);
});

it('the audit of all that is whole, refusals and loads included', async () => {
  const entries = await t.app.store.read((tx) => tx.audit.page({ after: 0, limit: 10_000 }));
  expect((await verifyChain(entries)).ok).toBe(true);
  const seen = new Set(entries.map(({ action, code }) => `${action} ${code}`));
  for (const each of [
    'lock.add OK',
    'lock.remove ACCESS_DENIED',
    'deploy.request ENV_LOCKED',
    'deploy.withdraw WITHDRAWN',
    'deploy.request BREAK_GLASS',
    'glass.review OK',
    'command.request OK',
    'restart ACCESS_DENIED',
    'gate.approve OK',
    'config.load CONFIG_LOADED',
    'config.load CONFIG_INVALID',
  ])
    expect([...seen]).toContain(each);
});
