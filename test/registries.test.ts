import { existsSync, readdirSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import { createCommands } from '../src/commands/index.ts';
import { parse } from '../src/commands/parse.ts';
import { BUILT_IN } from '../src/config/commands.ts';
import { connectionKinds } from '../src/config/connection-kinds.ts';
import { logSources } from '../src/monitoring/index.ts';
import { pipelines, versionSources } from '../src/pipelines/index.ts';
import { catalog as emptyCatalog } from './helpers/policies.ts';

function folders(of: string): string[] {
  return readdirSync(new URL(`../src/${of}/`, import.meta.url), { withFileTypes: true })
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort();
}

describe('adapters', () => {
  it.each([
    ['pipelines', [...Object.keys(pipelines), ...Object.keys(versionSources)]],
    ['monitoring', Object.keys(logSources)],
  ])('of %s are registered by the names of their folders', (family, keys) => {
    expect([...new Set(keys)].sort()).toEqual(folders(family));
    for (const folder of folders(family))
      expect(existsSync(new URL(`../src/${family}/${folder}/index.ts`, import.meta.url))).toBe(true);
  });
  /** The least that is right, of those that want more than a name. */
  const LEAST: Record<string, Record<string, unknown>> = {
    'deploy github': { github: 'acme/storefront', workflow: 'deploy.yml' },
    'deploy azure-devops': { 'azure-devops': 'Storefront', pipeline: 42 },
    'logs loki': { loki: { app: '{service}' } },
    'logs elasticsearch': { elasticsearch: 'logs-*' },
    'versions azure-devops': { 'azure-devops': 'Storefront', from: 'tags', repository: 'storefront' },
  };
  it.each(
    Object.entries({ deploy: pipelines, versions: versionSources, logs: logSources }).flatMap(([place, registry]) =>
      Object.entries(registry).map(([kind, { config }]) => [`${place} ${kind}`, kind, config] as const),
    ),
  )('%s is configured by its own name, and refuses what it does not know', (name, kind, config) => {
    const local = kind === 'command' || kind === 'git' || kind === 'files';
    const least = LEAST[name] ?? { [kind]: local ? './x' : 'acme/storefront' };
    expect(config.safeParse(least).error?.issues).toBeUndefined();
    expect(config.safeParse({ ...least, nonsense: 1 }).error?.issues).toEqual([
      expect.objectContaining({ code: 'unrecognized_keys', keys: ['nonsense'] }),
    ]);
    expect(config.safeParse({}).success).toBe(false);
  });
  it('speak through connections that are there, and every connection is spoken through', () => {
    const spoken = [...Object.values(pipelines), ...Object.values(versionSources), ...Object.values(logSources)];
    const asked = spoken.flatMap(({ connection }) => connection ?? []);
    expect([...new Set(asked)].sort()).toEqual(Object.keys(connectionKinds).sort());
  });
});

describe('commands', () => {
  // Help is about what they are; nothing is run.
  const created = createCommands({ catalog: () => emptyCatalog() } as Parameters<typeof createCommands>[0]);
  const commands = created.all();
  const vocabulary = { services: ['storefront', 'billing'], environments: ['staging', 'production'] };

  it('have names that no declared command may take', () => {
    expect([...BUILT_IN].sort()).toEqual(expect.arrayContaining(commands.map(({ name }) => name)));
    const words = commands.flatMap(({ aliases }) => aliases.filter((word) => /^[a-z-]+$/.test(word)));
    for (const word of words) expect(BUILT_IN).toContain(word);
  });
  it('have names and aliases of their own', () => {
    const words = commands.flatMap(({ aliases, name }) => [name, ...aliases]);
    expect(new Set(words).size).toBe(words.length);
    for (const word of words) expect(word).toBe(word.toLowerCase());
  });
  it('have each verb once', () => {
    const verbs = commands.flatMap(({ actions }) => Object.keys(actions));
    expect(new Set(verbs).size).toBe(verbs.length);
  });
  it.each(commands.map((command) => [command.name, command] as const))('%s explains itself', (name, command) => {
    expect(command.summary).toMatch(/^[A-Z].{9,119}\.$/);
    expect(command.usage.split(' ')[0]).toBe(name);
    expect(command.examples.length).toBeGreaterThan(0);
    for (const example of [command.example, ...command.examples]) {
      const parsed = parse(example, commands, vocabulary);
      expect(parsed).toMatchObject({ ok: true, command: { name } });
    }
  });
});
