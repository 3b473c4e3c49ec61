import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

/** What runs is what succeeded last, by when it ended: asked in every deploy. */
export const whatRuns: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create index deployments_succeeded
        on deployments (service, environment, (coalesce(document ->> 'finishedAt', '')) desc, id desc)
        where state = 'succeeded'`.execute(db);
  },
};
