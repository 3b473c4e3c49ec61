import { expect, it } from '@jest/globals';
import { HttpError } from '../../../src/http.ts';
import { networkWords, rightWords, startWords } from '../../../src/pipelines/gitlab/words.ts';

const coded = (code: string, cause?: unknown) => Object.assign(new Error('x'), { code, cause });

it.each<[HttpError, boolean, RegExp]>([
  [new HttpError('timeout', ''), true, /did not answer in time/],
  [new HttpError('too-large', ''), true, /more than is read/],
  [new HttpError('connection', '', coded('ECONNREFUSED')), false, /can't be reached/],
  [new HttpError('connection', '', coded('UND_ERR_CONNECT_TIMEOUT')), false, /can't be reached/],
  [new HttpError('connection', '', coded('ENOTFOUND')), false, /no host git\.example\.com/],
  [new HttpError('connection', '', coded('SELF_SIGNED_CERT_IN_CHAIN')), false, /not trusted.*`ca`/],
  [new HttpError('connection', '', coded('CERT_HAS_EXPIRED')), false, /not trusted/],
  [new HttpError('connection', '', coded('ECONNRESET')), true, /broke off/],
  [new HttpError('connection', '', coded('UND_ERR_SOCKET')), true, /broke off/],
  [new HttpError('connection', '', new TypeError('fetch failed', { cause: coded('ECONNREFUSED') })), false, /reached/],
  [new HttpError('connection', ''), true, /broke off/],
])('tells what happened on the way, and whether it may have arrived: %s', (error, taken, words) => {
  expect(networkWords(error, 'git.example.com')).toEqual({ taken, words: expect.stringMatching(words) });
});

it('names the scope when that is what is missing', () => {
  const refused = { status: 403, message: 'x', scope: true };
  expect(rightWords(refused, 'cancel pipelines', 'the role Developer')).toMatch(/may not cancel pipelines.*scope api/);
  expect(rightWords({ ...refused, scope: false }, 'cancel pipelines', 'the role Developer')).toMatch(
    /no right.*Developer/,
  );
  expect(rightWords({ status: 400, message: 'odd', scope: false }, 'cancel', 'x')).toMatch(/refused to cancel: odd/);
  const at = { project: 'a/b', ref: 'main', kind: 'variables' } as const;
  expect(startWords(refused, at)).toMatch(/scope api/);
  const message = 'Insufficient permissions to set pipeline variables';
  expect(startWords({ status: 400, message, scope: false }, at)).toMatch(
    /does not let the access token's role set variables/,
  );
});
