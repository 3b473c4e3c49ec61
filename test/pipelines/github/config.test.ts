import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { z } from 'zod';
import {
  githubConnectionConfig,
  githubDeployConfig,
  githubVersionsConfig,
} from '../../../src/pipelines/github/config.ts';
import { createFakeGitHub } from '../../fakes/github/index.ts';
import { secretsOf } from './helpers.ts';

const deploy = { github: 'acme/storefront', workflow: 'deploy.yml' };
const problems = (schema: z.ZodType, value: unknown) =>
  (schema.safeParse(value).error?.issues ?? []).map(({ message, path }) => `${path.join('.')}: ${message}`);

describe('deploy', () => {
  it('needs two keys', () => {
    expect(githubDeployConfig.parse(deploy)).toEqual({
      ...deploy,
      inputs: { version: '{version}', sha: '{sha}', environment: '{environment}', key: '{key}' },
      environments: {},
    });
  });

  it.each([
    [{ github: './x' }, /github: must be a repository/],
    [{ github: 'acme/..' }, /github: must be a repository/],
    [{ github: 'acme/a/b' }, /github: must be a repository/],
    [{ workflow: '../deploy.yml' }, /workflow: must be the name of a file/],
    [{ workflow: 'deploy' }, /workflow: must be the name of a file/],
    [{ ref: 'a..b' }, /ref: is not the name of a branch/],
    [{ ref: '' }, /ref: is not the name of a branch/],
    [{ inputs: { version: '{version}' } }, /inputs: one input must hold \{key\}/],
    [{ inputs: { key: '{key}', x: '{tag}' } }, /inputs\.x: \{tag\} is not known/],
    [{ inputs: { key: '{key}', 'a b': 'x' } }, /name of an input/],
    [
      { inputs: Object.fromEntries([['key', '{key}'], ...Array.from({ length: 25 }, (_x, i) => [`i${i}`, 'x'])]) },
      /at most 25 inputs/,
    ],
    [{ nonsense: 1 }, /nonsense/],
  ])('refuses %j', (more, message) => {
    expect(problems(githubDeployConfig, { ...deploy, ...more })).toEqual([expect.stringMatching(message)]);
  });

  it('takes no name of a repository that could lead elsewhere', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary' }), fc.string({ unit: 'binary' }), (owner, name) => {
        const parsed = githubDeployConfig.safeParse({ ...deploy, github: `${owner}/${name}` });
        if (!parsed.success) return;
        expect(new URL(`https://x/repos/${owner}/${name}/y`).pathname).toBe(`/repos/${owner}/${name}/y`);
      }),
    );
  });
});

describe('versions', () => {
  it.each([
    { github: 'releases' },
    { github: 'tags', repo: 'acme/billing' },
    { github: 'acme/billing', from: 'tags' },
    { github: 'acme/billing' },
    { github: 'acme/billing', repo: 'acme/billing' },
    { github: 'deployments', environment: 'Production' },
  ])('takes %j', (entry) => {
    expect(problems(githubVersionsConfig, entry)).toEqual([]);
  });

  it.each([
    [{ github: 'branches' }, /github: must be releases, tags or deployments, or a repository/],
    [{ github: 'tags', from: 'releases' }, /from: says the same as "github" a second time/],
    [{ github: 'acme/billing', repo: 'acme/other' }, /repo: names a second repository/],
    [{ github: 'acme/billing', from: 'commits' }, /from/],
  ])('refuses %j', (entry, message) => {
    expect(problems(githubVersionsConfig, entry)).toEqual([expect.stringMatching(message)]);
  });
});

describe('connection', () => {
  const connection = { app: '123', key: './app.pem' };

  it('needs two keys, numbers written as YAML has them', () => {
    expect(githubConnectionConfig.parse({ app: 123, key: './app.pem', installation: '7' })).toEqual({
      app: '123',
      key: './app.pem',
      installation: 7,
      url: 'https://api.github.com',
    });
  });

  it.each([
    [{ url: 'http://ghe.corp/api/v3' }, /url: must be an https address/],
    [{ url: 'https://user:password@ghe.corp' }, /url: must be an https address/],
    [{ url: 'https://ghe.corp?x=1' }, /url: must be an https address/],
    [{ url: 'ghe.corp' }, /url: must be an https address/],
    [{ secret: 'short' }, /secret: must have at least 16 characters/],
    [{ app: '1 2' }, /app: must be the id of a GitHub App/],
    [{ installation: 'x' }, /installation: must be a number/],
    [{ token: 'x' }, /token/],
  ])('refuses %j', (more, message) => {
    expect(problems(githubConnectionConfig, { ...connection, ...more }).join('; ')).toMatch(message);
  });

  it('can be described for editors', () => {
    for (const schema of [githubConnectionConfig, githubDeployConfig, githubVersionsConfig]) {
      const { properties } = z.toJSONSchema(schema, { io: 'input', target: 'draft-7' }) as {
        properties: Record<string, { description?: string }>;
      };
      for (const [key, { description }] of Object.entries(properties))
        expect([key, description]).toEqual([key, expect.stringMatching(/.{10}/)]);
    }
  });

  it('tells its secrets, and that a path is none', async () => {
    const fake = await createFakeGitHub();
    await fake.close();
    const told = secretsOf(fake.config.connection);
    expect(told).toEqual(expect.arrayContaining([fake.world.privateKey, fake.world.webhookSecret]));
    expect(told).toContain(fake.world.privateKey.split('\n')[3]);
    expect(secretsOf(connection)).toEqual([]);
  });
});
