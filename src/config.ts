import { globSync } from 'node:fs';
import path from 'node:path';
import { issueLines } from './config/choose.ts';
import { type ConfigDocument, readDocument, UNSET } from './config/document.ts';
import type { Report } from './config/policy.ts';
import { ConfigError, type Problem } from './config/problems.ts';
import { resolve, type SourcedService } from './config/resolve.ts';
import { included, main } from './config/schema.ts';
import type { LoadedConfig } from './config/types.ts';

export { diffConfig } from './config/diff.ts';
export { configJsonSchema } from './config/json-schema.ts';
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
  if (document.value !== null && !parsed.success)
    for (const issue of parsed.error.issues)
      for (const line of issueLines(issue)) document.problems.push(document.problem(...line));
  if (!parsed.success) throw new ConfigError(sorted([document]));

  const baseDir = path.dirname(absolute);
  const teams = includedFiles(document, parsed.data.include, absolute).map((each) => readDocument(each, env));
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
      files: documents.map(({ file }) => path.resolve(file)),
      proxy: proxyOf(env),
      secrets: secretsOf(documents, parsed.data.credentials?.secret, parsed.data.store),
    },
    (...line) => document.problems.push(document.problem(...line)),
  );
  const problems = sorted(documents);
  if (problems.length > 0) throw new ConfigError(problems);
  return config;
}

/** A team's file: its services only, and all of one team. */
function readTeam(document: ConfigDocument, services: SourcedService[]): void {
  const tell: Report = (...line) => document.problems.push(document.problem(...line));
  if (document.value === null) return;
  const parsed = included.safeParse(document.value);
  if (!parsed.success) {
    for (const issue of parsed.error.issues) for (const line of issueLines(issue)) tell(...line);
    return;
  }
  const entries = Object.entries(parsed.data.services);
  for (const [name, entry] of entries) {
    const at = ['services', name];
    const before = services.find((each) => each.name === name);
    if (before) tell(at, `this service is in ${before.document.file} already`, 'key');
    else if (entry.team !== entries[0]?.[1].team) tell([...at, 'team'], 'one file is one team');
    else services.push({ name, entry, document, included: true });
  }
}

function includedFiles(document: ConfigDocument, include: string | string[] | undefined, main: string): string[] {
  const baseDir = path.dirname(main);
  const files = new Set<string>();
  for (const pattern of typeof include === 'string' ? [include] : (include ?? [])) {
    const found = globSync(pattern, { cwd: baseDir }).sort();
    // A pattern may match nothing yet; a plain name must be there.
    if (found.length === 0 && !/[*?[{]/.test(pattern))
      document.problems.push(document.problem(['include'], `there is no file "${pattern}"`));
    for (const each of found) files.add(path.resolve(baseDir, each));
  }
  // A wide pattern like *.yaml meets the main file too.
  files.delete(main);
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
  if (store !== undefined && URL.canParse(store)) {
    const { password } = new URL(store);
    values.push(password, decoded(password));
  }
  return [...new Set(values.filter((value) => value !== ''))];
}

/** In small letters or capitals, as programs read them. */
function proxyOf(env: Env): LoadedConfig['proxy'] {
  const read = (name: string) => env[name.toLowerCase()] || env[name] || undefined;
  const [http, https, none] = [read('HTTP_PROXY'), read('HTTPS_PROXY'), read('NO_PROXY')];
  return {
    ...(http === undefined ? {} : { http }),
    ...(https === undefined ? {} : { https }),
    ...(none === undefined ? {} : { none }),
  };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** In the order of the files. What follows from a variable that is not set says nothing new. */
function sorted(documents: readonly ConfigDocument[]): Problem[] {
  return documents.flatMap(({ problems }) => {
    const place = ({ column, line }: Problem) => `${line}:${column}`;
    const unset = new Set(problems.filter(({ message }) => message.endsWith(UNSET)).map(place));
    return problems
      .filter((problem) => problem.message.endsWith(UNSET) || !unset.has(place(problem)))
      .sort((a, b) => a.line - b.line || a.column - b.column);
  });
}
