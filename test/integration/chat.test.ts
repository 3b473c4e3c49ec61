import { appendFileSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { SentActivity } from '../fakes/teams/connector.ts';
import { cardContent, readCard } from '../fakes/teams/index.ts';
import { eventually, startTestApp, type TestApp, WEB_CHANNEL } from '../helpers/app.ts';

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
  const at = (seconds: number) => new Date(Date.now() - seconds * 1000).toISOString();
  const file = path.join(t.folder, 'logs', 'storefront-production.jsonl');
  writeFileSync(file, '');
  for (let line = 120; line > 0; line -= 1)
    appendFileSync(
      file,
      `${JSON.stringify({ time: at(line), level: line % 10 === 0 ? 'error' : 'info', msg: `order ${line} <at>all</at> **bold** token=abcdef123456` })}\n`,
    );
}, 60_000);
afterAll(async () => {
  await t?.stop();
});

const shown = (card: SentActivity | undefined): string => (card ? readCard(cardContent(card)) : '');
/** What the bot answers to a line, in the personal chat. */
const ask = async (line: string, person = t.dana): Promise<SentActivity> => {
  const before = t.teams.cards(person.personal).length;
  expect((await person.says(line)).status).toBe(200);
  return eventually(() => t.teams.cards(person.personal)[before]);
};

describe('answers', () => {
  it.each([
    ['hi', /What I can do|deploy/],
    ['help', /deploy storefront 1\.2\.3 to staging[\s\S]*status[\s\S]*logs[\s\S]*history[\s\S]*rollback[\s\S]*whoami/],
    ['help deploy', /reason/],
    ['help depoly', /Did you mean/],
    ['whoami', /team web[\s\S]*deploy/],
    ['status', /staging[\s\S]*production/],
    ['history storefront', /storefront/],
    ['xyzzy & <b>', /don't know "xyzzy"/],
    ['deploy enviroment=staging', /Did you mean/],
    ['deploy storefront 9.9.9 to staging', /no version "9\.9\.9"[\s\S]*1\.2\.3/],
    ['deploy storefront 1.2.3 to prodution', /no environment "prodution"/],
    ['deploy stroefront 1.2.3 to staging', /Did you mean storefront/],
    ['deploy storefront environment=staging', /Version/],
    ['rollback storefront production', /NO_ROLLBACK_TARGET/],
  ])('%j', async (line, expected) => {
    expect(shown(await ask(line))).toMatch(expected);
  });

  it('offers versions while somebody types, to those who may deploy', async () => {
    const offered = await t.dana.types('versions/storefront', '1.');
    expect(offered.map(({ value }) => value)).toEqual(['1.2.3', '1.1.0', '1.0.0']);
    expect(offered[0]?.title).toMatch(/^1\.2\.3 \([0-9a-f]{7}/);
    expect(await t.dana.types('versions/storefront', '')).toHaveLength(3);
    expect(await t.dana.types('versions/storefront', '.*')).toEqual([]);
    expect(await t.kim.types('versions/storefront', '1.')).toEqual([]);
    for (const dataset of ['versions/', 'versions/other', 'people', '', 'versions/__proto__', 42, null])
      expect(await t.dana.types(dataset, '1.')).toEqual([]);
    for (const text of [null, 42, {}, 'x'.repeat(10_000), '\u0000'])
      expect(Array.isArray(await t.dana.types('versions/storefront', text))).toBe(true);
  });

  it('welcomes once', async () => {
    const before = t.teams.cards(t.robin.personal).length;
    await t.robin.installs();
    await t.robin.installs();
    expect(t.teams.cards(t.robin.personal)).toHaveLength(before + 1);
    expect(shown(t.teams.cards(t.robin.personal)[before])).toMatch(/deploy/);
  });

  it('keeps to the personal chat what a group chat may not see', async () => {
    const before = t.teams.cards(t.dana.personal).length;
    await t.dana.says('status storefront', { kind: 'groupChat', id: '19:lunch@thread.v2' });
    await eventually(() => t.teams.cards(t.dana.personal)[before]);
    expect(t.teams.cards('19:lunch@thread.v2')).toEqual([]);
    expect(t.teams.texts('19:lunch@thread.v2')).toEqual(['I answered in our personal chat.']);
  });

  it('never runs a command from an edited message, nor an unknown activity', async () => {
    const before = t.teams.state.activities.length;
    const raw = async (fields: Record<string, unknown>) =>
      t.teams.raw(JSON.stringify(t.dana.activity(fields)), { authorization: `Bearer ${await t.teams.tokens.mint()}` });
    expect((await raw({ type: 'messageUpdate', text: 'deploy storefront 1.2.3 to staging' })).status).toBe(200);
    expect((await raw({ type: 'messageReaction', reactionsAdded: [{ type: 'like' }] })).status).toBe(200);
    expect((await raw({ type: 'event', name: 'what', value: {} })).status).toBe(200);
    expect((await raw({ type: 'strange' })).status).toBe(200);
    expect(t.teams.state.activities).toHaveLength(before);
  });

  it('opens the personal chat of somebody who never wrote there', async () => {
    const nova = t.teams.person({ name: 'Nova', id: 'd0000000-0000-4000-8000-00000000aaa9' });
    await nova.says('whoami', { kind: 'channel', id: WEB_CHANNEL });
    await eventually(() => t.teams.cards(`a:opened-29:${nova.id}`).length === 1);
  });
});

describe('people who may not', () => {
  const strangers: [string, Parameters<TestApp['teams']['person']>[0], RegExp][] = [
    ['somebody in no group', { name: 'Kim', id: 'd0000000-0000-4000-8000-00000000aaa3' }, /ACCESS_DENIED/],
    [
      'a guest of the right group',
      { name: 'Dana', id: 'd0000000-0000-4000-8000-00000000aaa1', from: { userRole: 'guest' } },
      /ACCESS_GUEST/,
    ],
    [
      'an account of another tenant in a shared channel',
      { name: 'Dana', id: 'd0000000-0000-4000-8000-00000000aaa1', from: { tenantId: 'other' } },
      /ACCESS_GUEST|ACCESS_FOREIGN/,
    ],
    [
      'somebody whom Teams gave no id',
      { name: 'Dana', id: 'x', from: { aadObjectId: undefined } },
      /ACCESS_NO_IDENTITY/,
    ],
  ];
  it.each(strangers)('%s', async (_what, options, code) => {
    const person = t.teams.person(options);
    for (const line of [
      'deploy storefront 1.2.3 to staging',
      'logs storefront production',
      'status',
      'history storefront',
      'rollback storefront production',
    ]) {
      const text = shown(await ask(line, person));
      expect(text).toMatch(code);
      expect(text).not.toMatch(/order \d+|1\.0\.0/);
    }
  });

  it('of a tenant that is not ours never get in', async () => {
    const foreign = t.teams.person({
      name: 'Dana',
      id: 'd0000000-0000-4000-8000-00000000aaa1',
      tenant: '99999999-0000-4000-8000-000000000000',
    });
    expect((await foreign.says('help')).status).toBe(403);
  });
});

describe('logs', () => {
  it('shows the newest lines, pages back and forth, and keeps secrets and mentions out', async () => {
    const card = await ask('logs storefront production since=15m limit=20');
    expect(shown(card)).toMatch(/order 1 /);
    const all = JSON.stringify(card.activity);
    expect(all).not.toContain('abcdef123456');
    expect(all).not.toContain('"<at>all</at>');
    const older = await t.dana.clicks(card, 'Older');
    expect(readCard(older.value)).toMatch(/order 2[1-9]|order 3\d|order 40/);
    expect(readCard(older.value)).not.toMatch(/order 1 /);
    const errors = await ask('logs storefront production level=error limit=50');
    expect(shown(errors)).toMatch(/order 10 /);
    expect(shown(errors)).not.toMatch(/order 11 /);
    const found = await ask('logs storefront production text="ORDER 77 "');
    expect(shown(found)).toMatch(/order 77 /);
    expect(shown(found)).not.toMatch(/order 78 /);
  });

  it('fills the form and sends it', async () => {
    const form = await ask('logs');
    const answer = await t.dana.clicks(form, 'Show logs', {
      service: 'storefront',
      environment: 'production',
      since: '15m',
      level: 'all',
      text: '',
      limit: 5,
    });
    expect(readCard(answer.value)).toMatch(/order 1 /);
  });

  it('gives the whole result behind a link that works once', async () => {
    const card = await ask('logs storefront production since=15m limit=5');
    const answer = await t.dana.clicks(card, 'Download all');
    const url = /"url":"https:\/\/shipmate\.example(\/files\/[^"]+)"/.exec(JSON.stringify(answer.value))?.[1];
    expect(url).toBeDefined();
    const head = await fetch(`${t.teams.botUrl}${url}`, { method: 'HEAD' });
    expect(head.status).toBe(200);
    const file = await fetch(`${t.teams.botUrl}${url}`);
    expect(file.status).toBe(200);
    expect(file.headers.get('content-disposition')).toMatch(/^attachment; filename="storefront-production-/);
    const text = await file.text();
    expect(text.trim().split('\n')).toHaveLength(120);
    expect(text).not.toContain('abcdef123456');
    const again = await fetch(`${t.teams.botUrl}${url}`);
    expect(again.status).toBe(410);
    expect(await again.text()).toMatch(/LINK_USED/);
    const forged = await fetch(`${t.teams.botUrl}${url}x`);
    expect(forged.status).toBe(403);
  });

  it("is shared with the service's channel, with the name of who did", async () => {
    const card = await ask('logs storefront production since=15m limit=5');
    const answer = await t.dana.clicks(card, 'Share to channel');
    expect(answer.value).toMatch(/Shared in the channel/);
    const shared = await eventually(() => t.teams.cards(WEB_CHANNEL).findLast((each) => /order 1 /.test(shown(each))));
    expect(shown(shared)).toMatch(/Dana/);
  });

  it("answers in the personal chat when asked in a channel that is not the service's", async () => {
    const before = t.teams.cards(t.dana.personal).length;
    await t.dana.says('logs storefront production', { kind: 'channel', id: '19:other@thread.tacv2' });
    await eventually(() => t.teams.cards(t.dana.personal)[before]);
    expect(t.teams.cards('19:other@thread.tacv2')).toEqual([]);
  });

  it('audits who read what', async () => {
    const entries = await t.app.store.read((tx) => tx.audit.page({ after: 0, limit: 10_000 }));
    const read = entries.filter(({ action }) => action.startsWith('logs.'));
    expect(read.some(({ action, outcome }) => action === 'logs.read' && outcome === 'done')).toBe(true);
    expect(read.some(({ action, outcome }) => action === 'logs.read' && outcome === 'refused')).toBe(true);
    expect(read.some(({ action, code }) => action === 'logs.file' && code === 'LINK_USED')).toBe(true);
    expect(read.some(({ action }) => action === 'logs.share')).toBe(true);
    expect(read.find(({ details }) => details?.text === 'ORDER 77 ')).toBeDefined();
  });
});

describe('cards that were tampered with', () => {
  it('are refused, audited, and do nothing', async () => {
    const form = await ask('deploy');
    const inputs = { service: 'storefront', environment: 'staging', version: '1.2.3' };
    const forged = await t.dana.clicks(form, 'deploy.plan', inputs, { token: 'forged.token' });
    expect(forged.value).toMatch(/ACTION_FORGED/);
    const otherVerb = await t.dana.clicks(form, 'deploy.plan', inputs, { verb: 'deploy.confirm' });
    expect(otherVerb.value).toMatch(/ACTION_FORGED/);
    const unknown = await t.dana.clicks(form, 'deploy.plan', inputs, { verb: 'deploy.everything' });
    expect(unknown.value).toMatch(/ACTION_FORGED|ACTION_UNKNOWN/);
    const deployments = await t.app.store.read((tx) => tx.deployments.list({ limit: 10 }));
    expect(deployments).toEqual([]);
    const entries = await t.app.store.read((tx) => tx.audit.page({ after: 0, limit: 10_000 }));
    expect(entries.filter(({ action }) => action === 'card.click')).toHaveLength(3);
  });

  it('a form can not be sent twice', async () => {
    const form = await ask('deploy');
    const inputs = { service: 'storefront', environment: 'staging', version: '1.0.0', reason: 'twice' };
    const [first, second] = await Promise.all([
      t.dana.clicks(form, 'deploy.plan', inputs),
      t.dana.clicks(form, 'deploy.plan', inputs),
    ]);
    expect(readCard(first?.value)).toMatch(/storefront 1\.0\.0/);
    expect(readCard(second?.value)).toMatch(/storefront 1\.0\.0/);
    expect(await t.app.store.read((tx) => tx.deployments.list({ limit: 10 }))).toHaveLength(1);
  });

  it('odd inputs get a clear answer', async () => {
    const form = await ask('deploy');
    for (const inputs of [
      { service: ['x'], environment: {}, version: null },
      { service: 'storefront', environment: 'staging', version: '$(reboot) --force' },
      { service: '__proto__', environment: 'constructor', version: 'x'.repeat(5_000) },
    ]) {
      const answer = await t.dana.clicks(form, 'deploy.plan', inputs);
      expect(answer.statusCode).toBe(200);
      expect(JSON.stringify(answer.value).length).toBeLessThan(40_000);
    }
    expect(t.log()).not.toMatch(/"code":"INTERNAL"|a turn failed/);
  });
});

describe('a targeted message', () => {
  it('is never answered in public, not even by a deploy', async () => {
    const place = { kind: 'channel', id: WEB_CHANNEL } as const;
    const threads: string[] = [];
    const personal = t.teams.cards(t.dana.personal).length;
    for (const text of ['status', 'help', 'xyzzy']) {
      const activity = t.dana.activity({ type: 'message', text }, place);
      activity.recipient = { ...(activity.recipient as object), isTargeted: true };
      threads.push((activity.conversation as { id: string }).id);
      await t.teams.raw(JSON.stringify(activity), { authorization: `Bearer ${await t.teams.tokens.mint()}` });
    }
    await eventually(() => t.teams.cards(t.dana.personal).length === personal + 3);
    expect(t.teams.state.activities.filter(({ conversation }) => threads.includes(conversation))).toEqual([]);
  });
});
