import { stripVTControlCharacters } from 'node:util';
import type { LogLevel, LogLine } from '../types.ts';
import type { FilesConfig } from './config.ts';

const LONGEST_TEXT = 10_000;

/** A line with what sorting and filtering need beside it. */
export interface ParsedLine {
  line: LogLine;
  /** Milliseconds since 1970; null when the line has no time. */
  time: number | null;
}

const LEVELS: readonly (readonly [LogLevel, RegExp])[] = [
  ['debug', /^(?:trace|debug|verbose|fine|finer|finest)$/],
  ['info', /^(?:info|information|informational|notice)$/],
  ['warn', /^(?:warn|warning)$/],
  ['error', /^(?:err|error|crit|critical|fatal|severe|alert|emerg|emergency|panic)$/],
];

function levelOf(value: unknown): LogLevel | undefined {
  // pino and bunyan write numbers: 10 trace, 20 debug, 30 info, 40 warn, 50 error, 60 fatal.
  if (typeof value === 'number') return value >= 50 ? 'error' : value >= 40 ? 'warn' : value >= 30 ? 'info' : 'debug';
  if (typeof value !== 'string') return undefined;
  const word = value.trim().toLowerCase();
  return LEVELS.find(([, pattern]) => pattern.test(word))?.[0];
}

/**
 * Numbers are seconds, milliseconds, microseconds or nanoseconds since 1970, told apart by their size; small ones, such
 * as a duration, are no time.
 */
function timeOf(value: unknown): number | null {
  if (typeof value === 'number' && Number.isFinite(value)) {
    const size = Math.abs(value);
    if (size < 1e8) return null;
    const ms = size < 1e11 ? value * 1000 : size < 1e14 ? value : size < 1e17 ? value / 1e3 : value / 1e6;
    return Math.round(ms);
  }
  if (typeof value !== 'string' || value.length > 40) return null;
  const found = timeAtStart(value);
  return found === null ? null : found.time;
}

const ISO =
  /^\[?(\d{4})[-/](\d\d)[-/](\d\d)[T ](\d\d:\d\d:\d\d)(?:[.,](\d{1,9}))?\s?(Z|UTC|[+-]\d\d(?::?\d\d)?)?\]?(?=$|[\s,;:|-])/;
const COMMON_LOG = /\[(\d\d)\/([A-Z][a-z]{2})\/(\d{4}):(\d\d:\d\d:\d\d) ([+-]\d\d)(\d\d)\]/;
const MONTHS = 'JanFebMarAprMayJunJulAugSepOctNovDec';

/** A time at the beginning of a text; one without a zone is taken as UTC. */
function timeAtStart(text: string): { time: number; length: number } | null {
  const match = ISO.exec(text);
  if (!match) return null;
  const [all, year, month, day, clock, fraction = '0', zone = 'Z'] = match;
  const hours = /^[+-]\d\d/.exec(zone)?.[0];
  const offset = hours ? `${hours}:${/\d\d$/.exec(zone.slice(3))?.[0] ?? '00'}` : 'Z';
  const time = Date.parse(`${year}-${month}-${day}T${clock}.${fraction.slice(0, 3)}${offset}`);
  return Number.isNaN(time) ? null : { time, length: all.length };
}

/** The time of web servers' access logs: [24/Nov/2026:13:11:43 +0000]. */
function commonLogTime(text: string): number | null {
  const match = COMMON_LOG.exec(text.slice(0, 300));
  if (!match) return null;
  const [, day, month = '', year, clock, hours, minutes] = match;
  const number = String(MONTHS.indexOf(month) / 3 + 1).padStart(2, '0');
  const time = Date.parse(`${year}-${number}-${day}T${clock}${hours}:${minutes}`);
  return Number.isNaN(time) ? null : time;
}

/** Text as one line without colours, control characters and half characters, at most 10,000 characters. */
export function cleanText(text: string): string {
  return stripVTControlCharacters(text.slice(0, LONGEST_TEXT * 2))
    .replace(/[\p{Cc}\u2028\u2029]+/gu, ' ')
    .trim()
    .slice(0, LONGEST_TEXT)
    .toWellFormed();
}

function isoOrEmpty(time: number | null): string {
  return time === null || Math.abs(time) > 8.64e15 ? '' : new Date(time).toISOString();
}

const PLAIN_LEVEL =
  /(?:^|[\s[(<|])(TRACE|DEBUG|VERBOSE|INFO|NOTICE|WARN|WARNING|ERR|ERROR|CRITICAL|CRIT|FATAL|SEVERE|ALERT|EMERG|PANIC)(?=$|[\s\])>|:,])|(?:^|\s)(?:level|lvl|severity)=["']?([A-Za-z]+)|[[<](trace|debug|info|notice|warn|warning|err|error|crit|critical|fatal|alert|emerg)[\]>]/;

function parsePlain(raw: string): ParsedLine {
  const found = timeAtStart(raw);
  const time = found?.time ?? commonLogTime(raw);
  const text = cleanText(found ? raw.slice(found.length).replace(/^[\s,;:|-]+/, '') : raw);
  const word = PLAIN_LEVEL.exec(raw.slice(0, 200));
  const level = levelOf(word?.[1] ?? word?.[2] ?? word?.[3]);
  return { line: { time: isoOrEmpty(time), ...(level ? { level } : {}), text }, time };
}

function show(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}

/** The simple fields at the beginning of a JSON line that is cut or broken. */
function fieldsAtStart(raw: string): Record<string, unknown> {
  const found = raw.slice(0, 2000).matchAll(/"([\w@.-]{1,100})"\s*:\s*(?:"([^"\\]{0,100})"|(\d{1,19})(?![\w.]))/g);
  return Object.fromEntries(
    [...found].map(([, name = '', text, number]) => [name, number === undefined ? text : Number(number)]),
  );
}

/** Makes the parser of one source: JSON objects become their message and then their other fields as `name=value`. */
export function createLineParser(config: FilesConfig): (raw: string) => ParsedLine {
  const timeFields = config.time ? [config.time] : ['time', 'timestamp', '@timestamp', 'ts'];
  const levelFields = config.level ? [config.level] : ['level', 'severity', 'lvl'];
  const messageFields = config.message ? [config.message] : ['msg', 'message'];

  return (raw) => {
    if (config.format === 'plain' || !raw.startsWith('{')) return parsePlain(raw);
    let fields: Record<string, unknown>;
    let broken = false;
    try {
      fields = JSON.parse(raw) as Record<string, unknown>;
    } catch {
      broken = true;
      fields = fieldsAtStart(raw);
    }
    const firstOf = (names: readonly string[]) => names.find((name) => fields[name] !== undefined);
    const [timeField, levelField, messageField] = [firstOf(timeFields), firstOf(levelFields), firstOf(messageFields)];
    const time = timeField === undefined ? null : timeOf(fields[timeField]);
    const level = levelField === undefined ? undefined : levelOf(fields[levelField]);
    if (broken) return { line: { time: isoOrEmpty(time), ...(level ? { level } : {}), text: cleanText(raw) }, time };
    const rest = Object.entries(fields)
      .filter(([name]) => name !== timeField && name !== levelField && name !== messageField)
      .map(([name, value]) => `${name}=${show(value)}`);
    const message = messageField === undefined ? [] : [show(fields[messageField])];
    const text = cleanText([...message, ...rest].join(' '));
    return { line: { time: isoOrEmpty(time), ...(level ? { level } : {}), text }, time };
  };
}
