import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { parse } from 'yaml';
import {
  githubConnectionConfig,
  githubDeployConfig,
  githubVersionsConfig,
} from '../../../src/pipelines/github/config.ts';
import { openSystem } from './helpers.ts';

const text = readFileSync(new URL('../../../docs/pipelines/github.md', import.meta.url), 'utf8');
const blocks = [...text.matchAll(/```yaml\n([\s\S]*?)```/g)].map(([, block]) => block ?? '');
const secrets = (block: string) => block.replace(/\$\{[A-Z_]+\}/g, 'a text of the environment'.replaceAll(' ', '-'));

describe('what the page tells people to copy', () => {
  it('is a workflow that the check has nothing to say about', async () => {
    const workflow = blocks.find((block) => block.includes('run-name:'));
    const system = await openSystem();
    try {
      system.fake.world.workflowText = workflow ?? '';
      expect(await system.pipeline.check()).toEqual([]);
      system.fake.world.workflowText = (workflow ?? '').replace('[${{ inputs.key }}]', '');
      expect(await system.pipeline.check()).toMatchObject([{ level: 'error' }]);
    } finally {
      await system.close();
    }
  });

  it('is configuration that is taken', () => {
    const configured = blocks.filter((block) => block.includes('connections:')).map((block) => parse(secrets(block)));
    expect(configured).toHaveLength(2);
    for (const { connections, services = {} } of configured) {
      expect(githubConnectionConfig.safeParse(connections.github).error).toBeUndefined();
      for (const { deploy, versions } of Object.values(services as Record<string, Record<string, unknown>>)) {
        expect(githubDeployConfig.safeParse(deploy).error).toBeUndefined();
        expect(githubVersionsConfig.safeParse(versions).error).toBeUndefined();
      }
    }
    const entries = [...text.matchAll(/^\| `(\{ github: .*?\})` /gm)].map(([, entry]) => parse(entry ?? ''));
    expect(entries).toHaveLength(5);
    for (const entry of entries) expect(githubVersionsConfig.safeParse(entry).error).toBeUndefined();
  });
});
