import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import {
  jenkinsConnectionConfig,
  jenkinsDeployConfig,
  jenkinsSecrets,
  jenkinsVersionsConfig,
  parameterFor,
  parametersOf,
  pathOf,
} from '../../../src/pipelines/jenkins/config.ts';

const problems = (schema: typeof jenkinsDeployConfig | typeof jenkinsConnectionConfig, value: unknown) =>
  (schema.safeParse(value).error?.issues ?? []).map(({ message, path }) => `${path.join('.')}: ${message}`);

describe('the deploy entry', () => {
  it('needs only a job', () => {
    const config = jenkinsDeployConfig.parse({ jenkins: 'deploy/billing' });
    expect(parametersOf(config)).toEqual({
      VERSION: '{version}',
      SHA: '{sha}',
      ENVIRONMENT: '{environment}',
      SHIPMATE_KEY: '{key}',
    });
    expect(config.gate).toBe('Shipmate');
  });

  it('names the parameter of the version', () => {
    const config = jenkinsDeployConfig.parse({ jenkins: 'deploy/billing', version: 'TAG' });
    expect(parameterFor(config, '{version}')).toBe('TAG');
    expect(parameterFor(config, '{nothing}')).toBeNull();
  });

  it.each([
    [{ jenkins: '/deploy/billing' }, 'jenkins: must be a job with its folders'],
    [{ jenkins: 'deploy/billing/' }, 'jenkins: must be a job with its folders'],
    [{ jenkins: 'deploy/../billing' }, 'jenkins: must be a job with its folders'],
    [{ jenkins: 'deploy/b?illing' }, 'jenkins: must be a job with its folders'],
    [{ jenkins: 'deploy\nx' }, 'jenkins: must be a job with its folders'],
    [{ jenkins: 'x', version: 'a b' }, 'version: is not the name of a parameter'],
    [{ jenkins: 'x', parameters: { V: '{version}' } }, 'parameters: exactly one of them must be "{key}"'],
    [{ jenkins: 'x', parameters: { V: '{version}', K: 'a {key}' } }, 'parameters: exactly one of them must be "{key}"'],
    [{ jenkins: 'x', parameters: { V: '{version}', K: '{key}', L: '{key}' } }, 'exactly one of them must be "{key}"'],
    [{ jenkins: 'x', parameters: { V: '{versoin}', K: '{key}' } }, 'parameters.V: {versoin} is not known'],
    [{ jenkins: 'x', version: 'TAG', parameters: { V: '{version}', K: '{key}' } }, 'version: with "parameters"'],
    [{ jenkins: 'x', environments: { a: 'same', b: 'same' } }, 'environments: two environments must not be the same'],
    [{ jenkins: 'x', version: 'SHA' }, 'version: SHA takes something else'],
    [{ jenkins: 'x', gate: '../x' }, 'gate: must have 1 to 60 letters'],
  ])('refuses %j', (entry, message) => {
    expect(problems(jenkinsDeployConfig, entry).join('\n')).toContain(message);
  });

  it('keeps every name of a job within its folder', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 40 }), (text) => {
        const parsed = jenkinsDeployConfig.safeParse({ jenkins: text });
        if (!parsed.success) return;
        const path = new URL(`https://ci.example.com/jenkins${pathOf(text)}/api/json`);
        expect(path.pathname.split('/')).toHaveLength(4 + 2 * text.split('/').length);
        expect(path.search + path.hash).toBe('');
        expect(decodeURIComponent(path.pathname)).toBe(`/jenkins/job/${text.replaceAll('/', '/job/')}/api/json`);
      }),
    );
  });

  it('takes branches of a multibranch job as Jenkins names them', () => {
    const { jenkins } = jenkinsDeployConfig.parse({ jenkins: 'deploy/billing/feature%2Fnew' });
    expect(pathOf(jenkins)).toBe('/job/deploy/job/billing/job/feature%252Fnew');
  });
});

describe('the connection', () => {
  const right = { url: 'https://ci.example.com/jenkins/', user: 'shipmate', token: '11aa' };
  it('is as in the docs', () => {
    expect(problems(jenkinsConnectionConfig, right)).toEqual([]);
    expect(problems(jenkinsConnectionConfig, { ...right, ca: './ca.pem', secret: 's'.repeat(16) })).toEqual([]);
  });
  it.each([
    [{ ...right, url: 'ftp://ci.example.com' }, 'url: must be a URL'],
    [{ ...right, url: 'https://me:pw@ci.example.com' }, 'url: must be a URL'],
    [{ ...right, url: 'https://ci.example.com/?x=1' }, 'url: must be a URL'],
    [{ ...right, user: 'a:b' }, 'user: must not contain'],
    [{ ...right, token: 'a\nb' }, 'token: must be one line'],
    [{ ...right, secret: 'short' }, 'secret: '],
    [{ ...right, password: 'x' }, 'Unrecognized key'],
  ])('refuses %j', (entry, message) => {
    expect(problems(jenkinsConnectionConfig, entry).join('\n')).toContain(message);
  });
  it('says what must never be printed, also as it is in the header', () => {
    const secrets = jenkinsSecrets({ ...right, secret: 'a-shared-secret-of-ours' });
    expect(secrets).toEqual(['11aa', Buffer.from('shipmate:11aa').toString('base64'), 'a-shared-secret-of-ours']);
  });
});

it('versions take the display name, unless said', () => {
  expect(jenkinsVersionsConfig.parse({ jenkins: 'build/billing' }).name).toBe('displayName');
  expect(jenkinsVersionsConfig.safeParse({ jenkins: 'build/billing', name: 'colour' }).success).toBe(false);
});
