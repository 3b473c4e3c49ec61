import type { Connection, RunRef } from '../types.ts';
import type { Bounded } from './bounded.ts';
import type { GitlabClient } from './client.ts';
import type { GitlabDeploymentDetails } from './schema.ts';

/** The end of a job's log, cleaned and redacted. */
export interface Trace {
  /** State of the job when it was read. */
  state: string;
  /** Milliseconds since 1970. */
  at: number;
  lines: readonly string[];
}

/** A connection with what its pipelines share: the client, and what does not have to be asked again. */
export interface GitlabConnection extends Connection {
  readonly kind: 'gitlab';
  readonly client: GitlabClient;
  /** Starts under way, by project and key. */
  readonly starting: Map<string, Promise<RunRef>>;
  /** Logs, by job. */
  readonly traces: Bounded<Trace>;
  /** Number of the deployment that a job makes, by job; it never changes. */
  readonly deployments: Bounded<number>;
  /** Blocked deployments and when they were read, by their number. */
  readonly blocked: Bounded<{ at: number; details: GitlabDeploymentDetails }>;
}
