import { describe, expect, it } from '@jest/globals';
import { createRedactor } from '../src/logger.ts';

describe('redaction', () => {
  const redact = createRedactor(['hunter2-hunter2', 'a+b/c=d e']);

  it.each([
    ['password=abcd1234', 'password=[redacted]'],
    ['REGISTRY_PASSWORD=abcd1234 next', 'REGISTRY_PASSWORD=[redacted] next'],
    ['DB_TOKEN: "abcd1234"', 'DB_TOKEN: "[redacted]"'],
    ['{"client_secret":"abcd1234"}', '{"client_secret":"[redacted]"}'],
    ['Authorization: Bearer abcdefgh.ij', 'Authorization: Bearer [redacted]'],
    ['postgres://shipmate:s3cret@db/x', 'postgres://shipmate:[redacted]@db/x'],
    ['glpat-AbCdEfGh-1234567890.01.0z1a2b3c', '[redacted]'],
    ['glrt-AbCdEfGh12345678', '[redacted]'],
    [`ghs_${'a'.repeat(36)} and more`, '[redacted] and more'],
    ['eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiIxIn0.abc-def', '[redacted]'],
    ['it was hunter2-hunter2!', 'it was [redacted]!'],
    ['as a URL: a%2Bb%2Fc%3Dd%20e', 'as a URL: [redacted]'],
  ])('%s', (text, expected) => {
    expect(redact(text)).toBe(expected);
  });

  it.each(['the passwords were changed', 'compass=north', 'glpat-short', 'token ring', 'deployed 1.2.3 to staging'])(
    'leaves alone: %s',
    (text) => {
      expect(redact(text)).toBe(text);
    },
  );

  it('ignores what is too short to be a secret', () => {
    expect(createRedactor(['prod'])('deploy to prod')).toBe('deploy to prod');
  });
});
