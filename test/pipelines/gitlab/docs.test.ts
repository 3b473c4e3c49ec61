import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import { gitlabConfig, gitlabConnectionConfig, gitlabVersionsConfig } from '../../../src/pipelines/gitlab/config.ts';
import { end, type Opened, openGitlab } from './helpers.ts';

const page = readFileSync(new URL('../../../docs/pipelines/gitlab.md', import.meta.url), 'utf8');
const [file = '', settings = '', server = ''] = [...page.matchAll(/^```yaml\n([\s\S]*?)^```$/gm)].map(
  ([, text]) => text,
);

let system: Opened;
beforeEach(async () => {
  system = await openGitlab();
});
afterEach(() => system.close());

it('the pipeline that people copy passes our check, takes our inputs and is found again', async () => {
  system.fake.knobs.file = file;
  system.fake.knobs.lastJob = true;
  const pipeline = system.pipeline({ job: 'deploy' });
  expect(await pipeline.check()).toEqual([]);
  const request = system.request();
  const run = await pipeline.trigger(request);
  expect(await system.pipeline().findByKey(request.key)).toEqual(run);
  expect(await end(pipeline, run)).toMatchObject({ state: 'succeeded', sha: request.sha });
});

it('the settings that people copy are right', () => {
  const { connections, services } = parse(settings);
  const signing = `whsec_${Buffer.alloc(32).toString('base64')}`;
  gitlabConnectionConfig.parse({ ...connections.gitlab, signing });
  gitlabConfig.parse(services.storefront.deploy);
  gitlabVersionsConfig.parse(services.storefront.versions);
  gitlabConnectionConfig.parse(parse(server).connections.gitlab);
});

it('every message of the table is one that the adapter says', () => {
  const sources = ['words', 'client', 'check', 'gates', 'index'].map((name) =>
    readFileSync(new URL(`../../../src/pipelines/gitlab/${name}.ts`, import.meta.url), 'utf8'),
  );
  const said = sources.join('\n').replace(/\$\{[^}]*\}/g, '…');
  const rows = [...page.slice(page.indexOf('## What goes wrong')).matchAll(/^\| ([^|]+?) +\|/gm)].slice(2);
  expect(rows.length).toBeGreaterThan(10);
  const plain = (text: string) => text.replace(/acme\/storefront|main|colour|deploy$|…/g, ' ').split(/ {2,}/);
  const unsaid = rows.flatMap(([, message = '']) => plain(message).filter((part) => !said.includes(part.trim())));
  expect(unsaid).toEqual([]);
});
