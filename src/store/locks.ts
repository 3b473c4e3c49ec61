import { type Kysely, sql } from 'kysely';
import { storable } from './json.ts';
import type { Database } from './schema.ts';
import type { Blocks, Locks } from './types.ts';

/** Locks in one transaction. */
export function locksIn(db: Kysely<Database>): Locks {
  return {
    async add(lock) {
      const row = await db
        .insertInto('locks')
        .values({ service: lock.service, environment: lock.environment, lock: storable(lock) })
        .onConflict((conflict) => conflict.doNothing())
        .returning('service')
        .executeTakeFirst();
      return row !== undefined;
    },
    async remove(service, environment) {
      const row = await db
        .deleteFrom('locks')
        .where('service', '=', service)
        .where('environment', '=', environment)
        .returning('lock')
        .executeTakeFirst();
      return row?.lock ?? null;
    },
    async covering(service, environment) {
      const rows = await db
        .selectFrom('locks')
        .select('lock')
        .where('service', 'in', ['', service])
        .where('environment', 'in', ['', environment])
        .orderBy(sql`(service <> '')::int + (environment <> '')::int`)
        .orderBy('service')
        .execute();
      return rows.map(({ lock }) => lock);
    },
    async all() {
      const rows = await db.selectFrom('locks').select('lock').orderBy('service').orderBy('environment').execute();
      return rows.map(({ lock }) => lock);
    },
  };
}

/** Blocked commits in one transaction. */
export function blocksIn(db: Kysely<Database>): Blocks {
  return {
    async add(block) {
      const { environment, service, sha } = block;
      await db
        .insertInto('blocks')
        .values({ service, environment, sha, block: storable(block) })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
    },
    async remove(service, environment, sha) {
      const row = await db
        .deleteFrom('blocks')
        .where('service', '=', service)
        .where('environment', '=', environment)
        .where('sha', '=', sha)
        .returning('block')
        .executeTakeFirst();
      return row?.block ?? null;
    },
    async get(service, environment, sha) {
      const row = await db
        .selectFrom('blocks')
        .select('block')
        .where('service', '=', service)
        .where('environment', '=', environment)
        .where('sha', '=', sha)
        .executeTakeFirst();
      return row?.block ?? null;
    },
    async list(service, environment) {
      const rows = await db
        .selectFrom('blocks')
        .select('block')
        .where('service', '=', service)
        .where('environment', '=', environment)
        .orderBy('sha')
        .execute();
      return rows.map(({ block }) => block);
    },
  };
}
