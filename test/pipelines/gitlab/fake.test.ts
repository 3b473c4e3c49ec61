import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { type Opened, openGitlab } from './helpers.ts';

/** The fake server itself: it has to refuse what GitLab refuses, or the other tests prove nothing. */

let system: Opened;
let token: string;
beforeEach(async () => {
  system = await openGitlab();
  ({ token } = system.fake.config.connection as { token: string });
});
afterEach(() => system.close({ strict: false }));

async function ask(
  path: string,
  { body, headers = {}, method = 'GET' }: { method?: string; body?: unknown; headers?: Record<string, string> } = {},
) {
  const answer = await fetch(`${system.fake.url}/api/v4${path}`, {
    method,
    headers: {
      'private-token': token,
      ...(body === undefined ? {} : { 'content-type': 'application/json' }),
      ...headers,
    },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const text = await answer.text();
  return { status: answer.status, text };
}
const project = '/projects/acme%2Fstorefront';
const inputs = { version: '1.1.0', sha: 'a'.repeat(40), environment: 'staging', key: 'a-key-of-a-run' };

it.each<[string, Parameters<typeof ask>[1], number, RegExp]>([
  ['/projects/acme/storefront', {}, 404, /Not Found/],
  ['/nothing', {}, 404, /Not Found/],
  [`${project}/pipelines?colour=red`, {}, 400, /colour is not a parameter/],
  [`${project}/pipelines?per_page=1000`, {}, 400, /per_page/],
  [`${project}/pipelines?order_by=colour`, {}, 400, /order_by/],
  [`${project}/pipelines/x`, {}, 404, /Not found/],
  [`${project}/pipeline`, { method: 'POST', body: {} }, 400, /ref is missing/],
  [`${project}/pipeline`, { method: 'POST', body: { ref: 7 } }, 400, /ref is invalid/],
  [
    `${project}/pipeline`,
    { method: 'POST', body: { ref: 'main', inputs, colour: 'red' } },
    400,
    /colour is not a parameter/,
  ],
  [
    `${project}/pipeline`,
    { method: 'POST', body: { ref: 'main', inputs: { ...inputs, sha: 7 } } },
    400,
    /inputs is invalid/,
  ],
  [
    `${project}/pipeline`,
    { method: 'POST', body: { ref: 'main', inputs: { ...inputs, more: 'x' } } },
    400,
    /unknown input arguments: more/,
  ],
  [
    `${project}/pipeline`,
    { method: 'POST', body: { ref: 'main', variables: { A: 'b' } } },
    400,
    /variables is invalid/,
  ],
  [`${project}/pipeline`, { method: 'POST', body: { ref: 'other', inputs } }, 400, /Reference not found/],
  [`${project}/deployments?order_by=updated_at`, {}, 400, /must be paired/],
  [`${project}/deployments?updated_after=2026-11-25T00:00:00Z`, {}, 400, /must be paired/],
  [`${project}/repository/merge_base?refs[]=x`, {}, 400, /at least 2 refs/],
  [`${project}/repository/tags/1.1`, {}, 404, /Tag Not Found/],
  [`${project}`, { headers: { 'private-token': 'glpat-wrong' } }, 401, /401 Unauthorized/],
])('refuses %s %j', async (path, options, status, words) => {
  const answer = await ask(path, options);
  expect(answer).toEqual({ status, text: expect.stringMatching(words) });
  expect(system.fake.started()).toBe(0);
});

it('hides a private project from those without a token', async () => {
  const answer = await fetch(`${system.fake.url}/api/v4${project}`);
  expect(answer.status).toBe(404);
});

it('remembers what it did not know', async () => {
  await ask('/projects/278964/nothing');
  expect(system.fake.unknown()).toEqual(['GET projects/278964/nothing']);
});

describe('an approval', () => {
  it('is refused where nothing waits for it, and a job that waits for one can not be started', async () => {
    system.fake.behave('ask');
    const made = await ask(`${project}/pipeline`, { method: 'POST', body: { ref: 'main', inputs } });
    expect(made.status).toBe(201);
    expect(made.text).not.toContain('"name":"shipmate a-key');
    const [deployment] = system.fake.world.deployments;
    const path = `${project}/deployments/${deployment?.id}/approval`;
    expect(await ask(path, { method: 'POST', body: { status: 'approved' } })).toMatchObject({ status: 400 });
    expect(await ask(path, { method: 'POST', body: { status: 'maybe' } })).toMatchObject({ status: 400 });
    while (deployment?.status !== 'blocked') await new Promise((resolve) => setTimeout(resolve, 10));
    const play = `${project}/jobs/${deployment.job}/play`;
    expect((await ask(play, { method: 'POST' })).text).toContain('Unplayable Job');
    expect(await ask(`${project}/pipelines/${deployment.run}/cancel`, { method: 'POST' })).toMatchObject({
      status: 200,
      text: expect.stringContaining('"status":"manual"'),
    });
    expect(await ask(path, { method: 'POST', body: { status: 'approved' } })).toMatchObject({ status: 201 });
    expect(await ask(path, { method: 'POST', body: { status: 'approved' } })).toMatchObject({ status: 400 });
    expect(await ask(play, { method: 'POST' })).toMatchObject({ status: 200 });
    expect((await ask(play, { method: 'POST' })).text).toContain('Unplayable Job');
  });
});
