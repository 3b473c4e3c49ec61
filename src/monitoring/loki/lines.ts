import { stripVTControlCharacters } from 'node:util';
import { z } from 'zod';
import { ShipmateError } from '../../errors.ts';
import { LOG_LEVELS, type LogLevel, type LogQuery } from '../types.ts';

const LONGEST_TEXT = 10_000;

/** By Shipmate's level, how it is written in the logs, in small letters. */
export type LevelWords = Readonly<Record<LogLevel, readonly string[]>>;

// Numbers are those of pino and bunyan.
const WORDS: LevelWords = {
  debug: ['trace', 'debug', 'verbose', 'fine', 'finer', 'finest', '10', '20'],
  info: ['info', 'information', 'informational', 'notice', '30'],
  warn: ['warn', 'warning', '40'],
  error: ['err', 'error', 'crit', 'critical', 'fatal', 'severe', 'alert', 'emerg', 'emergency', 'panic', '50', '60'],
};

const words = z
  .array(z.union([z.string().min(1).max(60), z.int()]))
  .min(1)
  .max(30)
  .transform((given) => given.map((word) => String(word).toLowerCase()))
  .optional();

/** `levels:` of an entry. What is left out keeps the usual spellings. */
export const levelsConfig = z
  .strictObject({
    debug: words.describe('How debug is written'),
    info: words.describe('How info is written'),
    warn: words.describe('How warn is written'),
    error: words.describe('How error and what is worse is written'),
  })
  .default({})
  .describe('How levels are written in the logs, in any case, where that is unusual: { error: [E, F], warn: [W] }');

/** A map such as `services:` and `environments:`, where the logs name them otherwise. */
export const namesConfig = z.record(z.string(), z.string().min(1).max(200)).default({});

export function levelWords(given: z.infer<typeof levelsConfig>): LevelWords {
  const of = (level: LogLevel) => given[level] ?? WORDS[level];
  return { debug: of('debug'), info: of('info'), warn: of('warn'), error: of('error') };
}

/** The spellings of a level and of the more severe ones; null when every line is wanted, with a level or without. */
export function wantedWords(spelled: LevelWords, level: LogLevel | undefined): string[] | null {
  const lowest = level === undefined ? 0 : LOG_LEVELS.indexOf(level);
  return lowest <= 0 ? null : LOG_LEVELS.slice(lowest).flatMap((each) => spelled[each]);
}

/** The level that a word or number means; undefined when it means none. */
export function levelOf(spelled: LevelWords, value: unknown): LogLevel | undefined {
  if (typeof value !== 'string' && typeof value !== 'number') return undefined;
  const word = String(value).trim().toLowerCase();
  return LOG_LEVELS.find((level) => spelled[level].includes(word));
}

/** How the logs call the service and the environment. */
export interface Named {
  service: string;
  environment: string;
}

/**
 * What stands for the service and the environment of a query in the logs.
 * @throws ShipmateError ARGUMENT_INVALID for an empty one, which would match the lines of nobody in particular
 */
export function named(
  config: { services: Readonly<Record<string, string>>; environments: Readonly<Record<string, string>> },
  query: Pick<LogQuery, 'service' | 'environment'>,
): Named {
  const of = (names: Readonly<Record<string, string>>, name: string) =>
    (Object.hasOwn(names, name) ? names[name] : undefined) ?? name;
  const service = of(config.services, query.service);
  const environment = of(config.environments, query.environment);
  if (service === '' || environment === '')
    throw new ShipmateError('ARGUMENT_INVALID', 'Logs are read for one service in one environment. Name both.');
  return { service, environment };
}

/**
 * Untrusted text as one line: line breaks become ⏎, colours, control characters and marks that turn the direction of
 * writing are removed. At most 10,000 characters.
 */
export function cleanText(text: string): string {
  return stripVTControlCharacters(text.slice(0, LONGEST_TEXT * 2))
    .trim()
    .replace(/[\n\r\u2028\u2029]\s*/g, ' ⏎ ')
    .replace(/[\u202a-\u202e\u2066-\u2069]/g, '')
    .replace(/\p{Cc}+/gu, ' ')
    .trim()
    .slice(0, LONGEST_TEXT)
    .toWellFormed();
}

/** A value of a field as text. */
export function show(value: unknown): string {
  if (typeof value === 'string') return value;
  return typeof value === 'object' && value !== null ? JSON.stringify(value) : String(value);
}
