import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { parseAllDocuments } from 'yaml';
import { configJsonSchema } from '../../../src/config/json-schema.ts';
import {
  azureConnectionConfig,
  azureDeployConfig,
  azureSecrets,
  azureVersionsConfig,
} from '../../../src/pipelines/azure-devops/config.ts';

const problem = (result: { success: boolean; error?: { issues: { path: PropertyKey[]; message: string }[] } }) =>
  result.error?.issues.map(({ message, path }) => `${path.join('.')}: ${message}`) ?? [];

describe('connections.azure-devops', () => {
  it.each([
    'https://dev.azure.com/acme',
    'https://dev.azure.com/acme/',
    'https://tfs.corp/tfs/DefaultCollection',
    'https://acme.visualstudio.com',
  ])('takes %s', (url) => expect(azureConnectionConfig.safeParse({ url }).success).toBe(true));

  it.each([
    ['acme', /must be a URL/],
    ['ftp://dev.azure.com/acme', /must begin with https/],
    ['https://me:pat@dev.azure.com/acme', /must not hold credentials/],
    ['https://dev.azure.com/acme?x=1', /must end with the organization/],
    ['https://dev.azure.com/acme#x', /must end with the organization/],
    ['https://dev.azure.com', /must name the organization/],
    ['https://dev.azure.com/acme/Web%20Shop', /must name the organization/],
  ])('says what is wrong with %s', (url, words) => {
    expect(problem(azureConnectionConfig.safeParse({ url })).join()).toMatch(words);
  });

  it('refuses what it does not know, and a short password', () => {
    const url = 'https://dev.azure.com/acme';
    expect(azureConnectionConfig.safeParse({ url, organization: 'acme' }).success).toBe(false);
    expect(azureConnectionConfig.safeParse({ url, hook: { password: 'short' } }).success).toBe(false);
    expect(
      azureConnectionConfig.safeParse({ url, hook: { user: 'a:b', password: 'long enough to hold' } }).success,
    ).toBe(false);
  });

  it('names what must never be printed, also as it goes over the wire', () => {
    const config = azureConnectionConfig.parse({
      url: 'https://tfs.corp/c',
      token: 'the-personal-token',
      hook: { password: 'the-hook-password' },
    });
    const wire = (text: string) => Buffer.from(text).toString('base64');
    expect(azureSecrets(config)).toEqual([
      'the-personal-token',
      wire(':the-personal-token'),
      'the-hook-password',
      wire('shipmate:the-hook-password'),
    ]);
    expect(azureSecrets(azureConnectionConfig.parse({ url: 'https://tfs.corp/c' }))).toEqual([]);
  });
});

describe('deploy: azure-devops', () => {
  const entry = { 'azure-devops': 'Web Shop', pipeline: 42 };

  it('has the parameters of the reference pipeline unless others are named', () => {
    expect(azureDeployConfig.parse(entry).parameters).toEqual({
      version: '{version}',
      sha: '{sha}',
      environment: '{environment}',
      shipmateKey: '{key}',
    });
  });

  it.each([
    [{ parameters: { version: '{version}' } }, /one parameter must be "\{key\}"/],
    [{ parameters: { key: 'run-{key}' } }, /one parameter must be "\{key\}"/],
    [{ parameters: { key: '{key}', x: '{verison}' } }, /\{verison\} is not known/],
    [{ parameters: { key: '{key}', 'a b': 'x' } }, /is not the name of a parameter/],
    [{ ref: 'main' }, /must begin with refs\/heads\//],
    [{ ref: 'refs/tags/{tag}' }, /\{tag\} is not known/],
    [{ pipeline: 0 }, /pipeline/],
    [{ pipeline: undefined }, /pipeline/],
    [{ 'azure-devops': '..' }, /is not a name/],
    [{ environments: { production: '' } }, /environments/],
    [{ branch: 'x' }, /branch/],
  ])('says what is wrong with %j', (more, words) => {
    expect(JSON.stringify(azureDeployConfig.safeParse({ ...entry, ...more }).error?.issues)).toMatch(
      new RegExp(words.source.replaceAll('"', '\\\\?"')),
    );
  });
});

describe('versions: azure-devops', () => {
  it.each([
    [{ from: 'builds' }, 'pipeline'],
    [{ from: 'builds', pipeline: 7, tags: 'v*' }, 'tags'],
    [{ pipeline: 7 }, 'pipeline'],
    [{ branch: 'refs/heads/main' }, 'branch'],
    [{ from: 'builds', pipeline: 7, branch: 'main' }, 'branch'],
  ])('says what does not go together in %j', (more, path) => {
    const { error } = azureVersionsConfig.safeParse({ 'azure-devops': 'Web Shop', ...more });
    expect(error?.issues.map((issue) => issue.path)).toEqual([[path]]);
  });

  it('are in the JSON schema for editors, with a word about each key', () => {
    const text = JSON.stringify(configJsonSchema());
    for (const words of ['Name or id of the project', 'Personal access token, for Azure DevOps Server'])
      expect(text).toContain(words);
    for (const config of [azureConnectionConfig, azureDeployConfig, azureVersionsConfig])
      for (const [key, schema] of Object.entries(config.shape))
        expect([key, schema.description]).toEqual([key, expect.stringMatching(/\S/)]);
  });
});

describe('the page about it', () => {
  const page = readFileSync(new URL('../../../docs/pipelines/azure-devops.md', import.meta.url), 'utf8');
  const blocks = [...page.matchAll(/```yaml\n([\s\S]*?)```/g)].map(
    ([, text = '']) =>
      parseAllDocuments(
        text.replace('${AZURE_HOOK_PASSWORD}', 'a-long-password').replace('${TFS_TOKEN}', 'x'),
      )[0]?.toJS() as unknown,
  );

  it('has entries that pass, and a pipeline that takes what is sent', () => {
    const [wiring, pipeline, server] = blocks as [
      { connections: Record<string, unknown>; services: { storefront: { deploy: unknown; versions: unknown } } },
      { parameters: { name: string }[] },
      { connections: Record<string, unknown> },
    ];
    const deploy = azureDeployConfig.parse(wiring.services.storefront.deploy);
    azureVersionsConfig.parse(wiring.services.storefront.versions);
    for (const { connections } of [wiring, server]) azureConnectionConfig.parse(connections['azure-devops']);
    expect(pipeline.parameters.map(({ name }) => name).sort()).toEqual(Object.keys(deploy.parameters).sort());
  });

  it('names every key', () => {
    for (const config of [azureConnectionConfig, azureDeployConfig, azureVersionsConfig])
      for (const key of Object.keys(config.shape)) expect(page).toMatch(new RegExp(`\`${key}[.\`]`));
  });
});
