import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { FILE } from '../../fakes/gitlab/world.ts';
import { type Opened, openGitlab } from './helpers.ts';

let system: Opened;
beforeEach(async () => {
  system = await openGitlab();
});
afterEach(() => system.close());

const finding = (level: string, message: RegExp) => [{ level, message: expect.stringMatching(message) }];

describe('the connection', () => {
  const check = (more: Record<string, unknown> = {}) => system.connection(more).check();

  it('is right', async () => {
    expect(await check()).toEqual([]);
  });

  it.each<[string, () => void, string, RegExp]>([
    ['an old server', () => (system.fake.knobs.version = '16.8.2'), 'error', /16\.8\.2 can't find.*16\.9/],
    [
      'a token that may only read',
      () => (system.fake.knobs.scopes = ['read_api']),
      'error',
      /`token` lacks the scope api/,
    ],
    [
      'a token that ends soon',
      () => (system.fake.knobs.expires = '2026-01-01'),
      'warning',
      /`token` ends on 2026-01-01/,
    ],
  ])('is told about %s', async (_name, prepare, level, words) => {
    prepare();
    const { approver: _, ...one } = system.fake.config.connection;
    system.fake.config.connection = one;
    expect(await check()).toEqual(finding(level, words));
  });

  it('is told about a refused token, about each of them, and about a server that is away', async () => {
    expect(await check({ token: 'glpat-wrong-0123456789' })).toEqual(
      finding('error', /refuses the access token.*`token`/),
    );
    expect(await check({ approver: 'glpat-wrong-0123456789' })).toEqual(finding('error', /set `approver`/));
    expect(await check({ url: 'http://127.0.0.1:9' })).toEqual(finding('error', /can't be reached/));
  });
});

describe('the pipeline', () => {
  const check = (deploy: Record<string, unknown> = {}) => system.pipeline(deploy).check();

  it('is right, with variables too, and with a name that is an input by itself', async () => {
    expect(await check()).toEqual([]);
    system.fake.knobs.file = FILE.replace('    key:', '    title:').replace(
      'shipmate $[[ inputs.key ]]',
      '$[[inputs.title]]',
    );
    const inputs = { version: '{version}', sha: '{sha}', title: 'shipmate {key}' };
    expect(await check({ inputs })).toEqual([]);
    const variables = { SHIPMATE_KEY: '{key}' };
    for (const name of ["'shipmate $SHIPMATE_KEY'", '"shipmate ${SHIPMATE_KEY}"']) {
      system.fake.knobs.file = `workflow:\n  name: ${name}\n`;
      expect(await check({ variables })).toEqual([]);
    }
  });

  it.each<[string, Record<string, unknown>, () => void, string, RegExp]>([
    ['no project', { gitlab: 'acme/nothing' }, () => {}, 'error', /sees no project acme\/nothing/],
    ['no branch', { ref: 'gone' }, () => {}, 'error', /no branch gone/],
    ['a low role', {}, () => (system.fake.knobs.accessLevel = 20), 'error', /needs the role Developer/],
    ['a protected branch', {}, () => (system.fake.knobs.canPush = false), 'warning', /main is protected/],
    ['no file', {}, () => (system.fake.knobs.file = null), 'error', /has no \.gitlab-ci\.yml on main/],
    ['an unknown place', { environments: { production: 'live' } }, () => {}, 'warning', /no environment live yet/],
    ['an undeclared input', { inputs: { key: '{key}', colour: 'red' } }, () => {}, 'error', /no input named colour/],
    ['a job that is not there', { job: 'ship' }, () => {}, 'error', /has no job named ship\. Correct `job`/],
    ['a gate that is not there', { gate: 'ship', job: 'deploy' }, () => {}, 'error', /named ship\. Correct `gate`/],
    [
      'no name',
      {},
      () => (system.fake.knobs.file = FILE.replace(/^ {2}name:.*$/m, '  rules: []')),
      'error',
      /needs workflow: name: 'shipmate \$\[\[ inputs\.key \]\]'/,
    ],
    [
      'a name from elsewhere, perhaps',
      {},
      () => (system.fake.knobs.file = `${FILE.replace(/^workflow:\n.*\n/m, '')}include: [x.yml]\n`),
      'warning',
      /needs workflow: name/,
    ],
    [
      'another name',
      {},
      () => (system.fake.knobs.file = FILE.replace('shipmate $', 'Deploy $')),
      'error',
      /needs workflow: name/,
    ],
    ['refused credentials', {}, () => system.fake.trouble('denied'), 'error', /refuses the access token/],
  ])('is told about %s', async (_name, deploy, prepare, level, words) => {
    prepare();
    expect(await check(deploy)).toEqual(finding(level, words));
  });

  it('is told of all inputs when the file is no YAML', async () => {
    system.fake.knobs.file = 'a: [1, {';
    const found = await check();
    expect(found.map(({ message }) => /no input named (\w+)/.exec(message)?.[1])).toEqual([
      'version',
      'sha',
      'environment',
      'key',
      undefined,
    ]);
  });
});
