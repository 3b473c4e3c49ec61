import { describe, expect, it } from '@jest/globals';
import { createAuthoriser } from '../../src/access/authorise.ts';
import type { AccessPolicy, Person } from '../../src/access/types.ts';
import type { Directory } from '../../src/directory/types.ts';
import { DirectoryError } from '../../src/errors.ts';

const ana: Person = { id: 'ana', tenantId: 't', name: 'Ana' };
const policy: AccessPolicy = {
  tenants: ['t'],
  grants: [
    { role: 'team web', permissions: ['deploy', 'view'], groups: ['g-web'], services: ['storefront'] },
    { role: 'audit', permissions: ['audit'], groups: ['g-audit'] },
  ],
  groupNames: { 'g-web': 'web', 'g-audit': 'auditors' },
};
const deploy = { permission: 'deploy', service: 'storefront', environment: 'staging' } as const;

function setUp(answers: Partial<Directory> = {}) {
  const asked: { groups?: readonly string[]; fresh?: boolean | undefined }[] = [];
  const failures: unknown[] = [];
  const directory: Directory = {
    kind: 'scripted',
    memberOf: async (_person, groups, options) => {
      asked.push({ groups, fresh: options?.fresh });
      return new Set(groups.filter((group) => group === 'g-web'));
    },
    size: async () => 0,
    check: async () => [],
    ...answers,
  };
  const authoriser = createAuthoriser({
    policy: () => policy,
    directory,
    places: () => [{ service: 'storefront', environment: 'staging' }],
    onFailure: (error) => failures.push(error),
  });
  return { asked, authoriser, failures };
}

describe('asking whether somebody may', () => {
  it('asks for the groups that matter, fresh when it has to be', async () => {
    const { asked, authoriser } = setUp();
    expect(await authoriser.authorise(ana, deploy, { fresh: true })).toMatchObject({ allowed: true });
    expect(await authoriser.authorise(ana, { permission: 'audit' })).toMatchObject({ allowed: false });
    expect(asked).toEqual([
      { groups: ['g-web'], fresh: true },
      { groups: ['g-audit'], fresh: undefined },
    ]);
  });

  it('asks nobody about strangers, or for what nobody may do', async () => {
    const { asked, authoriser } = setUp();
    expect(await authoriser.authorise({ ...ana, guest: true }, deploy)).toMatchObject({ code: 'ACCESS_GUEST' });
    expect(await authoriser.authorise({ ...ana, tenantId: 'x' }, deploy)).toMatchObject({
      code: 'ACCESS_FOREIGN_TENANT',
    });
    expect(await authoriser.authorise(ana, { permission: 'admin' })).toMatchObject({ code: 'ACCESS_DENIED' });
    expect((await authoriser.rights({ ...ana, guest: true })).rights[0]?.permissions).toEqual([]);
    expect(asked).toEqual([]);
  });

  it.each([
    ['the directory is down', { memberOf: () => Promise.reject(new DirectoryError('down')) }],
    ['it fails in a way nobody thought of', { memberOf: () => Promise.reject(new TypeError('x is undefined')) }],
    [
      'it throws at once',
      {
        memberOf: () => {
          throw new Error('at once');
        },
      },
    ],
    ['it can not say whether this is a guest', { isGuest: () => Promise.reject(new DirectoryError('down')) }],
  ] satisfies [string, Partial<Directory>][])('says no when %s, and tells', async (_what, answers) => {
    const { authoriser, failures } = setUp(answers);
    const decision = await authoriser.authorise(ana, deploy, { fresh: true });
    expect(decision).toMatchObject({ allowed: false, code: 'DIRECTORY_UNAVAILABLE', groups: [] });
    expect(failures).toHaveLength(1);
    await expect(authoriser.rights(ana)).rejects.toThrow();
  });

  it('says no to whom the directory knows as a guest, though the channel did not say so', async () => {
    const fresh: unknown[] = [];
    const { authoriser } = setUp({
      isGuest: async (_person, options) => {
        fresh.push(options?.fresh);
        return true;
      },
    });
    expect(await authoriser.authorise(ana, deploy, { fresh: true })).toMatchObject({
      allowed: false,
      code: 'ACCESS_GUEST',
    });
    expect(fresh).toEqual([true]);
    expect(await authoriser.rights(ana)).toMatchObject({ groups: [], roles: [], general: [] });
  });

  it('takes no word about guests for not knowing of any', async () => {
    expect(await setUp({ isGuest: async () => false }).authoriser.authorise(ana, deploy)).toMatchObject({
      allowed: true,
    });
    expect(await setUp().authoriser.authorise(ana, deploy)).toMatchObject({ allowed: true });
  });

  it('asks once for the whole matrix', async () => {
    const { asked, authoriser } = setUp();
    expect(await authoriser.rights(ana)).toEqual({
      groups: ['web'],
      roles: ['team web'],
      rights: [{ service: 'storefront', environment: 'staging', permissions: ['view', 'deploy'] }],
      general: [],
    });
    expect(asked).toEqual([{ groups: ['g-web', 'g-audit'], fresh: undefined }]);
  });
});
