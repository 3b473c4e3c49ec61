import { type GitHubDeployConfig, splitRepository } from './config.ts';
import type { GitHubConnection } from './connection.ts';

/** A service's workflow, and the way to it: what the parts of a pipeline are made from. */
export interface Target {
  readonly connection: GitHubConnection;
  readonly config: GitHubDeployConfig;
  readonly repository: { owner: string; repo: string };
  /** GitHub's name of an environment of ours. */
  theirs(environment: string): string;
  /** Our name of an environment at GitHub. */
  ours(environment: string): string;
  /** The branch whose workflow file runs. */
  ref(): Promise<string>;
}

export function createTarget(config: GitHubDeployConfig, connection: GitHubConnection): Target {
  const repository = splitRepository(config.github);
  // GitHub does not tell names of environments apart by their case.
  const names = new Map(Object.entries(config.environments).map(([ours, theirs]) => [theirs.toLowerCase(), ours]));
  return {
    connection,
    config,
    repository,
    theirs: (environment) =>
      Object.hasOwn(config.environments, environment) ? (config.environments[environment] ?? '') : environment,
    ours: (environment) => names.get(environment.toLowerCase()) ?? environment,
    ref: async () => config.ref ?? connection.defaultBranch(repository),
  };
}
