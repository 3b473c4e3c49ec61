import type { z } from 'zod';
import type { ReasonCode } from './errors.ts';
import type { Http } from './http.ts';
import type { Logger } from './logger.ts';

/** A request of a vendor to the bot, before anybody believed it. */
export interface WebhookRequest {
  /** Names in small letters. */
  headers: Readonly<Record<string, string | string[] | undefined>>;
  /** As it came: signatures are over these bytes. */
  body: Buffer;
  now: Date;
}

/**
 * What a webhook says: that something has changed, and where. It is only a reason to look: states come from the
 * vendor's API, asked with our own credentials.
 */
export type WebhookVerdict =
  | { ok: false; code: 'WEBHOOK_UNSIGNED' | 'WEBHOOK_FORGED' | 'WEBHOOK_STALE' | 'REQUEST_MALFORMED' }
  /** `delivery`: unique per delivery, so that a replay is known. `runs`: ids as in RunRef. `look`: runs that are not ours may be new. */
  | { ok: true; delivery: string; runs: string[]; look: boolean };

/** What a vendor is told about what it sent. */
export interface WebhookAnswer {
  status: 202 | 400 | 401 | 404 | 503;
  code: ReasonCode;
}

/** A vendor that is spoken to, shared by all services there: its credentials, its rate limit, what it last answered. */
export interface Connection {
  readonly kind: string;
  /** Undefined: this vendor sends nothing, or nothing is configured to verify it with. Constant time; never throws. */
  webhook?(request: WebhookRequest): WebhookVerdict;
  /** Right for the vendor as a whole: can it be reached, are the credentials right, which right is missing. */
  check(): Promise<readonly { level: 'error' | 'warning'; message: string }[]>;
}

/** What app.ts hands to a connection. */
export interface ConnectionDeps {
  logger: Logger;
  /** Folder of the configuration file: relative paths in it start here (absolute). */
  baseDir: string;
  /**
   * A client that goes through the configured proxy and trusts this CA bundle (absolute path of a PEM file) beside the
   * usual ones. Adapters use no other.
   * @throws PipelineError when the file can't be read
   */
  http(options?: { ca?: string }): Http;
  /**
   * The bot's own Entra identity; null in playground mode.
   * @throws what \@azure/identity throws
   */
  entraToken: ((scope: string) => Promise<{ token: string; expiresAt: Date }>) | null;
  now(): Date;
}

/** A kind of connection: its own configuration schema, with what makes a connection from a value that passed it. */
export interface ConnectionAdapter {
  config: z.ZodType;
  /** What of it must never be printed. */
  secrets(config: unknown): readonly string[];
  /** Opens nothing yet. */
  create(config: unknown, deps: ConnectionDeps): Connection;
}
