import { describe, expect, it } from '@jest/globals';
import { parseMoment } from '../../src/calendar/moments.ts';

const NOW = new Date('2026-11-25T12:00:00Z'); // a Wednesday
const at = (text: string, now = NOW) => {
  const moment = parseMoment(text, now, 'Europe/Berlin');
  return moment.ok ? moment.at.toISOString() : moment.problem;
};

describe('a moment', () => {
  it.each([
    ['22:00', '2026-11-25T21:00:00.000Z'],
    ['22:00 UTC', '2026-11-25T22:00:00.000Z'],
    ['22:00 America/New_York', '2026-11-26T03:00:00.000Z'],
    ['9:30', '2026-11-26T08:30:00.000Z'],
    ['today 13:01', '2026-11-25T12:01:00.000Z'],
    ['tomorrow 22:00', '2026-11-26T21:00:00.000Z'],
    ['Fri 22:00', '2026-11-27T21:00:00.000Z'],
    ['wednesday 12:59', '2026-12-02T11:59:00.000Z'],
    ['2026-12-01 07:15 UTC', '2026-12-01T07:15:00.000Z'],
    ['2026-12-01T07:15:00+01:00', '2026-12-01T06:15:00.000Z'],
  ])('%s', (text, iso) => {
    expect(at(text)).toBe(iso);
  });

  it.each([
    ['25:00', /don't understand/],
    ['soon', /don't understand/],
    ['', /don't understand/],
    ['22:00 Europe/Berln', /no time zone "Europe\/Berln"/],
    ['2026-11-24 22:00', /is over/],
    ['today 12:00', /is over/],
    ['2027-11-24 22:00', /more than 30 days/],
    ['2026-02-30 10:00', /don't understand/],
  ])('%s is none', (text, problem) => {
    expect(at(text)).toMatch(problem);
  });

  it('that the clocks skip does not exist', () => {
    expect(at('2026-03-29 02:30', new Date('2026-03-20T12:00:00Z'))).toMatch(/does not exist/);
  });
});
