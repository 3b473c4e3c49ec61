import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { verifyChain } from '../../src/audit/chain.ts';
import type { AuditEntry } from '../../src/audit/types.ts';
import type { SentActivity } from '../fakes/teams/connector.ts';
import { actionTitles, cardContent, readCard } from '../fakes/teams/index.ts';
import { APPROVALS_CHANNEL, eventually, PLANTED, startTestApp, type TestApp, WEB_CHANNEL } from '../helpers/app.ts';

let t: TestApp;
beforeAll(async () => {
  t = await startTestApp();
}, 60_000);
afterAll(async () => {
  await t?.stop();
});

const shown = (card: SentActivity | undefined): string => (card ? readCard(cardContent(card)) : '');
const cardWith = (conversation: string, text: RegExp): Promise<SentActivity> =>
  eventually(() => t.teams.cards(conversation).findLast((card) => text.test(shown(card))));
const runs = (): string[] => {
  const file = path.join(t.folder, 'runs.log');
  return existsSync(file) ? readFileSync(file, 'utf8').trim().split('\n') : [];
};
const audit = (): Promise<AuditEntry[]> => t.app.store.read((tx) => tx.audit.page({ after: 0, limit: 10_000 }));
const hold = (on: boolean) =>
  on ? writeFileSync(path.join(t.folder, 'hold'), '') : rmSync(path.join(t.folder, 'hold'), { force: true });
const idle = (environment: string) =>
  eventually(async () => (await t.app.store.read((tx) => tx.deployments.holder('storefront', environment))) === null);

describe('a complete line to staging', () => {
  it('just runs, and its card is one activity that is edited in place', async () => {
    const before = t.teams.cards(t.dana.personal).length;
    const said = await t.dana.says('deploy storefront 1.0.0 to staging');
    expect(said.status).toBe(200);
    const card = await cardWith(t.dana.personal, /Succeeded/);
    expect(t.teams.cards(t.dana.personal)).toHaveLength(before + 1);
    expect(card.edits).toBeGreaterThan(0);
    expect(runs()).toHaveLength(1);
    await eventually(() => t.teams.texts(t.dana.personal).some((text) => text.includes('succeeded')));
    const heard = await eventually((): string[] | null => {
      const texts = t.teams.texts(WEB_CHANNEL);
      return texts.some((text) => /started by Dana/.test(text)) && texts.some((text) => /succeeded/.test(text))
        ? texts
        : null;
    });
    expect(heard.filter((text) => /started by/.test(text))).toHaveLength(1);
    expect(heard.filter((text) => /succeeded/.test(text))).toHaveLength(1);
    const [started, ended] = [/started by/, /succeeded/].map((words) => heard.findIndex((text) => words.test(text)));
    expect(started).toBeLessThan(ended ?? -1);
    expect(heard.findIndex((text) => /started by/.test(text))).toBeLessThan(
      heard.findIndex((text) => /succeeded/.test(text)),
    );
  });

  it('is done once when Teams delivers it again', async () => {
    const said = await t.dana.says('deploy storefront 1.2.3 to staging');
    await t.dana.redelivers(said);
    await cardWith(t.dana.personal, /storefront 1\.2\.3 → staging/);
    await idle('staging');
    await t.dana.redelivers(said);
    // After a restart nothing remembers the message but the store.
    await t.restart();
    await t.dana.redelivers(said);
    expect(runs().filter((line) => line.startsWith('staging 1.2.3'))).toHaveLength(1);
  });

  it('is refused while another deploy runs there, with who and what', async () => {
    hold(true);
    await t.dana.says('deploy 1.2.3 to staging');
    await cardWith(t.dana.personal, /Running/);
    await t.dana.says('deploy 1.0.0 to staging');
    const card = await cardWith(t.dana.personal, /ENV_BUSY/);
    expect(shown(card)).toMatch(/Dana is deploying 1\.2\.3/);
    hold(false);
    await idle('staging');
  });
});

const toConfirmation = async (line = '/deploy version=1.2.3 environment=production'): Promise<SentActivity> => {
  const before = t.teams.cards(t.dana.personal).length;
  await t.dana.says(line);
  return eventually(() => t.teams.cards(t.dana.personal)[before]);
};
const pendingIn = async (channel: string) => cardWith(channel, /Waiting for approval/);

describe('production', () => {
  it('asks to confirm, then somebody else, then runs', async () => {
    const confirmation = await toConfirmation();
    expect(shown(confirmation)).toMatch(/leads/);
    expect(runs().some((line) => line.startsWith('production'))).toBe(false);
    const answer = await t.dana.clicks(confirmation, 'deploy.confirm', { reason: 'ship it' });
    expect(answer.type).toBe('application/vnd.microsoft.card.adaptive');
    expect(readCard(answer.value)).toMatch(/Waiting for approval/);

    const asked = await pendingIn(APPROVALS_CHANNEL);
    expect(shown(asked)).toMatch(/ship it/);
    const own = await t.dana.clicks(asked, 'deploy.approve');
    expect(own.value).toMatch(/OWN_DEPLOY|ACCESS_DENIED/);
    const stranger = await t.kim.clicks(asked, 'deploy.approve');
    expect(stranger.value).toMatch(/ACCESS_DENIED/);
    expect(runs().some((line) => line.startsWith('production'))).toBe(false);

    const [first, second, third] = await Promise.all([
      t.alex.clicks(asked, 'deploy.approve'),
      t.alex.clicks(asked, 'deploy.approve'),
      t.robin.clicks(asked, 'deploy.approve'),
    ]);
    for (const each of [first, second, third]) expect(each?.statusCode).toBe(200);
    // The confirmation itself became the living card.
    await eventually(() => /Succeeded/.test(shown(confirmation)));
    await eventually(() => /Succeeded/.test(shown(asked)));
    expect(runs().filter((line) => line.startsWith('production 1.2.3'))).toHaveLength(1);
  });

  it('can not be confirmed twice, nor by somebody else', async () => {
    const confirmation = await toConfirmation();
    const frozen = structuredClone(confirmation);
    const other = await t.alex.clicks(frozen, 'deploy.confirm');
    expect(other.value).toMatch(/ACCESS_DENIED/);
    const count = async () => (await t.app.store.read((tx) => tx.deployments.list({ limit: 100 }))).length;
    const before = await count();
    await Promise.all([t.dana.clicks(frozen, 'deploy.confirm'), t.dana.clicks(frozen, 'deploy.confirm')]);
    await t.dana.clicks(frozen, 'deploy.confirm');
    expect(await count()).toBe(before + 1);
    const asked = await pendingIn(APPROVALS_CHANNEL);
    const rejected = await t.alex.clicks(asked, 'deploy.reject', { reason: 'not on Friday' });
    expect(readCard(rejected.value)).toMatch(/Rejected/);
    await eventually(() => t.teams.texts(t.dana.personal).some((text) => text.includes('was rejected by Alex')));
    expect(runs().filter((line) => line.startsWith('production 1.2.3'))).toHaveLength(1);
    // A card of a deploy that is over.
    const again = await t.alex.clicks(structuredClone(asked), 'deploy.approve').catch((error: Error) => error.message);
    expect(String(again)).toMatch(/has no "deploy.approve"/);
  });

  it('shows the requester their own view, without Approve', async () => {
    await t.dana.clicks(await toConfirmation(), 'deploy.confirm');
    const asked = await pendingIn(APPROVALS_CHANNEL);
    expect(actionTitles(cardContent(asked))).toContain('Approve 1.2.3 for production');
    const mine = await t.dana.views(asked);
    expect(actionTitles(mine.value)).not.toContain('Approve 1.2.3 for production');
    const theirs = await t.alex.views(asked);
    expect(actionTitles(theirs.value)).toContain('Approve 1.2.3 for production');
    await t.alex.clicks(asked, 'deploy.reject', { reason: 'done with it' });
  });

  it('gives everybody in a channel of sixty a view of their own, and a plain working card to a larger one', async () => {
    const others = (count: number) => Array.from({ length: count }, (_, at) => `29:other-${at}`);
    const people = [t.dana, t.alex, t.robin, t.kim].map(({ id }) => `29:${id}`);
    const askFor = async () => {
      await t.dana.clicks(await toConfirmation(), 'deploy.confirm');
      return pendingIn(APPROVALS_CHANNEL);
    };
    const viewersOf = (card: SentActivity) => (cardContent(card).refresh as { userIds: string[] }).userIds;
    t.teams.state.rosters.set(APPROVALS_CHANNEL, [...people, ...others(56)]);
    // The channel was asked who is there a moment ago, when nobody could say.
    await t.restart();
    const small = await askFor();
    expect(viewersOf(small)).toHaveLength(60);
    expect(viewersOf(small)).toEqual(expect.arrayContaining(people));
    expect(actionTitles((await t.alex.views(small)).value)).toContain('Approve 1.2.3 for production');
    for (const nobody of [t.dana, t.kim])
      expect(actionTitles((await nobody.views(small)).value ?? {})).not.toContain('Approve 1.2.3 for production');
    await t.alex.clicks(small, 'deploy.reject', { reason: 'next' });

    t.teams.state.rosters.set(APPROVALS_CHANNEL, [...people, ...others(57)]);
    await t.restart();
    const large = await askFor();
    expect(viewersOf(large)).toEqual([`29:${t.dana.id}`]);
    expect(actionTitles(cardContent(large))).toContain('Approve 1.2.3 for production');
    await t.alex.clicks(large, 'deploy.reject', { reason: 'done with it' });
  });

  it('goes after a mention in the channel too, and stays in its thread', async () => {
    const delivered = await t.dana.says('/deploy version=1.2.3 environment=production', {
      kind: 'channel',
      id: WEB_CHANNEL,
    });
    const thread = (delivered.activity.conversation as { id: string }).id;
    const confirmation = await cardWith(thread, /Nothing has started yet/);
    await t.dana.clicks(confirmation, 'deploy.confirm');
    const asked = await pendingIn(APPROVALS_CHANNEL);
    await t.alex.clicks(asked, 'deploy.approve');
    await eventually(() => t.teams.texts(thread).some((text) => text.includes('succeeded')));
    expect(t.teams.cards(thread).filter((card) => /storefront 1\.2\.3 → production/.test(shown(card)))).toHaveLength(1);
    await idle('production');
  });

  it('rolls back from the command, without an approval, once', async () => {
    const before = runs().length;
    const card = await toConfirmation('rollback storefront staging');
    await cardWith(t.dana.personal, /rolled back|Rollback|→ staging/);
    expect(card).toBeDefined();
    await idle('staging');
    await eventually(() => runs().length === before + 1);
    expect(runs().at(-1)).toMatch(/^staging 1\.0\.0/);
    // It keeps out what it took away, until somebody lets that in again.
    await t.dana.says('deploy storefront 1.2.3 to staging');
    await cardWith(t.dana.personal, /VERSION_BLOCKED/);
    await t.dana.says('unblock storefront staging 1.2.3');
    await cardWith(t.dana.personal, /may come back/);
  });
});

describe('a deploy that fails', () => {
  it('says where and why, and can be tried again', async () => {
    const before = runs().length;
    await t.dana.says('deploy storefront 1.1.0 to staging');
    const failed = await cardWith(t.dana.personal, /Failed at/);
    expect(shown(failed)).toMatch(/smoke test: total is wrong/);
    expect(actionTitles(cardContent(failed))).toContain('Retry 1.1.0');
    const frozen = structuredClone(failed);
    await Promise.all([t.dana.clicks(frozen, 'deploy.retry'), t.dana.clicks(frozen, 'deploy.retry')]);
    await eventually(() => runs().length >= before + 2);
    await idle('staging');
    expect(runs()).toHaveLength(before + 2);
  });
});

describe('a restart in the middle of a deploy', () => {
  it('carries on and edits the same card', async () => {
    hold(true);
    await t.dana.says('deploy storefront 1.2.3 to staging');
    const card = await cardWith(t.dana.personal, /Running[\s\S]*storefront 1\.2\.3 → staging/);
    const before = runs().length;
    await t.restart(async () => hold(false));
    await eventually(() => /Succeeded/.test(shown(card)));
    expect(runs()).toHaveLength(before);
  }, 30_000);
});

describe('a connector in trouble', () => {
  it('that throttles gets every card in the end, once', async () => {
    t.teams.trouble({ status: 429 }, { status: 429, retryAfter: 1 }, { status: 412 });
    const before = t.teams.cards(t.dana.personal).length;
    await t.dana.says('deploy storefront 1.0.0 to staging');
    await eventually(() => /Succeeded/.test(shown(t.teams.cards(t.dana.personal)[before])), 20_000);
    expect(t.teams.cards(t.dana.personal)).toHaveLength(before + 1);
    await idle('staging');
  }, 30_000);

  it('that loses the answer never gets the same card twice, and the end is still told', async () => {
    const texts = t.teams.texts(t.dana.personal).length;
    const before = t.teams.cards(t.dana.personal).length;
    t.teams.trouble({ cut: true, method: 'POST' });
    await t.dana.says('deploy storefront 1.2.3 to staging');
    await eventually(() => t.teams.texts(t.dana.personal).length > texts, 20_000);
    await idle('staging');
    expect(t.teams.cards(t.dana.personal).length).toBeLessThanOrEqual(before + 1);
  }, 30_000);
});

describe('after all that', () => {
  it('the audit is whole, and says who, what and why not', async () => {
    const entries = await audit();
    expect(await verifyChain(entries)).toMatchObject({ ok: true, breaks: [] });
    const codes = new Set(entries.map(({ code }) => code));
    for (const code of ['OK', 'ENV_BUSY', 'ACCESS_DENIED', 'PIPELINE_FAILED', 'CONFIG_LOADED'] as const)
      expect(codes).toContain(code);
    const approvals = entries.filter(({ action, outcome }) => action === 'deploy.approve' && outcome === 'done');
    for (const entry of approvals)
      expect(entry).toMatchObject({
        actor: { tenantId: expect.any(String) },
        digest: expect.stringMatching(/^[0-9a-f]{64}$/),
        deployment: expect.any(String),
      });
    // Every run began with a request in the audit.
    const started = entries.filter(({ action }) => action === 'deploy.start').map(({ deployment }) => deployment);
    const requested = new Set(
      entries
        .filter(({ action, outcome }) => action.endsWith('.request') && outcome === 'done')
        .map(({ deployment }) => deployment),
    );
    for (const deployment of started) expect(requested).toContain(deployment);
  });

  it('no secret and nothing active was ever shown', () => {
    const everything = JSON.stringify(t.teams.state.activities);
    expect(everything).not.toContain(PLANTED);
    expect(t.log()).not.toContain(PLANTED);
    expect(everything).not.toContain('<at>everyone</at>');
  });

  it('the connector had nothing to complain of', () => {
    expect(t.teams.state.complaints).toEqual([]);
  });
});
