import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

/**
 * Locks of environments, and commits that are kept out after a rollback. Only adds: the version before goes on with it
 * while replicas are replaced one by one.
 */
export const locks: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    // '' stands for every service, or every environment.
    await sql`
      create table locks (
        service text not null,
        environment text not null,
        lock jsonb not null,
        primary key (service, environment)
      )`.execute(db);
    await sql`
      create table blocks (
        service text not null,
        environment text not null,
        sha text not null,
        block jsonb not null,
        primary key (service, environment, sha)
      )`.execute(db);
    // Those that wait for something are few among all that ever were.
    await sql`
      create index deployments_open on deployments (state, service, environment)
        where state in ('awaiting_approval', 'scheduled', 'waiting', 'queued', 'running', 'attention')`.execute(db);
    // A glass that was broken stays open until somebody has looked at it.
    await sql`
      create index deployments_unreviewed on deployments (id)
        where document ->> 'breakGlass' is not null and document -> 'breakGlass' ->> 'review' is null`.execute(db);
  },
};
