import { execFile } from 'node:child_process';
import { readFile, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { ManifestUtil } from '@microsoft/teams-manifest';
import { parse } from 'yaml';
import { VARIABLES } from '../../src/cli/init.ts';
import { ENV, EXAMPLE, LEAST } from '../config/harness.ts';
import { openCli } from './harness.ts';

let cli: Awaited<ReturnType<typeof openCli>>;
beforeEach(async () => {
  cli = await openCli();
});
afterEach(() => cli.close());
const write = (name: string, text: string) => writeFile(path.join(cli.cwd, name), text);

describe('the command line', () => {
  it('says what there is', async () => {
    for (const argv of [[], ['help'], ['--help'], ['-h']]) {
      const { code, out } = await cli.run(...argv);
      expect(code).toBe(0);
      for (const command of ['init', 'check', 'schema', 'audit'])
        expect(out).toMatch(new RegExp(`^  ${command} `, 'm'));
    }
    for (const argv of [
      ['help', 'check'],
      ['check', '--help'],
    ])
      expect((await cli.run(...argv)).out).toContain('shipmate check [file] [--online]');
  });
  it('says its version', async () => {
    const { version } = JSON.parse(await readFile('package.json', 'utf8')) as { version: string };
    expect(await cli.run('--version')).toEqual({ code: 0, out: `${version}\n`, err: '' });
  });
  it.each<[string[], string]>([
    [['chekc'], 'There is no command "chekc"'],
    [['constructor'], 'There is no command "constructor"'],
    [['help', 'x'], 'There is no command "x"'],
    [['check', '--onlnie'], "Unknown option '--onlnie'"],
    [['check', 'a', 'b'], '"b" is one word too many'],
    [['audit'], 'Say audit verify or audit export.'],
    [['audit', 'erase'], 'There is no "audit erase".'],
    [['audit', 'verify', '--anchor'], '--anchor'],
    [['audit', 'export', '--format', 'xml'], '--format is jsonl or csv, not "xml".'],
    [['audit', 'export', '--since', 'yesterday'], '--since is a time like'],
    [['audit', 'export', '--until', '2026-13-01'], '--until is a time like'],
  ])('%j is explained, with 2', async (argv, told) => {
    const { code, err, out } = await cli.run(...argv);
    expect({ code, out }).toEqual({ code: 2, out: '' });
    expect(err).toContain(told);
    expect(err).toContain('See: shipmate help');
  });
  it('works as a program', async () => {
    const run = promisify(execFile)(process.execPath, ['src/cli/index.ts', 'check', path.join(cli.cwd, 'none.yaml')]);
    await expect(run).rejects.toMatchObject({ code: 1, stdout: '', stderr: expect.stringContaining('none.yaml:1:1') });
  });
});

describe('check', () => {
  it('says that all is well', async () => {
    await write('shipmate.yaml', EXAMPLE);
    expect(await cli.run('check')).toEqual({
      code: 0,
      out: 'shipmate.yaml is right: 1 service, 2 environments, PostgreSQL, teams mode.\n',
      err: '',
    });
  });
  it('says what is not, by file, line and column', async () => {
    await write('x.yaml', LEAST.replace('team: web', 'team: wep').replace('git:', 'gti:'));
    const { code, err, out } = await cli.run('check', 'x.yaml');
    expect({ code, out }).toEqual({ code: 1, out: '' });
    expect(err).toMatch(/x\.yaml:8:23 services\.storefront\.team: .*"web"\?\n/);
    expect(err).toMatch(/x\.yaml:8:71 services\.storefront\.versions\.gti: .*\n2 problems\.\n$/);
  });
});

describe('init', () => {
  it('writes a file that is right once the environment is set', async () => {
    expect(await cli.run('init')).toMatchObject({ code: 0, out: expect.stringContaining(VARIABLES.join(', ')) });
    expect(await cli.run('check')).toMatchObject({ code: 0 });
    const text = await readFile(path.join(cli.cwd, 'shipmate.yaml'), 'utf8');
    const used = [...text.matchAll(/^[^#\n]*\$\{(\w+)\}/gm)].map(([, name]) => name);
    expect(used.sort()).toEqual([...VARIABLES].sort());
    expect(Object.keys(ENV)).toEqual(expect.arrayContaining([...VARIABLES]));
  });
  it('never overwrites', async () => {
    await write('mine.yaml', 'mine');
    expect(await cli.run('init', 'mine.yaml')).toMatchObject({
      code: 1,
      err: expect.stringContaining('mine.yaml is there already'),
    });
    expect(await readFile(path.join(cli.cwd, 'mine.yaml'), 'utf8')).toBe('mine');
    expect(await cli.run('init', 'no/such/folder.yaml')).toMatchObject({ code: 1 });
  });
});

describe('schema', () => {
  type Schema = Parameters<typeof ManifestUtil.validateManifestAgainstSchema>[1];
  // That validator knows neither the meta schema of draft 7 nor names of formats.
  const validate = async (value: unknown) => {
    const { $schema, ...schema } = JSON.parse((await cli.run('schema')).out, (key, value: unknown) =>
      key === 'format' && typeof value === 'string' ? undefined : value,
    ) as Record<string, unknown>;
    expect($schema).toBe('http://json-schema.org/draft-07/schema#');
    return ManifestUtil.validateManifestAgainstSchema(value as never, schema as unknown as Schema);
  };

  it('is the one that lies in the repository; renew it with: npm run shipmate -- schema shipmate.schema.json', async () => {
    expect(await cli.run('schema', 'made.json')).toEqual({ code: 0, out: '', err: '' });
    expect(await readFile('shipmate.schema.json', 'utf8')).toBe(
      await readFile(path.join(cli.cwd, 'made.json'), 'utf8'),
    );
  });
  it('accepts what the checker accepts, variables too', async () => {
    await cli.run('init');
    for (const text of [EXAMPLE, LEAST, await readFile(path.join(cli.cwd, 'shipmate.yaml'), 'utf8')])
      expect(await validate(parse(text))).toEqual([]);
  });
  it.each([
    ['an unknown key', 'groups:', 'grups:'],
    ["an adapter's unknown key", './deploy }', './deploy, timout: 5m }'],
    ['a wrong type', 'production: }', 'production: { confirm: 7 } }'],
    ['something missing', 'versions: { git: ./repo } }', '}'],
  ])('finds %s', async (_what, from, to) => {
    expect(LEAST).toContain(from);
    expect(await validate(parse(LEAST.replace(from, to)))).not.toEqual([]);
  });
});
