import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { decide, groupsFor, rightsOf, strangerCode } from '../../src/access/decide.ts';
import { type AccessPolicy, type AccessRequest, type Grant, PERMISSIONS, type Person } from '../../src/access/types.ts';

const TENANT = 'f0000000-0000-4000-8000-00000000000f';
const ana: Person = { id: 'ana', tenantId: TENANT, name: 'Ana' };
const policy = (...grants: Grant[]): AccessPolicy => ({ tenants: [TENANT], grants, groupNames: { 'g-web': 'web' } });
const web: Grant = { role: 'team web', permissions: ['view', 'deploy'], groups: ['g-web'], services: ['storefront'] };
const deploy: AccessRequest = { permission: 'deploy', service: 'storefront', environment: 'production' };

describe('a decision', () => {
  it('is yes for a member of a group with a grant, by its role', () => {
    expect(decide(policy(web), ana, deploy, new Set(['g-web']))).toEqual({
      allowed: true,
      code: 'OK',
      role: 'team web',
    });
  });

  it('is no without one, and names who could', () => {
    expect(decide(policy(web), ana, deploy, new Set(['g-other']))).toEqual({
      allowed: false,
      code: 'ACCESS_DENIED',
      message: 'You have no right to deploy storefront on production.',
      groups: ['web'],
    });
    expect(decide(policy(), ana, deploy, new Set(['g-web']))).toMatchObject({ allowed: false, groups: [] });
    expect(decide(policy({ ...web, groups: [] }), ana, deploy, new Set(['g-web']))).toMatchObject({ allowed: false });
  });

  it('keeps to the scope of a grant', () => {
    const scoped = policy({ ...web, environments: ['staging'] });
    const may = (request: AccessRequest) => decide(scoped, ana, request, new Set(['g-web'])).allowed;
    expect(may({ ...deploy, environment: 'staging' })).toBe(true);
    expect(may(deploy)).toBe(false);
    expect(may({ ...deploy, environment: 'staging', service: 'billing' })).toBe(false);
    // What names no place is not covered by a grant for one.
    expect(may({ permission: 'deploy', service: 'storefront' })).toBe(false);
    expect(may({ permission: 'deploy', environment: 'staging' })).toBe(false);
    expect(may({ permission: 'deploy' })).toBe(false);
  });

  it.each<[string, Partial<Person>, string]>([
    ['a guest', { guest: true }, 'ACCESS_GUEST'],
    ['somebody of another tenant', { tenantId: 'e0000000-0000-4000-8000-00000000000f' }, 'ACCESS_FOREIGN_TENANT'],
    ['a guest of another tenant', { tenantId: 'other', guest: true }, 'ACCESS_FOREIGN_TENANT'],
    ['somebody without an id', { id: '' }, 'ACCESS_NO_IDENTITY'],
    ['somebody without a tenant', { tenantId: '' }, 'ACCESS_NO_IDENTITY'],
  ])('is no for %s, whatever groups name them', (_what, more, code) => {
    const everything: Grant = { role: 'all', permissions: PERMISSIONS, groups: ['g-web'] };
    const stranger = { ...ana, ...more };
    expect(decide(policy(everything), stranger, deploy, new Set(['g-web']))).toMatchObject({
      allowed: false,
      code,
      groups: [],
    });
    const rights = rightsOf(policy(everything), stranger, [{ service: 's', environment: 'e' }], new Set(['g-web']));
    expect(rights).toEqual({
      groups: [],
      roles: [],
      rights: [{ service: 's', environment: 'e', permissions: [] }],
      general: [],
    });
  });

  it('knows a tenant in capitals', () => {
    expect(strangerCode(policy(), { ...ana, tenantId: TENANT.toUpperCase() })).toBeNull();
    expect(strangerCode({ ...policy(), tenants: [TENANT.toUpperCase()] }, ana)).toBeNull();
    expect(strangerCode({ ...policy(), tenants: [] }, ana)).toBe('ACCESS_FOREIGN_TENANT');
  });

  it('gives an admin neither approve nor audit, nor anything else', () => {
    const admin = policy({ role: 'admin', permissions: ['admin'], groups: ['g-web'] });
    const may = PERMISSIONS.filter(
      (permission) => decide(admin, ana, { permission, service: 's', environment: 'e' }, new Set(['g-web'])).allowed,
    );
    expect(may).toEqual(['admin']);
  });
});

const small = (names: readonly string[]) => fc.subarray([...names]);
const SERVICES = ['a', 'b', 'c'];
const ENVIRONMENTS = ['staging', 'production'];
const COMMANDS = ['restart', 'migrate'];
const GROUPS = ['g1', 'g2', 'g3', 'g4'];
const grant: fc.Arbitrary<Grant> = fc
  .record({
    permissions: fc.subarray([...PERMISSIONS]),
    groups: small(GROUPS),
    commands: fc.option(small(COMMANDS), { nil: undefined }),
    services: fc.option(small(SERVICES), { nil: undefined }),
    environments: fc.option(small(ENVIRONMENTS), { nil: undefined }),
  })
  .map(({ commands, environments, groups, permissions, services }) => ({
    role: 'r',
    permissions,
    groups,
    ...(commands ? { commands } : {}),
    ...(services ? { services } : {}),
    ...(environments ? { environments } : {}),
  }));
const request: fc.Arbitrary<AccessRequest> = fc
  .record({
    permission: fc.constantFrom(...PERMISSIONS),
    command: fc.option(fc.constantFrom(...COMMANDS), { nil: undefined }),
    service: fc.option(fc.constantFrom(...SERVICES), { nil: undefined }),
    environment: fc.option(fc.constantFrom(...ENVIRONMENTS), { nil: undefined }),
  })
  .map(({ command, environment, permission, service }) => ({
    permission,
    ...(command === undefined ? {} : { command }),
    ...(service === undefined ? {} : { service }),
    ...(environment === undefined ? {} : { environment }),
  }));
const cases = fc.tuple(fc.array(grant, { maxLength: 6 }), request, small(GROUPS));
const allowed = (grants: readonly Grant[], asked: AccessRequest, groups: readonly string[]) =>
  decide(policy(...grants), ana, asked, new Set(groups)).allowed;

/** `run` always needs the command's name; seeing is never narrowed by one; anything else only where one is named. */
function saysCommand(each: Grant, asked: AccessRequest): boolean {
  if (!each.commands) return asked.permission !== 'run';
  if (asked.permission === 'view') return true;
  return each.commands.some((name) => name === asked.command);
}

describe('for every policy', () => {
  it('nothing is allowed without a grant that says exactly so', () => {
    fc.assert(
      fc.property(cases, ([grants, asked, groups]) => {
        // The rule once more, in other words.
        const expected = grants.some(
          (each) =>
            each.permissions.indexOf(asked.permission) >= 0 &&
            each.groups.filter((group) => groups.includes(group)).length > 0 &&
            saysCommand(each, asked) &&
            (!each.services || each.services.some((name) => name === asked.service)) &&
            (!each.environments || each.environments.some((name) => name === asked.environment)),
        );
        expect(allowed(grants, asked, groups)).toBe(expected);
      }),
    );
  });

  it('taking a grant, a group or a name away never allows more', () => {
    fc.assert(
      fc.property(cases, fc.nat(), ([grants, asked, groups], pick) => {
        if (allowed(grants, asked, groups)) return;
        const without = grants.filter((_, at) => at !== pick % Math.max(1, grants.length));
        expect(allowed(without, asked, groups)).toBe(false);
        expect(allowed(grants, asked, groups.slice(1))).toBe(false);
        const narrowed = grants.map((each) => ({ ...each, services: (each.services ?? SERVICES).slice(1) }));
        expect(allowed(narrowed, asked, groups)).toBe(false);
      }),
    );
  });

  it('only the groups that are asked for matter', () => {
    fc.assert(
      fc.property(cases, ([grants, asked, groups]) => {
        const relevant = groupsFor(policy(...grants), asked);
        const answer = groups.filter((group) => relevant.includes(group));
        expect(allowed(grants, asked, answer)).toBe(allowed(grants, asked, groups));
      }),
    );
  });

  it('whoami says what the decision says', () => {
    fc.assert(
      fc.property(cases, ([grants, asked, groups]) => {
        const places = SERVICES.flatMap((service) => ENVIRONMENTS.map((environment) => ({ service, environment })));
        const rights = rightsOf(policy(...grants), ana, places, new Set(groups));
        for (const { environment, permissions, service } of rights.rights)
          expect(permissions.includes(asked.permission)).toBe(
            asked.permission !== 'audit' &&
              asked.permission !== 'admin' &&
              allowed(grants, { permission: asked.permission, service, environment }, groups),
          );
        expect(rights.general.includes('audit')).toBe(allowed(grants, { permission: 'audit' }, groups));
      }),
    );
  });
});
