import { globSync } from 'node:fs';
import path from 'node:path';
import { type ConfigDocument, readDocument } from './config/document.ts';
import { ConfigError } from './config/problems.ts';
import { issueLines, resolve, type SourcedService } from './config/resolve.ts';
import { included, main } from './config/schema.ts';
import type { LoadedConfig } from './config/types.ts';

export { diffConfig } from './config/diff.ts';
export { ConfigError, formatProblem, type Problem } from './config/problems.ts';
export type { LoadedConfig } from './config/types.ts';

type Env = Readonly<Record<string, string | undefined>>;

const SECRET_NAME = /secret|token|key|pass|pwd|credential/i;

/**
 * Reads, checks and resolves a configuration. The only reader of the process's environment.
 * @throws ConfigError with everything that is wrong, by file, line and column
 */
export function loadConfig(file: string, env: Env): LoadedConfig {
  const absolute = path.resolve(file);
  const document = readDocument(absolute, env);
  const parsed = main.safeParse(document.value);
  if (document.problems.length === 0 && !parsed.success)
    for (const issue of parsed.error.issues)
      for (const [at, message] of issueLines(issue)) document.problems.push(document.problem(at, message));
  if (!parsed.success) throw new ConfigError(sorted([document]));

  const baseDir = path.dirname(absolute);
  const teams = includedFiles(document, parsed.data.include, baseDir).map((each) => readDocument(each, env));
  const services: SourcedService[] = Object.entries(parsed.data.services).map(([name, entry]) => ({
    name,
    entry,
    document,
    included: false,
  }));
  for (const team of teams) readTeam(team, services);
  const documents = [document, ...teams];
  const config = resolve(
    parsed.data,
    services,
    {
      baseDir,
      port: env.PORT,
      dataDir: env.SHIPMATE_DATA,
      logLevel: env.LOG_LEVEL,
      programEnv: { PATH: env.PATH, HOME: env.HOME, LANG: env.LANG, TZ: env.TZ },
      secrets: secretsOf(documents, parsed.data.credentials?.secret, parsed.data.store),
    },
    (at, message) => document.problems.push(document.problem(at, message)),
  );
  const problems = sorted(documents);
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** A team's file: its services only, and all of one team. */
function readTeam(document: ConfigDocument, services: SourcedService[]): void {
  const tell = (at: readonly PropertyKey[], message: string) => document.problems.push(document.problem(at, message));
  if (document.problems.length > 0) return;
  const parsed = included.safeParse(document.value);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) for (const [at, message] of issueLines(issue)) tell(at, message);
    return;
  }
  const entries = Object.entries(parsed.data.services);
  for (const [name, entry] of entries) {
    const at = ['services', name];
    const before = services.find((each) => each.name === name);
    if (before) tell(at, `this service is in ${before.document.file} already`);
    else if (entry.team !== entries[0]?.[1].team) tell([...at, 'team'], 'one file is one team');
    else services.push({ name, entry, document, included: true });
  }
}

function includedFiles(document: ConfigDocument, include: string | string[] | undefined, baseDir: string): string[] {
  const files = new Set<string>();
  for (const pattern of typeof include === 'string' ? [include] : (include ?? [])) {
    const found = globSync(pattern, { cwd: baseDir }).sort();
    // A pattern may match nothing yet; a plain name must be there.
    if (found.length === 0 && !/[*?[{]/.test(pattern))
      document.problems.push(document.problem(['include'], `there is no file "${pattern}"`));
    for (const each of found) files.add(path.resolve(baseDir, each));
  }
  return [...files];
}

/** Values of the environment whose name says secret, the bot's own secret, and the password in the store's URL. */
function secretsOf(
  documents: readonly ConfigDocument[],
  secret: string | undefined,
  store: string | undefined,
): string[] {
  const values = documents.flatMap(({ used }) =>
    [...used].filter(([name]) => SECRET_NAME.test(name)).map(([, value]) => value),
  );
  if (secret !== undefined) values.push(secret);
  if (store !== undefined && URL.canParse(store)) values.push(decodeURIComponent(new URL(store).password));
  return [...new Set(values.filter((value) => value !== ''))];
}

function sorted(documents: readonly ConfigDocument[]) {
  return documents.flatMap(({ problems }) => [...problems].sort((a, b) => a.line - b.line || a.column - b.column));
}
