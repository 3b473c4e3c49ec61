import { PipelineError } from '../../errors.ts';
import type { Http } from '../../http.ts';
import type { Connection, PipelineDeps, RunRef } from '../types.ts';
import type { createBounded } from './bounded.ts';
import type { GitHubClient } from './client.ts';

/** What the services on one connection share. */
export interface GitHubConnection extends Connection {
  readonly kind: 'github';
  readonly client: GitHubClient;
  /** The App itself, as GitHub knows it. */
  self(): Promise<{ id: number; slug: string }>;
  /** The file server of logs is asked without credentials. */
  http(): Http;
  now(): Date;
  /** The repository's default branch; asked again after ten minutes. */
  defaultBranch(repository: { owner: string; repo: string }): Promise<string>;
  /** Whether a dispatch answers with the run that it started; older servers don't know the question. */
  tellsRun(repository: string): Promise<boolean>;
  /** Everything here is a help for what the API does not say at once; a restart loses nothing but time. */
  readonly memory: Memory;
}

export interface Memory {
  /** Triggers under way, by repository, workflow and key. */
  readonly triggering: Map<string, Promise<RunRef>>;
  /** What a trigger gave, or that its answer was lost. */
  readonly triggered: ReturnType<typeof createBounded<string, RunRef | 'unknown'>>;
  /** When a run (with its attempt) was made, in milliseconds: GitHub may need a moment until it shows it. */
  readonly made: ReturnType<typeof createBounded<string, number>>;
  /** Own answers, by run and gate. */
  readonly answers: ReturnType<typeof createBounded<string, boolean>>;
  /** Whether the App guards an environment, by repository and name, and until when that is believed. */
  readonly rules: ReturnType<typeof createBounded<string, { is: boolean; until: number }>>;
  /** The run that made a deployment, by the deployment's id; null when it was none of Actions. */
  readonly madeBy: ReturnType<typeof createBounded<string, string | null>>;
}

/** @throws PipelineError when an entry that needs a connection to GitHub was given none */
export function githubOf(deps: PipelineDeps): GitHubConnection {
  const { connection } = deps;
  if (connection?.kind === 'github' && 'client' in connection) return connection as GitHubConnection;
  throw new PipelineError('PIPELINE_REJECTED', 'There is no connection to GitHub. Add connections.github.');
}
