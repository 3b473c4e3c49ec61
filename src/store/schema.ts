import type { Generated, GeneratedAlways, JSONColumnType } from 'kysely';
import type { Block, Deployment, Lock, Vote } from '../deploys/types.ts';
import type { ConversationRef, OutboxPayload } from './types.ts';

/** What of a deployment is a column: what is searched, fenced or unique. The rest is one JSON document. */
export type DeploymentDocument = Omit<
  Deployment,
  'id' | 'service' | 'environment' | 'state' | 'origin' | 'revision' | 'sha' | 'fromSha' | 'votes'
>;

export interface Database {
  deployments: {
    id: GeneratedAlways<string>;
    service: string;
    environment: string;
    state: Deployment['state'];
    origin: string;
    revision: Generated<number>;
    sha: string;
    from_sha: string | null;
    rollback: boolean;
    document: JSONColumnType<DeploymentDocument>;
  };
  votes: { deployment: string; person: string; ordinal: GeneratedAlways<string>; vote: JSONColumnType<Vote> };
  locks: { service: string; environment: string; lock: JSONColumnType<Lock> };
  blocks: { service: string; environment: string; sha: string; block: JSONColumnType<Block> };
  claims: { key: string; expires_at: Date };
  audit: { seq: string; at: Date; entry: string };
  audit_head: { id: number; seq: string; hash: string };
  outbox: {
    key: string;
    conversation: string;
    activity_id: string | null;
    payload: JSONColumnType<OutboxPayload>;
    version: Generated<number>;
    sent_version: Generated<number>;
    posting: Generated<boolean>;
    dead: string | null;
  };
  conversations: {
    conversation: string;
    person: string | null;
    reference: JSONColumnType<ConversationRef>;
    dead: string | null;
    saved_at: Generated<Date>;
  };
  settings: { key: string; value: string };
}
