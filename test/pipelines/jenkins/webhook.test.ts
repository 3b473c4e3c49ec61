import { execFileSync } from 'node:child_process';
import { createHmac } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { createWebhook } from '../../../src/pipelines/jenkins/webhook.ts';
import { connect } from '../../contract/harness/vendor.ts';

const SECRET = 'a-secret-that-two-know';
const now = new Date('2026-11-25T10:00:00Z');
const seconds = String(now.getTime() / 1000);
const body = { delivery: 'jenkins-deploy-billing-7-1', job: 'deploy/billing', build: 7, key: 'key-of-a-deployment' };
const webhook = createWebhook(SECRET);

function signed(content: unknown, { at = seconds, secret = SECRET } = {}) {
  const text = Buffer.from(typeof content === 'string' ? content : JSON.stringify(content));
  const signature = createHmac('sha256', secret).update(`${at}.`).update(text).digest('hex');
  return {
    headers: { 'x-shipmate-timestamp': at, 'x-shipmate-signature': `sha256=${signature}` } as Record<string, string>,
    body: text,
    now,
  };
}

describe('a notification', () => {
  it('names its run by key and by number', () => {
    expect(webhook(signed(body))).toEqual({
      ok: true,
      delivery: body.delivery,
      runs: ['key:key-of-a-deployment', 'deploy/billing#7'],
      look: false,
    });
  });
  it.each([null, undefined, '', 'No Key', '../x'])('is a reason to look when it has no key of ours: %s', (key) => {
    expect(webhook(signed({ ...body, key }))).toMatchObject({ ok: true, runs: ['deploy/billing#7'], look: true });
  });
  it('is taken with a signature in capitals', () => {
    const given = signed(body);
    const signature = given.headers['x-shipmate-signature']?.toUpperCase().replace('SHA256', 'sha256') ?? '';
    const headers = { ...given.headers, 'x-shipmate-signature': signature };
    expect(webhook({ ...given, headers }).ok).toBe(true);
  });

  it.each([
    ['WEBHOOK_UNSIGNED', { 'x-shipmate-timestamp': seconds }],
    ['WEBHOOK_UNSIGNED', { 'x-shipmate-timestamp': seconds, 'x-shipmate-signature': '' }],
    ['WEBHOOK_FORGED', { 'x-shipmate-timestamp': seconds, 'x-shipmate-signature': 'sha256=00' }],
    ['WEBHOOK_FORGED', { 'x-shipmate-timestamp': seconds, 'x-shipmate-signature': 'sha1=abc' }],
    ['WEBHOOK_FORGED', { ...signed(body).headers, 'x-shipmate-timestamp': String(Number(seconds) + 1) }],
    ['WEBHOOK_FORGED', { 'x-shipmate-signature': signed(body).headers['x-shipmate-signature'] }],
    ['WEBHOOK_FORGED', signed(body, { secret: 'another-secret-of-16' }).headers],
  ])('is %s with the headers %j', (code, headers) => {
    expect(webhook({ ...signed(body), headers })).toEqual({ ok: false, code });
  });
  it('is not believed when a signature is there twice', () => {
    const given = signed(body);
    const twice = given.headers['x-shipmate-signature'] ?? '';
    expect(webhook({ ...given, headers: { ...given.headers, 'x-shipmate-signature': [twice, twice] } })).toEqual({
      ok: false,
      code: 'WEBHOOK_UNSIGNED',
    });
  });
  it.each([
    [-301, false],
    [-299, true],
    [299, true],
    [301, false],
  ])('that is %i s old by its clock: %s', (offset, ok) => {
    const verdict = webhook(signed(body, { at: String(Number(seconds) + offset) }));
    expect(verdict).toMatchObject(ok ? { ok } : { ok, code: 'WEBHOOK_STALE' });
  });
  it.each(['', '1e9', '-1', 'now', '99999999999999'])('has no odd time, though signed: %s', (at) => {
    expect(webhook(signed(body, { at }))).toEqual({ ok: false, code: 'REQUEST_MALFORMED' });
  });
  it.each([
    '',
    '{',
    'null',
    '[]',
    '"x"',
    {},
    { ...body, build: '7' },
    { ...body, build: 0 },
    { ...body, build: 1.5 },
    { ...body, job: '' },
    { ...body, delivery: 'short' },
    { ...body, delivery: undefined },
    { ...body, key: 5 },
  ])('has the right form: not %j', (content) => {
    expect(webhook(signed(content))).toEqual({ ok: false, code: 'REQUEST_MALFORMED' });
  });

  it('never throws, and is never believed without the secret', () => {
    fc.assert(
      fc.property(
        fc.uint8Array({ maxLength: 200 }),
        fc.option(fc.string(), { nil: undefined }),
        fc.option(fc.string(), { nil: undefined }),
        (bytes, signature, timestamp) => {
          const headers = { 'x-shipmate-signature': signature, 'x-shipmate-timestamp': timestamp };
          expect(webhook({ headers, body: Buffer.from(bytes), now }).ok).toBe(false);
        },
      ),
    );
  });
  it('is another one with any bit changed', () => {
    const given = signed(body);
    fc.assert(
      fc.property(fc.nat(given.body.length - 1), fc.integer({ min: 1, max: 255 }), (at, change) => {
        const other = Buffer.from(given.body);
        other[at] = (other[at] ?? 0) ^ change;
        expect(webhook({ ...given, body: other })).toEqual({ ok: false, code: 'WEBHOOK_FORGED' });
      }),
    );
  });
});

it('there is none without a secret', async () => {
  const right = { url: 'https://ci.example.com', user: 'shipmate', token: '11aa' };
  const without = connect('jenkins', right);
  const within = connect('jenkins', { ...right, secret: SECRET });
  expect(without.connection.webhook).toBeUndefined();
  expect(within.connection.webhook?.(signed(body))).toMatchObject({ ok: true });
  await without.close();
  await within.close();
});

it('is what the lines in the docs send', () => {
  const docs = readFileSync(new URL('../../../docs/pipelines/jenkins.md', import.meta.url), 'utf8');
  const lines = docs.split('\n').map((line) => line.trim());
  const script = lines.slice(lines.indexOf('set +x'), lines.indexOf("'''", lines.indexOf('set +x')));
  expect(script).toHaveLength(5);
  // In the place of curl something that shows its arguments, one on a line.
  const shown = execFileSync('sh', ['-c', `curl() { printf '%s\\n' "$@"; }\n${script.join('\n')}`], {
    encoding: 'utf8',
    env: {
      ...process.env,
      NOTIFY: SECRET,
      BUILD_TAG: 'jenkins-deploy-billing-7',
      JOB_NAME: 'deploy/billing',
      BUILD_NUMBER: '7',
      SHIPMATE_KEY: 'key-of-a-deployment',
    },
  }).split('\n');
  const headers = Object.fromEntries(
    shown
      .filter((line) => line.startsWith('X-Shipmate-'))
      .map((line) => [line.split(': ')[0]?.toLowerCase(), line.split(': ')[1]]),
  ) as Record<string, string>;
  const content = Buffer.from(shown[shown.indexOf('--data') + 1] ?? '');
  expect(webhook({ headers, body: content, now: new Date() })).toEqual({
    ok: true,
    delivery: expect.stringMatching(/^jenkins-deploy-billing-7-\d+$/),
    runs: ['key:key-of-a-deployment', 'deploy/billing#7'],
    look: false,
  });
  expect(shown.join('\n')).not.toContain(SECRET);
});
