import type { Connection } from '../connections.ts';
import type { Logger } from '../logger.ts';

export const LOG_LEVELS = ['debug', 'info', 'warn', 'error'] as const;
export type LogLevel = (typeof LOG_LEVELS)[number];

/** One shape for every source. People supply values only; names of labels, fields and files are configuration. */
export interface LogQuery {
  service: string;
  environment: string;
  /** ISO 8601, inclusive. */
  since: string;
  /** ISO 8601, exclusive. */
  until: string;
  /** This level and the more severe ones. */
  level?: LogLevel;
  /** Lines that contain this text, ignoring case. */
  text?: string;
  /** 1 to 1000. */
  limit: number;
  /** Opaque, from a page's `older` or `newer`. */
  cursor?: string;
}

export interface LogLine {
  /** ISO 8601, or empty when the line has no time. */
  time: string;
  level?: LogLevel;
  /** Untrusted text, one line, secrets not yet redacted. */
  text: string;
}

export interface LogPage {
  /** Oldest first within the page; the newest matching page comes first. */
  lines: LogLine[];
  older?: string;
  newer?: string;
  /** Why the answer may be incomplete, in plain words. */
  partial?: string;
}

export interface LogSource {
  readonly kind: string;
  /** @throws ShipmateError LOGS_UNAVAILABLE */
  query(query: LogQuery, signal?: AbortSignal): Promise<LogPage>;
  /** Every matching line, oldest first, streamed; ignores limit and cursor; at most `maxLines`. */
  stream(query: LogQuery, options: { maxLines: number; signal?: AbortSignal }): AsyncIterable<LogLine>;
  check(): Promise<readonly { level: 'error' | 'warning'; message: string }[]>;
}

export interface MonitoringDeps {
  logger: Logger;
  baseDir: string;
  /** The connection that the entry names, for adapters that have one. */
  connection?: Connection;
}

/** Looks whether what was deployed does its work. */
export interface HealthProbe {
  /** Null when it is well; else what is wrong, one short line, untrusted text. Never throws. */
  check(check: { kind: 'url'; url: string } | { kind: 'command'; argv: readonly string[] }): Promise<string | null>;
}

/** Asks a service itself which version runs. */
export interface VersionProbe {
  /** Within two seconds; never throws: a failure is a short `problem` for people. */
  ask(url: string): Promise<{ version: string; sha?: string } | { problem: string }>;
}
