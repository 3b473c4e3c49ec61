import { describe, expect, it } from '@jest/globals';
import { EXAMPLE, load, policyOf, problems } from './harness.ts';

const service = (name: string, more = '') =>
  `  ${name}: { team: pay, deploy: { command: ./pay }, versions: { git: ./pay }${more} }\n`;
const withTeam = (text: string, main = EXAMPLE) => ({ 'shipmate.yaml': main, 'services.d/pay.yaml': text });
const withRules = (rules: string, main = EXAMPLE) =>
  withTeam(`services:\n${service('billing', `, environments: { ${rules} }`)}`, main);

describe("a team's file", () => {
  it('brings services of its team', () => {
    const config = load(withTeam(`services:\n${service('billing')}${service('ledger')}`));
    expect(config.services.map(({ name }) => name)).toEqual(['storefront', 'billing', 'ledger']);
  });

  it('may tighten', () => {
    const config = load(
      withRules(
        'staging: { confirm: true, approve: { from: web, count: 3 } }, production: { approve: { from: leads, count: 2, expires: 1h } }',
      ),
    );
    expect(policyOf(config, 'billing', 'staging')).toMatchObject({ confirm: true, approval: { count: 3 } });
    expect(policyOf(config, 'billing', 'production')?.approval).toMatchObject({ count: 2, expiresMs: 3_600_000 });
    expect(policyOf(config, 'storefront', 'production')?.approval).toMatchObject({ count: 1 });
  });

  const TWO = EXAMPLE.replace('approve: leads ', 'approve: { from: [leads, oncall], count: 2 } ');
  it.each<[what: string, rules: string, why: string, main: string]>([
    ['dropping the approval', 'production: { approve: false }', 'it drops the approval', EXAMPLE],
    ['dropping the confirmation', 'production: { confirm: false }', 'it drops the confirmation', EXAMPLE],
    ['asking fewer', 'production: { approve: { from: leads, count: 1 } }', 'it asks for 1 approvals instead of 2', TWO],
    ['asking others', 'production: { approve: pay }', 'it lets other groups approve', EXAMPLE],
    ['asking others too', 'production: { approve: [leads, pay] }', 'it lets other groups approve', EXAMPLE],
    [
      'asking others, more of them',
      'production: { approve: { from: [leads, pay], count: 5 } }',
      'it lets other groups approve',
      EXAMPLE,
    ],
    [
      'letting approvals live longer',
      'production: { approve: { from: leads, expires: 5h } }',
      'approvals would live longer',
      EXAMPLE,
    ],
    [
      'saying that production is none',
      'production: { production: false }',
      'it says that this is not production',
      EXAMPLE,
    ],
    [
      'saying that production is none, where nothing else asks for approval',
      'production: { production: false }',
      'it says that this is not production',
      EXAMPLE.replace('approve: leads ', 'confirm: true '),
    ],
    [
      'dropping a confirmation without approval',
      'staging: { confirm: false }',
      'it drops the confirmation',
      EXAMPLE.replace('staging: {}', 'staging: { confirm: true }'),
    ],
  ])('may not loosen: %s', (_what, rules, why, main) => {
    const environment = rules.split(':')[0];
    expect(problems(withRules(rules, main))).toEqual([
      expect.stringMatching(
        new RegExp(
          `^pay\\.yaml:2:\\d+ services\\.billing\\.environments\\.${environment}: a team's file may only tighten the rules: ${why}$`,
        ),
      ),
    ]);
  });

  it('may not say anything but services', () => {
    for (const key of [
      'groups: { pay: x }',
      'roles: { admin: pay }',
      'tenant: x',
      'environments: {}',
      'include: x.yaml',
    ])
      expect(problems(withTeam(`${key}\nservices: {}\n`))).toEqual([
        expect.stringMatching(/^pay\.yaml:1:1 \w+: this key is not known here/),
      ]);
    expect(problems(withTeam(''))).toEqual(['pay.yaml:1:1 services: this is missing']);
  });

  it('may not take a service that is there', () => {
    expect(problems(withTeam(`services:\n${service('storefront')}`))[0]).toMatch(
      /^pay\.yaml:2:3 services\.storefront: this service is in .*shipmate\.yaml already$/,
    );
    const twice = {
      ...withTeam(`services:\n${service('billing')}`),
      'services.d/zzz.yaml': `services:\n${service('billing')}`,
    };
    expect(problems(twice)[0]).toMatch(/^zzz\.yaml:2:3 services\.billing: this service is in .*pay\.yaml already$/);
  });

  it('is of one team', () => {
    expect(problems(withTeam(`services:\n${service('billing')}${service('ledger').replace('pay', 'web')}`))).toEqual([
      'pay.yaml:3:19 services.ledger.team: one file is one team',
    ]);
    expect(problems(withTeam(`services:\n${service('billing').replace('team: pay', 'team: payy')}`))).toEqual([
      'pay.yaml:2:20 services.billing.team: no group is named "payy"; did you mean "pay"?',
    ]);
  });

  it('is told of its own mistakes, by its own lines', () => {
    expect(problems(withRules('production: { approve: laeds }'))[0]).toMatch(
      /^pay\.yaml:2:\d+ services\.billing\.environments\.production\.approve: no group is named "laeds"; did you mean "leads"\?$/,
    );
    expect(problems(withTeam(`services:\n  billing: { team: pay, deploy: { command: ./p } }\n`))).toEqual([
      'pay.yaml:2:3 services.billing.versions: this is missing',
    ]);
    expect(problems(withTeam('services: {\n'))[0]).toMatch(/^pay\.yaml:/);
    expect(problems(withTeam(`services:\n${service('billing').replace('./pay', '"${NOT_THERE}"')}`))).toEqual([
      'pay.yaml:2:44 ${NOT_THERE} is not set in the environment.',
    ]);
  });
});

describe('include', () => {
  it('takes a list, each file once and never the main one', () => {
    const config = load({
      'shipmate.yaml': EXAMPLE.replace('services.d/*.yaml', '["*.yaml", "./a.yaml", "none/*.yaml"]'),
      'a.yaml': `services:\n${service('billing')}`,
    });
    expect(config.services.map(({ name }) => name)).toEqual(['storefront', 'billing']);
  });
});
