import { describe, expect, it } from '@jest/globals';
import { diffConfig } from '../../src/config.ts';
import { createRedactor } from '../../src/logger.ts';
import { ENV, EXAMPLE, load } from './harness.ts';

const FULL = EXAMPLE.replace(
  '{ git: ./repo }',
  '{ git: ./repo }\n    version-url: "https://{service}.corp/{environment}"',
);
const before = load(FULL);
const edited = (from: string, to: string) => {
  if (!FULL.includes(from)) throw new Error(`there is no ${from}`);
  return load(FULL.replace(from, to), { ...ENV, G_SEC: '10000000-0000-4000-8000-00000000000f' });
};
const hash = (config: typeof before) => config.policyHash('storefront', 'production');

describe("a service's policy hash", () => {
  it('is the same for the same', () => {
    expect(hash(load(FULL))).toBe(hash(before));
    expect(hash(load(FULL.replaceAll('  # ', '   # other words ')))).toBe(hash(before));
  });

  it.each<[string, string, string]>([
    ['another service', 'logs:', '  billing: { team: pay, deploy: { command: ./p }, versions: { git: ./p } }\nlogs:'],
    ['a role', 'audit: auditors', 'audit: oncall'],
    ['the rules of another environment', 'staging: {}', 'staging: { confirm: true }'],
    ['where logs are', 'logs/{service}.log', 'logs/all.log'],
    ['a channel', 'ops: "${CH_OPS}"', 'ops: "19:other"'],
    ['the address of the bot', 'shipmate.corp', 'bot.corp'],
  ])('does not change with %s', (_what, from, to) => {
    const after = edited(from, to);
    expect(hash(after)).toBe(hash(before));
    expect(after.hash).not.toBe(before.hash);
  });

  it.each<[string, string, string]>([
    ['who approves', 'approve: leads', 'approve: oncall'],
    ['how many approve', 'approve: leads', 'approve: { from: leads, count: 2 }'],
    ['how long an approval lives', 'approve: leads', 'approve: { from: leads, expires: 1h }'],
    ['the group behind a name', 'leads: ${G_LEADS}', 'leads: ${G_SEC}'],
    ['how it is deployed', './deploy {environment}', './deploy --fast {environment}'],
    ['where versions come from', 'git: ./repo', 'git: ./fork'],
    ['a rule of the service itself', 'team: web ', 'environments: { production: { confirm: false } }\n    team: web '],
  ])('changes with %s', (_what, from, to) => {
    expect(hash(edited(from, to))).not.toBe(hash(before));
  });
});

describe('what changed', () => {
  const lines = (from: string, to: string) => diffConfig(before.normalised, edited(from, to).normalised);
  it('is nothing when nothing did', () => {
    expect(diffConfig(before.normalised, load(FULL).normalised)).toEqual([]);
  });
  it('is said with both values', () => {
    expect(lines('approve: leads', 'approve: oncall')).toEqual(
      expect.arrayContaining(['environments.production.approve: "leads" \u2192 "oncall"']),
    );
    expect(lines(', ops: "${CH_OPS}"', '')).toEqual(['channels.ops: removed "19:ops@thread.tacv2"']);
    expect(lines('audit: auditors', 'audit: auditors, admin: oncall')).toEqual(['roles.admin: added "oncall"']);
    expect(lines('./deploy {environment}', './deploy -x {environment}')[0]).toMatch(
      /^services\.storefront\.deploy\.hash: /,
    );
    expect(lines('store: ${DATABASE_URL}', '')).toEqual([
      'store: "postgres://db.corp:5432/shipmate" \u2192 "embedded"',
    ]);
    expect(lines('logs:', 'credentials: { managed-identity: true }\nlogs:')).toEqual([
      'credentials: "workload-identity" \u2192 "managed-identity"',
    ]);
  });
  it('stays short', () => {
    const many = (value: string) =>
      Object.fromEntries(Array.from({ length: 200 }, (_, at) => [`k${at}`, value.repeat(300)]));
    const told = diffConfig(many('a'), many('b'));
    expect(told).toHaveLength(50);
    expect(told.at(-1)).toBe('and 151 more');
    expect(Math.max(...told.map(({ length }) => length))).toBeLessThan(200);
  });
});

describe('secrets', () => {
  const SECRETS = { DEPLOY_TOKEN: 'tok-4711-abcdef', VERSION_KEY: 'vk-998877', BOT_SECRET: 'Bot!Secret9' };
  const text = `${FULL.replace(
    '{ command: "./deploy {environment} {version}" }',
    '{ command: "./d", env: { TOKEN: "${DEPLOY_TOKEN}" } }',
  ).replace(
    '{service}.corp/{environment}"',
    'u:p4ssw0rd@{service}.corp/{environment}?key=${VERSION_KEY}"',
  )}credentials: { secret: "\${BOT_SECRET}" }\n`;
  const config = load(text, { ...ENV, ...SECRETS });

  it('are known: by the name of the variable, as the bot signs in, and in the address of the store', () => {
    expect(config.secrets).toEqual(expect.arrayContaining([...Object.values(SECRETS), 'Sw0rdf!sh']));
    expect(config.secrets).not.toContain('');
    const redact = createRedactor(config.secrets);
    expect(redact(`a ${Object.values(SECRETS).join(' b ')} ${ENV.DATABASE_URL}`)).not.toMatch(
      /tok-4711|vk-99|Bot!|Sw0rd/,
    );
  });
  it('may be literal, or no password at all', () => {
    expect(load(`${EXAMPLE}credentials: { secret: literal-9 }\n`).secrets).toContain('literal-9');
    const store = (url: string) => load(EXAMPLE, { ...ENV, DATABASE_URL: url }).secrets;
    expect(store('postgres://db/x')).toEqual([]);
    expect(store('postgres://u:100%@db/x')).toContain('100%');
  });
  it('are in nothing that is kept or told', () => {
    const kept = JSON.stringify([config.normalised, diffConfig(before.normalised, config.normalised), config.hash]);
    for (const secret of [...Object.values(SECRETS), 'p4ssw0rd', 'Sw0rdf', 'sslmode'])
      expect(kept).not.toContain(secret);
  });
});
