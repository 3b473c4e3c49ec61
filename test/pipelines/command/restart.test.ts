import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, expect, it } from '@jest/globals';
import { finished, openCommand } from './helpers.ts';

let system: Awaited<ReturnType<typeof openCommand>>;
afterEach(() => system.close());

const PROGRAM = `
require('node:fs').writeFileSync('told', JSON.stringify(process.env));
console.log('::stage build');
setTimeout(() => console.log('done'), 500);
`;

// A bot of its own in another process: jest's process.env is a copy, so only so a leak through the real one shows.
const BOT = `
import { createCommandPipeline } from '${new URL('../../../src/pipelines/command/index.ts', import.meta.url).href}';
import { commandConfig } from '${new URL('../../../src/pipelines/command/config.ts', import.meta.url).href}';
import { createLogger, createRedactor } from '${new URL('../../../src/logger.ts', import.meta.url).href}';
const [folder, request] = process.argv.slice(1);
const deps = {
  logger: createLogger({ redact: createRedactor() }), dataDir: folder + '/data', baseDir: folder, env: process.env,
};
const pipeline = createCommandPipeline(
  commandConfig.parse({ command: [process.execPath, 'program.cjs'] }), 'storefront', deps,
);
console.log(JSON.stringify(await pipeline.trigger(JSON.parse(request))));
setInterval(() => undefined, 1000);
`;

it('a run goes on when the bot is killed, is found again, and never saw the bot’s secrets', async () => {
  system = await openCommand(PROGRAM);
  const request = system.request();
  const bot = spawn(process.execPath, ['--input-type=module', '-e', BOT, system.folder, JSON.stringify(request)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { PATH: process.env.PATH, BOT_PASSWORD: 'planted-in-the-parent', SHIPMATE_PLANTED: 'planted-too' },
  });
  const [line] = (await once(bot.stdout, 'data')) as [Buffer];
  bot.kill('SIGKILL');
  await once(bot, 'exit');

  const pipeline = system.create();
  const run = await pipeline.findByKey(request.key);
  expect(run).toEqual(JSON.parse(String(line)));
  if (run === null) throw new Error('not found');
  expect((await pipeline.status(run)).state).toBe('running');
  const claim = JSON.parse(readFileSync(join(system.runFolder(request), 'claim.json'), 'utf8')) as { pid: number };
  if (process.platform === 'linux') expect(readFileSync(`/proc/${claim.pid}/environ`, 'utf8')).not.toContain('planted');
  const status = await finished(pipeline, run);
  expect(status).toMatchObject({ state: 'succeeded', tail: ['done'] });
  expect(await pipeline.trigger(request)).toEqual(run);
  const told = JSON.parse(readFileSync(join(system.folder, 'told'), 'utf8')) as Record<string, string>;
  expect(Object.keys(told).sort()).toEqual([
    'PATH',
    'SHIPMATE_ENVIRONMENT',
    'SHIPMATE_GATES',
    'SHIPMATE_REQUESTED_BY',
    'SHIPMATE_RUN',
    'SHIPMATE_SERVICE',
    'SHIPMATE_SHA',
    'SHIPMATE_VERSION',
  ]);
});
