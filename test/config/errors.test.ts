import { describe, expect, it } from '@jest/globals';
import { ENV, EXAMPLE, GUIDS, LEAST, problems } from './harness.ts';

/** LEAST with one thing changed. */
const changed = (from: string, to: string) => {
  if (!LEAST.includes(from)) throw new Error(`LEAST has no ${from}`);
  return problems(LEAST.replace(from, to));
};

describe('a mistake is told with its file, line and column', () => {
  it('and nothing is told of what is right', () => {
    expect(problems(LEAST)).toEqual([]);
    expect(problems(EXAMPLE)).toEqual([]);
  });

  it.each<[what: string, from: string, to: string, told: string]>([
    ['no bot', `bot: ${GUIDS.bot}\n`, '', 'shipmate.yaml:1:1 bot is missing: the application id of your Azure Bot'],
    [
      'a bot that is no GUID',
      `bot: ${GUIDS.bot}`,
      'bot: shipmate',
      'shipmate.yaml:2:6 bot: write the application id, a GUID',
    ],
    ['no tenant', `tenant: ${GUIDS.tenant}\n`, '', 'shipmate.yaml:1:1 tenant: this is missing'],
    [
      'a tenant that is no GUID',
      GUIDS.tenant,
      'common',
      'shipmate.yaml:1:9 tenant: "common" is no tenant id, which is a GUID',
    ],
    [
      'no url',
      'url: https://shipmate.corp\n',
      '',
      'shipmate.yaml:1:1 url is missing: the public https address of the bot, for links to files',
    ],
    [
      'a url without https',
      'https://shipmate.corp',
      'http://shipmate.corp',
      'shipmate.yaml:3:6 url: the public address needs https',
    ],
    [
      'a url that is none',
      'https://shipmate.corp',
      'shipmate',
      'shipmate.yaml:3:6 url: write a URL with http or https',
    ],
    [
      'a group that is no GUID',
      GUIDS.web,
      'web-team',
      'shipmate.yaml:4:16 groups.web: "web-team" is no Entra object id, which is a GUID',
    ],
    [
      'an unknown key',
      'environments:',
      'alerts: {}\nenvironments:',
      'shipmate.yaml:6:1 alerts: this key is not known here; there are',
    ],
    [
      'a key with a typo',
      'groups:',
      'grups:',
      'shipmate.yaml:4:1 grups: this key is not known here; did you mean "groups"?',
    ],
    ['a key twice', 'url:', 'bot:', 'shipmate.yaml:3:1 Map keys must be unique'],
    [
      'text that is no YAML',
      'groups: {',
      'groups: {{',
      'shipmate.yaml:5:1 Flow map in block collection must be sufficiently indented and end with a }',
    ],
    [
      'no environment',
      '{ staging: , production: }',
      '{}',
      'shipmate.yaml:6:1 environments: name at least one environment',
    ],
    [
      'an environment with a bad name',
      'staging:',
      '"st aging":',
      'shipmate.yaml:6:17 environments.st aging: use letters, digits, ".", "_" and "-", at most 60',
    ],
    [
      'an environment that is a number',
      'staging:',
      '"1":',
      'shipmate.yaml:6:17 environments.1: use a letter in it too',
    ],
    [
      'an approver that is no group',
      'production:',
      'production: { approve: wep }',
      'shipmate.yaml:6:51 environments.production.approve: no group is named "wep"; did you mean "web"?',
    ],
    [
      'a count of none',
      'production:',
      'production: { approve: { from: web, count: 0 } }',
      'shipmate.yaml:6:71 environments.production.approve.count: must have at least 1',
    ],
    [
      'approvers without end',
      'production:',
      'production: { approve: { from: [] } }',
      'shipmate.yaml:6:53 environments.production.approve.from: name at least one',
    ],
    [
      'an empty list of approvers',
      'production:',
      'production: { approve: [] }',
      'shipmate.yaml:6:42 environments.production.approve: name at least one',
    ],
    [
      'a time that is none',
      'production:',
      'production: { approve: { from: web, expires: soon } }',
      'shipmate.yaml:6:73 environments.production.approve.expires: write a time like 30s, 15m, 4h or 7d',
    ],
    [
      'a typo in an approval',
      'production:',
      'production: { approve: { from: web, cuont: 2 } }',
      'shipmate.yaml:6:64 environments.production.approve.cuont: this key is not known here; did you mean "count"?',
    ],
    [
      'a yes that is text',
      'production:',
      'production: { confirm: "yes" }',
      'shipmate.yaml:6:51 environments.production.confirm: must be true or false',
    ],
    [
      'no channel for approvals',
      'approvals:',
      'ops:',
      'shipmate.yaml:5:1 channels: an environment asks for approval, so name the channel',
    ],
    [
      'a team that is no group',
      'team: web',
      'team: wbe',
      'shipmate.yaml:8:23 services.storefront.team: no group is named "wbe"',
    ],
    [
      'a channel that is not named',
      'team: web',
      'team: web, channel: approval',
      'shipmate.yaml:8:37 services.storefront.channel: there is no channel "approval"; did you mean "approvals"?',
    ],
    [
      'no pipeline',
      'deploy: { command: ./deploy }, ',
      '',
      'shipmate.yaml:8:3 services.storefront.deploy: this is missing',
    ],
    [
      'a pipeline of no kind',
      'deploy: { command: ./deploy }',
      'deploy: {}',
      'shipmate.yaml:8:28 services.storefront.deploy: there is no kind ""',
    ],
    [
      'a pipeline of another kind',
      '{ command: ./deploy }',
      '{ comand: ./deploy }',
      'shipmate.yaml:8:38 services.storefront.deploy.comand: there is no kind "comand"; did you mean "command"?',
    ],
    [
      'an unknown key of an adapter',
      '{ command: ./deploy }',
      '{ command: ./deploy, timout: 5m }',
      'shipmate.yaml:8:57 services.storefront.deploy.timout: this key is not known here; did you mean "timeout"?',
    ],
    [
      "an adapter's own rule",
      '{ command: ./deploy }',
      '{ command: "./deploy {branch}" }',
      'shipmate.yaml:8:47 services.storefront.deploy.command: {branch} is not known',
    ],
    [
      'versions of no kind',
      '{ git: ./repo }',
      '{ svn: ./repo }',
      'shipmate.yaml:8:71 services.storefront.versions.svn: there is no kind "svn"',
    ],
    [
      'rules for an environment that is not there',
      'team: web',
      'team: web, environments: { prod: {} }',
      'shipmate.yaml:8:44 services.storefront.environments.prod: there is no environment "prod"; there are staging, production',
    ],
    [
      'a version-url that is none',
      'team: web',
      'team: web, version-url: "file:///etc/passwd"',
      'shipmate.yaml:8:41 services.storefront.version-url: "file:///etc/passwd" is no URL',
    ],
    [
      'a version-url of nowhere',
      'team: web',
      'team: web, version-url: { stagin: http://x.example }',
      'shipmate.yaml:8:43 services.storefront.version-url.stagin: there is no environment "stagin"; did you mean "staging"?',
    ],
    [
      'two listeners on a port',
      'services:',
      'ports: { public: 80, internal: 80 }\nservices:',
      'shipmate.yaml:7:32 ports.internal: the internal listener needs a port of its own',
    ],
    [
      'credentials of two kinds',
      'services:',
      'credentials: { secret: x, certificate: y }\nservices:',
      'shipmate.yaml:7:1 credentials: name exactly one of',
    ],
    [
      'a store that is no PostgreSQL',
      'services:',
      'store: mysql://x\nservices:',
      'shipmate.yaml:7:8 store: write a URL like postgres://',
    ],
    [
      'a connection',
      'services:',
      'connections: { gitea: { app: 1 } }\nservices:',
      'shipmate.yaml:7:16 connections.gitea: there is no kind of connection "gitea"',
    ],
    ['a role that is none', 'services:', 'roles: { deployer: web }\nservices:', 'shipmate.yaml:7:10 roles.deployer: '],
    [
      'a role for approvers',
      'services:',
      'roles: { approve: web }\nservices:',
      'shipmate.yaml:7:10 roles.approve: approvers are named per environment',
    ],
    [
      'a role of no group',
      'services:',
      'roles: { audit: auditors }\nservices:',
      'shipmate.yaml:7:17 roles.audit: no group is named "auditors"',
    ],
    [
      'a typo in a role',
      'services:',
      'roles: { audit: { groups: web, sevices: [] } }\nservices:',
      'shipmate.yaml:7:32 roles.audit.sevices: this key is not known here; did you mean "services"?',
    ],
    [
      'a role for a service that is not there',
      'services:',
      'roles: { silence: { groups: web, services: [x] } }\nservices:',
      'shipmate.yaml:7:34 roles.silence.services: there is no service "x"',
    ],
    [
      'people beside Graph',
      'services:',
      'directory: graph\npeople: []\nservices:',
      'shipmate.yaml:8:1 people: people are for directory: static',
    ],
    [
      'a static directory without people',
      'services:',
      'directory: static\nservices:',
      'shipmate.yaml:7:12 directory: a static directory needs people',
    ],
    [
      'a person in no group that is named',
      'services:',
      'people: [{ id: x, groups: [wep] }]\nservices:',
      'shipmate.yaml:7:19 people.0.groups: no group is named "wep"',
    ],
    [
      'an include that is not there',
      'services:',
      'include: team.yaml\nservices:',
      'shipmate.yaml:7:10 include: there is no file "team.yaml"',
    ],
    [
      'playground clients in Teams',
      'services:',
      'playground: { clients: ["http://localhost:1"] }\nservices:',
      'shipmate.yaml:7:1 playground: this is for mode: playground only',
    ],
    [
      'a mode that is none',
      'services:',
      'mode: emulator\nservices:',
      'shipmate.yaml:7:7 mode: must be teams or playground',
    ],
  ])('%s', (_what, from, to, told) => {
    const found = changed(from, to);
    expect(found.find((line) => line.startsWith(told)) ?? found).toEqual(expect.stringContaining(told));
  });

  it('and every one at once, in the order of the lines', () => {
    const found = problems(LEAST.replace('https:', 'http:').replace('team: web', 'team: wbe').replace('git:', 'svn:'));
    expect(found.map((line) => line.split(' ')[0])).toEqual([
      'shipmate.yaml:3:6',
      'shipmate.yaml:8:23',
      'shipmate.yaml:8:71',
    ]);
  });
});

describe('the environment', () => {
  it('has to have what is named; what follows from that is not told too', () => {
    const { G_WEB: _, BOT_ID: __, ...env } = ENV;
    expect(problems(EXAMPLE, { ...env, BOT_ID: '' })).toEqual([
      'shipmate.yaml:2:6 ${BOT_ID} is not set in the environment.',
      'shipmate.yaml:7:8 ${G_WEB} is not set in the environment.',
    ]);
  });

  it('does not hide other mistakes', () => {
    const { G_WEB: _, ...env } = ENV;
    expect(problems(EXAMPLE.replace('bot: ${BOT_ID}', 'bot: x').replace('team: web', 'team: wbe'), env)).toEqual([
      'shipmate.yaml:2:6 bot: write the application id, a GUID',
      'shipmate.yaml:7:8 ${G_WEB} is not set in the environment.',
    ]);
  });

  it.each([
    ['channels: { approvals: ${CH_APPROVALS} }', '5:24'],
    ['channels: { approvals: "${CH_APPROVALS}", web: ${CH_WEB}, ops: x }', '5:48'],
    ['channels:\n  { approvals: x, "it\'s": ${CH_WEB} }', '6:27'],
  ])('needs quotes within { }: %s', (text, place) => {
    expect(problems(LEAST.replace('channels: { approvals: "19:approvals" }', text))).toEqual([
      `shipmate.yaml:${place} inside { } or [ ] YAML needs quotes here: write "\${NAME}".`,
    ]);
  });

  it('gives a port that is one', () => {
    for (const PORT of ['http', '70000', '-1', ' ', '0x10', '1e3'])
      expect(problems(LEAST, { ...ENV, PORT })).toEqual([
        `shipmate.yaml:1:1 PORT is "${PORT}", which is no port number`,
      ]);
  });
});

describe('files that can not be read', () => {
  it('are told', () => {
    expect(problems({ 'shipmate.yaml': `${LEAST}include: d\n`, 'd/x': '' })).toEqual([
      'd:1:1 this file can not be read. Does it exist?',
    ]);
    expect(problems('')).toContain('shipmate.yaml:1:1 tenant: this is missing');
    expect(problems('- a\n')[0]).toContain('must be keys with values');
    const bomb = [
      'a: &a [x, x]',
      ...'bcdefgh'.split('').map((each, at) => `${each}: &${each} [${Array(9).fill(`*${'abcdefgh'[at]}`).join(', ')}]`),
    ];
    expect(problems(bomb.join('\n'))[0]).toContain('too many aliases');
  });
});

describe('playground mode', () => {
  const playground = (more: string) =>
    problems(`mode: playground\ntenant: p\ngroups: {}\nenvironments: { s: }\nservices: {}\n${more}`);
  const fine = 'playground: { clients: ["http://127.0.0.1:56150"] }\npeople: []\n';
  it('is impossible together with an application id', () => {
    expect(playground(fine)).toEqual([]);
    expect(playground(`${fine}bot: ${GUIDS.bot}\n`)[0]).toContain(
      'shipmate.yaml:8:6 bot: playground mode accepts requests without authentication',
    );
  });
  it('has its clients on this machine', () => {
    for (const client of [
      'http://192.168.1.2:56150',
      'https://localhost.evil.example',
      'http://127.0.0.1@evil.example',
    ])
      expect(playground(fine.replace('http://127.0.0.1:56150', client))[0]).toContain(
        'shipmate.yaml:6:25 playground.clients.0: playground clients are on this machine',
      );
  });
  it('needs clients and people', () => {
    expect(playground('people: []\n')[0]).toContain('playground mode needs playground.clients');
    expect(playground('playground: { clients: ["http://localhost:1"] }\n')[0]).toContain(
      'playground mode needs people',
    );
  });
});
