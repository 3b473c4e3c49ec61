import { describe, expect, it } from '@jest/globals';
import {
  connectionSecrets,
  gitlabConfig,
  gitlabConnectionConfig,
  gitlabVersionsConfig,
  pipelineValues,
  versionsOf,
} from '../../../src/pipelines/gitlab/config.ts';

const problems = (
  schema: {
    safeParse(value: unknown): {
      success: boolean;
      error?: { issues: { path: PropertyKey[]; message: string }[] } | undefined;
    };
  },
  value: unknown,
) => schema.safeParse(value).error?.issues.map(({ message, path }) => `${path.join('.')}: ${message}`) ?? [];

describe('the entry of deploy', () => {
  it('needs the project only', () => {
    const config = gitlabConfig.parse({ gitlab: 'acme/storefront' });
    expect(pipelineValues(config)).toEqual({
      kind: 'inputs',
      values: { version: '{version}', sha: '{sha}', environment: '{environment}', key: '{key}' },
    });
    // What was parsed can be parsed again: app.ts does.
    expect(gitlabConfig.parse(config)).toEqual(config);
  });

  it.each([
    [{ gitlab: 'storefront' }, /path of a project/],
    [{ gitlab: 'acme/../x' }, /path of a project/],
    [{ gitlab: 'https://gitlab.com/acme/storefront' }, /path of a project/],
    [{ gitlab: 'a/b', ref: '../x' }, /branch or tag/],
    [{ gitlab: 'a/b', ref: '' }, /branch or tag/],
    [{ gitlab: 'a/b', inputs: { version: '{version}' } }, /inputs: .*must have \{key\}/],
    [{ gitlab: 'a/b', variables: { VERSION: '{version}' } }, /variables: .*must have \{key\}/],
    [{ gitlab: 'a/b', inputs: { key: '{key}', v: '{verison}' } }, /inputs\.v: \{verison\} is not known/],
    [{ gitlab: 'a/b', inputs: { key: '{key}' }, variables: { K: '{key}' } }, /choose one/],
    [{ gitlab: 'a/b', variables: { 'A-B': '{key}' } }, /name of a variable|Invalid key/],
    [{ gitlab: 'a/b', workflow: 'x' }, /workflow/],
  ])('is told what is wrong: %j', (value, words) => {
    expect(problems(gitlabConfig, value).join('\n')).toMatch(words);
  });
});

describe('the entry of versions', () => {
  it('has two forms', () => {
    const read = (value: unknown) => versionsOf(gitlabVersionsConfig.parse(value));
    expect(read({ gitlab: 'tags', project: 'a/b' })).toEqual({ project: 'a/b', from: 'tags' });
    expect(read({ gitlab: 'releases', project: 7 })).toEqual({ project: '7', from: 'releases' });
    expect(read({ gitlab: 'a/b' })).toEqual({ project: 'a/b', from: 'tags' });
    expect(read({ gitlab: 'a/b/c', from: 'releases' })).toEqual({ project: 'a/b/c', from: 'releases' });
    expect(problems(gitlabVersionsConfig, { gitlab: 'tags' })).toEqual([expect.stringMatching(/which project/)]);
    expect(problems(gitlabVersionsConfig, { gitlab: 'tags', project: 'a/b', from: 'tags' })).toHaveLength(1);
    expect(problems(gitlabVersionsConfig, { gitlab: 'a/b', project: 'a/c' })).toHaveLength(1);
    expect(problems(gitlabVersionsConfig, { gitlab: 'packages' })).not.toEqual([]);
  });
});

describe('the connection', () => {
  it('has gitlab.com unless said, and a URL without a slash at its end', () => {
    expect(gitlabConnectionConfig.parse({ token: 'glpat-1' }).url).toBe('https://gitlab.com');
    const config = gitlabConnectionConfig.parse({ token: 'glpat-1', url: 'https://git.example.com/gitlab//' });
    expect(config.url).toBe('https://git.example.com/gitlab');
    expect(gitlabConnectionConfig.parse(config)).toEqual(config);
  });

  it.each([
    [{}, /token/],
    [{ token: 'x' }, /token/],
    [{ token: 'glpat-1', url: 'gitlab.example.com' }, /url: must be a URL/],
    [{ token: 'glpat-1', url: 'https://me:pw@gitlab.example.com' }, /without credentials/],
    [{ token: 'glpat-1', url: 'https://gitlab.example.com?x=1' }, /url/],
    [{ token: 'glpat-1', url: 'ftp://gitlab.example.com' }, /url/],
    [{ token: 'glpat-1', signing: 'not base64!' }, /signing: must be what GitLab shows/],
    [{ token: 'glpat-1', signing: 'whsec_c2hvcnQ=' }, /signing/],
  ])('is told what is wrong: %j', (value, words) => {
    expect(problems(gitlabConnectionConfig, value).join('\n')).toMatch(words);
  });

  it('names its secrets', () => {
    const signing = `whsec_${Buffer.alloc(32, 7).toString('base64')}`;
    const config = gitlabConnectionConfig.parse({ token: 'glpat-1', approver: 'glpat-2', secret: 'secret-3', signing });
    expect(connectionSecrets(config)).toEqual(['glpat-1', 'glpat-2', 'secret-3', signing, signing.slice(6)]);
  });
});
