import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { REPOSITORY } from '../../fakes/oci/images.ts';
import { createFakeOci, type FakeOci } from '../../fakes/oci/index.ts';

/** A fake that takes what a registry refuses would prove nothing. */

let fake: FakeOci;
beforeEach(async () => {
  fake = await createFakeOci();
});
afterEach(() => fake.close());

const ask = (path: string, headers: Record<string, string> = {}, method = 'GET') =>
  fetch(`${fake.url}${path}`, { method, headers, redirect: 'manual' });
const basic = () => ({ authorization: `Basic ${fake.secrets()[1]}` });
async function bearer(scope = `repository:${REPOSITORY}:pull`): Promise<Record<string, string>> {
  const answer = await ask(`/token?service=registry.test&scope=${encodeURIComponent(scope)}`, basic());
  return { authorization: `Bearer ${((await answer.json()) as { token: string }).token}` };
}
const accept = 'application/vnd.oci.image.manifest.v1+json';

describe('it refuses', () => {
  it('whoever has no token, and says where there is one', async () => {
    const answer = await ask(`/v2/${REPOSITORY}/tags/list`);
    expect(answer.status).toBe(401);
    expect(answer.headers.get('www-authenticate')).toBe(
      `Bearer realm="${fake.url}/token",service="registry.test",scope="repository:${REPOSITORY}:pull",error="invalid_token"`,
    );
    expect((await ask(`/v2/${REPOSITORY}/tags/list`, basic())).status).toBe(401);
    expect((await ask(`/v2/${REPOSITORY}/tags/list`, await bearer('repository:acme/other:pull'))).status).toBe(401);
  });
  it('to give a token to somebody else, or for another service', async () => {
    expect((await ask('/token?service=registry.test')).status).toBe(401);
    expect((await ask('/token?service=other', basic())).status).toBe(400);
  });
  it('what is not there, or not in a form that is accepted', async () => {
    const token = await bearer();
    const status = async (path: string, more: Record<string, string> = {}) =>
      (await ask(path, { ...token, ...more })).status;
    expect(await status(`/v2/${REPOSITORY}/manifests/1.10.0`)).toBe(404);
    expect(await status(`/v2/${REPOSITORY}/manifests/1.10.0`, { accept })).toBe(200);
    expect(await status(`/v2/${REPOSITORY}/manifests/1.1.0`, { accept })).toBe(404);
    expect(await status(`/v2/${REPOSITORY}/manifests/9.9.9`, { accept })).toBe(404);
    expect(await status(`/v2/${REPOSITORY}/tags/list?page=2`)).toBe(400);
    expect(await status('/v1/_ping')).toBe(404);
    expect(fake.unknown()).toEqual(['GET /v1/_ping']);
    expect((await ask('/v2/', token, 'DELETE')).status).toBe(405);
  });
  it('a second way to be let in at its storage', async () => {
    const [digest] = [...fake.images.blobs.keys()];
    const redirect = await ask(`/v2/${REPOSITORY}/blobs/${digest}`, await bearer());
    const location = redirect.headers.get('location') ?? '';
    expect((await ask(location)).status).toBe(200);
    expect((await ask(location, basic())).status).toBe(400);
    expect((await ask(location.split('?')[0] ?? '')).status).toBe(400);
  });
});

it('gives its tags in pages, however many are asked for', async () => {
  const token = await bearer();
  const first = await ask(`/v2/${REPOSITORY}/tags/list?n=1000`, token);
  expect(((await first.json()) as { tags: string[] }).tags).toHaveLength(3);
  expect(first.headers.get('link')).toBe(`</v2/${REPOSITORY}/tags/list?last=1.10.0&n=1000>; rel="next"`);
});
