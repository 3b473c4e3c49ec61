import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { nearest, parse, words } from '../../src/commands/parse.ts';
import type { Command } from '../../src/commands/types.ts';

const command = (name: string, args: Command['arguments'], aliases: string[] = []): Command => ({
  name,
  aliases,
  summary: '',
  example: `${name} storefront`,
  usage: name,
  examples: [],
  notes: [],
  arguments: args,
  run: () => Promise.reject(new Error('not run here')),
  actions: {},
});
const commands = [
  command('deploy', ['service', 'environment', 'version', 'reason'], ['ship']),
  command('logs', ['service', 'environment', 'since', 'text', 'level', 'limit']),
  command('history', ['service', 'environment']),
  command('help', ['topic']),
];
const vocabulary = { services: ['storefront', 'billing'], environments: ['staging', 'production'] };
const read = (line: string) => parse(line, commands, vocabulary);
const args = (line: string) => {
  const parsed = read(line);
  if (!parsed.ok) throw new Error(`${parsed.code}: ${parsed.message}`);
  return { command: parsed.command.name, ...parsed.args };
};

describe('a one-liner', () => {
  it.each([
    '/deploy version=1.2.3 environment=production',
    'deploy environment=production version=1.2.3',
    'DEPLOY Version=1.2.3 ENV=Production',
    'deploy 1.2.3 to production',
    'deploy production 1.2.3',
    'ship 1.2.3 on production please',
    'deploy version="1.2.3" environment=\u201cproduction\u201d',
    'deploy   tag=1.2.3\tenv=production ',
  ])('reads %j', (line) => {
    expect(args(line)).toEqual({ command: 'deploy', version: '1.2.3', environment: 'production' });
  });

  it('reads the sentence with a service', () => {
    expect(args('deploy Storefront v1.2.3 to production reason="fix the till"')).toEqual({
      command: 'deploy',
      service: 'storefront',
      version: 'v1.2.3',
      environment: 'production',
      reason: 'fix the till',
    });
  });

  it('keeps quoted text with spaces, equal signs and apostrophes', () => {
    expect(args(`logs storefront production since=15m level=WARNING text="it's a=b timeout" limit=20`)).toEqual({
      command: 'logs',
      service: 'storefront',
      environment: 'production',
      since: '15m',
      level: 'warn',
      text: "it's a=b timeout",
      limit: 20,
    });
  });

  it('takes a bare duration for the time span', () => {
    expect(args('logs storefront production 2h')).toMatchObject({ since: '2h' });
  });

  it('never fills in an environment', () => {
    expect(args('deploy storefront 1.2.3')).toEqual({ command: 'deploy', service: 'storefront', version: '1.2.3' });
  });

  it('treats an empty value as left out', () => {
    expect(args('deploy version= environment=staging')).toEqual({ command: 'deploy', environment: 'staging' });
  });

  it('takes a mistyped environment for an environment', () => {
    expect(args('deploy 1.2.3 to prodution')).toMatchObject({ environment: 'prodution' });
  });

  it('takes branch-like versions that are not numbers in their place', () => {
    expect(args('deploy storefront production nightly')).toMatchObject({ version: 'nightly' });
  });
});

describe('what it does not understand', () => {
  it.each([
    ['depoly storefront', 'COMMAND_UNKNOWN', 'deploy'],
    ['deploy enviroment=staging', 'ARGUMENT_INVALID', 'environment'],
  ])('%j gets a guess', (line, code, guess) => {
    const parsed = read(line);
    expect(parsed).toMatchObject({ ok: false, code });
    expect(parsed).toHaveProperty('next', expect.stringContaining(guess));
  });

  it.each([
    ['', 'COMMAND_UNKNOWN'],
    ['xyzzy', 'COMMAND_UNKNOWN'],
    ['deploy version=1 version=2', 'ARGUMENT_INVALID'],
    ['logs level=loud', 'ARGUMENT_INVALID'],
    ['logs level=constructor', 'ARGUMENT_INVALID'],
    ['logs limit=1e9', 'ARGUMENT_INVALID'],
    ['history storefront production what', 'ARGUMENT_INVALID'],
    ['deploy __proto__=x', 'ARGUMENT_INVALID'],
    ['deploy constructor=x', 'ARGUMENT_INVALID'],
  ])('%j is refused', (line, code) => {
    expect(read(line)).toMatchObject({ ok: false, code });
  });
});

describe('any text', () => {
  it('is answered, never thrown at', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'grapheme', maxLength: 300 }), (text) => {
        const parsed = read(text);
        expect(typeof parsed.ok).toBe('boolean');
        if (!parsed.ok) expect(parsed.message.length).toBeLessThan(400);
      }),
    );
  });

  it('gives values no longer than 200 characters', () => {
    fc.assert(
      fc.property(fc.string({ minLength: 150, maxLength: 3000 }), (text) => {
        const parsed = read(`deploy reason="${text}"`);
        if (parsed.ok) expect(parsed.args.reason?.length ?? 0).toBeLessThanOrEqual(200);
      }),
    );
  });
});

describe('words', () => {
  it('closes an open quote at the end', () => {
    expect(words('a "b c')).toEqual(['a', 'b c']);
  });
  it('keeps an empty quoted word', () => {
    expect(words('a ""')).toEqual(['a', '']);
  });
});

describe('nearest', () => {
  it('guesses only what a typing error explains', () => {
    expect(nearest('depoly', ['deploy', 'logs'])).toBe('deploy');
    expect(nearest('banana', ['deploy', 'logs'])).toBeUndefined();
  });
});
