import { DateTime } from 'luxon';
import { isZone } from './windows.ts';

/** How far ahead something may be planned. */
const MOST_DAYS = 30;

export type Moment = { ok: true; at: Date; zone: string } | { ok: false; problem: string; next: string };

/**
 * A point in time as people write it: "22:00", "tomorrow 22:00", "Fri 22:00", "2026-11-26 22:00", each with or without
 * a zone behind it, or ISO 8601 with an offset. A time alone is the next time that the clock shows it.
 */
export function parseMoment(text: string, now: Date, defaultZone: string): Moment {
  const words = text.trim().split(/\s+/);
  const last = words.at(-1) ?? '';
  const named = /^(?:[A-Za-z_]+\/[\w+/-]+|UTC|GMT)$/.test(last);
  const zone = named ? last : defaultZone;
  if (!isZone(zone)) return no(`There is no time zone "${zone.slice(0, 40)}".`);
  const rest = (named ? words.slice(0, -1) : words).join(' ');
  const iso = /^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}(?::\d{2})?(?:Z|[+-]\d{2}:\d{2})$/i.test(rest);
  const at = iso ? DateTime.fromISO(rest, { zone }) : local(rest, DateTime.fromJSDate(now, { zone }));
  if (at === null || !at.isValid) return no(`I don't understand the time "${text.slice(0, 60)}".`);
  if (!iso && at.toFormat('H:mm') !== clockOf(rest))
    return no(`${clockOf(rest)} does not exist on that day in ${zone}: the clocks go forward.`);
  if (at.toMillis() <= now.getTime()) return no(`${at.toFormat('yyyy-MM-dd HH:mm')} (${zone}) is over.`);
  if (at.toMillis() - now.getTime() > MOST_DAYS * 86_400_000)
    return no(`That is more than ${MOST_DAYS} days from now.`);
  return { ok: true, at: at.toJSDate(), zone };
}

function no(problem: string): Moment {
  return { ok: false, problem, next: 'Write it like `at 22:00 Europe/Berlin` or `at 2026-11-26 22:00 UTC`.' };
}

const DAYS = ['mon', 'tue', 'wed', 'thu', 'fri', 'sat', 'sun'];

function local(text: string, now: DateTime): DateTime | null {
  const [, day, hour, minute] = /^(?:(\S+) )?(\d{1,2}):(\d{2})$/.exec(text) ?? [];
  if (hour === undefined || Number(hour) > 23 || Number(minute) > 59) return null;
  const on = (date: DateTime) => date.startOf('day').set({ hour: Number(hour), minute: Number(minute) });
  if (day === undefined) return on(now) > now ? on(now) : on(now.plus({ days: 1 }));
  if (/^today$/i.test(day)) return on(now);
  if (/^tomorrow$/i.test(day)) return on(now.plus({ days: 1 }));
  if (/^\d{4}-\d{2}-\d{2}$/.test(day)) {
    const date = DateTime.fromISO(day, { zone: now.zone });
    return date.isValid ? on(date) : null;
  }
  const weekday = DAYS.indexOf(day.slice(0, 3).toLowerCase()) + 1;
  if (weekday === 0 || !/^[a-z]+$/i.test(day)) return null;
  const ahead = on(now.plus({ days: (weekday - now.weekday + 7) % 7 }));
  return ahead > now ? ahead : on(now.plus({ days: 7 }));
}

function clockOf(text: string): string {
  const [, hour = '', minute = ''] = /(\d{1,2}):(\d{2})$/.exec(text) ?? [];
  return `${Number(hour)}:${minute}`;
}
