import { type Kysely, type Selectable, sql } from 'kysely';
import { type Deployment, HOLDING_STATES, type Vote } from '../deploys/types.ts';
import { storable } from './json.ts';
import type { Database, DeploymentDocument } from './schema.ts';
import type { Deployments } from './types.ts';

type Row = Selectable<Database['deployments']> & { votes: Vote[] };

/** Deployments in one transaction. */
export function deploymentsIn(db: Kysely<Database>): Deployments {
  const rows = () =>
    db
      .selectFrom('deployments')
      .selectAll('deployments')
      .select(
        sql<
          Vote[]
        >`coalesce((select json_agg(v.vote order by v.ordinal) from votes v where v.deployment = deployments.id), '[]'::json)`.as(
          'votes',
        ),
      );
  const holderOf = async (service: string, environment: string) =>
    toDeployment(
      await rows()
        .where('service', '=', service)
        .where('environment', '=', environment)
        .where('state', 'in', HOLDING_STATES)
        .executeTakeFirst(),
    );
  const byOrigin = async (origin: string) => toDeployment(await rows().where('origin', '=', origin).executeTakeFirst());

  return {
    async insert(deployment) {
      const { environment, fromSha, origin, service, sha, state, ...document } = deployment;
      const row = await db
        .insertInto('deployments')
        .values({
          service,
          environment,
          state,
          origin,
          sha,
          from_sha: fromSha,
          rollback: deployment.kind === 'rollback',
          document: storable(document satisfies DeploymentDocument),
        })
        // Either unique index may object: the origin was used, or the environment is held.
        .onConflict((conflict) => conflict.doNothing())
        .returningAll()
        .executeTakeFirst();
      if (row) return { kind: 'inserted', deployment: present({ ...row, votes: [] }) };
      const duplicate = await byOrigin(origin);
      if (duplicate) return { kind: 'duplicate', deployment: duplicate };
      const holder = await holderOf(service, environment);
      // The holder let go between the two statements; nothing was inserted, and asking again is safe.
      return holder ? { kind: 'busy', deployment: holder } : this.insert(deployment);
    },

    async get(id) {
      if (!isId(id)) return null;
      return toDeployment(await rows().where('id', '=', id).executeTakeFirst());
    },

    byOrigin,

    async change(id, { from, revision }, patch) {
      if (!isId(id) || from.length === 0) return { kind: 'stale' };
      const { state, ...document } = patch;
      const holds = state !== undefined && HOLDING_STATES.includes(state);
      const begins = holds && from.some((each) => !HOLDING_STATES.includes(each));
      // A unique violation would spoil the whole transaction; the savepoint keeps it to this statement.
      if (begins) await sql`savepoint hold`.execute(db);
      try {
        let update = db
          .updateTable('deployments')
          .set({
            revision: sql`revision + 1`,
            document: sql`document || ${storable(document)}::jsonb`,
            ...(state === undefined ? {} : { state }),
          })
          .where('id', '=', id)
          .where('state', 'in', from);
        if (revision !== undefined) update = update.where('revision', '=', revision);
        const row = await update
          .returningAll()
          .returning(
            sql<
              Vote[]
            >`coalesce((select json_agg(v.vote order by v.ordinal) from votes v where v.deployment = deployments.id), '[]'::json)`.as(
              'votes',
            ),
          )
          .executeTakeFirst();
        return row ? { kind: 'changed', deployment: present(row) } : { kind: 'stale' };
      } catch (error) {
        if (!begins || !isUniqueViolation(error)) throw error;
        await sql`rollback to savepoint hold`.execute(db);
        const before = await this.get(id);
        const holder = before && (await holderOf(before.service, before.environment));
        return holder ? { kind: 'busy', deployment: holder } : { kind: 'stale' };
      }
    },

    async vote(id, vote) {
      await db.selectFrom('deployments').select('id').where('id', '=', id).forUpdate().execute();
      const inserted = await db
        .insertInto('votes')
        .values({ deployment: id, person: vote.person.id, vote: storable(vote) })
        .onConflict((conflict) => conflict.doNothing())
        .returning('person')
        .executeTakeFirst();
      return inserted !== undefined;
    },

    holder: holderOf,

    async unreviewed(limit) {
      const query = rows()
        .where(sql<boolean>`deployments.document ->> 'breakGlass' is not null`)
        .where(sql<boolean>`deployments.document -> 'breakGlass' ->> 'review' is null`)
        .orderBy('id')
        .limit(limit);
      return (await query.execute()).map(present);
    },

    async list({ deploysOnly, environment, limit, service, states }) {
      if (states?.length === 0) return [];
      let query = rows().orderBy('id', 'desc').limit(limit);
      if (service !== undefined) query = query.where('service', '=', service);
      if (environment !== undefined) query = query.where('environment', '=', environment);
      if (states !== undefined) query = query.where('state', 'in', states);
      if (deploysOnly) query = query.where(deploysSomething('deployments'));
      return (await query.execute()).map(present);
    },

    async lastSucceeded(service, environment) {
      return toDeployment(
        await rows()
          .where('service', '=', service)
          .where('environment', '=', environment)
          .where('state', '=', 'succeeded')
          .where(deploysSomething('deployments'))
          .orderBy(ended('deployments'), 'desc')
          .orderBy('id', 'desc')
          .limit(1)
          .executeTakeFirst(),
      );
    },

    async rollbackTarget(service, environment, exceptSha) {
      let query = rows()
        .where('service', '=', service)
        .where('environment', '=', environment)
        .where('state', '=', 'succeeded')
        .where(deploysSomething('deployments'))
        // What somebody rolled back from since is not where a rollback goes.
        .where((eb) =>
          eb.not(
            eb.exists(
              eb
                .selectFrom('deployments as back')
                .select('back.id')
                .whereRef('back.service', '=', 'deployments.service')
                .whereRef('back.environment', '=', 'deployments.environment')
                .where('back.state', '=', 'succeeded')
                .where('back.rollback', '=', true)
                .whereRef('back.from_sha', '=', 'deployments.sha')
                .where(sql<boolean>`(${ended('back')}, back.id) > (${ended('deployments')}, deployments.id)`),
            ),
          ),
        )
        .orderBy(ended('deployments'), 'desc')
        .orderBy('id', 'desc')
        .limit(1);
      if (exceptSha !== null) query = query.where('sha', '!=', exceptSha);
      return toDeployment(await query.executeTakeFirst());
    },
  };
}

function toDeployment(row: Row | undefined): Deployment | null {
  return row ? present(row) : null;
}

function present(row: Row): Deployment {
  const { document, environment, from_sha: fromSha, id, origin, revision, service, sha, state, votes } = row;
  return { ...ADDED, ...document, id: String(id), service, environment, state, origin, revision, sha, fromSha, votes };
}

/** What rows lack that the versions before wrote. */
const ADDED = {
  scheduledFor: null,
  waitingSince: null,
  cancel: null,
  gate: null,
  breakGlass: null,
  watch: null,
  command: null,
  foreign: null,
  rerun: null,
} as const;

/** A declared command brings no version. */
function deploysSomething(table: 'deployments') {
  return sql<boolean>`${sql.ref(`${table}.document`)} ->> 'kind' <> 'command'`;
}

/** When it ended, as text that sorts by time; the expression of the index `deployments_succeeded`. */
function ended(table: 'deployments' | 'back') {
  return sql<string>`coalesce(${sql.ref(`${table}.document`)} ->> 'finishedAt', '')`;
}

/** Ids come from cards and typed text: what can't be one is not asked for. */
function isId(id: string): boolean {
  return /^\d{1,18}$/.test(id);
}

function isUniqueViolation(error: unknown): boolean {
  return typeof error === 'object' && error !== null && 'code' in error && error.code === '23505';
}
