import path from 'node:path';
import { PGlite } from '@electric-sql/pglite';
import { Kysely, PGliteDialect, PostgresDialect, sql, type Transaction } from 'kysely';
import { Migrator } from 'kysely/migration';
import pg from 'pg';
import { fromPglite } from 'pg-boss';
import { ShipmateError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import { deploymentsIn } from './deployments.ts';
import { DurableFs, durableParams, lockFolder } from './folder.ts';
import { JobEngine } from './jobs.ts';
import { blocksIn, locksIn } from './locks.ts';
import { MIGRATIONS } from './migrations/index.ts';
import { remembering } from './remembered.ts';
import { auditIn, claimsIn, outboxIn, referencesIn, settingsIn } from './repositories.ts';
import type { Database } from './schema.ts';
import type { Jobs, ReadTx, Store, Tx } from './types.ts';

export interface StoreOptions {
  /** postgres://...; left out: embedded in `dataDir`. */
  url?: string;
  /** Absolute. */
  dataDir: string;
  logger: Logger;
  /** Connections for transactions, PostgreSQL only. */
  pool?: number;
  /** Told of each run of a job that failed, for what is measured. */
  onJobFailed?: (job: string) => void;
}

const HEALTH_MS = 2_000;
const CONNECT_MS = 5_000;
/** A silent network costs a statement and its rollback: both together stay below ten seconds. */
const STATEMENT_MS = 4_000;
const PRUNE_MS = 3_600_000;
const GRACE_MS = 10_000;
/** Of a transaction that PostgreSQL ends because of a deadlock. */
const ATTEMPTS = 5;

/** What a store runs on. */
interface Engine {
  kind: 'pglite' | 'postgres';
  db: Kysely<Database>;
  jobs: JobEngine;
  /** One transaction at a time, where there is one connection. */
  serial: boolean;
  /** Throws when the engine is dead. */
  probe(): Promise<unknown>;
  close(): Promise<void>;
}

/**
 * Opens the store, brings its schema up to date and starts the job engine; handlers run after `start()`.
 * @throws ShipmateError STORE_IN_USE, STORE_UNAVAILABLE
 */
export async function createStore(options: StoreOptions): Promise<Store> {
  const { logger } = options;
  const engine =
    options.url === undefined
      ? await embedded(options.dataDir, logger)
      : distributed(options.url, options.pool ?? 10, logger);
  const { db, jobs } = engine;
  if (options.onJobFailed) jobs.onFailure = options.onJobFailed;
  try {
    await migrate(db);
    await jobs.open();
  } catch (error) {
    await jobs.stop(0).catch(() => {});
    await engine.close().catch(() => {});
    if (error instanceof ShipmateError) throw error;
    throw new ShipmateError(
      'STORE_UNAVAILABLE',
      `The ${options.url === undefined ? 'embedded store' : 'PostgreSQL of "store:"'} can't be used: ${reasonOf(error)}. Look at its address, its rights and its log.`,
      { cause: error, retryable: unavailable(error) !== null },
    );
  }

  let stopped = false;
  // Handlers that still run while it stops may use the store until they end.
  let closed = false;
  let lane: Promise<unknown> = Promise.resolve();
  const running = new Set<Promise<unknown>>();
  const exclusively = <T>(work: () => Promise<T>, before: () => Promise<unknown> = async () => {}): Promise<T> => {
    if (!engine.serial) {
      const mine = work();
      const settled: Promise<unknown> = mine.catch(() => {}).finally(() => running.delete(settled));
      running.add(settled);
      return mine;
    }
    const mine = lane.then(before).then(work);
    lane = mine.catch(() => {});
    return mine;
  };

  // With several processes on one PostgreSQL somebody else may write, so nothing is remembered there.
  const direct = readTxOf(db);
  const memory = engine.serial ? remembering(direct) : { reader: direct, forget: () => {} };

  const transaction = async <T>(fn: (tx: Tx) => Promise<T>): Promise<T> => {
    for (let attempt = 1; ; attempt += 1) {
      if (closed) throw closedError();
      const afterCommit: (() => void)[] = [];
      try {
        // A closed or crashed PGlite does not refuse a transaction, it hangs: it is asked something first.
        const run = () =>
          db
            .transaction()
            .execute((trx) => fn(txOf(trx, jobs, afterCommit)))
            .finally(memory.forget);
        const result = await exclusively(run, engine.probe);
        for (const act of afterCommit) act();
        return result;
      } catch (error) {
        // PostgreSQL ended this one so that another could go on; nothing of it is left, so it may run again.
        if (attempt < ATTEMPTS && isDeadlock(error)) continue;
        throw unavailable(error) ?? error;
      }
    }
  };

  const read = async <T>(fn: (tx: ReadTx) => Promise<T>): Promise<T> => {
    if (closed) throw closedError();
    try {
      return await exclusively(() => fn(memory.reader));
    } catch (error) {
      throw unavailable(error) ?? error;
    }
  };

  const prune = setInterval(() => {
    exclusively(() => db.deleteFrom('claims').where('expires_at', '<', new Date()).execute()).catch((error: unknown) =>
      logger.warn('old claims could not be removed', { error }),
    );
  }, PRUNE_MS);
  prune.unref();

  return {
    kind: engine.kind,
    transaction,
    read,
    work: (queue, handler) => jobs.work(queue, handler),
    start: () => jobs.start(),
    async stop({ graceMs = GRACE_MS } = {}) {
      if (stopped) return;
      stopped = true;
      clearInterval(prune);
      await jobs.stop(graceMs);
      closed = true;
      // What waits for a connection would get none from a pool that ends; the statements' own limits bound this wait.
      await Promise.all([lane, ...running]);
      await engine.close();
    },
    async health() {
      if (stopped) return 'the store is closed';
      let timer: NodeJS.Timeout | undefined;
      const late = new Promise<string>((resolve) => {
        timer = setTimeout(() => resolve(`no answer within ${HEALTH_MS / 1000} s`), HEALTH_MS);
      });
      const write = exclusively(() =>
        sql`insert into settings (key, value) values ('health', ${new Date().toISOString()})
            on conflict (key) do update set value = excluded.value`.execute(db),
      ).then(
        () => jobs.problem(),
        (error: unknown) => reasonOf(error),
      );
      return Promise.race([write, late]).finally(() => clearTimeout(timer));
    },
  };
}

function txOf(trx: Transaction<Database>, engine: JobEngine, afterCommit: (() => void)[]): Tx {
  const jobs = engine.in(trx, afterCommit);
  return {
    claims: claimsIn(trx),
    deployments: deploymentsIn(trx),
    locks: locksIn(trx),
    blocks: blocksIn(trx),
    audit: auditIn(trx),
    jobs,
    outbox: outboxIn(trx, jobs),
    references: referencesIn(trx),
    settings: settingsIn(trx),
  };
}

/** Made once: the repositories hold nothing but the connection. */
function readTxOf(db: Kysely<Database>): ReadTx {
  const jobs: Jobs = { send: () => Promise.reject(new Error('a read sends no job')) };
  return {
    deployments: deploymentsIn(db),
    locks: locksIn(db),
    blocks: blocksIn(db),
    audit: auditIn(db),
    outbox: outboxIn(db, jobs),
    references: referencesIn(db),
    settings: settingsIn(db),
  };
}

async function embedded(dataDir: string, logger: Logger): Promise<Engine> {
  const folder = path.join(dataDir, 'pgdata');
  const lock = lockFolder(folder);
  try {
    const pglite = await PGlite.create({
      fs: new DurableFs(folder),
      startParams: durableParams(PGlite.defaultStartParams),
    });
    return {
      kind: 'pglite',
      db: new Kysely<Database>({ dialect: new PGliteDialect({ pglite }) }),
      jobs: new JobEngine({ db: fromPglite(pglite), backend: 'pglite' }, logger),
      serial: true,
      probe: () => pglite.query('select 1').catch(dead),
      async close() {
        await pglite.close();
        lock.release();
      },
    };
  } catch (error) {
    lock.release();
    throw new ShipmateError(
      'STORE_UNAVAILABLE',
      `The data in ${folder} can't be opened. Look at the log, the disk and the folder's rights.`,
      {
        cause: error,
      },
    );
  }
}

function distributed(url: string, max: number, logger: Logger): Engine {
  const pool = new pg.Pool({
    connectionString: url,
    max,
    application_name: 'shipmate',
    connectionTimeoutMillis: CONNECT_MS,
    statement_timeout: STATEMENT_MS,
    query_timeout: STATEMENT_MS + 500,
    idle_in_transaction_session_timeout: STATEMENT_MS * 2,
    keepAlive: true,
  });
  // An idle connection that breaks is replaced by the pool; without a listener the process would end.
  pool.on('error', (error) => logger.warn('a database connection broke', { error }));
  // The pool does not listen while a connection is lent: one that breaks between two statements of a transaction would
  // end the process too. The next statement fails and tells.
  pool.on('connect', (client) => client.on('error', () => {}));
  return {
    kind: 'postgres',
    db: new Kysely<Database>({ dialect: new PostgresDialect({ pool }) }),
    jobs: new JobEngine({ connectionString: url }, logger),
    serial: false,
    probe: () => Promise.resolve(),
    close: () => pool.end(),
  };
}

async function isAhead(db: Kysely<Database>): Promise<boolean> {
  const found = await sql<{ table: string | null }>`select to_regclass('shipmate_migrations')::text as table`.execute(
    db,
  );
  if (found.rows[0]?.table == null) return false;
  const { rows } = await sql<{ name: string }>`select name from shipmate_migrations`.execute(db);
  const done = new Set(rows.map(({ name }) => name));
  return Object.keys(MIGRATIONS).every((name) => done.has(name));
}

async function migrate(db: Kysely<Database>): Promise<void> {
  // In a rolling upgrade the next version may have migrated already; its migrations only add, so this one can go on.
  if (await isAhead(db)) return;
  const migrator = new Migrator({
    db,
    provider: { getMigrations: () => Promise.resolve({ ...MIGRATIONS }) },
    // The dialect takes an advisory lock, so that replicas that start together don't race.
    migrationTableName: 'shipmate_migrations',
    migrationLockTableName: 'shipmate_migrations_lock',
  });
  const { error } = await migrator.migrateToLatest();
  if (error) throw error;
}

const UNAVAILABLE_CODES = new Set([
  'ECONNREFUSED',
  'ECONNRESET',
  'ETIMEDOUT',
  'EPIPE',
  'ENOTFOUND',
  'EAI_AGAIN',
  'ENOSPC',
  'EIO',
  'EROFS',
]);
// Connection exceptions, a login or database that is refused, insufficient resources (disk full, too many connections), operator intervention, system errors, read-only.
const UNAVAILABLE_STATES = /^(?:08|28|3D|53|57|58|25006)/;
const UNAVAILABLE_WORDS =
  /Connection terminated|timeout exceeded|Query read timeout|PGlite is clos|pool after calling end|terminating connection|not queryable|No space left/i;

function closedError(): ShipmateError {
  return new ShipmateError('STORE_UNAVAILABLE', 'I am shutting down and store nothing more. Try again in a minute.', {
    retryable: true,
  });
}

/** PGlite fails with whatever its WebAssembly died of; nothing but a restart helps then. */
function dead(error: unknown): never {
  throw new ShipmateError('STORE_UNAVAILABLE', `The embedded store does not answer: ${reasonOf(error)}`, {
    cause: error,
    retryable: true,
  });
}

/** One line; a refused connection to several addresses has no message of its own. */
function reasonOf(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  const inner = error instanceof AggregateError ? error.errors.map(reasonOf).join('; ') : '';
  return error.message || inner || error.name;
}

function isDeadlock(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === '40P01';
}

/** The error as STORE_UNAVAILABLE when the database could not serve, else null: other errors are somebody's mistake. */
function unavailable(error: unknown): ShipmateError | null {
  if (error instanceof ShipmateError) return null;
  const code = typeof error === 'object' && error !== null && 'code' in error ? String(error.code) : '';
  const message = error instanceof Error ? error.message : '';
  const states = /^[0-9A-Z]{5}$/.test(code) && UNAVAILABLE_STATES.test(code);
  if (!UNAVAILABLE_CODES.has(code) && !states && !UNAVAILABLE_WORDS.test(message)) return null;
  return new ShipmateError('STORE_UNAVAILABLE', 'I could not store that just now. Try again in a minute.', {
    cause: error,
    retryable: true,
  });
}
