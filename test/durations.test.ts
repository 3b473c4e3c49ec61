import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { formatDuration, parseDuration } from '../src/durations.ts';

describe('a span', () => {
  it.each([
    ['30s', 30_000],
    ['15m', 900_000],
    ['4h', 14_400_000],
    ['7d', 604_800_000],
    [' 90S ', 90_000],
  ])('%j is %d ms', (text, ms) => {
    expect(parseDuration(text)).toBe(ms);
  });
  it.each(['', '5', 'm', '0m', '-5m', '+5m', '1.5h', '2 hours ago', '5 m', '1h30m', '9999999s', '1e3s', '5w', '٣m'])(
    '%j is none',
    (text) => {
      expect(parseDuration(text)).toBeNull();
    },
  );
  it('never throws', () => {
    fc.assert(
      fc.property(fc.string(), (text) => {
        const ms = parseDuration(text);
        return ms === null || (Number.isSafeInteger(ms) && ms > 0);
      }),
    );
  });
});

describe('a span for people', () => {
  it.each([
    [-1, '0 s'],
    [400, '0 s'],
    [59_400, '59 s'],
    [59_600, '1 min'],
    [184_000, '3 min 4 s'],
    [3_600_000, '1 h'],
    [7_500_000, '2 h 5 min'],
    [172_800_000, '2 d'],
    [183_600_000, '2 d 3 h'],
  ])('%d ms is %s', (ms, text) => {
    expect(formatDuration(ms)).toBe(text);
  });
});
