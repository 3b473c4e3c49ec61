import { readFileSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { commandConfig, fillArguments, secretValues } from '../../../src/pipelines/command/config.ts';
import { readStatWithPs, startMark } from '../../../src/pipelines/command/process.ts';
import { isValid, plainValue } from '../../../src/pipelines/requests.ts';
import { until } from '../../contract/harness/deps.ts';
import { finished, openCommand } from './helpers.ts';

describe('what a program gets', () => {
  let system: Awaited<ReturnType<typeof openCommand>>;
  afterEach(() => system.close());

  const TELL = `
    const { argv, cwd, env } = process;
    require('node:fs').writeFileSync('told', JSON.stringify({ argv: argv.slice(2), cwd: cwd(), env }));
  `;
  const told = () =>
    JSON.parse(readFileSync(join(system.folder, 'told'), 'utf8')) as {
      argv: string[];
      cwd: string;
      env: Record<string, string>;
    };

  it('a clean environment: nothing of the bot’s but PATH, HOME, LANG and TZ', async () => {
    const env = {
      PATH: process.env.PATH ?? '',
      TZ: 'Europe/Berlin',
      BOT_PASSWORD: 'hunter22',
      NODE_OPTIONS: '',
      AWS_SECRET: 'x',
    };
    system = await openCommand(TELL, env);
    const pipeline = system.create({ env: { DEPLOY_TOKEN: 'tok-123456' } });
    const request = system.request({ requestedBy: 'Ana\nRuiz\u202e\0<at>x</at>' });
    await finished(pipeline, await pipeline.trigger(request));
    const allowed = ['PATH', 'HOME', 'LANG', 'TZ', 'DEPLOY_TOKEN'];
    const given = Object.keys(told().env).filter((name) => !name.startsWith('SHIPMATE_'));
    expect(given.filter((name) => !allowed.includes(name))).toEqual([]);
    expect(told().env).toMatchObject({
      TZ: 'Europe/Berlin',
      DEPLOY_TOKEN: 'tok-123456',
      SHIPMATE_RUN: request.key,
      SHIPMATE_SERVICE: 'storefront',
      SHIPMATE_ENVIRONMENT: 'staging',
      SHIPMATE_VERSION: '1.2.3',
      SHIPMATE_SHA: request.sha,
      SHIPMATE_REQUESTED_BY: 'Ana Ruiz <at>x</at>',
    });
  });

  it('each value within its argument, whatever is in it', async () => {
    system = await openCommand(TELL);
    const pipeline = system.create({
      command: `"${process.execPath}" program.cjs --v={version} "{environment} x" '{sha}{version}' "$HOME" a*b`,
    });
    const request = system.request({ version: 'release/1.2.3-rc.1+b~2' });
    await finished(pipeline, await pipeline.trigger(request));
    expect(told().argv).toEqual([
      '--v=release/1.2.3-rc.1+b~2',
      'staging x',
      `${request.sha}release/1.2.3-rc.1+b~2`,
      '$HOME',
      'a*b',
    ]);
  });

  it('inputs, each within its argument and as a variable', async () => {
    system = await openCommand(TELL);
    const pipeline = system.create({
      command: [process.execPath, 'program.cjs', '--note={input.note}', '{input.none}', '{input.a-b}{input.note}'],
    });
    const note = 'it\'s "2 > 1"; $(id) `id` {version} {input.a-b} $& \u00e4\u{1f600}';
    const request = system.request({ inputs: { note, 'a-b': '7', empty: '' } });
    await finished(pipeline, await pipeline.trigger(request));
    expect(told().argv).toEqual([`--note=${note}`, '', `7${note}`]);
    const given = Object.entries(told().env).filter(([name]) => name.startsWith('SHIPMATE_INPUT'));
    expect(Object.fromEntries(given)).toEqual({
      SHIPMATE_INPUT_NOTE: note,
      SHIPMATE_INPUT_A_B: '7',
      SHIPMATE_INPUT_EMPTY: '',
    });
    expect(told().env.SHIPMATE_GATES).toBe(join(system.runFolder(request), 'gates'));
  });

  it('no input as an option that nobody wrote', async () => {
    system = await openCommand(TELL);
    const pipeline = system.create({
      command: [process.execPath, 'program.cjs', '{input.first}{input.note}', '--x={input.note}'],
    });
    const request = system.request({ inputs: { note: '--force' } });
    await expect(pipeline.trigger(request)).rejects.toMatchObject({
      code: 'PIPELINE_REJECTED',
      sent: 'no',
      message: expect.stringContaining('{input.first}{input.note}'),
    });
    expect(await pipeline.findByKey(request.key)).toBeNull();
    const fine = { ...request, inputs: { first: 'a', note: '--force' } };
    await finished(pipeline, await pipeline.trigger(fine));
    expect(told().argv).toEqual(['a--force', '--x=--force']);
    // What is recorded is found, although another configuration would refuse it now.
    const changed = system.create({ command: [process.execPath, 'program.cjs', '{input.note}'] });
    expect(await changed.trigger(fine)).toEqual(await pipeline.findByKey(request.key));
  });

  it('its configured secrets are not in what it prints, on disk as a request, or in its error', async () => {
    system = await openCommand(`
      console.log('token is ' + process.env.TOKEN + ' and \\x1b[31mred\\x1b[0m \\x07');
      process.stdout.write('10%\\r55%\\r100%\\n');
      console.error('failed with ' + process.env.TOKEN);
      process.exitCode = 2;
    `);
    const pipeline = system.create({ env: { TOKEN: 'Sw0rdf1sh-very-secret' } });
    const request = system.request();
    const run = await pipeline.trigger(request);
    const status = await finished(pipeline, run);
    expect(status.error).toBe('exit code 2: failed with [redacted]');
    expect(status.tail).toEqual(['token is [redacted] and red ', '100%', 'failed with [redacted]']);
    const folder = system.runFolder(request);
    for (const name of (await readdir(folder)).filter((file) => file.endsWith('.json')))
      expect(readFileSync(join(folder, name), 'utf8')).not.toContain('Sw0rdf1sh');
  });

  it('shows configured stages that are still to come', async () => {
    system = await openCommand(`
      console.log('::stage build');
      process.stdout.write('::sta'); 
      setTimeout(() => { console.log('ge test'); console.log('::sha 2AA17CE'); process.exitCode = 1; }, 30);
    `);
    const pipeline = system.create({ stages: ['build', 'test', 'release'] });
    const run = await pipeline.trigger(system.request());
    const status = await finished(pipeline, run);
    expect(status.stages.map(({ name, state }) => `${name} ${state}`)).toEqual([
      'build succeeded',
      'test failed',
      'release skipped',
    ]);
    expect(status.sha).toBe('2aa17ce');
  });

  it('refuses another request under a key that is taken', async () => {
    system = await openCommand('');
    const pipeline = system.create();
    const request = system.request();
    await finished(pipeline, await pipeline.trigger(request));
    for (const other of [{ environment: 'production' }, { sha: 'abcdef1' }, { inputs: { note: 'other' } }])
      await expect(pipeline.trigger({ ...request, ...other })).rejects.toMatchObject({
        code: 'PIPELINE_REJECTED',
        sent: 'no',
      });
    expect(await pipeline.trigger({ ...request, inputs: {} })).toEqual(await pipeline.findByKey(request.key));
  });

  it('keeps the last 200 runs', async () => {
    system = await openCommand('');
    const pipeline = system.create();
    const { mkdir, utimes, writeFile } = await import('node:fs/promises');
    const runs = join(system.folder, 'data', 'storefront');
    for (let index = 0; index < 203; index += 1) {
      const folder = join(runs, `old-run-${1000 + index}`);
      await mkdir(folder, { recursive: true });
      await writeFile(join(folder, 'request.json'), '{}');
      await utimes(join(folder, 'request.json'), 1000 + index, 1000 + index);
      if (index !== 1) await writeFile(join(folder, 'result.json'), '{}');
    }
    const run = await pipeline.trigger(system.request());
    const kept = await until(
      () => readdir(runs),
      (names) => names.length < 204,
    );
    expect(kept).not.toContain('old-run-1000');
    expect(kept).toContain('old-run-1001'); // it is not over
    expect(kept).not.toContain('old-run-1003');
    expect(kept).toContain('old-run-1004');
    await finished(pipeline, run);
  });
});

describe('values and configuration', () => {
  it('accepts no value that is an option, a path upwards, or more than one word', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (value) => {
        for (const name of ['key', 'service', 'environment', 'version', 'sha'] as const) {
          if (!isValid(name, value)) continue;
          expect(value).toMatch(/^[A-Za-z0-9]/);
          expect(value).not.toMatch(/\.\.|[\s'"`$&|;<>(){}[\]*?!\\^%#=,@]|[^\x20-\x7e]/);
        }
      }),
    );
    for (const version of ['1.2.3\n', '-1', '1..2', '1.2.3;id', '', 'ä', 'a'.repeat(129)])
      expect(isValid('version', version)).toBe(false);
  });

  it('fills placeholders once, never in what was filled in', () => {
    const values = { service: '{sha}', environment: 'e', version: '$&', sha: 's', key: 'k' };
    expect(fillArguments(['{service}-{version}', '{nothing}', '{key}{key}'], values)).toEqual([
      '{sha}-$&',
      '{nothing}',
      'kk',
    ]);
    const inputs = { a: '{input.b}', b: '{sha}$1' };
    expect(fillArguments(['{input.a}{sha}', '{input.b}', '{input.constructor}', '{input.A}'], values, inputs)).toEqual([
      '{input.b}s',
      '{sha}$1',
      '',
      '{input.A}',
    ]);
  });

  it('explains mistakes', () => {
    const problem = (input: object) => commandConfig.safeParse(input).error?.issues[0]?.message;
    expect(problem({ command: 'deploy {versoin}' })).toContain('{versoin} is not known');
    for (const name of ['input', 'input.', 'input.Note', 'input.a_b', 'input.1', 'inputs.note', 'Input.note'])
      expect(problem({ command: `deploy --x={${name}}` })).toContain(`{${name}} is not known`);
    expect(problem({ command: '{input.tool} now' })).toContain('must not be a placeholder');
    for (const fine of ['{input.note}', '--n={input.a-1}{version}', '{.Names}', '{{json.Names}}'])
      expect(problem({ command: ['deploy', fine] })).toBeUndefined();
    expect(problem({ command: 'build && deploy' })).toContain('would need a shell');
    expect(problem({ command: '' })).toBe('needs a program');
    expect(problem({ command: '{version}' })).toContain('must not be a placeholder');
    expect(problem({ command: 'x', timeout: '-5m' })).toContain('such as 90s');
    for (const timeout of ['90s', '2h', '24h']) expect(problem({ command: 'x', timeout })).toBeUndefined();
    for (const timeout of ['25h', '2d', '1441m', '5']) expect(problem({ command: 'x', timeout })).toContain('24h');
    expect(problem({ command: 'x', env: { SHIPMATE_SHA: 'x' } })).toBeDefined();
    expect(problem({ command: 'x', shell: true })).toBeDefined();
    expect(commandConfig.parse({ command: 'x' })).toMatchObject({ timeout: '15m', stopGrace: '10s', cwd: '.' });
  });

  it('takes what is plainly not a secret for what it is', () => {
    expect(
      secretValues({ REGION: 'eu-west', PORT: '8080', HOST: 'https://x.example/a', CONFIG: '/etc/x.yaml' }),
    ).toEqual([]);
    expect(secretValues({ TOKEN: 'production', URL: 'https://u:p@x.example', X: 'Sw0rdfish' })).toHaveLength(3);
  });

  it('makes one plain line of untrusted text', () => {
    expect(plainValue(` a\r\nb\u0000\u2028c${'x'.repeat(200)}`)).toHaveLength(100);
    expect(plainValue('\u{1f600}'.repeat(101))).toBe('\u{1f600}'.repeat(100));
    expect(plainValue('a\ud83d')).toBe('a\ufffd');
  });

  it('knows processes with ps as well', async () => {
    expect((await readStatWithPs(process.pid))?.start).toMatch(/\d\d:\d\d:\d\d/);
    expect(await readStatWithPs(2 ** 22 + 1)).toBeNull();
    expect(await startMark(2 ** 22 + 1)).toBeNull();
  });
});
