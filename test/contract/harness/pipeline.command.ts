import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { appendFile, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { commandConfig } from '../../../src/pipelines/command/config.ts';
import { createCommandPipeline } from '../../../src/pipelines/command/index.ts';
import { pipelineDeps, temporaryFolder } from './deps.ts';
import type { PipelineHarness } from './types.ts';

const PROGRAM = `
const { appendFileSync, existsSync, readFileSync } = require('node:fs');
appendFileSync('started', '.');
const how = readFileSync('how', 'utf8');
console.log('::stage build');
console.log('building ' + process.argv[2]);
if (how === 'hang') setInterval(() => undefined, 1000);
else if (how === 'ask') {
  const file = process.env.SHIPMATE_GATES + '/release';
  console.log('::gate release Release ' + process.argv[2] + '?');
  const timer = setInterval(() => {
    if (!existsSync(file)) return;
    clearInterval(timer);
    if (readFileSync(file, 'utf8').split('\\n')[0] === 'approved') release();
    else process.exitCode = 4;
  }, 20);
} else release();
function release() {
  console.log('::stage release');
  console.log('::sha ' + process.argv[3]);
  if (how === 'fail') { console.error('it is broken'); process.exitCode = 3; }
}
`;

export const harness: PipelineHarness = {
  family: 'pipeline',
  async open() {
    const { folder, remove } = await temporaryFolder();
    await writeFile(join(folder, 'deploy.cjs'), PROGRAM);
    await writeFile(join(folder, 'how'), 'succeed');
    await appendFile(join(folder, 'started'), '');
    const config = commandConfig.parse({ command: [process.execPath, 'deploy.cjs', '{version}', '{sha}'] });
    const reopen = () => createCommandPipeline(config, 'storefront', pipelineDeps(folder));
    return {
      pipeline: reopen(),
      reopen,
      behave: (how) => writeFileSync(join(folder, 'how'), how),
      started: async () => (await readFile(join(folder, 'started'), 'utf8')).length,
      request: () => ({
        key: randomUUID(),
        service: 'storefront',
        environment: 'staging',
        version: '1.2.3',
        sha: '2aa17ce6032a275ed442537605b8ebb509f26fe1',
        requestedBy: 'Ana Ruiz',
      }),
      close: remove,
    };
  },
};
