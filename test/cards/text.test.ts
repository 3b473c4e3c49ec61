import { describe, expect, it } from '@jest/globals';
import { list, logged, plain, safeUrl, short } from '../../src/cards/text.ts';
import { between, clientTime, duration, environmentTone } from '../../src/cards/words.ts';

describe('plain', () => {
  it.each([
    ['ordinary text: ok', 'ordinary text: ok'],
    ['größer → schöner 🚢', 'größer → schöner 🚢'],
    ['\u001b[1;31mred\u001b[0m', 'red'],
    ['\u001b]8;;https://evil.example\u0007click\u001b]8;;\u0007', 'click'],
    ['\u009b2Jx', 'x'],
    ['a\r\nb\tc', 'a b c'],
    ['\u202egnp.exe', 'gnp.exe'],
    ['adm\u200bin', 'admin'],
    ['<at>Kim</at>', '‹at>Kim‹/at>'],
    ['< / AT >', '‹ / AT >'],
    ['<atlas>', '<atlas>'],
    ['{{DATE(2026-01-01T00:00:00Z)}}', '{ {DATE(2026-01-01T00:00:00Z)}}'],
    ['{\u200b{time(x)}}', '{ {time(x)}}'],
    ['{{{{DATE(x)}}', '{{{ {DATE(x)}}'],
    ['{{name}}', '{{name}}'],
    ['\ud800x', '\ufffdx'],
    ['a\u0301\u0301\u0301\u0301\u0301', 'a\u0301\u0301\u0301'],
  ])('%j becomes %j', (given, expected) => {
    expect(plain(given, 100)).toBe(expected);
  });

  it('cuts last, to the length that was asked, and no character in two', () => {
    expect(plain('abcdef', 5)).toBe('abcd…');
    expect(plain('abc🚢🚢', 5)).toBe('abc…');
    expect(plain(`${'\u001b[31m'.repeat(50)}abcdef`, 6)).toBe('abcdef');
    expect(plain('x'.repeat(1_000_000), 10)).toBe(`${'x'.repeat(9)}…`);
  });
});

describe('the rest', () => {
  it('keeps the indentation of output', () => {
    expect(logged('    at checkout.mjs:41', 100)).toBe('\u00a0\u00a0\u00a0\u00a0at checkout.mjs:41');
    expect(logged('', 100)).toBe(' ');
  });

  it('counts what a list leaves out', () => {
    expect(list(['a', 'b'], 5)).toBe('a, b');
    expect(list(['a', 'b', 'c', 'd'], 2)).toBe('a, b and 2 more');
    expect(list([], 2)).toBe('');
  });

  it('shortens hashes', () => {
    expect(short('0123456789abcdef')).toBe('0123456');
  });

  it('lets a button open http and https only', () => {
    expect(safeUrl('https://example.com/a b')).toBe('https://example.com/a%20b');
    for (const url of [
      undefined,
      '',
      'javascript:alert(1)',
      ' javascript:alert(1)',
      'data:text/html,x',
      '//example.com',
      'HTTPS',
    ])
      expect(safeUrl(url)).toBeNull();
  });

  it.each([
    [0, 'under 1 s'],
    [-5, 'under 1 s'],
    [45_000, '45 s'],
    [72_000, '1 min 12 s'],
    [184_000, '3 min 4 s'],
    [14_400_000, '4 h'],
    [7_500_000, '2 h 5 min'],
    [90_061_000, '1 d 1 h'],
  ])('%d ms is %s', (ms, words) => {
    expect(duration(ms)).toBe(words);
  });

  it('gives times as the client takes them', () => {
    expect(clientTime('2026-11-24T12:02:10.123+01:00')).toBe('2026-11-24T11:02:10Z');
    for (const none of [null, undefined, '', 'yesterday']) expect(clientTime(none)).toBe('');
    expect(between('2026-11-24T12:00:00Z', '2026-11-24T12:00:05Z')).toBe(5_000);
    expect(between(null, '2026-11-24T12:00:05Z')).toBeNull();
    expect(between('nonsense', '2026-11-24T12:00:05Z')).toBeNull();
  });

  it('colours environments', () => {
    expect(environmentTone('live', true)).toBe('attention');
    expect(environmentTone('staging', false)).toBe('accent');
    expect(environmentTone('dev', false)).toBe('default');
  });
});
