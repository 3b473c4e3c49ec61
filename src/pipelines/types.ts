import type { Connection } from '../connections.ts';
import type { Logger } from '../logger.ts';

export type { Connection, ConnectionDeps, WebhookRequest, WebhookVerdict } from '../connections.ts';

/** What a system can do beyond the basics. The bot hides what is false. */
export interface PipelineCapabilities {
  cancel: boolean;
  /** A failed run can go on from what failed. */
  rerun: boolean;
  gates: boolean;
  dryRun: boolean;
  /** A second trigger with the same key certainly never starts a second run, so an ambiguous one may be repeated. */
  idempotentTrigger: boolean;
}

export interface TriggerRequest {
  /** Stays the same across retries of one deployment; the run can be found by it. 8 to 64 of [a-z0-9-]. */
  key: string;
  service: string;
  environment: string;
  /** The version's name as people say it. */
  version: string;
  /** The commit (or artifact digest) that was approved: this is what must run. */
  sha: string;
  /** Display name of the requester, for the vendor's own history. Untrusted text. */
  requestedBy: string;
  /**
   * Inputs of a declared command, already checked; names [a-z][a-z0-9-]*. Values are untrusted text of at most 200
   * characters without control characters.
   */
  inputs?: Readonly<Record<string, string>>;
}

/** Enough to find the run again, after a restart too. Stored as JSON. */
export interface RunRef {
  id: string;
  url?: string;
}

export type StageState = 'waiting' | 'running' | 'succeeded' | 'failed' | 'skipped';
export interface Stage {
  name: string;
  state: StageState;
  /** ISO 8601. */
  startedAt?: string;
  finishedAt?: string;
}

/** A place where a run waits for a person. */
export interface Gate {
  /** Stable within the run, 1 to 60 of [A-Za-z0-9._-]. */
  id: string;
  /** What is asked, one line, untrusted text. */
  question: string;
  /**
   * The vendor's own guard of this environment (GitHub's protection rule, an Azure DevOps approval, a protected GitLab
   * environment), by Shipmate's name: an approval that was given in chat answers it. Undefined: a question of the run's own.
   */
  environment?: string;
}

/** A run that chat did not start, or that this bot can't know yet. */
export interface ForeignRun {
  run: RunRef;
  /** Shipmate's name; a run in a place that the configuration does not name is left out. */
  environment: string;
  /** As the vendor names it: a tag, a branch, a build number. Untrusted text. */
  version: string;
  /** Null when the vendor does not say. */
  sha: string | null;
  /** Login or name at the vendor, null when it does not say. Untrusted text. */
  startedBy: string | null;
  /** ISO 8601. */
  startedAt: string;
  state: RunStatus['state'];
  /** It waits for somebody to let it into its environment. */
  gate?: Gate;
}

export interface RunStatus {
  state: 'queued' | 'running' | 'succeeded' | 'failed' | 'cancelled';
  stages: Stage[];
  /** Last lines of output, oldest first, at most 20, redacted by the adapter as far as it knows secrets. Untrusted. */
  tail: string[];
  /** Commit that the run says it deployed, where it says so. */
  sha?: string;
  /** Why it failed, one line, untrusted text. */
  error?: string;
  url?: string;
  /** The run waits for a person's answer to this. */
  gate?: Gate;
}

/** A system that runs deploys. One instance per service binding, made by the adapter's factory. */
export interface Pipeline {
  readonly kind: string;
  /** Its name for people, "Azure DevOps"; the kind when it has none. */
  readonly title?: string;
  readonly capabilities: PipelineCapabilities;
  /**
   * Starts a run and returns how to find it. Must be safe to call twice with the same key: the second call returns
   * the first one's run or throws with `sent: 'unknown'`.
   * @throws PipelineError
   */
  trigger(request: TriggerRequest): Promise<RunRef>;
  /** The run that was started with this key, or null when it certainly is not there. */
  findByKey(key: string): Promise<RunRef | null>;
  status(run: RunRef): Promise<RunStatus>;
  /** Asks the run to stop; a run that is over is left alone. */
  cancel(run: RunRef): Promise<void>;
  /**
   * Lets a failed run go on: only what failed, where the system can. The same run, or the one that takes its place;
   * called twice it still goes on once. Only with `capabilities.rerun`.
   * @throws PipelineError PIPELINE_REJECTED when it did not fail, or is too old
   */
  rerun?(run: RunRef): Promise<RunRef>;
  /**
   * What the system says it would do; nothing runs. Only with `capabilities.dryRun`.
   * @throws PipelineError PIPELINE_REJECTED with what is wrong with it
   */
  dryRun?(request: TriggerRequest): Promise<{ lines: string[] }>;
  /**
   * Runs of this service since then, newest first, at most 20: also the bot's own, which it knows by their ids. Where
   * the system can list them cheaply (one or two requests).
   */
  recent?(options: { since: Date }): Promise<ForeignRun[]>;
  /**
   * Answers a gate; the same answer again is fine. Only with `capabilities.gates`. `by` is shown at the vendor.
   * @throws PipelineError PIPELINE_REJECTED when the gate was answered otherwise or is not there
   */
  answer?(run: RunRef, gate: string, answer: { approved: boolean; by: string }): Promise<void>;
  /** The last `lines` lines of output, oldest first. */
  logs(run: RunRef, options: { lines: number }): Promise<string[]>;
  /** Milliseconds until the next status call is worth its cost; grows while the vendor's rate limit is near. */
  readonly pollMs: number;
  check(): Promise<readonly { level: 'error' | 'warning'; message: string }[]>;
}

export interface Version {
  /** As people say it, without a leading "v" only if the source has none. */
  name: string;
  sha: string;
  /** ISO 8601. */
  createdAt?: string;
}

export interface Commit {
  sha: string;
  /** Untrusted text. */
  subject: string;
  author?: string;
}

export interface Comparison {
  /** Newest first, at most `limit`. */
  commits: Commit[];
  /** How many there are in all. */
  total: number;
  /** True when `to` is older than `from`: what would be taken back. */
  backwards: boolean;
}

/** Where a service's versions come from; often another system than the one that deploys them. */
export interface VersionSource {
  readonly kind: string;
  /** Newest first. */
  list(options: { limit: number }): Promise<Version[]>;
  /** Versions whose name contains the text, newest first. */
  search(text: string, options: { limit: number }): Promise<Version[]>;
  /** The version by its exact name (with or without a leading "v"), or null. Never cached. */
  resolve(name: string): Promise<Version | null>;
  compare(fromSha: string, toSha: string, options: { limit: number }): Promise<Comparison>;
  check(): Promise<readonly { level: 'error' | 'warning'; message: string }[]>;
}

/** What app.ts hands to every adapter of this family. */
export interface PipelineDeps {
  logger: Logger;
  /** Folder that belongs to this adapter, made on demand (absolute). */
  dataDir: string;
  /** Folder of the configuration file: relative paths in it start here (absolute). */
  baseDir: string;
  /** The bot's own environment, for adapters that start programs: they pick PATH, HOME, LANG and TZ, nothing else. */
  env: Readonly<Record<string, string | undefined>>;
  /** The connection that the entry names, for adapters that have one. */
  connection?: Connection;
}
