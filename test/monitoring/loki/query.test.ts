import { parser } from '@grafana/lezer-logql';
import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import type { z } from 'zod';
import { lokiConnectionConfig, lokiLogsConfig, lokiSecrets } from '../../../src/monitoring/loki/config.ts';
import { compile, literal, sample } from '../../../src/monitoring/loki/query.ts';
import { LOG_LEVELS } from '../../../src/monitoring/types.ts';

const PIECES = [
  '"', '\\', '`', '\\"', '"}', '"} or {app="', '" | line_format "', '|=', '|~', '}', '{', '\n', '\r\n', '\t', '\0',
  '\u007f', '\u0085', '\u2028', '\ud800', '\udc00', '#', '//', '/*', '(?i)', '.*', ')|(', '[', '$&', '$1', '{service}',
  '{environment}', '\\u0022', '\\x22', '\\n', '%22', '"}) or vector(1)', '{{.Values}}', 'é', '💥',
]; // biome-ignore format: a list
const hostile = fc
  .array(
    fc.oneof(fc.constantFrom(...PIECES), fc.string({ unit: 'binary', maxLength: 12 }), fc.string({ maxLength: 12 })),
    {
      minLength: 1,
      maxLength: 6,
    },
  )
  .map((parts) => parts.join('') || 'x');

/** Names of the nodes with their places in each other, and the texts of all but the string literals. */
function shape(query: string): { tree: string; strings: string[] } {
  const parts: string[] = [];
  const strings: string[] = [];
  parser.parse(query).iterate({
    enter(node) {
      if (node.type.isError) parts.push('ERROR');
      const isLeaf = node.node.firstChild === null;
      const text = query.slice(node.from, node.to);
      if (node.name === 'String') strings.push(text);
      parts.push(`(${node.name}${isLeaf && node.name !== 'String' ? `=${text}` : ''}`);
    },
    leave: () => void parts.push(')'),
  });
  return { tree: parts.join(''), strings };
}

/** What Go's strconv.Unquote makes of a literal. */
function unquote(text: string): string {
  expect(text).toMatch(/^"(?:[^"\\\n\r\p{Cc}]|\\(?:["\\nrt]|u[0-9a-f]{4}))*"$/su);
  const inJson = text.replace(/\\u[0-9a-f]{4}|\\./g, (all) => all);
  return JSON.parse(inJson) as string;
}

const base = { loki: { app: '{service}', env: 'x-{environment}' } };
const KINDS: [string, z.input<typeof lokiLogsConfig>][] = [
  ['none', base],
  ['json', { ...base, parser: 'json', level: '["log.level"]' }],
  ['logfmt', { ...base, parser: 'logfmt', level: 'lvl' }],
];

describe('what is asked', () => {
  it.each(KINDS)('has the shape of its template whatever people say (parser %s)', (_name, entry) => {
    const config = lokiLogsConfig.parse(entry);
    fc.assert(
      fc.property(
        hostile,
        hostile,
        hostile,
        fc.constantFrom(undefined, ...LOG_LEVELS),
        (service, environment, text, level) => {
          const more = level === undefined ? {} : { level };
          const plain = shape(compile(config, { service: 'a', environment: 'b', text: 'c', ...more }));
          const asked = shape(compile(config, { service, environment, text, ...more }));
          expect(plain.tree).not.toContain('ERROR');
          expect(asked.tree).toBe(plain.tree);
          expect(unquote(asked.strings[0] ?? '')).toBe(service.toWellFormed());
          expect(unquote(asked.strings[1] ?? '')).toBe(`x-${environment.toWellFormed()}`);
          expect(asked.strings.slice(3)).toEqual(plain.strings.slice(3));
        },
      ),
      { numRuns: 2500 },
    );
  });

  it('looks for a text and nothing else, in any case', () => {
    const config = lokiLogsConfig.parse(base);
    const letters = fc.constantFrom(
      'a',
      'B',
      '.',
      '*',
      '\\',
      '(',
      '|',
      '[',
      '"',
      '$',
      '^',
      '{',
      '}',
      '+',
      '?',
      ')',
      ']',
    );
    const short = fc.array(letters, { minLength: 1, maxLength: 4 }).map((chars) => chars.join(''));
    fc.assert(
      fc.property(short, fc.array(letters, { maxLength: 30 }), (text, chars) => {
        const asked = unquote(shape(compile(config, { service: 'a', environment: 'b', text })).strings[2] ?? '');
        expect(asked.startsWith('(?i)')).toBe(true);
        // RE2 and JavaScript read it alike: every character that means something has a backslash before it.
        const expression = new RegExp(asked.slice('(?i)'.length), 'iu');
        const line = chars.join('');
        expect(expression.test(line)).toBe(line.toLowerCase().includes(text.toLowerCase()));
        expect(expression.test(`${line}${text.toUpperCase()}${line}`)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  it('is this', () => {
    const ask = (entry: z.input<typeof lokiLogsConfig>, more: object = {}) =>
      compile(lokiLogsConfig.parse(entry), { service: 'storefront', environment: 'staging', ...more });
    expect(ask(base)).toBe('{app="storefront", env="x-staging"}');
    expect(ask(base, { level: 'debug' })).toBe('{app="storefront", env="x-staging"}');
    expect(ask({ ...base, levels: { error: ['E', 50] } }, { level: 'error', text: 'a.b' })).toBe(
      '{app="storefront", env="x-staging"} |~ "(?i)a\\\\.b" | detected_level=~"(?i)(?:e|50)"',
    );
    expect(ask({ ...base, parser: 'json', level: 'log.level' }, { text: 'say "x"' })).toBe(
      '{app="storefront", env="x-staging"} |~ "(?i)(?:say \\"x\\"|say \\\\\\\\\\"x\\\\\\\\\\")" | json shipmate_level="log.level"',
    );
    expect(ask({ ...base, parser: 'logfmt', levels: { warn: ['w'], error: ['e'] } }, { level: 'warn' })).toBe(
      '{app="storefront", env="x-staging"} | logfmt shipmate_level="level" | shipmate_level=~"(?i)(?:w|e)"',
    );
    expect(ask({ ...base, services: { storefront: 'web' }, environments: { staging: 'stg' } })).toBe(
      '{app="web", env="x-stg"}',
    );
    expect(sample(lokiLogsConfig.parse({ ...base, parser: 'json', level: 'severity' }))).toBe(
      '{app=~".+"} | json shipmate_level="severity"',
    );
    expect(literal('a\nb\rc\td')).toBe('"a\\nb\\rc\\td"');
    expect(literal('a\u0000\u001b\u2028`')).toBe('"a\\u0000\\u001b\\u2028`"');
  });

  it('does not fill in what came with a value', () => {
    const config = lokiLogsConfig.parse(base);
    expect(compile(config, { service: '{environment}', environment: '$&' })).toBe('{app="{environment}", env="x-$&"}');
    // A name of Object.prototype is no mapping.
    expect(compile(config, { service: 'constructor', environment: '__proto__' })).toBe(
      '{app="constructor", env="x-__proto__"}',
    );
  });

  it('needs a service and an environment', () => {
    const config = lokiLogsConfig.parse(base);
    for (const query of [
      { service: '', environment: 'b' },
      { service: 'a', environment: '' },
    ])
      expect(() => compile(config, query)).toThrow(expect.objectContaining({ code: 'ARGUMENT_INVALID' }));
  });
});

describe('the configuration', () => {
  const problems = (schema: z.ZodType, value: unknown) =>
    schema.safeParse(value).error?.issues.map(({ message, path }) => `${path.join('.')}: ${message}`) ?? [];
  it.each<[object, RegExp]>([
    [{ loki: { app: 'web' } }, /loki: one label must have \{service\}/],
    [{ loki: {} }, /loki: one label must have \{service\}/],
    [{ loki: { 'a-b': '{service}' } }, /loki\.a-b: Invalid key/],
    [{ loki: { app: '{service}', x: '{name}' } }, /loki\.x: \{name\} is not known/],
    [{ loki: { app: '{service}' }, level: 'log.level' }, /level: is not the name of a label/],
    [{ loki: { app: '{service}' }, parser: 'json', level: 'a b' }, /level: is not a path to a field/],
    [{ loki: { app: '{service}' }, parser: 'json', level: 'x" | drop' }, /level: is not a path to a field/],
    [{ loki: { app: '{service}' }, parser: 'logfmt', level: 'x"y' }, /level: is not the name of a field/],
    [{ loki: { app: '{service}' }, levels: { fatal: ['x'] } }, /Unrecognized key/],
  ])('of the logs %j is refused', (value, message) => {
    expect(problems(lokiLogsConfig, value).join('\n')).toMatch(message);
  });
  it.each<[object, RegExp]>([
    [{ url: 'ftp://loki' }, /url: must be a URL/],
    [{ url: 'https://user:pass@loki' }, /url: must be a URL/],
    [{ url: 'https://loki', org: 'a\r\nx' }, /org: is not the name of a tenant/],
    [{ url: 'https://loki', user: 'a' }, /user: a user needs "password"/],
    [{ url: 'https://loki', password: 'a' }, /password: a password needs "user"/],
    [{ url: 'https://loki', user: 'a', password: 'b', token: 'c' }, /token: is instead of/],
    [{ url: 'https://loki', token: 'a\nb' }, /token: must be one line/],
    [{ url: 'https://loki', timeout: '1h' }, /timeout: must be a time up to 2m/],
  ])('of the connection %j is refused', (value, message) => {
    expect(problems(lokiConnectionConfig, value).join('\n')).toMatch(message);
  });
  it('names what must never be printed', () => {
    const given = lokiConnectionConfig.parse({ url: 'https://loki', user: 'bot', password: 'hunter2hunter2' });
    expect(lokiSecrets(given)).toEqual(['hunter2hunter2', Buffer.from('bot:hunter2hunter2').toString('base64')]);
    expect(lokiSecrets(lokiConnectionConfig.parse({ url: 'https://loki', token: 't0ken' }))).toEqual(['t0ken']);
  });
});
