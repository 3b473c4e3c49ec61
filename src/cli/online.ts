import { CONNECTOR_SCOPE } from '../app.ts';
import type { LoadedConfig } from '../config.ts';
import { ShipmateError } from '../errors.ts';
import { createRedactor, type Redactor } from '../logger.ts';
import { inspect, type Parts, sharesRuns } from '../parts.ts';
import { createStore } from '../store/index.ts';
import { quietLogger } from './log.ts';
import type { Io } from './types.ts';

export interface Finding {
  level: 'ok' | 'warning' | 'error';
  /** What was tried, for example "store" or "storefront: deploy by command". */
  subject: string;
  message: string;
}

type Checks = readonly { level: 'error' | 'warning'; message: string }[];

/** Longest time for one attempt. */
const PATIENCE_MS = 15_000;

/** Tries everything that a configuration names, one after the other; a failure of one does not hide the next. */
export async function* lookOnline(
  config: LoadedConfig,
  io: Io,
  open: typeof inspect = inspect,
): AsyncGenerator<Finding> {
  const redact = createRedactor(config.secrets);
  const clean = (finding: Finding): Finding => ({ ...finding, message: redact(finding.message) });
  yield clean(await tryStore(config, io, redact));
  const parts = openParts(config, io, redact, open);
  try {
    for await (const finding of lookAt(config, parts)) yield clean(finding);
  } finally {
    await parts.close();
  }
}

/** Credentials that can't even be made are one finding; the rest is looked at all the same. */
function openParts(config: LoadedConfig, io: Io, redact: Redactor, open: typeof inspect): Parts {
  const logger = quietLogger(io, redact);
  try {
    return open(config, { logger });
  } catch (error) {
    if (!(error instanceof ShipmateError)) throw error;
    return open(config, { logger, credential: { getToken: () => Promise.reject(error) } });
  }
}

async function* lookAt(config: LoadedConfig, parts: Parts): AsyncGenerator<Finding> {
  const { credential } = parts;
  if (credential !== null)
    yield await tried('credentials', `a token for the Bot Connector, by ${config.credentials.kind}`, async () => {
      const token = await credential.getToken(CONNECTOR_SCOPE);
      return token ? [] : [{ level: 'error', message: 'The identity gave no token.' }];
    });
  yield* attempt('directory', `${parts.directory.kind} answers`, () => parts.directory.check());
  for (const approval of approvalsOf(config))
    yield* attempt(`${approval.where}: approve`, 'there are enough people', () => enough(parts, approval));
  for (const [name, connection] of parts.connections)
    yield* attempt(`connections.${name}`, `${connection.kind} answers`, () => connection.check());
  for (const { environments, name, pipeline, versions } of parts.catalog.services.values()) {
    yield* attempt(`${name}: deploy`, `${pipeline.kind} is ready`, () => pipeline.check());
    if (sharesRuns(config, name))
      yield {
        level: 'warning',
        subject: `${name}: deploy`,
        message:
          'Another service is deployed from the same place to the same environments, so runs that begin there are not asked about: nobody can say whose they are.',
      };
    yield* attempt(`${name}: versions`, `${versions.kind} answers`, () => versions.check());
    for (const { name: environment, versionUrl } of environments)
      if (versionUrl !== undefined)
        yield* attempt(`${name} on ${environment}: version-url`, 'it says which version runs', async () => {
          const answer = await parts.probe.ask(versionUrl);
          // A service that is down is no reason to keep the bot from starting.
          return 'problem' in answer ? [{ level: 'warning', message: answer.problem }] : [];
        });
  }
  const { source } = parts;
  if (source !== null) yield* attempt('logs', `${source.kind} answers`, () => source.check());
}

interface AskedFor {
  where: string;
  groups: readonly { id: string; name: string }[];
  count: number;
}

/** Every approval that is asked for, once: most services share theirs. */
function approvalsOf({ access, services }: LoadedConfig): AskedFor[] {
  const found = new Map<string, AskedFor>();
  for (const { environments, name: service } of services)
    for (const { approval, name } of environments) {
      if (approval === null) continue;
      const key = JSON.stringify([name, approval.groups, approval.count]);
      const groups = approval.groups.map((id) => ({ id, name: access.groupNames[id] ?? id }));
      if (!found.has(key)) found.set(key, { where: `${service} on ${name}`, groups, count: approval.count });
    }
  return [...found.values()];
}

/** An approval that nobody could ever give is found here, not at three in the morning. */
async function enough({ directory }: Parts, { count, groups }: AskedFor): Promise<Checks> {
  const sizes = await Promise.all(groups.map(({ id }) => directory.size(id)));
  const missing = groups.filter((_, at) => sizes[at] === null).map(({ name }) => name);
  if (missing.length > 0)
    return [
      {
        level: 'error',
        message: `There is no group ${missing.join(' and no ')} in the directory. Correct its object id.`,
      },
    ];
  // Somebody may be in two of them, so this is at most.
  const people = sizes.reduce((sum: number, size) => sum + (size ?? 0), 0);
  if (people >= count) return [];
  const names = groups.map(({ name }) => name).join(' or ');
  const message =
    people === 0
      ? `Nobody is in ${names}, so nobody could ever approve.`
      : `${count} approvals are asked for, and at most ${people} ${people === 1 ? 'person is' : 'people are'} in ${names}.`;
  return [{ level: 'error', message }];
}

async function* attempt(subject: string, well: string, check: () => Promise<Checks>): AsyncGenerator<Finding> {
  const checks = await within(check).catch((error: unknown): Checks => [{ level: 'error', message: words(error) }]);
  if (checks.length === 0) yield { level: 'ok', subject, message: well };
  for (const each of checks) yield { ...each, subject };
}

async function tried(subject: string, well: string, check: () => Promise<Checks>): Promise<Finding> {
  for await (const finding of attempt(subject, well, check)) return finding;
  return { level: 'ok', subject, message: well };
}

async function tryStore(config: LoadedConfig, io: Io, redact: Redactor): Promise<Finding> {
  const subject = 'store';
  const logger = quietLogger(io, redact);
  try {
    const store = await createStore({
      dataDir: config.dataDir,
      logger,
      ...(config.store === null ? {} : { url: config.store }),
    });
    try {
      const problem = await store.health();
      return problem === null
        ? { level: 'ok', subject, message: `${store.kind} takes writes` }
        : { level: 'error', subject, message: problem };
    } finally {
      await store.stop();
    }
  } catch (error) {
    // The bot itself has it: that is how it should be, only nobody else can look.
    if (error instanceof ShipmateError && error.code === 'STORE_IN_USE')
      return {
        level: 'warning',
        subject,
        message: `The embedded store is not tried while the bot runs. ${error.message}`,
      };
    return { level: 'error', subject, message: words(error) };
  }
}

function words(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  // What comes from an SDK may have many lines, the first of which says what is wrong.
  const first = error.message.split('\n')[0] ?? error.message;
  const cause =
    error instanceof ShipmateError && error.cause instanceof Error ? ` (${error.cause.message.split('\n')[0]})` : '';
  return `${first}${cause}`;
}

async function within<T>(work: () => Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new Error(`No answer within ${PATIENCE_MS / 1000} s.`)), PATIENCE_MS);
  });
  return Promise.race([work(), late]).finally(() => clearTimeout(timer));
}
