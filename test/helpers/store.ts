import { createHash, randomUUID } from 'node:crypto';
import { cp, mkdir, mkdtemp, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { tmpdir, userInfo } from 'node:os';
import path from 'node:path';
import { describe } from '@jest/globals';
import pg from 'pg';
import type { Logger } from '../../src/logger.ts';
import { createStore } from '../../src/store/index.ts';
import type { Store } from '../../src/store/types.ts';
import { silentLogger } from '../contract/harness/deps.ts';

export { createMemoryStore, type MemoryStore } from './memory-store.ts';

export type RealStore = 'pglite' | 'postgres';

export interface TestStore {
  store: Store;
  /** Opens the same data again, after `store.stop()` or beside it (PostgreSQL only). */
  reopen(): Promise<Store>;
  /** Folder of the embedded store's data. */
  dataDir: string;
  /** PostgreSQL's URL; undefined for the embedded store. */
  url?: string;
  /** Stops every store that was opened here and removes the data. */
  close(): Promise<void>;
}

/** URL of the server that the tests may make databases on; undefined when there is none. */
const SERVER = process.env.SHIPMATE_TEST_PG;

/** `describe` where the peer is there; else a skip that names it, and a failure under REQUIRE_PEERS=1. */
export function describeStore(kind: RealStore | 'memory', name: string, tests: () => void): void {
  if (kind !== 'postgres' || SERVER !== undefined) {
    describe(`${name} (${kind})`, tests);
    return;
  }
  if (process.env.REQUIRE_PEERS === '1') throw new Error(`${name} needs PostgreSQL: set SHIPMATE_TEST_PG to its URL`);
  describe.skip(`${name} (postgres; needs PostgreSQL: set SHIPMATE_TEST_PG to its URL)`, tests);
}

/** A fresh, migrated store with no data, not started. */
export async function openTestStore(kind: RealStore, { logger = silentLogger }: { logger?: Logger } = {}) {
  return kind === 'pglite' ? openEmbedded(logger) : openPostgres(logger);
}

async function openEmbedded(logger: Logger): Promise<TestStore> {
  const folder = await mkdtemp(path.join(tmpdir(), 'shipmate-store-'));
  const dataDir = path.join(folder, 'data');
  await cp(await template(), dataDir, { recursive: true });
  return track({ dataDir, logger }, () => rm(folder, { recursive: true, force: true }));
}

async function openPostgres(logger: Logger): Promise<TestStore> {
  if (SERVER === undefined) throw new Error('SHIPMATE_TEST_PG is not set');
  const database = `shipmate_test_${randomUUID().replaceAll('-', '')}`;
  await onServer(`create database ${database}`);
  const url = Object.assign(new URL(SERVER), { pathname: `/${database}` }).href;
  const dataDir = path.join(tmpdir(), 'shipmate-store-unused');
  return track({ dataDir, logger, url }, () => onServer(`drop database if exists ${database} with (force)`));
}

/** Runs one statement on the server's own database. */
export async function onServer(statement: string): Promise<pg.QueryResult> {
  const client = new pg.Client({ connectionString: SERVER });
  await client.connect();
  try {
    return await client.query(statement);
  } finally {
    await client.end();
  }
}

async function track(
  options: { dataDir: string; logger: Logger; url?: string },
  remove: () => Promise<unknown>,
): Promise<TestStore> {
  const opened: Store[] = [];
  const open = async () => {
    const store = await createStore(options);
    opened.push(store);
    return store;
  };
  const close = async () => {
    for (const store of opened) await store.stop({ graceMs: 1_000 });
    await remove();
  };
  try {
    const { dataDir, url } = options;
    return { store: await open(), reopen: open, dataDir, close, ...(url === undefined ? {} : { url }) };
  } catch (error) {
    await close();
    throw error;
  }
}

/**
 * A folder with an empty, migrated embedded store, made once per version of what made it: the first start costs
 * seconds, a copy costs a fraction. Several jest workers may make it at once; the first rename wins.
 */
async function template(): Promise<string> {
  const folder = path.join(tmpdir(), `shipmate-template-${userInfo().uid}-${await fingerprint()}`);
  if (await exists(folder)) return folder;
  const draft = `${folder}.${process.pid}.${randomUUID()}`;
  await mkdir(draft, { recursive: true, mode: 0o700 });
  try {
    const store = await createStore({ dataDir: draft, logger: silentLogger });
    await store.stop({ graceMs: 1_000 });
    await rename(draft, folder);
  } catch (error) {
    if (!(await exists(folder))) throw error;
  } finally {
    await rm(draft, { recursive: true, force: true });
  }
  return folder;
}

async function fingerprint(): Promise<string> {
  const hash = createHash('sha256');
  const require = createRequire(import.meta.url);
  const root = path.resolve(import.meta.dirname, '../..');
  for (const name of ['@electric-sql/pglite', 'pg-boss', 'kysely']) {
    const file = path.join(root, 'node_modules', name, 'package.json');
    hash.update(`${name}@${String((require(file) as { version: unknown }).version)}\n`);
  }
  const sources = [
    'jobs.ts',
    'folder.ts',
    ...(await readdir(path.join(root, 'src/store/migrations'))).sort().map((file) => `migrations/${file}`),
  ];
  for (const file of sources) hash.update(await readFile(path.join(root, 'src/store', file)));
  return hash.digest('hex').slice(0, 16);
}

async function exists(file: string): Promise<boolean> {
  return stat(file).then(
    () => true,
    () => false,
  );
}
