import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createHttp } from '../../../src/http.ts';
import { githubConnectionConfig } from '../../../src/pipelines/github/config.ts';
import { createGitHubConnection } from '../../../src/pipelines/github/connect.ts';
import { silentLogger } from '../../contract/harness/deps.ts';
import { openSystem, type System } from './helpers.ts';

let system: System;
beforeEach(async () => {
  system = await openSystem();
});
afterEach(() => system.close());

const now = new Date();

describe('webhooks', () => {
  const judge = (event: string, payload: unknown) =>
    system.connection.webhook?.({ ...system.fake.delivery(event, payload), now });

  it.each<[string, unknown, string[], boolean]>([
    ['workflow_run', { action: 'requested', workflow_run: { id: 7, run_attempt: 1 } }, ['7'], true],
    ['workflow_run', { action: 'in_progress', workflow_run: { id: 7, run_attempt: 3 } }, ['7.3'], true],
    ['workflow_run', { action: 'completed', workflow_run: { id: 7 } }, ['7'], false],
    ['workflow_job', { action: 'waiting', workflow_job: { run_id: 7, run_attempt: 2 } }, ['7.2'], true],
    ['workflow_job', { action: 'completed', workflow_job: { run_id: 7, run_attempt: 1 } }, ['7'], false],
    ['deployment_status', { action: 'created', workflow_run: { id: 7, run_attempt: 1 } }, ['7'], true],
    ['deployment_status', { action: 'created', workflow_run: null }, [], true],
    [
      'deployment_protection_rule',
      {
        action: 'requested',
        deployment_callback_url: 'https://api.github.com/repos/a/b/actions/runs/7/deployment_protection_rule',
      },
      ['7'],
      true,
    ],
    [
      'deployment_protection_rule',
      { action: 'requested', deployment_callback_url: 'https://x/runs/7/other' },
      [],
      true,
    ],
    ['ping', { zen: 'Design for failure.' }, [], false],
    // An event that was not asked for: nothing of it is read.
    ['push', { workflow_run: { id: 7 } }, [], false],
  ])('%s %j', (event, payload, runs, look) => {
    expect(judge(event, payload)).toEqual({ ok: true, delivery: expect.stringMatching(/^[\w-]{36}$/), runs, look });
  });

  it.each([
    [{ workflow_run: { id: '7' } }],
    [{ workflow_run: { id: -7 } }],
    [{ workflow_run: { id: 1e300 } }],
    [{ workflow_run: 7 }],
    [{ action: {} }],
    [null],
    [[]],
    ['x'],
  ])('that are signed and make no sense are malformed: %j', (payload) => {
    expect(judge('workflow_run', payload)).toEqual({ ok: false, code: 'REQUEST_MALFORMED' });
  });

  it('are told by their signature alone, over every byte', () => {
    const { body, headers } = system.fake.delivery('workflow_run', { action: 'completed', workflow_run: { id: 7 } });
    const verdict = (more: Record<string, string | string[] | undefined>, raw = body) =>
      system.connection.webhook?.({ headers: { ...headers, ...more }, body: raw, now });
    const forged = { ok: false, code: 'WEBHOOK_FORGED' };
    expect(verdict({ 'x-hub-signature-256': undefined })).toEqual({ ok: false, code: 'WEBHOOK_UNSIGNED' });
    expect(verdict({ 'x-hub-signature-256': '' })).toEqual({ ok: false, code: 'WEBHOOK_UNSIGNED' });
    const right = headers['x-hub-signature-256'] ?? '';
    for (const odd of [right.slice(0, -1), right.toUpperCase(), right.slice(7), `${right} `, [right], 'sha256='])
      expect(verdict({ 'x-hub-signature-256': odd })).toEqual(forged);
    expect(verdict({}, Buffer.concat([body, Buffer.from(' ')]))).toEqual(forged);
    // The old signature is none: it is SHA-1.
    expect(verdict({ 'x-hub-signature-256': undefined, 'x-hub-signature': right })).toMatchObject({ ok: false });
    for (const odd of [undefined, '', 'a b', ['x'.repeat(36)]])
      expect(verdict({ 'x-github-delivery': odd })).toEqual({ ok: false, code: 'REQUEST_MALFORMED' });
    expect(verdict({ 'x-github-event': undefined })).toEqual({ ok: false, code: 'REQUEST_MALFORMED' });
  });

  it('never throw, whatever comes', () => {
    fc.assert(
      fc.property(
        fc.dictionary(fc.string(), fc.string()),
        fc.uint8Array(),
        fc.string(),
        (headers, bytes, signature) => {
          const verdict = system.connection.webhook?.({
            headers: { ...headers, 'x-hub-signature-256': signature },
            body: Buffer.from(bytes),
            now,
          });
          expect(verdict).toMatchObject({ ok: false });
        },
      ),
    );
    fc.assert(
      fc.property(
        fc.constantFrom('workflow_run', 'workflow_job', 'deployment_protection_rule'),
        fc.json(),
        (event, text) => {
          const verdict = judge(event, JSON.parse(text));
          if (verdict?.ok) for (const run of verdict.runs) expect(run).toMatch(/^\d+(\.\d+)?$/);
        },
      ),
    );
  });

  it('are not taken without a secret', () => {
    expect(system.other({ connection: { secret: undefined } }).connection.webhook).toBeUndefined();
  });
});

describe('limits', () => {
  it('make looks rarer before they are reached', async () => {
    const { fake, pipeline } = system;
    const run = await pipeline.trigger(system.request());
    expect(pipeline.pollMs).toBe(4_000);
    for (const [remaining, ms] of [
      [2_600, 4_000],
      [2_000, 8_000],
      [500, 20_000],
      [100, 60_000],
    ] as const) {
      fake.world.rate.remaining = remaining;
      await pipeline.status(run);
      expect(pipeline.pollMs).toBe(ms);
    }
  });

  it('that are reached are kept to: nothing is asked until they are over', async () => {
    const { fake } = system;
    let at = Date.now();
    const { pipeline } = system.other({ now: () => new Date(at) });
    const run = await pipeline.trigger(system.request());
    fake.world.trouble = '429';
    fake.world.troubleLeft = 1;
    fake.world.retryAfter = 60;
    await expect(pipeline.status(run)).rejects.toMatchObject({ code: 'PIPELINE_UNAVAILABLE', retryable: true });
    const before = fake.requests().length;
    await expect(pipeline.status(run)).rejects.toMatchObject({
      code: 'PIPELINE_UNAVAILABLE',
      message: expect.stringMatching(/rate limit\)\. Try again after \d\d:\d\d UTC/),
    });
    expect(fake.requests().length).toBe(before);
    expect(pipeline.pollMs).toBe(60_000);
    at += 61_000;
    await pipeline.status(run);
    expect(pipeline.pollMs).toBe(4_000);
  });

  it('of the hour are told from a missing right', async () => {
    const { fake } = system;
    const run = await system.pipeline.trigger(system.request());
    fake.world.rate.remaining = 0;
    delete fake.world.permissions.actions;
    fake.world.rate.resetAt = Math.floor(Date.now() / 1000) + 600;
    await expect(system.pipeline.status(run)).rejects.toMatchObject({ code: 'PIPELINE_UNAVAILABLE', retryable: true });
    fake.world.rate.remaining = 100;
    await expect(system.other().pipeline.status(run)).rejects.toMatchObject({ code: 'PIPELINE_REJECTED' });
  });
});

describe('credentials', () => {
  it('are a token per repository, asked for once at a time, and renewed in time', async () => {
    const { fake } = system;
    let at = Date.now();
    const { pipeline } = system.other({ now: () => new Date(at) });
    const tokens = () => fake.requests().filter((each) => each.endsWith('/access_tokens')).length;
    await Promise.all([
      pipeline.findByKey('key-12345'),
      pipeline.findByKey('key-12346'),
      pipeline.findByKey('key-12347'),
    ]);
    expect(tokens()).toBe(1);
    expect([...fake.world.tokens.values()]).toEqual([expect.objectContaining({ repositories: ['storefront'] })]);
    at += 54 * 60_000;
    await pipeline.findByKey('key-12345');
    expect(tokens()).toBe(1);
    at += 2 * 60_000;
    // The App's own token would be dated in the future for the fake; that it asks is enough.
    await pipeline.findByKey('key-12345').catch(() => undefined);
    expect(tokens()).toBe(2);
  });

  it('are asked for once more when they were taken back, also by what starts a run', async () => {
    const { fake, pipeline } = system;
    await pipeline.findByKey('key-12345');
    fake.trouble('expired');
    await pipeline.trigger(system.request());
    expect(fake.started()).toBe(1);
  });

  it('may lie in a file, and are hidden all the same', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'shipmate-github-'));
    const http = createHttp();
    try {
      await writeFile(join(folder, 'app.pem'), system.fake.world.privateKey);
      const made = (key: string) =>
        createGitHubConnection(githubConnectionConfig.parse({ ...system.fake.config.connection, key }), {
          logger: silentLogger,
          baseDir: folder,
          http: () => http,
          entraToken: null,
          now: () => new Date(),
        });
      const connection = made('app.pem');
      expect(await connection.check()).toEqual([]);
      const line = system.fake.world.privateKey.split('\n')[3] ?? '';
      expect(connection.client.redact(`key: ${line}`)).not.toContain(line);
      // On one line, as in an environment variable.
      expect(await made(system.fake.world.privateKey.replaceAll('\n', '\\n')).check()).toEqual([]);
      expect(await made('none.pem').check()).toEqual([
        { level: 'error', message: expect.stringMatching(/can't be read from "none\.pem"/) },
      ]);
      await writeFile(join(folder, 'odd.pem'), 'not a key');
      expect(await made('odd.pem').check()).toEqual([
        { level: 'error', message: expect.stringMatching(/not an RSA private key in PEM form/) },
      ]);
    } finally {
      await http.close();
      await rm(folder, { recursive: true });
    }
  });

  it('trust the configured CA, by its absolute path', async () => {
    const asked: unknown[] = [];
    const http = createHttp();
    const connection = createGitHubConnection(
      githubConnectionConfig.parse({ ...system.fake.config.connection, ca: 'corp.pem' }),
      {
        logger: silentLogger,
        baseDir: '/etc/shipmate',
        http: (options) => {
          asked.push(options);
          return http;
        },
        entraToken: null,
        now: () => new Date(),
      },
    );
    expect(asked).toEqual([]);
    await connection.check();
    await http.close();
    expect(asked).toEqual([{ ca: '/etc/shipmate/corp.pem' }]);
  });
});

describe('checks', () => {
  it('name each right that the App lacks, and events', async () => {
    system.fake.world.appPermissions = { metadata: 'read', actions: 'read', deployments: 'read' };
    system.fake.world.events = ['workflow_run'];
    const messages = (await system.connection.check()).map(({ level, message }) => `${level}: ${message}`);
    expect(messages).toEqual([
      'error: The GitHub App lacks the permission Actions: Read and write, to start, cancel and re-run workflows.',
      'error: The GitHub App lacks the permission Contents: Read-only, to read versions, commits and the workflow file.',
      'error: The GitHub App lacks the permission Deployments: Read and write, to answer the guard of an environment.',
      'warning: The GitHub App lacks the permission Checks: Read-only, to read which commit a run says it deployed.',
      expect.stringMatching(/^warning: .*not subscribed to deployment_status, deployment_protection_rule/),
    ]);
  });

  it('name what is wrong with a service', async () => {
    const { fake } = system;
    const find = async (deploy: Record<string, unknown> = {}) =>
      (await system.other({ deploy }).pipeline.check()).map(({ level, message }) => `${level}: ${message}`);
    expect(await find({ workflow: 'other.yml' })).toEqual([expect.stringMatching(/^error: .*no workflow other\.yml/)]);
    expect(await find({ ref: 'release' })).toEqual([expect.stringMatching(/^error: .*no branch release/)]);
    expect(await find({ environments: { production: 'Prod' } })).toEqual([
      expect.stringMatching(/^warning: .*no environment "Prod" yet/),
    ]);
    fake.world.branches.set('main', { sha: fake.shas['1.10.0'], protected: false });
    expect(await find()).toEqual([expect.stringMatching(/^warning: The branch main .* is not protected/)]);
    fake.world.branches.set('main', { sha: fake.shas['1.10.0'], protected: true });
    delete fake.world.inputs.sha;
    fake.world.inputs.region = { required: true };
    fake.world.runName = 'Deploy ${{ inputs.version }}';
    expect(await find()).toEqual([
      expect.stringMatching(/^error: .*no input named sha\. Add it under on\.workflow_dispatch\.inputs/),
      expect.stringMatching(/^error: .*requires the input region/),
      expect.stringMatching(/^error: The run-name of deploy\.yml does not end with the key/),
    ]);
    fake.world.permissions.deployments = 'read';
    expect(await find()).toContainEqual(expect.stringMatching(/installation on acme\/storefront lacks .*Deployments/));
    fake.world.suspended = true;
    expect(await find()).toEqual([expect.stringMatching(/^error: The GitHub App is suspended/)]);
    fake.world.installed = false;
    expect(await find()).toEqual([expect.stringMatching(/^error: .*installed on the repository/)]);
    expect(fake.complaints()).toEqual([]);
  });
});
