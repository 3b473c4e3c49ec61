import { createPrivateKey } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { SignJWT } from 'jose';
import { createFakeGitHub, type FakeGitHub } from '../../fakes/github/index.ts';
import { until } from './helpers.ts';

/** The fake refuses what GitHub refuses: else the adapter's tests would prove nothing. */

let fake: FakeGitHub;
beforeEach(async () => {
  fake = await createFakeGitHub();
});
afterEach(() => fake.close());

const now = () => Math.floor(Date.now() / 1000);
const jwt = (more: { issuer?: string; expires?: number; alg?: string } = {}) =>
  new SignJWT()
    .setProtectedHeader({ alg: more.alg ?? 'RS256' })
    .setIssuer(more.issuer ?? '481516')
    .setIssuedAt(now() - 60)
    .setExpirationTime(more.expires ?? now() + 300)
    .sign(createPrivateKey(fake.world.privateKey));

const headers = (token: string, more: Record<string, string> = {}) => ({
  accept: 'application/vnd.github+json',
  authorization: `Bearer ${token}`,
  'x-github-api-version': '2022-11-28',
  'user-agent': 'test',
  ...more,
});
const ask = async (path: string, init: RequestInit = {}) => {
  const answer = await fetch(`${fake.url}/api/v3${path}`, init);
  const text = await answer.text();
  return {
    status: answer.status,
    headers: answer.headers,
    body: text === '' ? null : (JSON.parse(text) as Record<string, unknown>),
  };
};
const token = async (body: unknown = { repositories: ['storefront'] }) => {
  const { body: given } = await ask('/app/installations/2342/access_tokens', {
    method: 'POST',
    headers: headers(await jwt(), { 'content-type': 'application/json' }),
    body: JSON.stringify(body),
  });
  return String(given?.token);
};
const repo = '/repos/acme/storefront';
const dispatches = `${repo}/actions/workflows/deploy.yml/dispatches`;
const inputs = { version: '1.1.0', sha: 'a'.repeat(40), environment: 'staging', key: 'key-12345' };
const dispatch = async (body: unknown, more: Record<string, string> = {}) =>
  ask(dispatches, {
    method: 'POST',
    headers: headers(await token(), { 'content-type': 'application/json', ...more }),
    body: JSON.stringify(body),
  });

describe('credentials', () => {
  it('of the App are a JWT of its key, its id and a short time', async () => {
    const status = async (bearer: string) => (await ask('/app', { headers: headers(bearer) })).status;
    expect(await status(await jwt())).toBe(200);
    expect(await status(await jwt({ issuer: '1' }))).toBe(401);
    expect(await status(await jwt({ expires: now() - 1 }))).toBe(401);
    expect(await status(await jwt({ expires: now() + 700 }))).toBe(401);
    expect(await status(await jwt({ alg: 'PS256' }))).toBe(401);
    expect(await status(await token())).toBe(401);
    expect((await ask('/app')).status).toBe(401);
  });

  it('of a repository are a token that was given out, for this repository', async () => {
    const status = async (path: string, bearer: string) => (await ask(path, { headers: headers(bearer) })).status;
    const right = await token();
    expect(await status(repo, right)).toBe(200);
    expect(await status(repo, 'ghs_made_up')).toBe(401);
    expect(await status(repo, await jwt())).toBe(401);
    expect(await status('/repos/acme/other', right)).toBe(404);
    expect(await token({ repositories: ['other'] })).toBe('undefined');
    expect(await token({ repos: ['storefront'] })).toBe('undefined');
  });

  it('that lack a right are told which', async () => {
    fake.world.permissions.actions = 'read';
    const answer = await dispatch({ ref: 'main', inputs });
    expect(answer.status).toBe(403);
    expect(answer.headers.get('x-accepted-github-permissions')).toBe('actions=write');
    fake.world.permissions.actions = 'write';
    fake.trouble('no-right');
    expect((await dispatch({ ref: 'main', inputs })).status).toBe(403);
  });
});

describe('requests', () => {
  it.each<[string, Record<string, string>, number]>([
    ['another version of the API', { 'x-github-api-version': '1999-01-01' }, 400],
    ['no version of the API', { 'x-github-api-version': '' }, 400],
    ['another form of answer', { accept: 'text/html' }, 415],
  ])('with %s are refused', async (_what, more, status) => {
    expect((await ask(repo, { headers: headers(await token(), more) })).status).toBe(status);
    expect(fake.complaints()).toHaveLength(1);
  });

  it('to paths or with parameters that are not described are refused, and remembered', async () => {
    const right = headers(await token());
    expect((await ask(`${repo}/nonsense`, { headers: right })).status).toBe(404);
    expect((await fetch(`${fake.url}/repos/acme/storefront`, { headers: right })).status).toBe(404);
    expect((await ask(`${repo}?per_page=3`, { headers: right })).status).toBe(422);
    expect((await ask(repo, { method: 'DELETE', headers: right })).status).toBe(404);
    expect(fake.complaints()).toHaveLength(4);
  });

  it.each<[string, unknown, number]>([
    ['another field', { ref: 'main', inputs, client_payload: {} }, 422],
    ['a wrong type', { ref: 'main', inputs: { ...inputs, sha: 7 } }, 422],
    ['no branch', { inputs }, 422],
    ['a branch that is not there', { ref: 'other', inputs }, 422],
    ['an input that is not there', { ref: 'main', inputs: { ...inputs, more: 'x' } }, 422],
    ['an input that is missing', { ref: 'main', inputs: { version: '1.1.0' } }, 422],
    ['nothing wrong', { ref: 'main', inputs }, 204],
    ['the question for the run', { ref: 'main', inputs, return_run_details: true }, 200],
  ])('to start with %s', async (_what, body, status) => {
    expect((await dispatch(body)).status).toBe(status);
    expect(fake.started()).toBe(status < 300 ? 1 : 0);
  });

  it('on an older server are refused with what it does not know', async () => {
    await fake.close();
    fake = await createFakeGitHub({ installedVersion: '3.19.2' });
    expect((await dispatch({ ref: 'main', inputs, return_run_details: true })).status).toBe(422);
    expect((await dispatch({ ref: 'main', inputs })).status).toBe(204);
  });

  it('are confirmed when nothing has changed, and then not counted', async () => {
    const right = headers(await token());
    const first = await ask(repo, { headers: right });
    const { remaining } = fake.world.rate;
    const etag = first.headers.get('etag') ?? '';
    expect((await ask(repo, { headers: { ...right, 'if-none-match': etag } })).status).toBe(304);
    expect(fake.world.rate.remaining).toBe(remaining);
    expect((await ask(repo, { headers: { ...right, 'if-none-match': 'W/"other"' } })).status).toBe(200);
    expect(fake.world.rate.remaining).toBe(remaining - 1);
  });
});

describe('runs', () => {
  it('go by themselves, and their log is had by a link without credentials only', async () => {
    await dispatch({ ref: 'main', inputs });
    const right = headers(await token());
    const [run] = [...fake.world.runs.values()];
    const { body } = await until(
      () => ask(`${repo}/actions/runs/${run?.id}/attempts/1/jobs`, { headers: right }),
      ({ body: now }) =>
        ((now?.jobs ?? []) as { status: string }[]).every(({ status }) => status === 'completed') &&
        now?.total_count === 2,
    );
    const [job] = (body?.jobs ?? []) as { id: number }[];
    const answer = await fetch(`${fake.url}/api/v3${repo}/actions/jobs/${job?.id}/logs`, {
      headers: right,
      redirect: 'manual',
    });
    expect(answer.status).toBe(302);
    const link = answer.headers.get('location') ?? '';
    expect((await fetch(link, { headers: { authorization: right.authorization } })).status).toBe(403);
    expect((await fetch(`${link}x`)).status).toBe(403);
    const text = await (await fetch(link)).text();
    // What the adapter has to hide.
    expect(fake.secrets().filter((secret) => text.includes(secret)).length).toBeGreaterThan(0);
  });

  it('refuse what their state refuses', async () => {
    await dispatch({ ref: 'main', inputs });
    const right = headers(await token(), { 'content-type': 'application/json' });
    const [run] = [...fake.world.runs.values()];
    const post = async (what: string, body?: unknown) =>
      (
        await ask(`${repo}/actions/runs/${run?.id}/${what}`, {
          method: 'POST',
          headers: right,
          ...(body === undefined ? {} : { body: JSON.stringify(body) }),
        })
      ).status;
    expect(await post('rerun-failed-jobs')).toBe(403);
    expect(await post('deployment_protection_rule', { environment_name: 'staging', state: 'approved' })).toBe(422);
    expect(await post('deployment_protection_rule', { environment_name: 'staging', state: 'yes' })).toBe(422);
    expect(await post('cancel')).toBe(202);
    expect(await post('cancel')).toBe(409);
    expect(await post('rerun-failed-jobs')).toBe(201);
  });
});
