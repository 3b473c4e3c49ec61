import type { AuditEntry } from '../src/audit/types.ts';
import type { Deployment } from '../src/deploys/types.ts';
import type { ConversationRef, JobName, OutboxRow } from '../src/store/types.ts';

export type StoreKind = 'pglite' | 'postgres';

export interface BotArguments {
  config: string;
  metadataUrl: string;
  origin: string;
  references: ConversationRef[];
}

/** A round's deployments and what the outbox has for them. */
export interface Look {
  deployments: Deployment[];
  rows: OutboxRow[];
}

/** Everything that the invariants are about. */
export interface Facts {
  deployments: Deployment[];
  audit: AuditEntry[];
  head: { seq: number; hash: string };
}

/** `subject`: the deployment's id, or the key of the outbox's row; empty for what belongs to neither. */
export interface Job {
  queue: JobName;
  subject: string;
}

export type FromBot =
  | { kind: 'opened'; look: Look }
  | { kind: 'listening'; port: number }
  | ({ kind: 'job'; edge: 'begins' | 'ends' } & Job)
  | { kind: 'answer'; number: number; answer?: Look | Facts; problem?: string };

export type ToBot = { number: number; ask: 'look'; version: string } | { number: number; ask: 'facts' | 'stop' };
