import { describe, expect, it } from '@jest/globals';
import { HttpError } from '../../../src/http.ts';
import { explain } from '../../../src/pipelines/github/problems.ts';

const redact = (text: string) => text.replaceAll('s3cret-s3cret', '[redacted]');
const told = (thrown: unknown, creates = true) => explain(thrown, { creates, redact, server: 'GitHub' });
/** As Octokit throws it. */
const refusal = (status: number, data: unknown = {}, headers: Record<string, string> = {}) =>
  Object.assign(new Error('HttpError'), {
    status,
    response: { status, data, headers, url: 'https://x/s3cret-s3cret' },
  });
const gone = (code: string) => new HttpError('connection', 'x', Object.assign(new Error('x'), { code }));

describe('what Octokit throws', () => {
  it.each<[string, unknown, 'no' | 'unknown']>([
    ['nobody there', gone('ECONNREFUSED'), 'no'],
    ['no such host', gone('ENOTFOUND'), 'no'],
    ['cut', gone('ECONNRESET'), 'unknown'],
    ['too slow', new HttpError('timeout', 'x'), 'unknown'],
    ['500', refusal(500), 'unknown'],
    ['502', refusal(502), 'unknown'],
    ['504', refusal(504), 'unknown'],
    ['refused at the door', refusal(503), 'no'],
    ['something else', new TypeError('x'), 'unknown'],
  ])('says whether the request may have been taken: %s', (_what, thrown, sent) => {
    const wrapped = thrown instanceof HttpError ? Object.assign(new Error('octokit'), { cause: thrown }) : thrown;
    expect(told(wrapped).error).toMatchObject({ code: 'PIPELINE_UNAVAILABLE', retryable: true, sent });
    expect(told(wrapped, false).error.sent).toBe('no');
  });

  it.each([
    [401, /does not accept the credentials.*"app" and "key".*clock/],
    [403, /The App may miss a permission/],
    [404, /does not have it, or the App has no right to see it/],
    [422, /refused it \(422\)\. It said: Validation Failed/],
  ])('says what to do about %s', (status, message) => {
    const { error } = told(refusal(status, { message: 'Validation Failed' }));
    expect(error).toMatchObject({ code: 'PIPELINE_REJECTED', retryable: false, sent: 'no' });
    expect(error.message).toMatch(message);
  });

  it('names the right that GitHub names, and nothing else that stands in its place', () => {
    const words = (value: string) => told(refusal(403, {}, { 'x-accepted-github-permissions': value })).error.message;
    expect(words('actions=write')).toContain('the permission actions: write.');
    expect(words('contents=read,pull_requests=write; contents=write')).toContain(
      'the permission contents: read and pull requests: write, or contents: write.',
    );
    expect(words('<b>x</b>')).toContain('may miss a permission');
  });

  it('quotes GitHub in one redacted line', () => {
    const { error, said } = told(
      refusal(422, { message: 'two\nlines\u202e', errors: [{ message: 'with s3cret-s3cret' }, 'more', 7] }),
    );
    expect(said).toBe('two lines  with [redacted] more');
    expect(JSON.stringify([error.message, error.stack, String(error.cause)])).not.toMatch(/s3cret|\\u202e/);
  });
});
