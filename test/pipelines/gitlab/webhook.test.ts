import { randomBytes } from 'node:crypto';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { gitlabConnectionConfig } from '../../../src/pipelines/gitlab/config.ts';
import { createWebhook } from '../../../src/pipelines/gitlab/webhook.ts';
import { payload, sign } from '../../fakes/gitlab/hooks.ts';
import { type Opened, openGitlab } from './helpers.ts';

const proof = { secret: 'a-secret-of-the-webhook', signing: `whsec_${randomBytes(32).toString('base64')}` };
const now = new Date('2026-11-25T09:00:00Z');

function hook(given: { secret?: string; signing?: string }) {
  const made = createWebhook(gitlabConnectionConfig.parse({ token: 'glpat-0123456789', ...given }));
  if (!made) throw new Error('nothing to verify with');
  return (headers: Record<string, string | string[] | undefined>, body: string, at = now) =>
    made({ headers, body: Buffer.from(body), now: at });
}
const both = hook(proof);
const byToken = hook({ secret: proof.secret });
const event = JSON.stringify({
  object_kind: 'build',
  pipeline_id: 7,
  build_status: 'running',
  environment: { name: 'prod' },
});
const signed = (body = event, more: { id?: string; at?: Date } = {}) => sign(body, { ...proof, at: now, ...more });

it('is not there when nothing verifies it', () => {
  expect(createWebhook(gitlabConnectionConfig.parse({ token: 'glpat-0123456789' }))).toBeNull();
});

describe('signed', () => {
  it('is believed, and named by its id', () => {
    expect(both(signed(event, { id: 'delivery-1' }), event)).toEqual({
      ok: true,
      delivery: 'delivery-1',
      runs: ['7'],
      look: true,
    });
  });

  it('takes the key with and without its prefix, and one right signature of several', () => {
    const bare = hook({ signing: proof.signing.slice(6) });
    expect(bare(signed(), event)).toMatchObject({ ok: true });
    const headers = signed();
    const several = { ...headers, 'webhook-signature': `v1,AAAA v2,x ${headers['webhook-signature']}` };
    expect(both(several, event)).toMatchObject({ ok: true });
  });

  it('is needed where it is configured: a right token is not enough', () => {
    const { 'webhook-signature': _, ...headers } = signed();
    expect(both(headers, event)).toEqual({ ok: false, code: 'WEBHOOK_UNSIGNED' });
    expect(both({ ...headers, 'webhook-signature': '' }, event)).toEqual({ ok: false, code: 'WEBHOOK_UNSIGNED' });
  });

  it.each<[string, (headers: Record<string, string>) => Record<string, string | string[] | undefined>, string]>([
    ['another body', (headers) => headers, `${event} `],
    ['another id', (headers) => ({ ...headers, 'webhook-id': 'other' }), event],
    ['no id', (headers) => ({ ...headers, 'webhook-id': undefined }), event],
    [
      'another time',
      (headers) => ({ ...headers, 'webhook-timestamp': String(Number(headers['webhook-timestamp']) + 1) }),
      event,
    ],
    ['an odd time', (headers) => ({ ...headers, 'webhook-timestamp': 'now' }), event],
    [
      'another version',
      (headers) => ({ ...headers, 'webhook-signature': (headers['webhook-signature'] ?? '').replace('v1', 'v2') }),
      event,
    ],
    [
      'a lost end',
      (headers) => ({ ...headers, 'webhook-signature': (headers['webhook-signature'] ?? '').slice(0, -1) }),
      event,
    ],
  ])('is refused with %s', (_name, change, body) => {
    expect(both(change(signed()), body)).toEqual({ ok: false, code: 'WEBHOOK_FORGED' });
  });

  it('is refused with a header that comes twice', () => {
    const headers = signed();
    const twice = { ...headers, 'webhook-signature': [headers['webhook-signature'] ?? '', 'v1,x'] };
    expect(both(twice, event)).toEqual({ ok: false, code: 'WEBHOOK_UNSIGNED' });
  });

  it.each([
    [-301, 'WEBHOOK_STALE'],
    [301, 'WEBHOOK_STALE'],
    [-299, null],
    [299, null],
  ])('%s seconds away', (seconds, code) => {
    const at = new Date(now.getTime() + seconds * 1000);
    expect(both(signed(event, { at }), event)).toMatchObject(code === null ? { ok: true } : { ok: false, code });
  });

  it('tells old age only of what is genuine', () => {
    const headers = signed(event, { at: new Date(0) });
    expect(both({ ...headers, 'webhook-signature': 'v1,AAAA' }, event)).toMatchObject({ code: 'WEBHOOK_FORGED' });
  });
});

describe('with the secret token', () => {
  it('is believed by the token alone', () => {
    expect(byToken(signed(event, { id: 'delivery-2' }), event)).toMatchObject({ ok: true, delivery: 'delivery-2' });
    expect(byToken({ ...signed(), 'x-gitlab-token': 'a-secret-of-the-webhooK' }, event)).toEqual({
      ok: false,
      code: 'WEBHOOK_FORGED',
    });
    expect(byToken({ ...signed(), 'x-gitlab-token': undefined }, event)).toEqual({
      ok: false,
      code: 'WEBHOOK_UNSIGNED',
    });
  });

  it('is the same delivery with another attempt, and on servers that give it no id', () => {
    const id = 'delivery-3';
    const [first, second] = [signed(event, { id }), signed(event, { id })];
    expect(first['x-gitlab-webhook-uuid']).not.toBe(second['x-gitlab-webhook-uuid']);
    expect(byToken(first, event)).toEqual(byToken(second, event));
    const old = { 'x-gitlab-token': proof.secret };
    const verdict = byToken(old, event);
    expect(verdict).toMatchObject({ ok: true, delivery: expect.stringMatching(/^[\w-]{43}$/) });
    expect(byToken(old, event)).toEqual(verdict);
    expect(byToken(old, `${event} `)).not.toEqual(verdict);
  });
});

describe('what it says', () => {
  const read = (content: unknown) => {
    const body = JSON.stringify(content);
    return both(signed(body, { id: 'delivery-4' }), body);
  };

  it.each(['', 'null', '[]', '{', '"x"', '7', 'true'])('is malformed: %s', (body) => {
    expect(both(signed(body), body)).toEqual({ ok: false, code: 'REQUEST_MALFORMED' });
  });

  it.each<[Record<string, unknown>, string[], boolean]>([
    [
      {
        object_kind: 'pipeline',
        object_attributes: { id: 5, status: 'running' },
        builds: [{ environment: { name: 'prod' } }],
      },
      ['5'],
      true,
    ],
    [
      {
        object_kind: 'pipeline',
        object_attributes: { id: 5, status: 'manual' },
        builds: [{ environment: { name: 'prod' } }],
      },
      ['5'],
      true,
    ],
    [
      {
        object_kind: 'pipeline',
        object_attributes: { id: 5, status: 'success' },
        builds: [{ environment: { name: 'prod' } }],
      },
      ['5'],
      false,
    ],
    [
      { object_kind: 'pipeline', object_attributes: { id: 5, status: 'running' }, builds: [{ environment: null }, {}] },
      ['5'],
      false,
    ],
    [{ object_kind: 'pipeline', object_attributes: { id: 5, status: 'running' }, builds: 'x' }, ['5'], false],
    [{ object_kind: 'pipeline', object_attributes: { id: '5', status: 'running' } }, [], false],
    [{ object_kind: 'pipeline' }, [], false],
    [{ object_kind: 'build', pipeline_id: 6, build_status: 'success', environment: { name: 'prod' } }, ['6'], false],
    [{ object_kind: 'build', pipeline_id: 6, build_status: 'manual', environment: { name: 'prod' } }, ['6'], true],
    [{ object_kind: 'build', pipeline_id: 6, build_status: 'running', environment: null }, ['6'], false],
    [{ object_kind: 'build', pipeline_id: '../6' }, [], false],
    [{ object_kind: 'deployment', status: 'running', environment: 'prod' }, [], true],
    [{ object_kind: 'push' }, [], false],
    [{ object_kind: 7 }, [], false],
    [{}, [], false],
  ])('%j', (content, runs, look) => {
    expect(read(content)).toEqual({ ok: true, delivery: 'delivery-4', runs, look });
  });

  it('never throws, whatever comes', () => {
    const verdicts = new Set(['WEBHOOK_UNSIGNED', 'WEBHOOK_FORGED', 'WEBHOOK_STALE', 'REQUEST_MALFORMED']);
    const headers = fc.dictionary(
      fc.constantFrom('webhook-id', 'webhook-timestamp', 'webhook-signature', 'x-gitlab-token', 'idempotency-key'),
      fc.oneof(fc.string(), fc.array(fc.string(), { maxLength: 2 })),
    );
    fc.assert(
      fc.property(headers, fc.string(), (given, body) => {
        for (const each of [both, byToken]) {
          const verdict = each(given, body);
          expect(!verdict.ok && verdicts.has(verdict.code)).toBe(true);
        }
      }),
    );
    fc.assert(
      fc.property(fc.jsonValue(), (content) => {
        const verdict = read(content);
        if (verdict.ok) for (const run of verdict.runs) expect(run).toMatch(/^[1-9]\d*$/);
      }),
    );
  });
});

describe('of the fake server', () => {
  let system: Opened;
  beforeEach(async () => {
    system = await openGitlab();
  });
  afterEach(() => system.close());

  it('has the shapes of GitLab’s documentation', async () => {
    const pipeline = system.pipeline();
    const { id } = await pipeline.trigger(system.request());
    const [run] = system.fake.world.runs;
    const job = run?.jobs[1];
    const [deployment] = system.fake.world.deployments;
    if (!run || !job || !deployment) throw new Error('nothing was made');
    expect(read(payload({ kind: 'pipeline', run }))).toMatchObject({ runs: [id], look: true });
    expect(read(payload({ kind: 'build', run, job }))).toMatchObject({ runs: [id], look: true });
    expect(read(payload({ kind: 'deployment', run, deployment }))).toMatchObject({ runs: [], look: true });
  });

  const read = (content: unknown) => {
    const body = JSON.stringify(content);
    return both(signed(body), body);
  };
});
