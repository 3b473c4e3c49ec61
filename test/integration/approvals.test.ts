import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { verifyChain } from '../../src/audit/chain.ts';
import type { SentActivity } from '../fakes/teams/connector.ts';
import { actionTitles, cardContent, type Person, readCard } from '../fakes/teams/index.ts';
import { APPROVALS_CHANNEL, eventually, startTestApp, type TestApp } from '../helpers/app.ts';

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
}, 60_000);
afterAll(async () => {
  await t?.stop();
});

const shown = (card: SentActivity): string => readCard(cardContent(card));
const runs = (app = t): string[] => {
  const file = path.join(app.folder, 'runs.log');
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
};
const audit = (app = t) => app.app.store.read((tx) => tx.audit.page({ after: 0, limit: 10_000 }));
const states = async (app = t) =>
  (await app.app.store.read((tx) => tx.deployments.list({ limit: 100 }))).map(({ state }) => state);

/** What the bot answers to a line, in the personal chat. */
const ask = async (line: string, person: Person = t.sam, app = t): Promise<SentActivity> => {
  const before = app.teams.cards(person.personal).length;
  await person.says(line);
  return eventually(() => app.teams.cards(person.personal)[before]);
};
/** Asks for it and confirms: the living card, the confirmation as it was, and the card for the approvers. */
const request = async (version: string, person: Person = t.sam, app = t) => {
  const card = await ask(`deploy storefront ${version} to production`, person, app);
  const confirmation = structuredClone(card);
  const before = app.teams.cards(APPROVALS_CHANNEL).length;
  await person.clicks(card, 'deploy.confirm');
  const asked = await eventually(() => app.teams.cards(APPROVALS_CHANNEL)[before]);
  return { card, confirmation, asked, frozen: structuredClone(asked) };
};
const succeeded = (card: SentActivity) => eventually(() => /Succeeded/.test(shown(card)));

/** What the Action.Submit sends that stands in for a verb. */
function submitData(content: unknown, verb: string): Record<string, unknown> | null {
  if (typeof content !== 'object' || content === null) return null;
  const { data, type } = content as { type?: unknown; data?: Record<string, unknown> };
  if (type === 'Action.Submit' && data?.verb === verb) return data;
  for (const part of Object.values(content)) {
    const found = submitData(part, verb);
    if (found) return found;
  }
  return null;
}

describe('an approval', () => {
  it('is nobody else than an approver, and never of their own deploy, however their id is written', async () => {
    const { asked, card, confirmation, frozen } = await request('1.0.0');
    expect((await t.sam.clicks(frozen, 'deploy.approve')).value).toMatch(/OWN_DEPLOY/);
    expect((await t.sam.clicks(frozen, 'deploy.reject', { reason: 'no' })).value).toMatch(/OWN_DEPLOY/);
    const other = (options: Partial<Parameters<typeof t.teams.person>[0]>) =>
      t.teams.person({ name: 'Alex', id: t.alex.id, ...options }).clicks(frozen, 'deploy.approve');
    expect((await other({ id: t.sam.id.toUpperCase() })).value).toMatch(/OWN_DEPLOY/);
    expect((await other({ id: t.kim.id })).value).toMatch(/ACCESS_DENIED/);
    expect((await other({ id: t.dana.id })).value).toMatch(/ACCESS_DENIED/);
    expect((await other({ from: { userRole: 'guest' } })).value).toMatch(/ACCESS_GUEST/);
    expect((await other({ from: { tenantId: '99999999-0000-4000-8000-000000000000' } })).value).toMatch(
      /ACCESS_GUEST|ACCESS_FOREIGN/,
    );
    expect((await other({ from: { aadObjectId: undefined } })).value).toMatch(/ACCESS_NO_IDENTITY/);
    await expect(other({ tenant: '99999999-0000-4000-8000-000000000000' })).rejects.toThrow('403');
    expect(await states()).toEqual(['awaiting_approval']);
    expect(runs()).toEqual([]);

    await t.alex.clicks(asked, 'deploy.approve');
    await succeeded(card);
    expect(runs()).toHaveLength(1);

    // All of it once more, from cards as they were.
    const late = await t.robin.clicks(frozen, 'deploy.approve');
    expect(readCard(late.value)).toMatch(/Succeeded/);
    expect(readCard((await t.robin.clicks(frozen, 'deploy.reject', { reason: 'late' })).value)).toMatch(/Succeeded/);
    // Somebody who may not decide learns nothing of how it went on.
    expect((await t.kim.clicks(frozen, 'deploy.approve')).value).toMatch(/ACCESS_DENIED/);
    expect(readCard((await t.sam.clicks(confirmation, 'deploy.confirm')).value)).toMatch(/Succeeded/);
    expect(await states()).toEqual(['succeeded']);
    expect(runs()).toHaveLength(1);
    const done = (await audit()).filter(({ action, outcome }) => action === 'deploy.approve' && outcome === 'done');
    expect(done.map(({ actor }) => actor.name)).toEqual(['Alex']);
  }, 30_000);

  it('stands for a commit: a tag that moved is not what was confirmed', async () => {
    const card = await ask('deploy storefront 1.2.3 to production');
    const git = (...args: string[]) => execFileSync('git', ['-C', path.join(t.folder, 'repo'), ...args]);
    const sha = git('rev-parse', '1.2.3').toString().trim();
    git('tag', '-f', '1.2.3', '1.0.0');
    try {
      expect((await t.sam.clicks(card, 'deploy.confirm')).value).toMatch(/VERSION_MOVED/);
    } finally {
      git('tag', '-f', '1.2.3', sha);
    }
    expect(runs()).toHaveLength(1);
  });

  it('is not needed to go back, and two clicks go back once', async () => {
    const { asked, card } = await request('1.2.3');
    await t.alex.clicks(asked, 'deploy.approve');
    await succeeded(card);
    const frozen = structuredClone(card);
    expect(actionTitles(cardContent(frozen))).toContain('Roll back to 1.0.0');
    expect((await t.kim.clicks(frozen, 'deploy.rollback')).value).toMatch(/ACCESS_DENIED/);
    const before = t.teams.cards(t.sam.personal).length;
    await Promise.all([
      t.sam.clicks(frozen, 'deploy.rollback', { reason: 'totals are wrong' }),
      t.sam.clicks(frozen, 'deploy.rollback'),
    ]);
    const back = await eventually(() => t.teams.cards(t.sam.personal)[before]);
    await succeeded(back);
    expect(shown(back)).toMatch(/1\.0\.0/);
    expect(runs().map((line) => line.split(' ').slice(0, 2).join(' '))).toEqual([
      'production 1.0.0',
      'production 1.2.3',
      'production 1.0.0',
    ]);
    // The card of what was taken back offers nothing more, and says so to whoever has an old copy of it.
    await eventually(() => !actionTitles(cardContent(card)).includes('Roll back to 1.0.0'));
    expect((await t.kim.clicks(frozen, 'deploy.rollback')).value).toMatch(/ACCESS_DENIED/);
    expect(runs()).toHaveLength(3);
    // What was taken back stays out until somebody lets it in again.
    expect(shown(await ask('deploy storefront 1.2.3 to production'))).toMatch(
      /rolled back from 1\.2\.3[\s\S]*VERSION_BLOCKED/,
    );
    expect(shown(await ask('unblock storefront production 1.2.3'))).toMatch(/may come back/);
  }, 30_000);
});

describe('the approvals channel', () => {
  const channel = { kind: 'channel', id: APPROVALS_CHANNEL } as const;
  const send = async (action: 'add' | 'remove') => {
    const activity = t.alex.activity({ type: 'installationUpdate', action }, channel);
    const token = await t.teams.tokens.mint();
    expect((await t.teams.raw(JSON.stringify(activity), { authorization: `Bearer ${token}` })).status).toBe(200);
  };

  it('that the bot was removed from blocks a request and says what to do, until it is back', async () => {
    await send('remove');
    const refused = await ask('deploy storefront 1.2.3 to production');
    expect(shown(refused)).toMatch(/approvals channel[\s\S]*CHANNEL_UNKNOWN/);
    await send('add');
    const { asked } = await request('1.2.3');
    await t.alex.clicks(asked, 'deploy.reject', { reason: 'only a test' });
    await eventually(async () => !(await states()).includes('awaiting_approval'));
    await eventually(() => /Rejected/.test(shown(asked)));
  });

  it('that turns the bot away is not asked in vain again', async () => {
    t.teams.state.forbidden.add(APPROVALS_CHANNEL);
    const card = await ask('deploy storefront 1.2.3 to production');
    await t.sam.clicks(card, 'deploy.confirm');
    await eventually(async () => (await t.app.store.read((tx) => tx.references.get(APPROVALS_CHANNEL)))?.dead);
    expect(shown(await ask('deploy storefront 1.0.0 to production'))).toMatch(/CHANNEL_UNKNOWN/);
    t.teams.state.forbidden.clear();
  });
});

describe('a client that knows only Action.Submit', () => {
  const submit = async (card: SentActivity, verb: string, inputs: Record<string, unknown>) => {
    const data = { ...submitData(cardContent(card), verb), ...inputs };
    const activity = t.dana.activity({ type: 'message', text: '', replyToId: card.id, value: data });
    const body = JSON.stringify(activity);
    return async () => t.teams.raw(body, { authorization: `Bearer ${await t.teams.tokens.mint()}` });
  };

  it('works too: the form becomes the living card, once', async () => {
    const form = await ask('deploy', t.dana);
    const frozen = structuredClone(form);
    const before = runs().length;
    const cards = t.teams.cards(t.dana.personal).length;
    const inputs = { service: 'storefront', environment: 'staging', version: '1.2.3', reason: '' };
    const send = await submit(frozen, 'deploy.plan', inputs);
    expect((await send()).status).toBe(200);
    expect((await send()).status).toBe(200);
    await succeeded(form);
    expect(t.teams.cards(t.dana.personal)).toHaveLength(cards);
    expect(runs()).toHaveLength(before + 1);
  });

  it('gets a word when the button was forged', async () => {
    const form = await ask('deploy', t.dana);
    const before = t.teams.cards(t.dana.personal).length;
    await (await submit(form, 'deploy.plan', { token: 'forged.token' }))();
    expect(shown(await eventually(() => t.teams.cards(t.dana.personal)[before]))).toMatch(/ACTION_FORGED/);
  });
});

it('the audit of all that is whole, with a line for every refusal', async () => {
  const entries = await audit();
  expect(await verifyChain(entries)).toMatchObject({ ok: true, breaks: [] });
  const refused = entries.filter(({ outcome }) => outcome === 'refused').map(({ code }) => code);
  for (const code of [
    'OWN_DEPLOY',
    'ACCESS_DENIED',
    'ACCESS_GUEST',
    'ACCESS_NO_IDENTITY',
    'TRUST_TENANT',
    'NOT_PENDING',
    'VERSION_MOVED',
    'CHANNEL_UNKNOWN',
    'ACTION_FORGED',
  ] as const)
    expect(refused).toContain(code);
  expect(t.teams.state.complaints).toEqual([]);
});

describe('a request that nobody decides', () => {
  it('expires, is told, runs nothing, frees the environment, and can be asked again', async () => {
    const app = await startTestApp({ approve: '{ from: leads, expires: 2s }' });
    try {
      const { asked, card, frozen } = await request('1.2.3', app.sam, app);
      await eventually(() => /Expired|expired/.test(shown(asked)) && /Expired|expired/.test(shown(card)));
      expect(await states(app)).toEqual(['expired']);
      const late = await app.alex.clicks(frozen, 'deploy.approve');
      expect(readCard(late.value)).toMatch(/[Ee]xpired/);
      await eventually(() => app.teams.texts(app.sam.personal).some((text) => /expired/.test(text)));
      expect(runs(app)).toEqual([]);
      expect(await app.app.store.read((tx) => tx.deployments.holder('storefront', 'production'))).toBeNull();
      const before = app.teams.cards(APPROVALS_CHANNEL).length;
      await app.sam.clicks(card, 'Ask again');
      const again = await eventually(() => app.teams.cards(APPROVALS_CHANNEL)[before]);
      await app.alex.clicks(again, 'deploy.approve');
      await eventually(() => runs(app).length === 1);
      await succeeded(again);
      expect((await audit(app)).map(({ code }) => code)).toContain('APPROVAL_EXPIRED');
    } finally {
      await app.stop();
    }
  }, 40_000);
});

it('two of the approvers where two are asked for', async () => {
  const app = await startTestApp({ approve: '{ from: leads, count: 2 }' });
  try {
    const { asked, card, frozen } = await request('1.2.3', app.sam, app);
    await app.alex.clicks(frozen, 'deploy.approve');
    await app.alex.clicks(frozen, 'deploy.approve');
    const alias = app.teams.person({ name: 'Alex again', id: app.alex.id.toUpperCase() });
    await alias.clicks(frozen, 'deploy.approve');
    expect(await states(app)).toEqual(['awaiting_approval']);
    await eventually(() => /Alex/.test(shown(asked)));
    await app.robin.clicks(frozen, 'deploy.approve');
    await succeeded(card);
    expect(runs(app)).toHaveLength(1);
  } finally {
    await app.stop();
  }
}, 40_000);
