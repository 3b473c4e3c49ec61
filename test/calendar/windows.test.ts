import { describe, expect, it } from '@jest/globals';
import {
  activeSpan,
  freeAfter,
  nextSpan,
  parseWindow,
  type Window,
  type WindowEntry,
} from '../../src/calendar/windows.ts';

const windowOf = (entry: WindowEntry): Window => {
  const window = parseWindow(entry, 'UTC');
  if (typeof window === 'string') throw new Error(window);
  return window;
};
const active = (entry: WindowEntry, at: string) => {
  const span = activeSpan(windowOf(entry), new Date(at));
  return span && [span.from.toISOString(), span.to.toISOString()];
};

describe('a weekly window', () => {
  const weekend = { from: 'Fri 15:00', to: 'Mon 08:00', zone: 'Europe/Berlin' };
  it.each([
    ['2026-11-27T13:59:59Z', null],
    ['2026-11-27T14:00:00Z', ['2026-11-27T14:00:00.000Z', '2026-11-30T07:00:00.000Z']],
    ['2026-11-29T12:00:00Z', ['2026-11-27T14:00:00.000Z', '2026-11-30T07:00:00.000Z']],
    ['2026-11-30T06:59:59Z', ['2026-11-27T14:00:00.000Z', '2026-11-30T07:00:00.000Z']],
    ['2026-11-30T07:00:00Z', null],
    // Summer time: the same wall clock is another hour of UTC; it ended in the night to 25 October 2026.
    ['2026-10-23T13:00:00Z', ['2026-10-23T13:00:00.000Z', '2026-10-26T07:00:00.000Z']],
    ['2026-10-23T12:59:59Z', null],
  ])('at %s', (at, span) => {
    expect(active(weekend, at)).toEqual(span);
  });

  it('within a week', () => {
    expect(active({ from: 'Mon 09:00', to: 'Tue 10:00' }, '2026-11-24T09:59:00Z')).not.toBeNull();
    expect(active({ from: 'Mon 09:00', to: 'Tue 10:00' }, '2026-11-25T09:00:00Z')).toBeNull();
  });

  it('knows when it comes next', () => {
    const next = nextSpan(windowOf(weekend), new Date('2026-11-27T13:20:00Z'));
    expect(next?.from.toISOString()).toBe('2026-11-27T14:00:00.000Z');
    expect(nextSpan(windowOf(weekend), new Date('2026-11-28T00:00:00Z'))?.from.toISOString()).toBe(
      '2026-12-04T14:00:00.000Z',
    );
  });
});

describe('a daily window', () => {
  it('over midnight', () => {
    expect(active({ from: '22:00', to: '06:00' }, '2026-11-25T05:59:00Z')).toEqual([
      '2026-11-24T22:00:00.000Z',
      '2026-11-25T06:00:00.000Z',
    ]);
    expect(active({ from: '22:00', to: '06:00' }, '2026-11-25T06:00:00Z')).toBeNull();
    expect(active({ from: '22:00', to: '06:00' }, '2026-11-25T22:00:00Z')).not.toBeNull();
  });
});

describe('a window of dates', () => {
  const christmas = { from: '2026-12-20', to: '2027-01-04 08:00', zone: 'Europe/Berlin' };
  it.each([
    ['2026-12-19T22:59:00Z', false],
    ['2026-12-19T23:00:00Z', true],
    ['2027-01-04T06:59:00Z', true],
    ['2027-01-04T07:00:00Z', false],
  ])('at %s: %s', (at, open) => {
    expect(active(christmas, at) !== null).toBe(open);
  });
});

describe('a cron window', () => {
  const entry = { cron: '0 15 * * 5', for: '65h', zone: 'Europe/Berlin' };
  it.each([
    ['2026-11-27T13:59:00Z', false],
    ['2026-11-27T14:00:00Z', true],
    ['2026-11-30T06:59:00Z', true],
    ['2026-11-30T07:00:00Z', false],
  ])('at %s: %s', (at, open) => {
    expect(active(entry, at) !== null).toBe(open);
  });

  it('whose times overlap is one that goes on', () => {
    expect(active({ cron: '0 * * * *', for: '90m' }, '2026-11-25T10:45:00Z')?.[1]).toBe('2026-11-25T11:30:00.000Z');
  });
});

describe('what is no window', () => {
  it.each<[WindowEntry, RegExp]>([
    [{ from: 'Fri 15:00', to: 'Mon 08:00', zone: 'Europe/Berln' }, /no time zone "Europe\/Berln"/],
    [{ from: 'Fri 15:00', to: 'Fri 15:00' }, /for ever/],
    [{ from: '09:00', to: '09:00' }, /for ever/],
    [{ from: 'Fri 25:00', to: 'Mon 08:00' }, /"Fri 25:00" is no time/],
    [{ from: 'Fry 15:00', to: 'Mon 08:00' }, /"Fry 15:00"/],
    [{ from: 'Fri 15:00', to: '08:00' }, /same kind/],
    [{ from: '2026-12-20', to: '2026-12-19' }, /ends before it begins/],
    [{ from: '2026-02-30', to: '2026-12-19' }, /"2026-02-30"/],
    [{ from: 'Fri 15:00' }, /from and to/],
    [{ cron: '0 15 * * 5' }, /length/],
    [{ cron: '61 15 * * 5', for: '1h' }, /no cron/],
    [{ cron: '0 15 * * 5', for: '1h', to: 'Mon 08:00' }, /not both/],
  ])('%j', (entry, message) => {
    expect(parseWindow(entry, 'UTC')).toMatch(message);
  });
});

describe('when nothing is frozen any more', () => {
  const of = (entries: WindowEntry[], at: string) => freeAfter(entries.map(windowOf), new Date(at))?.toISOString();
  it('is now, the end, or after the one that follows at once', () => {
    expect(of([{ from: '22:00', to: '06:00' }], '2026-11-25T12:00:00Z')).toBe('2026-11-25T12:00:00.000Z');
    expect(of([{ from: '22:00', to: '06:00' }], '2026-11-25T23:00:00Z')).toBe('2026-11-26T06:00:00.000Z');
    expect(
      of(
        [
          { from: '22:00', to: '06:00' },
          { from: '06:00', to: '07:00' },
        ],
        '2026-11-25T23:00:00Z',
      ),
    ).toBe('2026-11-26T07:00:00.000Z');
  });
  it('is never, when they take turns', () => {
    expect(
      of(
        [
          { from: '08:00', to: '20:00' },
          { from: '20:00', to: '08:00' },
        ],
        '2026-11-25T12:00:00Z',
      ),
    ).toBeUndefined();
    expect(of([{ cron: '* * * * *', for: '5m' }], '2026-11-25T12:00:00Z')).toBeUndefined();
  });
});
