import { execFileSync } from 'node:child_process';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import type { Browser } from 'playwright-core';
import { hasBrowser, launchBrowser } from '../helpers/browser.ts';
import { Client, type Playground, startPlayground, until } from '../helpers/playground.ts';

const root = path.resolve(import.meta.dirname, '..', '..');

/** What `curl` shows; empty while the service restarts. */
const running = async (port: number): Promise<string> => {
  try {
    const answer = (await (await fetch(`http://127.0.0.1:${port}/version`)).json()) as { version: string };
    return answer.version;
  } catch {
    return '';
  }
};

(hasBrowser() ? describe : describe.skip)('in Chromium, through both playgrounds (needs chromium)', () => {
  let browser: Browser;
  let playground: Playground;
  let dana: Client;
  let alex: Client;

  beforeAll(async () => {
    playground = await startPlayground();
    browser = await launchBrowser();
    dana = await Client.open(browser, playground.deployer, 'dana');
    alex = await Client.open(browser, playground.approver, 'alex');
    await alex.goTo('Leads - approvals');
    await dana.goTo('Personal Chat');
  }, 120_000);

  afterAll(async () => {
    await browser?.close();
    await playground?.stop();
    playground?.remove();
  }, 60_000);

  it('welcomes a newcomer', async () => {
    await dana.sees('What you may do follows from', 20_000);
    await dana.screenshot('welcome');
  }, 40_000);

  it('deploys to production after a confirmation and the approval of somebody else', async () => {
    expect(await running(playground.production)).toBe('1.0.0');
    await dana.say('/deploy version=1.2.3 environment=production');
    await dana.sees('Nothing has started yet');
    await dana.sees('What changes');
    await dana.screenshot('confirmation');
    await dana.press('Deploy 1.2.3 to production');
    await dana.sees(/Waiting for approval/);
    await dana.screenshot('waiting');
    await alex.sees(/Waiting for approval/);
    await alex.screenshot('approval-asked');
    expect(await running(playground.production)).toBe('1.0.0');
    await alex.press('Approve 1.2.3 for production');
    await dana.sees(/Succeeded in/);
    await dana.screenshot('succeeded');
    await alex.sees(/Succeeded in/);
    await alex.screenshot('succeeded');
    expect(await running(playground.production)).toBe('1.2.3');
    await dana.sees('Deployment of storefront 1.2.3 to production succeeded.');
  }, 90_000);

  it('runs a complete line to staging at once, after a mention in the channel, and the channel hears of it', async () => {
    await dana.goTo('Web - web');
    await dana.screenshot('channel-of-the-service');
    await dana.sees('Deployment of storefront 1.2.3 to production started by Dana Deployer.');
    await dana.post('/deploy version=1.2.2 environment=staging');
    await until(async () => (await running(playground.staging)) === '1.2.2', 30_000);
    await dana.sees('Deployment of storefront 1.2.2 to staging succeeded.');
    await dana.screenshot('channel-after-deploy');
  }, 60_000);

  it('fills the form, says what failed, and tries nothing twice', async () => {
    await dana.goTo('Personal Chat');
    await dana.say('deploy');
    const form = dana.card(/Deploy/);
    await dana.sees('Environment');
    await dana.screenshot('form');
    await dana.choose(form, 'Environment', 'staging');
    await dana.choose(form, 'Version', '1.2.1');
    await dana.fill(form, /Reason/, 'try the broken one');
    await dana.screenshot('form-filled');
    await dana.press('Deploy', form);
    await dana.sees(/Failed at/, 30_000);
    await dana.screenshot('failed');
    expect(await running(playground.staging)).toBe('1.2.2');
  }, 60_000);

  it('reads logs', async () => {
    await dana.say('logs storefront production since=15m');
    await dana.sees(/storefront/);
    await dana.sees('Download all');
    await dana.screenshot('logs');
  }, 40_000);

  it('rolls production back with one command and a confirmation, without an approval', async () => {
    await dana.say('rollback storefront production');
    await dana.sees('Roll back to 1.0.0');
    await dana.screenshot('rollback-asked');
    await dana.press('Roll back to 1.0.0');
    await until(async () => (await running(playground.production)) === '1.0.0', 30_000);
    await dana.sees('Rollback of storefront 1.0.0 to production succeeded.');
    await dana.screenshot('rolled-back');
  }, 60_000);

  it.each([
    ['status', /asked|runs/i],
    ['history storefront', /1\.2\.3/],
    ['whoami', /team web/],
    ['help', /deploy storefront 1\.2\.3 to staging/],
    ['depoly', /Did you mean/],
  ])(
    'answers %s',
    async (line, expected) => {
      await dana.say(line);
      await dana.sees(expected);
      await dana.screenshot(line.split(' ')[0] ?? line);
    },
    30_000,
  );

  it('keeps its state over a restart, and its audit verifies', async () => {
    expect(await playground.stop()).toBe(0);
    const said = execFileSync(
      process.execPath,
      ['src/cli/index.ts', 'audit', 'verify', '--config', path.join(playground.data, 'shipmate.yaml')],
      {
        cwd: root,
        encoding: 'utf8',
        // The file alone says where the store is.
        env: { ...process.env, NODE_OPTIONS: '', SHIPMATE_DATA: undefined },
      },
    );
    expect(said).toMatch(/^\d{2,} entries, unbroken/);
    await playground.restart();
    await dana.page.reload();
    await dana.goTo('Personal Chat');
    await dana.say('history storefront production');
    await dana.sees(/Rollback|rolled back|1\.0\.0/);
    await dana.screenshot('history-after-restart');
    expect(await running(playground.production)).toBe('1.0.0');
  }, 120_000);
});
