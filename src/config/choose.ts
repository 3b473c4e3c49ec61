import { z } from 'zod';
import type { Path } from './document.ts';
import type { Report } from './policy.ts';
import { near } from './problems.ts';
import { knownKeys } from './schema.ts';
import type { Chosen } from './types.ts';

/** The adapter that an entry names by its first key, with its own settings checked by its own schema. */
export function choose(
  entry: Record<string, unknown>,
  registry: Readonly<Record<string, { config: z.ZodType }>>,
  at: Path,
  report: Report,
): Chosen {
  const kind = Object.keys(entry)[0] ?? '';
  const adapter = Object.hasOwn(registry, kind) ? registry[kind] : undefined;
  const known = Object.keys(registry);
  if (!adapter) {
    report(kind === '' ? at : [...at, kind], `there is no kind "${kind}"${near(kind, known)}`, 'key');
    return { kind, config: null };
  }
  const parsed = adapter.config.safeParse(entry);
  if (parsed.success) return { kind, config: parsed.data };
  for (const issue of parsed.error.issues)
    for (const [where, message, of] of issueLines(issue, shapeOf(adapter.config)))
      report([...at, ...where], message, of);
  return { kind, config: null };
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
  return [[issue.path, isMissing(issue) ? 'this is missing' : issue.message]];
}

function isMissing(issue: z.core.$ZodIssue): boolean {
  return issue.code === 'invalid_type' && issue.input === undefined && /received undefined/.test(issue.message);
}
