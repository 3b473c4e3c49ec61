import { execFile } from 'node:child_process';
import { existsSync, readFileSync, readlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { filesConfig } from '../../src/monitoring/files/config.ts';
import { createFilesLogs } from '../../src/monitoring/files/index.ts';
import { commandConfig } from '../../src/pipelines/command/config.ts';
import { createCommandPipeline } from '../../src/pipelines/command/index.ts';
import { gitConfig } from '../../src/pipelines/git/config.ts';
import { createGitVersions } from '../../src/pipelines/git/index.ts';
import { pipelineDeps, silentLogger, temporaryFolder } from '../contract/harness/deps.ts';
import { finished } from './command/helpers.ts';

// The example from end to end, through the three embedded adapters, as shipmate.yaml wires them in the playground.
const EXAMPLE = new URL('../../examples/storefront/', import.meta.url).pathname;
const execute = promisify(execFile);
let folder: string;
let data: string;
let remove: () => Promise<void>;
let ports: Record<'staging' | 'production', number>;

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}

const script = (name: string, ...args: string[]) =>
  execute(process.execPath, [join(EXAMPLE, name), '--dir', data, ...args]);
const setup = () =>
  script('setup.mjs', '--staging-port', String(ports.staging), '--production-port', String(ports.production));
const version = async (environment: 'staging' | 'production') =>
  (await (await fetch(`http://127.0.0.1:${ports[environment]}/version`)).json()) as Record<string, string>;

beforeAll(async () => {
  ({ folder, remove } = await temporaryFolder());
  data = join(folder, 'storefront');
  ports = { staging: await freePort(), production: await freePort() };
  await setup();
}, 30_000);

afterAll(async () => {
  await script('stop.mjs');
  await remove();
});

const versions = () => createGitVersions(gitConfig.parse({ git: 'storefront/repo' }), pipelineDeps(folder));

async function deploy(name: string, environment = 'staging') {
  const pipeline = createCommandPipeline(
    commandConfig.parse({
      command: `"${process.execPath}" "${EXAMPLE}deploy.mjs" --dir storefront --environment {environment} --version {version} --sha {sha}`,
    }),
    'storefront',
    pipelineDeps(folder),
  );
  const found = await versions().resolve(name);
  if (found === null) throw new Error(`no version ${name}`);
  const run = await pipeline.trigger({
    key: `test-${name.replaceAll('.', '-')}-${Date.now()}`,
    service: 'storefront',
    environment,
    version: name,
    sha: found.sha,
    requestedBy: 'Ana',
  });
  return { found, status: await finished(pipeline, run) };
}

it('is set up once: a second time changes nothing', async () => {
  const list = await versions().list({ limit: 20 });
  expect(list.map(({ name }) => name)).toEqual(['1.3.0', '1.2.3', '1.2.2', '1.2.1', '1.2.0', '1.1.0', '1.0.0']);
  expect(await version('staging')).toMatchObject({ service: 'storefront', version: '1.1.0', environment: 'staging' });
  expect(await version('production')).toMatchObject({ version: '1.0.0', environment: 'production' });
  const before = await version('staging');
  await setup();
  expect(await version('staging')).toEqual(before);
});

it('deploys a version for real, stage by stage', async () => {
  const { found, status } = await deploy('1.2.3');
  expect(status).toMatchObject({ state: 'succeeded', sha: found.sha });
  expect(status.stages.map(({ name }) => name)).toEqual([
    'checkout',
    'build',
    'smoke test',
    'switch',
    'restart',
    'verify',
  ]);
  expect(await version('staging')).toMatchObject({ version: '1.2.3', sha: found.sha });
  expect(readlinkSync(join(data, 'env/staging/current'))).toBe(`releases/1.2.3-${found.sha.slice(0, 7)}`);
  const page = await (await fetch(`http://127.0.0.1:${ports.staging}/`)).text();
  expect(page).toContain('storefront 1.2.3');
});

it('does not change anything when the smoke test fails', async () => {
  const before = await version('production');
  const { status } = await deploy('1.2.1', 'production');
  expect(status).toMatchObject({
    state: 'failed',
    error: 'exit code 1: 1.2.1 failed its smoke test; production was not changed',
  });
  expect(status.stages.at(-1)).toMatchObject({ name: 'smoke test', state: 'failed' });
  expect(status.tail.join('\n')).toContain('FAIL checkout total');
  expect(await version('production')).toEqual(before);
});

it('puts the release before back when the new one does not answer', async () => {
  const before = await version('staging');
  const { found } = await deploy('1.3.0');
  await deploy(before.version ?? '');
  const release = join(data, 'env/staging/releases', `1.3.0-${found.sha.slice(0, 7)}`);
  const { writeFile } = await import('node:fs/promises');
  const server = readFileSync(join(release, 'server.mjs'), 'utf8');
  // Breaks it only outside of its smoke test, which would stop the deploy earlier.
  await writeFile(join(release, 'server.mjs'), `if (process.env.LOG_FILE) throw new Error('boom');\n${server}`);
  const { status } = await deploy('1.3.0');
  expect(status).toMatchObject({ state: 'failed', error: expect.stringContaining('1.3.0 did not answer') });
  expect(await version('staging')).toMatchObject({ version: before.version, sha: before.sha });
});

it('writes logs that the bot can read, with levels', async () => {
  await fetch(`http://127.0.0.1:${ports.staging}/nowhere`);
  const logs = createFilesLogs(filesConfig.parse({ files: 'storefront/env/{environment}/logs/{service}.jsonl' }), {
    logger: silentLogger,
    baseDir: folder,
  });
  const page = await logs.query({
    service: 'storefront',
    environment: 'staging',
    since: new Date(Date.now() - 900_000).toISOString(),
    until: new Date(Date.now() + 1000).toISOString(),
    level: 'warn',
    text: 'nowhere',
    limit: 10,
  });
  expect(page.lines).toMatchObject([{ level: 'warn', text: expect.stringContaining('GET /nowhere 404') }]);
});

it('starts and stops both environments', async () => {
  await script('stop.mjs');
  await expect(version('staging')).rejects.toThrow();
  expect(existsSync(join(data, 'env/staging/storefront.pid'))).toBe(false);
  const { stdout } = await script('start.mjs');
  expect(stdout).toContain(`http://127.0.0.1:${ports.production}`);
  expect((await version('production')).version).toBe('1.0.0');
});
