import path from 'node:path';
import { describe, expect, it } from '@jest/globals';
import { decide } from '../../src/access/decide.ts';
import { PERMISSIONS } from '../../src/access/types.ts';
import { ENV, EXAMPLE, GUIDS, LEAST, load, policyOf } from './harness.ts';

const HOUR = 3_600_000;
const someone = { id: '20000000-0000-4000-8000-000000000001', tenantId: GUIDS.tenant, name: 'Ana' };

describe('what need not be written', () => {
  const config = load(LEAST);

  it('is the machine around it', () => {
    expect(config).toMatchObject({
      mode: 'teams',
      tenants: [GUIDS.tenant],
      appId: GUIDS.bot,
      credentials: { kind: 'workload-identity' },
      store: null,
      dataDir: path.join(config.baseDir, '.shipmate'),
      host: '0.0.0.0',
      port: 3978,
      internalPort: 3979,
      logLevel: 'info',
      directory: { kind: 'graph' },
      logs: null,
      playgroundClients: [],
    });
  });

  it('is what a team may do, on its own services only', () => {
    const may = (service: string) =>
      PERMISSIONS.filter(
        (permission) =>
          decide(config.access, someone, { permission, service, environment: 'staging' }, new Set<string>([GUIDS.web]))
            .allowed,
      );
    expect(may('storefront')).toEqual(['view', 'deploy', 'rollback', 'logs', 'lock', 'cancel']);
    expect(may('billing')).toEqual([]);
  });

  it('is that the last environment is production, with another person of the team and four hours', () => {
    expect(policyOf(config, 'storefront', 'staging')).toEqual({
      name: 'staging',
      production: false,
      approval: null,
      rollbackApproval: false,
      concurrency: 'reject',
      freeze: [],
      promoteFrom: null,
      watch: null,
      confirm: false,
    });
    expect(policyOf(config, 'storefront', 'production')).toEqual({
      name: 'production',
      production: true,
      approval: { groups: [GUIDS.web], count: 1, expiresMs: 4 * HOUR, remindMs: HOUR / 2, own: false },
      rollbackApproval: false,
      concurrency: 'reject',
      freeze: [],
      // Production takes what runs on the environment before.
      promoteFrom: 'staging',
      watch: null,
      confirm: true,
    });
  });

  it('is that admin and audit imply nothing else', () => {
    const both = load(EXAMPLE.replace('audit: auditors', 'audit: auditors, admin: auditors'));
    const may = PERMISSIONS.filter((permission) =>
      ['storefront', undefined].some(
        (service) =>
          decide(
            both.access,
            someone,
            { permission, ...(service === undefined ? {} : { service, environment: 'production' }) },
            new Set<string>([GUIDS.auditors]),
          ).allowed,
      ),
    );
    expect(may).toEqual(['audit', 'admin']);
  });
});

describe('the configuration of the project page', () => {
  const config = load({
    'shipmate.yaml': EXAMPLE,
    'services.d/pay.yaml':
      'services:\n  billing: { team: pay, deploy: { command: ./pay }, versions: { git: ./pay, tags: "v*" } }\n',
  });

  it('means what it says', () => {
    expect(config.store).toBe(ENV.DATABASE_URL);
    expect(config.channels).toEqual({
      web: ENV.CH_WEB,
      pay: ENV.CH_PAY,
      approvals: ENV.CH_APPROVALS,
      ops: ENV.CH_OPS,
    });
    expect(config.approvalsChannel).toBe(ENV.CH_APPROVALS);
    expect(config.logs).toEqual({ kind: 'files', config: { files: 'logs/{service}.log', format: 'auto' } });
    expect(config.services.map(({ channel, name, team }) => ({ name, team, channel }))).toEqual([
      { name: 'storefront', team: 'web', channel: ENV.CH_WEB },
      { name: 'billing', team: 'pay', channel: ENV.CH_PAY },
    ]);
    expect(policyOf(config, 'billing', 'production')?.approval).toEqual({
      groups: [GUIDS.leads],
      count: 1,
      expiresMs: 4 * HOUR,
      remindMs: HOUR / 2,
      own: false,
    });
    expect(config.access.grants).toContainEqual({
      role: 'break-glass',
      permissions: ['break-glass'],
      groups: [GUIDS.oncall],
    });
    expect(config.access.groupNames[GUIDS.leads]).toBe('leads');
  });

  it('lets an approver see what they decide on, there only', () => {
    const may = (permission: 'approve' | 'view' | 'deploy', environment: string) =>
      decide(config.access, someone, { permission, service: 'storefront', environment }, new Set<string>([GUIDS.leads]))
        .allowed;
    expect([may('approve', 'production'), may('view', 'production')]).toEqual([true, true]);
    expect([may('approve', 'staging'), may('view', 'staging'), may('deploy', 'production')]).toEqual([
      false,
      false,
      false,
    ]);
  });
});

describe('what can be written', () => {
  it('is another approval, per environment and per service', () => {
    const config =
      load(`${LEAST.replace('production:', 'production: { approve: { from: [web], count: 2, expires: 30m } }')}
  other:
    team: web
    deploy: { command: ./deploy }
    versions: { git: ./repo }
    environments:
      staging: { confirm: true, approve: web }
      production: { approve: false, confirm: false, production: false }
`);
    expect(policyOf(config, 'storefront', 'production')?.approval).toEqual({
      groups: [GUIDS.web],
      count: 2,
      expiresMs: 30 * 60_000,
      remindMs: 15 * 60_000,
      own: false,
    });
    expect(policyOf(config, 'other', 'staging')).toMatchObject({ confirm: true, approval: { groups: [GUIDS.web] } });
    expect(policyOf(config, 'other', 'production')).toMatchObject({
      approval: null,
      confirm: false,
      production: false,
    });
  });

  it('is where to ask what runs', () => {
    const urls = (value: string) =>
      load(LEAST.replace('{ git: ./repo }', `{ git: ./repo }, version-url: ${value}`)).services[0]?.environments.map(
        ({ versionUrl }) => versionUrl,
      );
    expect(urls('"https://{service}.{environment}.corp/v"')).toEqual([
      'https://storefront.staging.corp/v',
      'https://storefront.production.corp/v',
    ]);
    expect(urls('{ production: http://127.0.0.1:8080/version }')).toEqual([undefined, 'http://127.0.0.1:8080/version']);
  });

  it.each<[string, object]>([
    ['{ managed-identity: true }', { kind: 'managed-identity' }],
    [`{ managed-identity: ${GUIDS.bot} }`, { kind: 'managed-identity', clientId: GUIDS.bot }],
    ['{ workload-identity: true }', { kind: 'workload-identity' }],
    ['{ workload-identity: { token-file: /t } }', { kind: 'workload-identity', tokenFile: '/t' }],
    ['{ certificate: bot.pem }', { kind: 'certificate', path: 'bot.pem' }],
    ['{ secret: "${BOT_SECRET}" }', { kind: 'secret', secret: 'Sw0rdfish!' }],
  ])('is how to sign in: %s', (text, credentials) => {
    expect(load(`${LEAST}credentials: ${text}\n`, { ...ENV, BOT_SECRET: 'Sw0rdfish!' }).credentials).toEqual(
      credentials,
    );
  });

  it('is where things are, also by the environment', () => {
    const text = `${LEAST}ports: { public: 8443, internal: 9000 }\ndata: ./d\n`;
    const config = load(text);
    expect(config).toMatchObject({ port: 8443, internalPort: 9000, dataDir: path.join(config.baseDir, 'd') });
    expect(load(text, { ...ENV, PORT: '4000', SHIPMATE_DATA: '/srv/d', LOG_LEVEL: 'debug' })).toMatchObject({
      port: 4000,
      dataDir: '/srv/d',
      logLevel: 'debug',
    });
    expect(load(LEAST, { ...ENV, PORT: '0' })).toMatchObject({ port: 0, internalPort: 0 });
    expect(load(LEAST, { ...ENV, PORT: '65535' })).toMatchObject({ port: 65_535, internalPort: 65_534 });
  });

  it('is a tenant in capitals', () => {
    expect(load(LEAST.replace(GUIDS.tenant, GUIDS.tenant.replace('0004', '000A').toUpperCase())).tenants[0]).toMatch(
      /^[0-9a-f-]+$/,
    );
  });

  it('is a role with a scope', () => {
    const config = load(
      `${LEAST}roles: { silence: { groups: [web], services: [storefront], environments: [staging] } }\n`,
    );
    expect(config.access.grants.at(-1)).toEqual({
      role: 'silence',
      permissions: ['silence'],
      groups: [GUIDS.web],
      services: ['storefront'],
      environments: ['staging'],
    });
  });
});

describe('playground mode', () => {
  const text = `mode: playground
tenant: playground
playground: { clients: ["http://localhost:56150/x", "http://127.0.0.1:56151"] }
groups: { web: g-web }
people: [{ id: ana, name: Ana, groups: [web] }]
channels: { approvals: "19:a" }
environments: { staging: }
services: {}
`;
  it('is on loopback, with one port and a list of people', () => {
    expect(load(text)).toMatchObject({
      mode: 'playground',
      appId: null,
      host: '127.0.0.1',
      internalPort: null,
      publicUrl: 'http://127.0.0.1:3978',
      playgroundClients: ['http://localhost:56150', 'http://127.0.0.1:56151'],
      directory: { kind: 'static', people: [{ id: 'ana', groups: ['g-web'] }] },
    });
  });
});
