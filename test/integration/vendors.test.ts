import { type ChildProcess, fork } from 'node:child_process';
import { readdirSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it, jest } from '@jest/globals';
import { verifyChain } from '../../src/audit/chain.ts';
import { findHarnesses } from '../contract/harness/find.ts';
import type { FakeCi } from '../fakes/ci/types.ts';
import type { SentActivity } from '../fakes/teams/connector.ts';
import { actionTitles, cardContent, readCard } from '../fakes/teams/index.ts';
import {
  APP_ID,
  APPROVALS_CHANNEL,
  eventually,
  PLANTED,
  startTestApp,
  TENANT,
  type TestApp,
  WEB_CHANNEL,
} from '../helpers/app.ts';

/**
 * A whole deploy through every vendor, over the real bot: HTTP, tokens, cards, store, jobs, webhooks. Every test runs for
 * all vendors side by side, each with a bot of its own: most of the time is spent waiting.
 */

jest.setTimeout(120_000);
const PATIENCE_MS = 60_000;

interface World {
  vendor: string;
  t: TestApp;
  fake: FakeCi;
  close(): Promise<void>;
}

const harnesses = await findHarnesses('pipeline');

async function openWorlds(): Promise<World[]> {
  const found: World[] = [];
  for (const { harness, name } of harnesses) {
    const system = await harness.open();
    const { fake } = system;
    if (!fake) {
      await system.close();
      continue;
    }
    const t = await startTestApp({ vendor: { fake } });
    tellHooks(fake, t.port);
    found.push({ vendor: name, t, fake, close: () => system.close() });
  }
  return found;
}

const tellHooks = (fake: FakeCi, port: number) =>
  fake.webhooksTo(`http://127.0.0.1:${port}/api/pipelines/${fake.kind}`);
const shown = (card: SentActivity | undefined): string => (card ? readCard(cardContent(card)) : '');

/** Cards of a conversation from now on. */
function from({ t }: World, conversation: string) {
  const before = t.teams.cards(conversation).length;
  return (text: RegExp): Promise<SentActivity> =>
    eventually(
      () =>
        t.teams
          .cards(conversation)
          .slice(before)
          .findLast((card) => text.test(shown(card))),
      PATIENCE_MS,
    );
}

/** From the form to a request that waits for approval. */
async function askForProduction(world: World, version: '1.1.0' | '1.10.0'): Promise<SentActivity> {
  const { fake, t } = world;
  const mine = from(world, t.dana.personal);
  const approvals = from(world, APPROVALS_CHANNEL);
  await t.dana.says('deploy');
  const form = await mine(/1\.1\.0/);
  const inputs = { service: 'storefront', environment: 'production', version };
  const next = await t.dana.clicks(form, 'deploy.plan', inputs);
  // Teams shows the answer in the place of the card that was clicked.
  const attachments = [{ contentType: 'application/vnd.microsoft.card.adaptive', content: next.value }];
  const confirmation = { ...form, activity: { ...form.activity, attachments } };
  expect(shown(confirmation)).toContain(fake.shas[version].slice(0, 7));
  await t.dana.clicks(confirmation, 'deploy.confirm');
  return approvals(/storefront .* → production/);
}

describe('every vendor', () => {
  let worlds: World[] = [];
  beforeAll(async () => {
    worlds = await openWorlds();
  }, 120_000);
  afterAll(async () => {
    for (const { close, t } of worlds) {
      await t.stop();
      await close();
    }
  });
  /** Runs for all vendors; a failure says whose. */
  const inAll = (name: string, test: (world: World) => Promise<void>) =>
    it(name, async () => {
      const results = await Promise.allSettled(worlds.map((world) => test(world)));
      const failed = results.flatMap((result, at) =>
        result.status === 'rejected' ? [`${worlds[at]?.vendor}: ${String(result.reason?.stack ?? result.reason)}`] : [],
      );
      expect(failed).toEqual([]);
    });

  it('is tried', () => {
    const folders = readdirSync(path.join(import.meta.dirname, '..', '..', 'src', 'pipelines'), { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
    const ours = ['command', 'git', 'oci'];
    expect(worlds.map(({ vendor }) => vendor).sort()).toEqual(folders.filter((name) => !ours.includes(name)).sort());
  });

  inAll('form, approval, trigger, webhook, living card, result', async (world) => {
    const { fake, t } = world;
    const mine = from(world, t.dana.personal);
    const asked = await askForProduction(world, '1.1.0');
    expect(fake.started()).toBe(0);
    await t.alex.clicks(asked, 'deploy.approve');
    const card = await mine(/Succeeded/);
    expect(fake.started()).toBe(1);
    expect(actionTitles(cardContent(card))).toContain('Open the run');
    // What would change is told by the version source.
    await t.dana.says('deploy storefront 1.10.0 to production');
    expect(shown(await mine(/1\.1\.0.*1\.10\.0/))).toMatch(/Release 1\.10\.0/);
  });

  inAll('the same with every webhook lost: a failure tells its log, and a retry goes on', async (world) => {
    const { fake, t } = world;
    const mine = from(world, t.dana.personal);
    fake.webhooks('never');
    fake.behave('fail');
    const before = fake.started();
    await t.dana.says('deploy storefront 1.10.0 to staging');
    const failed = await mine(/Failed/);
    expect(JSON.stringify(cardContent(failed))).toContain('it is broken');
    fake.behave('succeed');
    await t.dana.clicks(failed, 'deploy.retry');
    await mine(/Succeeded/);
    // Where the vendor can, the failed run itself went on.
    expect(fake.started() - before).toBe(world.vendor === 'jenkins' ? 2 : 1);
    fake.webhooks('once');
  });

  inAll('the approval in chat answers the guard at the vendor, with the name of who approved', async (world) => {
    const { fake, t } = world;
    const mine = from(world, t.dana.personal);
    const before = fake.started();
    fake.behave('ask');
    fake.webhooks('twice');
    await t.alex.clicks(await askForProduction(world, '1.10.0'), 'deploy.approve');
    await mine(/Succeeded/);
    expect(fake.answers()).toEqual([
      expect.objectContaining({ approved: true, comment: expect.stringContaining('Alex') }),
    ]);
    expect(fake.started() - before).toBe(1);
    fake.webhooks('once');
  });

  inAll('a run that began there waits for people here, and one that did not ask is told', async (world) => {
    const { fake, t } = world;
    const approvals = from(world, APPROVALS_CHANNEL);
    const channel = from(world, WEB_CHANNEL);
    const before = fake.answers().length;
    fake.behave('succeed');
    fake.foreign({ environment: 'production', version: '1.10.0', by: 'octo-ana', ask: true });
    const card = await approvals(/octo-ana at /);
    expect(shown(card)).toMatch(/0 of 2/);
    await t.alex.clicks(card, 'deploy.approve');
    expect(fake.answers()).toHaveLength(before);
    await t.robin.clicks(await approvals(/1 of 2/), 'deploy.approve');
    await channel(/Succeeded/);
    expect(fake.answers().slice(before)).toEqual([
      expect.objectContaining({ approved: true, comment: expect.stringMatching(/Alex.*Robin/) }),
    ]);
    fake.foreign({ environment: 'staging', version: '1.1.0', by: 'octo-ana' });
    await t.app.store.transaction((tx) => tx.jobs.send('deploy.foreign', { service: 'storefront', heard: true }));
    const told = /started at .* by octo-ana.*, and not by me/;
    await eventually(() => t.teams.texts(WEB_CHANNEL).some((text) => told.test(text)), PATIENCE_MS);
  });

  it('leaves no planted secret in any card, message, log line or audit entry, and the audit whole', async () => {
    for (const { fake, t } of worlds) {
      const audit = await t.app.store.read((tx) => tx.audit.page({ after: 0, limit: 10_000 }));
      expect(await verifyChain(audit)).toMatchObject({ ok: true });
      expect(audit.length).toBeGreaterThan(5);
      const all = JSON.stringify([t.teams.state.activities, audit]) + t.log();
      const secrets = [...fake.secrets(), PLANTED];
      expect(secrets.length).toBeGreaterThan(1);
      expect(secrets.filter((secret) => all.includes(secret))).toEqual([]);
      expect(t.teams.state.complaints).toEqual([]);
    }
  });
});

describe('kill -9 while it triggers', () => {
  it('leaves exactly one run at every vendor, and the card ends', async () => {
    const worlds = await openWorlds();
    const results = await Promise.allSettled(
      worlds.map(async (world) => {
        const { close, fake, t } = world;
        const mine = from(world, t.dana.personal);
        await t.app.stop();
        let child = await start(world);
        try {
          fake.trouble('slow');
          await t.dana.says('deploy storefront 1.1.0 to staging');
          await eventually(() => fake.started() === 1, PATIENCE_MS);
          await kill(child);
          fake.trouble(null);
          child = await start(world);
          await mine(/Succeeded/);
          expect(fake.started()).toBe(1);
        } finally {
          await kill(child);
          await t.teams.close();
          await close();
        }
      }),
    );
    const failed = results.flatMap((result, at) =>
      result.status === 'rejected' ? [`${worlds[at]?.vendor}: ${String(result.reason?.stack)}`] : [],
    );
    expect(failed).toEqual([]);
    expect(worlds.length).toBeGreaterThan(0);
  });
});

async function start({ fake, t }: World): Promise<ChildProcess> {
  const references = [WEB_CHANNEL, APPROVALS_CHANNEL].map((conversationId) => ({
    conversationId,
    kind: 'channel',
    serviceUrl: t.teams.serviceUrl,
    channelId: 'msteams',
    tenantId: TENANT,
    bot: { id: `28:${APP_ID}`, name: 'Shipmate' },
  }));
  const file = path.join(t.folder, 'shipmate.yaml');
  const args = [file, t.teams.openIdMetadataUrl, t.teams.origin, JSON.stringify(references)];
  const child = fork(path.join(import.meta.dirname, 'bot-child.ts'), args, {
    env: {
      PATH: process.env.PATH,
      BOT_SECRET: PLANTED,
      SHIPMATE_DATA: path.join(t.folder, 'data'),
      LOG_LEVEL: 'error',
    },
    execArgv: ['--disable-warning=ExperimentalWarning'],
    stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  });
  const port = await new Promise<number>((resolve, reject) => {
    child.once('message', (message) => resolve((message as { port: number }).port));
    child.once('exit', (code) => reject(new Error(`the bot ended with ${code}`)));
  });
  t.teams.botUrl = `http://127.0.0.1:${port}`;
  tellHooks(fake, port);
  return child;
}

async function kill(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const over = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await over;
}
