/**
 * Reason codes. Every outcome that a person can see, and every audit entry, ends in exactly one of them, so that a
 * card, a log line and the audit trail can be matched by their code. Add a code here before you use it.
 */
export const REASON_CODES = [
  // outcomes that went through
  'OK',
  'DUPLICATE', // the same click or message again; nothing was done twice
  // trust gate: the request never reached the bot
  'TRUST_TOKEN_MISSING',
  'TRUST_TOKEN_INVALID',
  'TRUST_TOKEN_EXPIRED',
  'TRUST_ISSUER',
  'TRUST_AUDIENCE',
  'TRUST_CHANNEL',
  'TRUST_SERVICE_URL',
  'TRUST_TENANT',
  'TRUST_NOT_LOOPBACK',
  'TRUST_KEYS_UNAVAILABLE',
  'REQUEST_MALFORMED',
  'REQUEST_TOO_LARGE',
  'REQUEST_MEDIA_TYPE',
  'REQUEST_RATE',
  // access
  'ACCESS_DENIED',
  'ACCESS_GUEST',
  'ACCESS_FOREIGN_TENANT',
  'ACCESS_NO_IDENTITY',
  'DIRECTORY_UNAVAILABLE',
  // what was asked for
  'COMMAND_UNKNOWN',
  'ARGUMENT_INVALID',
  'ARGUMENT_MISSING',
  'SERVICE_UNKNOWN',
  'ENVIRONMENT_UNKNOWN',
  'VERSION_UNKNOWN',
  'VERSION_MOVED', // the name points to another commit than the one that was confirmed or approved
  'VERSIONS_UNAVAILABLE',
  'CHANNEL_UNKNOWN',
  // deploys
  'ENV_BUSY',
  'ALREADY_RUNNING_VERSION',
  'NO_ROLLBACK_TARGET',
  'NOT_PENDING', // approve or reject of something that is decided
  'OWN_DEPLOY', // nobody approves their own
  'ALREADY_VOTED',
  'APPROVAL_NEEDED',
  'APPROVAL_EXPIRED',
  'APPROVAL_REJECTED',
  'APPROVERS_EMPTY',
  'DIGEST_CHANGED',
  'NOT_RETRYABLE',
  'ENV_LOCKED',
  'LOCK_HELD', // there is a lock already
  'LOCK_UNKNOWN',
  'FROZEN',
  'VERSION_BLOCKED', // somebody rolled back from it there
  'BLOCK_UNKNOWN',
  'NOT_PROMOTED', // the same commit does not run well on the environment before
  'WITHDRAWN',
  'SUPERSEDED', // a newer one took its place
  'CANCELLED',
  'NOT_CANCELLABLE',
  'OUT_OF_BAND', // something else was deployed there, and not by the bot
  'BREAK_GLASS', // rules were broken by somebody who may; a second person has to look at it
  'REVIEW_OWN', // nobody reviews their own
  'REVIEW_ESCALATED',
  'GATE_UNKNOWN',
  'GATE_REJECTED',
  'TIME_INVALID',
  'UNHEALTHY', // the check after the deploy failed
  'HEALTHY',
  'DEPLOYMENT_UNKNOWN',
  // card actions
  'ACTION_FORGED',
  'ACTION_EXPIRED',
  'ACTION_UNKNOWN',
  'ACTION_USED',
  // pipelines and monitoring
  'PIPELINE_UNAVAILABLE',
  'PIPELINE_REJECTED',
  'PIPELINE_FAILED',
  'PIPELINE_TIMEOUT',
  'PIPELINE_LOST', // a run that was triggered can't be found again: a person must look
  'PIPELINE_MISMATCH', // the run reports another commit than the approved one
  'PIPELINE_FOREIGN', // started at the vendor, not in chat
  // webhooks: what a vendor sends
  'WEBHOOK_UNKNOWN', // nothing of that name takes any
  'WEBHOOK_UNSIGNED',
  'WEBHOOK_FORGED',
  'WEBHOOK_STALE', // too old, or sent before
  'LOGS_UNAVAILABLE',
  'LINK_INVALID',
  'LINK_USED',
  'LINK_EXPIRED',
  // platform
  'CONFIG_INVALID',
  'CONFIG_LOADED',
  'AUDIT_ANCHORED',
  'STORE_UNAVAILABLE',
  'STORE_IN_USE',
  'CONNECTOR_FAILED',
  'INTERNAL',
] as const;

export type ReasonCode = (typeof REASON_CODES)[number];

/**
 * An error whose message may be shown to a person: it says what happened and what to do next, in plain English, and
 * holds no secret and no internals. The original is in `cause`, for the log.
 */
export class ShipmateError extends Error {
  override readonly name: string = 'ShipmateError';
  readonly code: ReasonCode;
  /** Whether the same call may succeed later without anybody changing anything. */
  readonly retryable: boolean;

  constructor(code: ReasonCode, message: string, options: { cause?: unknown; retryable?: boolean } = {}) {
    super(message, 'cause' in options ? { cause: options.cause } : undefined);
    this.code = code;
    this.retryable = options.retryable ?? false;
  }
}

/** The directory could not answer. Callers deny (fail closed). */
export class DirectoryError extends ShipmateError {
  override readonly name = 'DirectoryError';
  constructor(message: string, options: { cause?: unknown; retryable?: boolean } = {}) {
    super('DIRECTORY_UNAVAILABLE', message, options);
  }
}

/**
 * A pipeline or version source refused or failed. `sent: 'no'` means that the system certainly did not take the
 * request (safe to try again); `'unknown'` that it may have (look for the run by its key, never repeat).
 */
export class PipelineError extends ShipmateError {
  override readonly name = 'PipelineError';
  readonly sent: 'no' | 'unknown';
  constructor(
    code: ReasonCode,
    message: string,
    options: { cause?: unknown; retryable?: boolean; sent?: 'no' | 'unknown' } = {},
  ) {
    super(code, message, options);
    this.sent = options.sent ?? 'no';
  }
}

/** A refusal is an expected outcome of policy, not an error: it is returned, shown, and audited. */
export interface Refusal {
  ok: false;
  code: ReasonCode;
  /** What happened and why, one or two short sentences, plain text. */
  message: string;
  /** What the person can do next, plain text. */
  next?: string;
  /** Valid values or near misses, where the refusal is about a value. */
  options?: string[];
  /** Whoever refused wrote it into the audit already. */
  audited?: true;
  /** The rule that refused, and who could go on and from when, where that is known. */
  rule?: string;
  /** Names of groups. */
  who?: readonly string[];
  /** ISO 8601. */
  until?: string;
}

export function refuse(
  code: ReasonCode,
  message: string,
  more: Omit<Refusal, 'ok' | 'code' | 'message'> = {},
): Refusal {
  return { ok: false, code, message, ...more };
}
