import { type ChildProcess, fork } from 'node:child_process';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { cardContent, readCard } from '../fakes/teams/index.ts';
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

let t: TestApp;
let child: ChildProcess;

const start = async (): Promise<void> => {
  const references = [WEB_CHANNEL, APPROVALS_CHANNEL].map((conversationId) => ({
    conversationId,
    kind: 'channel',
    serviceUrl: t.teams.serviceUrl,
    channelId: 'msteams',
    tenantId: TENANT,
    bot: { id: `28:${APP_ID}`, name: 'Shipmate' },
  }));
  const args = [
    path.join(t.folder, 'shipmate.yaml'),
    t.teams.openIdMetadataUrl,
    t.teams.origin,
    JSON.stringify(references),
  ];
  child = fork(path.join(import.meta.dirname, 'bot-child.ts'), args, {
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
};
const kill = async (): Promise<void> => {
  const over = new Promise((resolve) => child.once('exit', resolve));
  child.kill('SIGKILL');
  await over;
};

beforeAll(async () => {
  t = await startTestApp();
  // Its folder and its Teams are used; the bot itself runs as a child.
  await t.app.stop();
  await start();
}, 60_000);
afterAll(async () => {
  await kill();
  await t.teams.close();
  rmSync(t.folder, { recursive: true, force: true });
});

it('kill -9 in the middle of a deploy: the run goes on, is found again, runs once, and the same card ends', async () => {
  const hold = path.join(t.folder, 'hold');
  writeFileSync(hold, '');
  await t.dana.says('deploy storefront 1.2.3 to staging');
  const card = await eventually(() =>
    t.teams.cards(t.dana.personal).find((each) => /Running/.test(readCard(cardContent(each)))),
  );
  await kill();
  rmSync(hold);
  const done = path.join(t.folder, 'staging.version');
  await eventually(() => existsSync(done));
  expect(readCard(cardContent(card))).toMatch(/Running/);
  await start();
  await eventually(() => /Succeeded/.test(readCard(cardContent(card))), 40_000);
  expect(t.teams.cards(t.dana.personal)).toHaveLength(1);
  expect(readFileSync(path.join(t.folder, 'runs.log'), 'utf8').trim().split('\n')).toHaveLength(1);
}, 90_000);

it('kill -9 right after the answer: what was acknowledged is done, once', async () => {
  const said = await t.dana.says('deploy storefront 1.0.0 to staging');
  expect(said.status).toBe(200);
  await kill();
  await start();
  // Teams, which got its answer, may still deliver it again.
  await t.dana.redelivers(said);
  const runs = () => readFileSync(path.join(t.folder, 'runs.log'), 'utf8').trim().split('\n');
  await eventually(() => runs().some((line) => line.startsWith('staging 1.0.0')), 40_000);
  await eventually(
    () => t.teams.texts(t.dana.personal).some((text) => /1\\?\.0\\?\.0 to staging succeeded/.test(text)),
    40_000,
  );
  expect(runs().filter((line) => line.startsWith('staging 1.0.0'))).toHaveLength(1);
}, 120_000);
