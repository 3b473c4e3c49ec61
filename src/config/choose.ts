import { z } from 'zod';
import type { Path } from './document.ts';
import type { Report } from './policy.ts';
import { near } from './problems.ts';
import { knownKeys } from './schema.ts';
import type { Chosen } from './types.ts';

/** The adapter that an entry names by its first key, with its own settings checked by its own schema. */
export function choose(
  entry: Record<string, unknown>,
  registry: Readonly<Record<string, { config: z.ZodType; connection?: string }>>,
  at: Path,
  report: Report,
  connections: Readonly<Record<string, Chosen>> = {},
): Chosen {
  const kind = Object.keys(entry)[0] ?? '';
  const adapter = Object.hasOwn(registry, kind) ? registry[kind] : undefined;
  const known = Object.keys(registry).sort();
  if (!adapter) {
    report(kind === '' ? at : [...at, kind], `there is no kind "${kind}"${near(kind, known)}`, 'key');
    return { kind, config: null };
  }
  const connection = adapter.connection && connectionOf(entry, adapter.connection, connections, at, report);
  const parsed = adapter.config.safeParse(entry);
  if (parsed.success) return { kind, config: parsed.data, ...(connection === undefined ? {} : { connection }) };
  for (const issue of parsed.error.issues)
    for (const [where, message, of] of issueLines(issue, shapeOf(adapter.config)))
      report([...at, ...where], message, of);
  return { kind, config: null };
}

/** The connection that an entry goes through: the one that it names, else the one that is named like its kind. */
function connectionOf(
  entry: Record<string, unknown>,
  kind: string,
  connections: Readonly<Record<string, Chosen>>,
  at: Path,
  report: Report,
): string | undefined {
  const named = typeof entry.connection === 'string' ? entry.connection : undefined;
  const name = named ?? kind;
  const where = named === undefined ? at : [...at, 'connection'];
  const found = Object.hasOwn(connections, name) ? connections[name] : undefined;
  const known = Object.keys(connections).filter((each) => connections[each]?.kind === kind);
  if (found?.kind === kind) return name;
  if (found) report(where, `connections.${name} is of the kind ${found.kind}, and this needs one of the kind ${kind}`);
  else if (named === undefined)
    report(
      at,
      known.length === 0
        ? `there is no connection of the kind ${kind}: add one at the top level, connections: { ${kind}: { ... } } (see docs/pipelines)`
        : `say which connection: ${known.join(', ')}`,
    );
  else report(where, `there is no connection "${name}"${near(name, known)}`);
  return undefined;
}

/** Every entry of `connections`, checked by the schema of its kind: its name, or what its key `kind` says. */
export function chooseConnections(
  entries: Readonly<Record<string, Record<string, unknown>>>,
  registry: Readonly<Record<string, { config: z.ZodType }>>,
  report: Report,
): Record<string, Chosen> {
  const chosen: [string, Chosen][] = [];
  for (const [name, { kind: given, ...entry }] of Object.entries(entries)) {
    const at = ['connections', name];
    const kind = typeof given === 'string' ? given : name;
    const adapter = Object.hasOwn(registry, kind) ? registry[kind] : undefined;
    if (!adapter) {
      const known = Object.keys(registry);
      const where = given === undefined ? at : [...at, 'kind'];
      report(
        where,
        `there is no kind of connection "${kind}"${near(kind, known)}`,
        given === undefined ? 'key' : 'value',
      );
      continue;
    }
    const parsed = adapter.config.safeParse(entry);
    if (!parsed.success)
      for (const issue of parsed.error.issues)
        for (const [where, message, of] of issueLines(issue, shapeOf(adapter.config)))
          report([...at, ...where], message, of);
    // One that is wrong is known all the same: those who name it are not told that it is missing.
    chosen.push([name, { kind, config: parsed.success ? parsed.data : null }]);
  }
  return Object.fromEntries(chosen);
}

function shapeOf(schema: z.ZodType): readonly string[] {
  return schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
}

type IssueLine = [at: Path, message: string, of?: 'key' | 'value' | undefined];

/**
 * A zod issue as path and words. An unknown key is named by itself, with the keys that are known there; of a choice
 * between several forms, the one that was meant is explained.
 */
export function issueLines(issue: z.core.$ZodIssue, known: readonly string[] = []): IssueLine[] {
  if (issue.code === 'unrecognized_keys') {
    const names = issue.path.length === 0 && known.length > 0 ? known : knownKeys(issue.message);
    return issue.keys.map((key) => [[...issue.path, key], `this key is not known here${near(key, names)}`, 'key']);
  }
  if (issue.code === 'invalid_union') {
    if (issue.errors.every((branch) => branch.some((each) => each.path.length === 0 && isMissing(each))))
      return [[issue.path, 'this is missing']];
    const meant = issue.errors.find((branch) =>
      branch.every(({ code, path: at }) => at.length > 0 || code === 'unrecognized_keys'),
    );
    if (meant)
      return meant
        .flatMap((each) => issueLines(each))
        .map(([at, message, of]): IssueLine => [[...issue.path, ...at], message, of]);
  }
  if (issue.code === 'invalid_key') return [[issue.path, issue.issues[0]?.message ?? issue.message, 'key']];
  return [[issue.path, isMissing(issue) ? 'this is missing' : wordsOf(issue)]];
}

const KINDS: Readonly<Record<string, string>> = {
  string: 'text',
  int: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'a list',
  object: 'keys with values',
  record: 'keys with values',
};

/** What the library says by itself, in words for people; where a schema has words of its own, those. */
function wordsOf(issue: z.core.$ZodIssue): string {
  if (issue.code === 'invalid_type' && issue.message.startsWith('Invalid input'))
    return `must be ${KINDS[issue.expected] ?? issue.expected}`;
  if (issue.code === 'invalid_value' && issue.message.startsWith('Invalid '))
    return `must be ${issue.values.join(' or ')}`;
  if (issue.code === 'too_small' && issue.message.startsWith('Too small'))
    return `must have at least ${issue.minimum}${issue.origin === 'string' ? ' characters' : ''}`;
  if (issue.code === 'too_big' && issue.message.startsWith('Too big'))
    return `must have at most ${issue.maximum}${issue.origin === 'string' ? ' characters' : ''}`;
  return issue.message;
}

function isMissing(issue: z.core.$ZodIssue): boolean {
  return issue.code === 'invalid_type' && issue.input === undefined && /received undefined/.test(issue.message);
}
