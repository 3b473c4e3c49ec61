import type { ReasonCode } from '../errors.ts';

/** What somebody did or tried to do. Appended in the same transaction as its effect. */
export interface AuditRecord {
  /** "system" for what the bot does by itself (a job, an expiry). */
  actor: { id: string; tenantId: string; name: string };
  /** For example "deploy.request", "deploy.approve", "logs.read", "trust.reject", "config.load". */
  action: string;
  outcome: 'done' | 'refused' | 'failed';
  code: ReasonCode;
  service?: string;
  environment?: string;
  version?: string;
  deployment?: string;
  /** Conversation id where it was asked for. */
  conversation?: string;
  /** Digest that an approval is bound to. */
  digest?: string;
  /** The pipeline's run id. */
  run?: string;
  /** More facts, JSON-safe, redacted, short. */
  details?: Record<string, unknown>;
}

export interface AuditEntry extends AuditRecord {
  seq: number;
  /** ISO 8601 with milliseconds, from the writer's clock. */
  at: string;
  /** Hash of the entry before; 64 zeros for the first. */
  prevHash: string;
  /** SHA-256, hex, over the canonical JSON of all other fields. */
  hash: string;
}

/** The last entry of a chain, as an anchor names it. */
export interface AuditHead {
  seq: number;
  hash: string;
}

export type AuditBreak =
  | { kind: 'changed'; seq: number }
  /** `through` names the last row of a long gap; else one row is missing. */
  | { kind: 'removed'; seq: number; through?: number }
  | { kind: 'reordered'; seq: number }
  | { kind: 'truncated'; afterSeq: number };

export interface AuditVerification {
  ok: boolean;
  entries: number;
  head: AuditHead;
  breaks: AuditBreak[];
}
