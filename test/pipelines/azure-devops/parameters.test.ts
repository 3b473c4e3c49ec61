import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { azureDeployConfig } from '../../../src/pipelines/azure-devops/config.ts';
import { createParameters } from '../../../src/pipelines/azure-devops/parameters.ts';
import { build } from '../../../src/pipelines/azure-devops/schema.ts';

const SHA = 'a'.repeat(40);
const of = (more: object = {}) =>
  createParameters(azureDeployConfig.parse({ 'azure-devops': 'P', pipeline: 1, ...more }), 'storefront');
const request = {
  key: '7e90b9f7-f3f8-4548-a108-8b80c0fa80e7',
  service: 'storefront',
  environment: 'staging',
  version: '1.1.0',
  sha: SHA,
  requestedBy: 'Ana Ruiz',
};
const run = (more: object = {}) => build.parse({ id: 7, status: 'completed', ...more });

describe('the parameters of a run', () => {
  it('are the version, the commit, the vendor’s name of the environment and the key', () => {
    const parameters = of({ environments: { staging: 'Staging' } });
    expect(parameters.of(request)).toEqual({
      templateParameters: { version: '1.1.0', sha: SHA, environment: 'Staging', shipmateKey: request.key },
    });
  });

  it('are those that are configured, with the ref and without the stages that are skipped', () => {
    const parameters = of({
      ref: 'refs/heads/release',
      parameters: { k: '{key}', note: 'by chat: {input.note}', who: '{service}' },
      skip: ['Tests'],
    });
    expect(parameters.of({ ...request, inputs: { note: '$(x) ${{ y }} "' } })).toEqual({
      templateParameters: { k: request.key, note: 'by chat: $(x) ${{ y }} "', who: 'storefront' },
      resources: { repositories: { self: { refName: 'refs/heads/release' } } },
      stagesToSkip: ['Tests'],
    });
  });

  it('pin the commit when the run is that of the version’s tag', () => {
    const self = (sha: string) =>
      of({ ref: 'refs/tags/{version}' }).of({ ...request, sha }).resources?.repositories.self;
    expect(self(SHA)).toEqual({ refName: 'refs/tags/1.1.0', version: SHA });
    expect(self(`sha256:${'b'.repeat(64)}`)).toEqual({ refName: 'refs/tags/1.1.0' });
  });

  it('hold any input as it is, in its own parameter and nowhere else', () => {
    const parameters = of({ parameters: { key: '{key}', note: '{input.note}' } });
    fc.assert(
      fc.property(fc.string({ unit: 'binary', maxLength: 200 }), (note) => {
        const sent = parameters.of({ ...request, inputs: { note } });
        expect(sent).toEqual({ templateParameters: { key: request.key, note } });
      }),
      { numRuns: 500 },
    );
  });
});

describe('a run that is read', () => {
  const mapped = of({ environments: { staging: 'Staging', production: 'Prod-EU' } });
  const environment = (value: unknown, parameters = mapped) =>
    parameters.environment(run({ templateParameters: { environment: value } }));

  it.each([
    ['Staging', 'staging'],
    ['STAGING', 'staging'],
    ['Prod-EU', 'production'],
    ['production', null],
    ['qa', 'qa'],
    ['', null],
    [7, null],
    ['../x', null],
    ['<at>all</at>', null],
  ])('for %j is for %j', (given, expected) => expect(environment(given)).toBe(expected));

  it('says nothing of its place where it has no such parameter', () => {
    expect(mapped.environment(run())).toBeNull();
    expect(environment('qa', of({ parameters: { key: '{key}' } }))).toBeNull();
  });

  it('has the key in the parameter that holds it, whatever case its name has', () => {
    expect(mapped.hasKey(run({ templateParameters: { SHIPMATEKEY: 'abc' } }), 'abc')).toBe(true);
    expect(mapped.hasKey(run({ templateParameters: { shipmateKey: 'abc-2' } }), 'abc')).toBe(false);
    expect(mapped.hasKey(run({ templateParameters: { version: 'abc' } }), 'abc')).toBe(false);
    expect(mapped.hasKey(run({ templateParameters: null }), '')).toBe(false);
  });

  it('says which commit it deployed by a tag, or by its own where it runs from the version', () => {
    const tags = ['x', `Shipmate-Sha-${SHA}`];
    expect(mapped.deployed(run({ tags, sourceVersion: 'c'.repeat(40) }))).toBe(SHA);
    expect(mapped.deployed(run({ tags: ['shipmate-sha-zzz'], sourceVersion: SHA }))).toBeNull();
    expect(of({ ref: 'refs/tags/{version}' }).deployed(run({ sourceVersion: SHA }))).toBe(SHA);
    expect(of({ ref: 'refs/heads/main' }).deployed(run({ sourceVersion: SHA }))).toBeNull();
  });

  it('is called by its version, its tag, its branch or its number', () => {
    const version = (more: object) => mapped.version(run({ sourceVersion: SHA, ...more }));
    const sha = 'd'.repeat(40);
    expect(version({ templateParameters: { version: '2.0', sha } })).toEqual({ version: '2.0', sha });
    expect(version({ templateParameters: { version: '2.0', sha: '--x' } })).toEqual({ version: '2.0', sha: null });
    expect(version({ sourceBranch: 'refs/tags/v3' })).toEqual({ version: 'v3', sha: SHA });
    expect(version({ sourceBranch: 'refs/heads/feature/x' })).toEqual({ version: 'feature/x', sha: SHA });
    expect(version({ sourceBranch: 'refs/pull/4/merge', buildNumber: '20261125.4' })).toEqual({
      version: '20261125.4',
      sha: SHA,
    });
    expect(mapped.version(run())).toEqual({ version: '7', sha: null });
  });

  it('must be the same that is asked for', () => {
    const started = (more: object) =>
      run({ templateParameters: { sha: SHA, environment: 'Staging', shipmateKey: request.key, ...more } });
    expect(() => mapped.requireSame(started({}), request)).not.toThrow();
    expect(() => mapped.requireSame(started({ sha: 'e'.repeat(40) }), request)).toThrow(/another sha/);
    expect(() => mapped.requireSame(started({ environment: 'Prod-EU' }), request)).toThrow(/another environment/);
    expect(() => mapped.requireSame(run(), request)).not.toThrow();
  });
});
