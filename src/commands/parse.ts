import { distance } from 'fastest-levenshtein';
import { type Refusal, refuse } from '../errors.ts';
import { LOG_LEVELS, type LogLevel } from '../monitoring/types.ts';
import type { ArgumentName, Arguments, Command, Parsed } from './types.ts';

/** Longest message that is looked at; Teams allows 28 KB. */
const MAX_LENGTH = 2_000;

/** What people write for an argument's name. */
const NAMES: ReadonlyMap<string, ArgumentName> = new Map(
  Object.entries({
    service: 'service',
    svc: 'service',
    app: 'service',
    environment: 'environment',
    env: 'environment',
    version: 'version',
    ver: 'version',
    tag: 'version',
    reason: 'reason',
    because: 'reason',
    since: 'since',
    last: 'since',
    level: 'level',
    text: 'text',
    search: 'text',
    limit: 'limit',
    lines: 'limit',
    at: 'at',
    when: 'at',
  } as const),
);

/** Words that make a sentence and mean nothing: "deploy storefront 1.2.3 to production". */
const FILLERS = new Set(['to', 'in', 'on', 'of', 'from', 'for', 'please', 'the']);

/** Names that are known, so that a bare word can be told from another. */
export interface Vocabulary {
  services: readonly string[];
  environments: readonly string[];
}

/**
 * A line's words; quotes (straight or typographic) keep words together, also after "=". Never throws: a quote that is
 * not closed runs to the end.
 */
export function words(line: string): string[] {
  const plain = line
    .slice(0, MAX_LENGTH)
    .replace(/[\u201c\u201d\u201e\u00ab\u00bb]/g, '"')
    .replace(/[\u2018\u2019\u201a]/g, "'");
  const result: string[] = [];
  let word = '';
  let quote: string | null = null;
  let open = false;
  for (const char of plain) {
    if (quote !== null) {
      if (char === quote) quote = null;
      else word += char;
    } else if (char === '"' || (char === "'" && (word === '' || word.endsWith('=')))) {
      quote = char;
      open = true;
    } else if (/\s/.test(char)) {
      if (open || word !== '') result.push(word);
      word = '';
      open = false;
    } else word += char;
  }
  if (open || word !== '') result.push(word);
  return result;
}

/** The nearest of `candidates` that a typing error explains, or undefined. */
export function nearest(word: string, candidates: readonly string[]): string | undefined {
  const lower = word.toLowerCase();
  const ranked = candidates
    .map((candidate) => ({ candidate, off: distance(lower, candidate.toLowerCase()) }))
    .sort((a, b) => a.off - b.off);
  const best = ranked[0];
  return best && best.off <= Math.max(1, Math.floor(best.candidate.length / 3)) ? best.candidate : undefined;
}

/** Understands one line. `text` is free of mentions and of a leading slash already. */
export function parse(text: string, commands: readonly Command[], vocabulary: Vocabulary): Parsed {
  const [first, ...rest] = words(text);
  if (first === undefined)
    return refuse('COMMAND_UNKNOWN', 'You mentioned me without a command.', { next: 'Say `help`.' });
  const name = first.replace(/^\//, '').toLowerCase();
  const command = commands.find((candidate) => candidate.name === name || candidate.aliases.includes(name));
  if (!command) {
    const guess = nearest(
      name,
      commands.map((candidate) => candidate.name),
    );
    return refuse('COMMAND_UNKNOWN', `I don't know "${first.slice(0, 40)}".`, {
      next: guess ? `Did you mean \`${guess}\`?` : 'Say `help` to see what I can do.',
    });
  }
  const args = readArguments(rest, command, vocabulary);
  return 'ok' in args ? { ...args, command } : { ok: true, command, args };
}

function readArguments(tokens: readonly string[], command: Command, vocabulary: Vocabulary): Arguments | Refusal {
  const args: Arguments = {};
  const bare: string[] = [];
  const fillers = new Set(command.fillers ?? []);
  const rest = dryOf(timeOf(tokens, command, args), command, args);
  for (const each of rest) {
    // A question ends in one.
    const token = each.replace(/\?+$/, '');
    if (token === '') continue;
    const pair = /^([A-Za-z_][\w-]*)[=:](.*)$/su.exec(token);
    const key = pair?.[1];
    if (pair && key !== undefined && !/^https?$/i.test(key)) {
      const problem = assign(args, key, pair[2] ?? '', command);
      if (problem) return problem;
    } else if (!FILLERS.has(token.toLowerCase()) && !fillers.has(token.toLowerCase())) bare.push(token);
  }
  return fillBare(args, bare, command, vocabulary) ?? canonical(args, vocabulary);
}

/** "at 22:00 Europe/Berlin": the words behind it that belong to a time. */
function timeOf(tokens: readonly string[], command: Command, args: Arguments): string[] {
  const start = tokens.findIndex((token) => token.toLowerCase() === 'at');
  if (start < 0 || !command.arguments.includes('at')) return [...tokens];
  let end = start + 1;
  while (end < tokens.length && end - start <= 3 && TIME_PART.test(tokens[end] ?? '')) end += 1;
  if (end === start + 1) return [...tokens];
  args.at = tokens.slice(start + 1, end).join(' ');
  return [...tokens.slice(0, start), ...tokens.slice(end)];
}
const TIME_PART =
  /^(?:\d{1,2}:\d{2}|\d{4}-\d{2}-\d{2}\S*|today|tomorrow|(?:mon|tue|wed|thu|fri|sat|sun)[a-z]*|[A-Za-z_]+\/[\w+/-]+|UTC|GMT)$/i;

/** "dry-run", "--dry-run", "dry run". */
function dryOf(tokens: readonly string[], command: Command, args: Arguments): string[] {
  if (!command.arguments.includes('dry')) return [...tokens];
  const left = tokens.filter((token, index) => {
    const word = token.toLowerCase().replace(/^-+/, '');
    const two =
      (word === 'dry' && tokens[index + 1]?.toLowerCase() === 'run') ||
      (word === 'run' && tokens[index - 1]?.toLowerCase() === 'dry');
    return !(two || word === 'dry-run' || word === 'dryrun');
  });
  if (left.length < tokens.length) args.dry = true;
  return left;
}

function assign(args: Arguments, key: string, value: string, command: Command): Refusal | null {
  const input = command.inputs?.find((each) => each === key.toLowerCase());
  if (input !== undefined) {
    if (value !== '') args.inputs = { ...args.inputs, [input]: value.slice(0, 300) };
    return null;
  }
  const name = NAMES.get(key.toLowerCase());
  if (name === undefined || !command.arguments.includes(name)) {
    const guess = nearest(key, command.arguments);
    return refuse('ARGUMENT_INVALID', `${command.name} has no "${key}".`, {
      next: guess ? `Did you mean \`${guess}=\`?` : `It understands these: \`${command.usage}\``,
      options: [...command.arguments.filter((each) => each !== 'dry'), ...(command.inputs ?? [])],
    });
  }
  if (value === '') return null; // "version=" with nothing behind it: the form asks
  if (args[name] !== undefined)
    return refuse('ARGUMENT_INVALID', `"${name}" is there twice.`, { next: 'Keep one of them.' });
  return store(args, name, value);
}

function store(args: Arguments, name: ArgumentName, value: string): Refusal | null {
  if (name === 'limit') {
    const limit = Number(value);
    if (!Number.isInteger(limit) || limit < 1 || limit > 1000)
      return refuse('ARGUMENT_INVALID', `"${value.slice(0, 20)}" is no number of lines.`, {
        next: 'Use a whole number from 1 to 1000.',
      });
    args.limit = limit;
  } else if (name === 'level') {
    const level = LEVEL_WORDS.get(value.toLowerCase());
    if (!level)
      return refuse('ARGUMENT_INVALID', `"${value.slice(0, 20)}" is no log level.`, { options: [...LOG_LEVELS] });
    args.level = level;
  } else if (name === 'dry') args.dry = true;
  else args[name] = value.slice(0, 200);
  return null;
}

const LEVEL_WORDS: ReadonlyMap<string, LogLevel> = new Map(
  Object.entries({
    debug: 'debug',
    info: 'info',
    warn: 'warn',
    warning: 'warn',
    error: 'error',
    err: 'error',
  } as const),
);

/** What a bare word never fills. */
const NAMED_ONLY = new Set<ArgumentName>(['limit', 'level', 'at', 'dry']);

/** Gives every bare word a place: known names first, then what looks like a version, then what is still free. */
function fillBare(args: Arguments, bare: readonly string[], command: Command, vocabulary: Vocabulary): Refusal | null {
  const free = (name: ArgumentName) => command.arguments.includes(name) && args[name] === undefined;
  const known = (word: string, names: readonly string[]) =>
    names.some((name) => name.toLowerCase() === word.toLowerCase());
  const left: string[] = [];
  for (const word of bare) {
    if (free('service') && known(word, vocabulary.services)) args.service = word;
    else if (free('environment') && known(word, vocabulary.environments)) args.environment = word;
    else if (free('version') && /^v?\d/i.test(word)) args.version = word;
    else left.push(word);
  }
  // A duration in `logs storefront production 15m` needs no name.
  for (const word of left) {
    const name =
      free('since') && /^\d+[smhd]$/i.test(word)
        ? 'since'
        : command.arguments.find((candidate) => !NAMED_ONLY.has(candidate) && free(candidate));
    if (name === undefined)
      return refuse('ARGUMENT_INVALID', `I don't know what to do with "${word.slice(0, 40)}".`, {
        next: `Like this: \`${command.example}\``,
      });
    const problem = store(args, guessSlot(word, name, args, command, vocabulary), word);
    if (problem) return problem;
  }
  return null;
}

/** A mistyped environment must not be taken for a service just because that comes first. */
function guessSlot(
  word: string,
  name: ArgumentName,
  args: Arguments,
  command: Command,
  vocabulary: Vocabulary,
): ArgumentName {
  if (name !== 'service' || args.environment !== undefined || !command.arguments.includes('environment')) return name;
  return nearest(word, vocabulary.environments) !== undefined && nearest(word, vocabulary.services) === undefined
    ? 'environment'
    : name;
}

/** Names as the configuration spells them, where they are known. */
function canonical(args: Arguments, vocabulary: Vocabulary): Arguments {
  const spell = (word: string, names: readonly string[]) =>
    names.find((name) => name.toLowerCase() === word.toLowerCase()) ?? word;
  if (args.service !== undefined) args.service = spell(args.service, vocabulary.services);
  if (args.environment !== undefined) args.environment = spell(args.environment, vocabulary.environments);
  return args;
}
