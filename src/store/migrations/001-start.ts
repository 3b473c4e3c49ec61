import { type Kysely, sql } from 'kysely';
import type { Migration } from 'kysely/migration';

/** Deployments, votes, claims, audit chain, outbox, conversations, settings. */
export const start: Migration = {
  async up(db: Kysely<unknown>): Promise<void> {
    await sql`
      create table deployments (
        id bigint generated always as identity primary key,
        service text not null,
        environment text not null,
        state text not null,
        origin text not null unique,
        revision integer not null default 1,
        sha text not null,
        from_sha text,
        rollback boolean not null,
        document jsonb not null
      )`.execute(db);
    // One at a time per environment: the index decides, so that two replicas can't both be right.
    await sql`
      create unique index deployments_holder on deployments (service, environment)
        where state in ('queued', 'running', 'attention')`.execute(db);
    await sql`create index deployments_newest on deployments (service, environment, id desc)`.execute(db);
    await sql`
      create table votes (
        deployment bigint not null references deployments (id),
        person text not null,
        ordinal bigint generated always as identity,
        vote jsonb not null,
        primary key (deployment, person)
      )`.execute(db);
    await sql`create table claims (key text primary key, expires_at timestamptz not null)`.execute(db);
    await sql`create index claims_expiry on claims (expires_at)`.execute(db);
    // The entry is text, not jsonb: the very bytes that were hashed.
    await sql`create table audit (seq bigint primary key, at timestamptz not null, entry text not null)`.execute(db);
    await sql`create index audit_at on audit (at)`.execute(db);
    await sql`create table audit_head (id integer primary key check (id = 1), seq bigint not null, hash text not null)`.execute(
      db,
    );
    await sql`insert into audit_head values (1, 0, ${'0'.repeat(64)})`.execute(db);
    await sql`
      create function audit_is_append_only() returns trigger language plpgsql as
        $$ begin raise exception 'the audit is append-only'; end $$`.execute(db);
    await sql`
      create trigger audit_append_only before update or delete or truncate on audit
        for each statement execute function audit_is_append_only()`.execute(db);
    await sql`
      create table outbox (
        key text primary key,
        conversation text not null,
        activity_id text,
        payload jsonb not null,
        version integer not null default 1,
        sent_version integer not null default 0,
        posting boolean not null default false,
        dead text
      )`.execute(db);
    await sql`
      create table conversations (
        conversation text primary key,
        person text,
        reference jsonb not null,
        dead text,
        saved_at timestamptz not null default now()
      )`.execute(db);
    await sql`create index conversations_person on conversations (person) where person is not null`.execute(db);
    await sql`create table settings (key text primary key, value text not null)`.execute(db);
  },
};
