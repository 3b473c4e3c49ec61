import { CronExpressionParser } from 'cron-parser';
import { DateTime, IANAZone } from 'luxon';
import { parseDuration } from '../durations.ts';
import type { ClockTime, Span, Window } from './types.ts';

export type { Window } from './types.ts';

export interface WindowEntry {
  from?: string | undefined;
  to?: string | undefined;
  cron?: string | undefined;
  for?: string | undefined;
  zone?: string | undefined;
  reason?: string | undefined;
}

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];
const WEEK_MS = 7 * 86_400_000;
/** How far `freeAfter` looks: a freeze that lasts longer is one for ever. */
const HORIZON_MS = 400 * 86_400_000;
/** Windows that follow each other at once, until they count as one for ever. */
const MOST_IN_A_ROW = 1_000;

export function isZone(name: string): boolean {
  return IANAZone.isValidZone(name);
}

/** Understands what was written. A string says what is wrong with it, as the end of a sentence. */
export function parseWindow(entry: WindowEntry, defaultZone: string): Window | string {
  const zone = entry.zone ?? defaultZone;
  if (!isZone(zone)) return `there is no time zone "${zone}"; write one like Europe/Berlin or UTC`;
  const more = { zone, ...(entry.reason === undefined ? {} : { reason: entry.reason }) };
  if (entry.cron !== undefined) {
    if (entry.from !== undefined || entry.to !== undefined) return 'write from and to, or cron and for, not both';
    const forMs = parseDuration(entry.for ?? '');
    if (forMs === null) return 'a cron window needs its length, like for: 8h';
    if (forMs > WEEK_MS * 5) return 'a cron window is at most 35d long; write dates for a longer one';
    try {
      CronExpressionParser.parse(entry.cron, { tz: zone });
    } catch {
      return `"${entry.cron}" is no cron expression (minute hour day month weekday)`;
    }
    return { ...more, kind: 'cron', cron: entry.cron, forMs, label: `${entry.cron} for ${entry.for} (${zone})` };
  }
  if (entry.from === undefined || entry.to === undefined) return 'write from and to, or cron and for';
  if (entry.for !== undefined) return '"for" belongs to cron; write from and to';
  const label = `${entry.from} to ${entry.to} (${zone})`;
  const [fromDate, toDate] = [localDate(entry.from, zone), localDate(entry.to, zone)];
  if (fromDate !== null && toDate !== null) {
    if (fromDate >= toDate) return `it ends before it begins: ${entry.from} to ${entry.to}`;
    return { ...more, kind: 'dates', from: fromDate, to: toDate, label };
  }
  const [from, to] = [clockTime(entry.from), clockTime(entry.to)];
  const odd = from === null && fromDate === null ? entry.from : to === null && toDate === null ? entry.to : null;
  if (odd !== null) return `"${odd}" is no time; write one like Fri 15:00, 22:00 or 2026-12-20 18:00`;
  if (from === null || to === null || (from.weekday === undefined) !== (to.weekday === undefined))
    return 'from and to are of the same kind: both with a weekday, both without, or both dates';
  if (from.weekday === to.weekday && from.minute === to.minute)
    return 'it begins when it ends, so it would last for ever';
  return { ...more, kind: 'clock', from, to, label };
}

function clockTime(text: string): ClockTime | null {
  const [, day, hour, minute] = /^(?:([a-z]{3})[a-z]*\s+)?(\d{1,2}):(\d{2})$/i.exec(text.trim()) ?? [];
  const weekday = day === undefined ? undefined : DAYS.indexOf(day.toLowerCase()) + 1;
  if (hour === undefined || Number(hour) > 23 || Number(minute) > 59 || weekday === 0) return null;
  return { minute: Number(hour) * 60 + Number(minute), ...(weekday === undefined ? {} : { weekday }) };
}

function localDate(text: string, zone: string): string | null {
  const match = /^(\d{4}-\d{2}-\d{2})(?:[ T](\d{1,2}):(\d{2}))?$/.exec(text.trim());
  if (!match) return null;
  const [, date = '', hour = '0', minute = '00'] = match;
  const local = `${date}T${hour.padStart(2, '0')}:${minute}`;
  return DateTime.fromISO(local, { zone }).isValid ? local : null;
}

/** The open span that `at` is in, or null. */
export function activeSpan(window: Window, at: Date): Span | null {
  return spansAround(window, at).find(({ from, to }) => from <= at && at < to) ?? null;
}

/** The next span that begins after `at`, or null when none will (or none for a long time). */
export function nextSpan(window: Window, at: Date): Span | null {
  return spansAround(window, at).find(({ from }) => from > at) ?? null;
}

/** The spans that could be open at `at`, and the one after, in order. */
function spansAround(window: Window, at: Date): Span[] {
  if (window.kind === 'dates')
    return [
      {
        from: DateTime.fromISO(window.from, { zone: window.zone }).toJSDate(),
        to: DateTime.fromISO(window.to, { zone: window.zone }).toJSDate(),
      },
    ];
  return window.kind === 'cron' ? cronSpans(window, at) : clockSpans(window, at);
}

function cronSpans({ cron, forMs, zone }: Extract<Window, { kind: 'cron' }>, at: Date): Span[] {
  const spanOf = (from: Date): Span => ({ from, to: new Date(from.getTime() + forMs) });
  const found: Span[] = [];
  try {
    // One that began so long ago that it is over can not be open; the first that may be is looked for from there.
    const since = CronExpressionParser.parse(cron, { tz: zone, currentDate: new Date(at.getTime() - forMs) });
    const first = since.next().toDate();
    if (first <= at) found.push(spanOf(first));
    // Overlapping ones count as one that goes on: the last that began decides how long.
    const before = CronExpressionParser.parse(cron, { tz: zone, currentDate: new Date(at.getTime() + 1) })
      .prev()
      .toDate();
    if (first <= at && before > first) found[0] = { from: first, to: spanOf(before).to };
    found.push(spanOf(CronExpressionParser.parse(cron, { tz: zone, currentDate: at }).next().toDate()));
  } catch {
    // A date that never comes (30 February) has no span.
  }
  return found;
}

function clockSpans({ from, to, zone }: Extract<Window, { kind: 'clock' }>, at: Date): Span[] {
  const local = DateTime.fromJSDate(at, { zone });
  const weekly = from.weekday !== undefined;
  const unit = weekly ? 'week' : 'day';
  const wraps = weekly
    ? (to.weekday ?? 0) * 1_440 + to.minute <= (from.weekday ?? 0) * 1_440 + from.minute
    : to.minute <= from.minute;
  return [-1, 0, 1].map((turn) => {
    const start = local.startOf(unit).plus({ [`${unit}s`]: turn });
    const end = wraps ? start.plus({ [`${unit}s`]: 1 }) : start;
    return { from: on(start, from), to: on(end, to) };
  });
}

/** The wall clock's time on that day; one that the clocks skip is the moment after the skip. */
function on(start: DateTime, { minute, weekday = 1 }: ClockTime): Date {
  return start
    .plus({ days: weekday - 1 })
    .set({ hour: Math.floor(minute / 60), minute: minute % 60 })
    .toJSDate();
}

/** When none of these is open any more, from `at` on: `at` itself when none is; null when that never comes. */
export function freeAfter(windows: readonly Window[], at: Date): Date | null {
  let moment = at;
  for (let turn = 0; turn < MOST_IN_A_ROW && moment.getTime() - at.getTime() < HORIZON_MS; turn += 1) {
    const open = windows.map((window) => activeSpan(window, moment)).filter((span) => span !== null);
    const last = open.reduce((latest, { to }) => Math.max(latest, to.getTime()), 0);
    if (open.length === 0) return moment;
    moment = new Date(last);
  }
  return null;
}

/** "Mon 30 Nov 08:00 (Europe/Berlin)", for texts that can not be formatted by the reader's client. */
export function formatMoment(at: Date, zone: string): string {
  return `${DateTime.fromJSDate(at, { zone }).setLocale('en-GB').toFormat('ccc d LLL HH:mm')} (${zone})`;
}

/** The window that is open at this moment and ends last, or null. */
export function openNow(windows: readonly Window[], at: Date): Window | null {
  let found: { window: Window; to: Date } | null = null;
  for (const window of windows) {
    const span = activeSpan(window, at);
    if (span && (found === null || span.to > found.to)) found = { window, to: span.to };
  }
  return found?.window ?? null;
}

/** The window that opens next, with when; null when none will. */
export function nextOf(windows: readonly Window[], at: Date): { window: Window; span: Span } | null {
  let found: { window: Window; span: Span } | null = null;
  for (const window of windows) {
    const span = nextSpan(window, at);
    if (span && (found === null || span.from < found.span.from)) found = { window, span };
  }
  return found;
}
