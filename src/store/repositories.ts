import { type Kysely, type Selectable, sql } from 'kysely';
import { canonicalJson } from '../audit/canonical.ts';
import { chain } from '../audit/chain.ts';
import type { AuditEntry } from '../audit/types.ts';
import { storable } from './json.ts';
import type { Database } from './schema.ts';
import type { AuditLog, Claims, ConversationRef, Jobs, Outbox, OutboxRow, References, Settings } from './types.ts';

export function claimsIn(db: Kysely<Database>): Claims {
  return {
    async claim(key, expiresAt) {
      const row = await db
        .insertInto('claims')
        .values({ key, expires_at: expiresAt })
        .onConflict((conflict) => conflict.doNothing())
        .returning('key')
        .executeTakeFirst();
      return row !== undefined;
    },
  };
}

export function auditIn(db: Kysely<Database>): AuditLog {
  return {
    async append(record, at) {
      // The lock on the head makes the chain: one writer at a time, over all replicas.
      const head = await db
        .selectFrom('audit_head')
        .select(['seq', 'hash'])
        .where('id', '=', 1)
        .forUpdate()
        .executeTakeFirstOrThrow();
      const entry = chain({ seq: Number(head.seq), hash: head.hash }, record, at);
      await sql`
        with entry as (insert into audit (seq, at, entry) values (${entry.seq}, ${at}, ${canonicalJson(entry)}))
        update audit_head set seq = ${entry.seq}, hash = ${entry.hash} where id = 1`.execute(db);
      return entry;
    },
    async page({ after, limit, since, until }) {
      let query = db
        .selectFrom('audit')
        .select(['seq', 'entry'])
        .where('seq', '>', String(after))
        .orderBy('seq')
        .limit(limit);
      if (since) query = query.where('at', '>=', since);
      if (until) query = query.where('at', '<', until);
      return (await query.execute()).map(({ entry, seq }) => entryOf(Number(seq), entry));
    },
    async head() {
      const head = await db
        .selectFrom('audit_head')
        .select(['seq', 'hash'])
        .where('id', '=', 1)
        .executeTakeFirstOrThrow();
      return { seq: Number(head.seq), hash: head.hash };
    },
  };
}

/** A row that somebody made unreadable is a break of the chain with its number, not the end of every look at the audit. */
function entryOf(seq: number, text: string): AuditEntry {
  try {
    const entry: unknown = JSON.parse(text);
    if (typeof entry === 'object' && entry !== null && 'seq' in entry) return entry as AuditEntry;
  } catch {
    // Below.
  }
  const nobody = { id: 'system', tenantId: '', name: 'unreadable' };
  const at = new Date(0).toISOString();
  return { seq, at, prevHash: '', hash: '', actor: nobody, action: 'unreadable', outcome: 'failed', code: 'INTERNAL' };
}

export function outboxIn(db: Kysely<Database>, jobs: Jobs): Outbox {
  const present = (row: Selectable<Database['outbox']>): OutboxRow => ({
    key: row.key,
    conversation: row.conversation,
    activityId: row.activity_id,
    payload: row.payload,
    version: row.version,
    sentVersion: row.sent_version,
    posting: row.posting,
    dead: row.dead,
  });
  return {
    async put({ activityId, conversation, key, payload }) {
      const values = { key, conversation, payload: storable(payload), activity_id: activityId ?? null };
      await db
        .insertInto('outbox')
        .values(values)
        .onConflict((conflict) =>
          conflict.column('key').doUpdateSet({
            conversation,
            payload: values.payload,
            version: sql`outbox.version + 1`,
            ...(activityId === undefined ? {} : { activity_id: activityId }),
          }),
        )
        .execute();
      await jobs.send('outbox.flush', { key }, { singletonKey: key });
    },
    async get(key) {
      const row = await db.selectFrom('outbox').selectAll().where('key', '=', key).executeTakeFirst();
      return row ? present(row) : null;
    },
    async list(prefix) {
      const rows = await db
        .selectFrom('outbox')
        .selectAll()
        .where(sql<boolean>`starts_with(key, ${prefix})`)
        .orderBy('key')
        .execute();
      return rows.map(present);
    },
    async beginPost(key) {
      const row = await db
        .updateTable('outbox')
        .set({ posting: true })
        .where('key', '=', key)
        .where('posting', '=', false)
        .where('activity_id', 'is', null)
        .returning('key')
        .executeTakeFirst();
      return row !== undefined;
    },
    async abandonPost(key) {
      await db
        .updateTable('outbox')
        .set({ posting: false })
        .where('key', '=', key)
        .where('activity_id', 'is', null)
        .execute();
    },
    async sent(key, { activityId, version }) {
      await db
        .updateTable('outbox')
        .set({ activity_id: activityId, posting: false, sent_version: sql`greatest(sent_version, ${version})` })
        .where('key', '=', key)
        .execute();
    },
    async forget(key) {
      await db
        .updateTable('outbox')
        .set({ activity_id: null, posting: false, sent_version: 0 })
        .where('key', '=', key)
        .execute();
    },
    async kill(key, why) {
      await db.updateTable('outbox').set({ dead: why }).where('key', '=', key).execute();
    },
  };
}

export function referencesIn(db: Kysely<Database>): References {
  const present = (row: Selectable<Database['conversations']> | undefined): ConversationRef | null => {
    if (!row) return null;
    return row.dead === null ? row.reference : { ...row.reference, dead: row.dead };
  };
  return {
    async save(ref) {
      const { dead: _, ...reference } = ref;
      const values = { reference: storable(reference), person: ref.personId ?? null, dead: null };
      await db
        .insertInto('conversations')
        .values({ conversation: ref.conversationId, ...values })
        .onConflict((conflict) => conflict.column('conversation').doUpdateSet({ ...values, saved_at: sql`now()` }))
        .execute();
    },
    async get(conversationId) {
      return present(
        await db.selectFrom('conversations').selectAll().where('conversation', '=', conversationId).executeTakeFirst(),
      );
    },
    async personal(personId) {
      return present(
        await db
          .selectFrom('conversations')
          .selectAll()
          .where('person', '=', personId)
          .orderBy('saved_at', 'desc')
          .limit(1)
          .executeTakeFirst(),
      );
    },
    async any() {
      return present(
        await db
          .selectFrom('conversations')
          .selectAll()
          .where('dead', 'is', null)
          .orderBy('saved_at', 'desc')
          .limit(1)
          .executeTakeFirst(),
      );
    },
    async kill(conversationId, why) {
      await db.updateTable('conversations').set({ dead: why }).where('conversation', '=', conversationId).execute();
    },
  };
}

export function settingsIn(db: Kysely<Database>): Settings {
  return {
    async get(key) {
      const row = await db.selectFrom('settings').select('value').where('key', '=', key).executeTakeFirst();
      return row?.value ?? null;
    },
    async set(key, value) {
      await db
        .insertInto('settings')
        .values({ key, value })
        .onConflict((conflict) => conflict.column('key').doUpdateSet({ value }))
        .execute();
    },
    async getOrSet(key, value) {
      await db
        .insertInto('settings')
        .values({ key, value })
        .onConflict((conflict) => conflict.doNothing())
        .execute();
      const row = await db.selectFrom('settings').select('value').where('key', '=', key).executeTakeFirstOrThrow();
      return row.value;
    },
  };
}
