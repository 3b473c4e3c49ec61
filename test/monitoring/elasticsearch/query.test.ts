import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { z } from 'zod';
import {
  elasticConnectionConfig,
  elasticLogsConfig,
  elasticSecrets,
} from '../../../src/monitoring/elasticsearch/config.ts';
import { byPlace, compile, fromDate, searchBody, toDate } from '../../../src/monitoring/elasticsearch/query.ts';
import { LOG_LEVELS } from '../../../src/monitoring/types.ts';

const PIECES = [
  '"', '\\', '{', '}', '"}},{"match_all":{}}', '*', '?', '~', ' OR ', 'AND', '_exists_:x', '/.*/', '[* TO *]', '\n', '\0',
  '\ud800', '$&', '{service}', '__proto__', 'constructor', 'toString', '..', '/_search', '%2f', 'a:b', '<b>',
]; // biome-ignore format: a list
const hostile = fc
  .array(fc.oneof(fc.constantFrom(...PIECES), fc.string({ unit: 'binary', maxLength: 12 })), {
    minLength: 1,
    maxLength: 5,
  })
  .map((parts) => parts.join('') || 'x');

/** The structure of a value: its keys, the lengths of its lists and the types of its leaves. */
function shape(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(shape);
  if (typeof value !== 'object' || value === null) return typeof value;
  return Object.entries(value).map(([key, each]) => [key, shape(each)]);
}
function leaves(value: unknown): unknown[] {
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(leaves) : [value];
}

const config = elasticLogsConfig.parse({ elasticsearch: 'logs-*' });
const RANGE = { from: 1_795_000_000_000_000_000n, to: 1_795_000_600_000_000_000n };

describe('what is asked', () => {
  it('has the structure of its template whatever people say', () => {
    fc.assert(
      fc.property(
        hostile,
        hostile,
        hostile,
        fc.constantFrom(undefined, ...LOG_LEVELS),
        (service, environment, text, level) => {
          const more = level === undefined ? {} : { level };
          const ask = (query: { service: string; environment: string; text: string }) =>
            JSON.parse(
              JSON.stringify(searchBody(config, compile(config, { ...query, ...more }), RANGE, 8000)),
            ) as unknown;
          const plain = ask({ service: 'a', environment: 'b', text: 'c' });
          const asked = ask({ service, environment, text });
          expect(shape(asked)).toEqual(shape(plain));
          const marks: Record<string, string> = { a: service, b: environment, c: text };
          const expected = leaves(plain).map((leaf) =>
            typeof leaf === 'string' ? (marks[leaf]?.toWellFormed() ?? leaf) : leaf,
          );
          expect(leaves(asked)).toEqual(expected);
        },
      ),
      { numRuns: 3000 },
    );
  });

  it('is this', () => {
    const given = elasticLogsConfig.parse({
      elasticsearch: 'logs-*',
      show: ['http.status'],
      levels: { error: ['err', 50] },
      environments: { staging: 'stg' },
    });
    const filters = compile(given, { service: 'storefront', environment: 'staging', level: 'error', text: 'Time out' });
    expect(searchBody(given, filters, RANGE, 8000)).toEqual({
      query: {
        bool: {
          filter: [
            {
              range: {
                '@timestamp': {
                  gt: '2026-11-18T11:06:39.999999999Z',
                  lte: '2026-11-18T11:16:39.999999999Z',
                  format: 'strict_date_optional_time_nanos',
                },
              },
            },
            { term: { 'service.name': { value: 'storefront' } } },
            { term: { 'service.environment': { value: 'stg' } } },
            { terms: { 'log.level': ['err', 'ERR', 'Err', '50'] } },
            { match_phrase_prefix: { message: { query: 'Time out', max_expansions: 1000 } } },
          ],
        },
      },
      fields: [
        { field: '@timestamp', format: 'strict_date_optional_time_nanos' },
        'log.level',
        'message',
        'http.status',
      ],
      _source: false,
      track_total_hits: false,
      timeout: '8000ms',
    });
    expect(compile(given, { service: 'a', environment: 'b', level: 'debug' })).toHaveLength(2);
    expect(byPlace(given, true)[0]).toEqual({
      '@timestamp': { order: 'asc', unmapped_type: 'date', numeric_type: 'date' },
    });
  });

  it('needs a service and an environment', () => {
    for (const query of [
      { service: '', environment: 'b' },
      { service: 'a', environment: '' },
    ])
      expect(() => compile(config, query)).toThrow(expect.objectContaining({ code: 'ARGUMENT_INVALID' }));
  });

  it('has times to the nanosecond', () => {
    fc.assert(
      fc.property(fc.bigInt({ min: 0n, max: 4_000_000_000_000_000_000n }), (ns) =>
        expect(fromDate(toDate(ns))).toBe(ns),
      ),
      { numRuns: 500 },
    );
    expect(toDate(-1n)).toBe('1969-12-31T23:59:59.999999999Z');
    expect(fromDate('2026-11-18T11:06:40.5Z')).toBe(1_795_000_000_500_000_000n);
    for (const odd of ['2026-11-18', 1_795_000_000_000, null, '2026-13-45T00:00:00Z', '2026-11-18T11:06:40+01:00'])
      expect(fromDate(odd)).toBeNull();
  });
});

describe('the configuration', () => {
  const problems = (schema: z.ZodType, value: unknown) =>
    schema
      .safeParse(value)
      .error?.issues.map(({ message, path }) => `${path.join('.')}: ${message}`)
      .join('\n') ?? '';
  it.each(['logs-*', 'logs-a-*,logs-b-*', '*', 'eu:logs-*', 'logs-*,-logs-secret', '.ds-logs-web-2026.11.24-000001'])(
    'takes %s as indices',
    (pattern) => expect(problems(elasticLogsConfig, { elasticsearch: pattern })).toBe(''),
  );
  it.each([
    '',
    'Logs',
    '../_cluster',
    '..',
    'a/b',
    'a?b',
    'a b',
    '_all',
    '<logs-{now/d}>',
    'logs-{service}',
    'a,,b',
    'a#b',
  ])('refuses %j as indices', (pattern) =>
    expect(problems(elasticLogsConfig, { elasticsearch: pattern })).toMatch(/must be names of indices/),
  );
  it.each<[object, RegExp]>([
    [{ elasticsearch: 'l', message: 'mess*' }, /message: is not the name of a field/],
    [{ elasticsearch: 'l', show: ['*'] }, /show\.0: is not the name of a field/],
  ])('of the logs %j is refused', (value, message) => expect(problems(elasticLogsConfig, value)).toMatch(message));
  it.each<[object, RegExp]>([
    [{ url: 'https://user:pass@es' }, /url: must be a URL/],
    [{ url: 'https://es', key: 'not a key' }, /key: must be the "encoded" form/],
    [{ url: 'https://es', user: 'a' }, /user: a user needs "password"/],
    [{ url: 'https://es', password: 'a' }, /password: a password needs "user"/],
    [{ url: 'https://es', user: 'a', password: 'b', key: 'abcdefghijkl' }, /key: is instead of/],
  ])('of the connection %j is refused', (value, message) =>
    expect(problems(elasticConnectionConfig, value)).toMatch(message),
  );
  it('names what must never be printed', () => {
    const key = Buffer.from('VuaCfGcBCdbkQm:ui2lp2axTNmsyakw9tvNnw').toString('base64');
    expect(elasticSecrets(elasticConnectionConfig.parse({ url: 'https://es', key }))).toEqual([
      key,
      'ui2lp2axTNmsyakw9tvNnw',
    ]);
    expect(
      elasticSecrets(elasticConnectionConfig.parse({ url: 'https://es', user: 'bot', password: 'hunter22' })),
    ).toEqual(['hunter22', Buffer.from('bot:hunter22').toString('base64')]);
  });
});
