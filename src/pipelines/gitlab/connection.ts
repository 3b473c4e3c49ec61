import { PipelineError } from '../../errors.ts';
import type { ConnectionDeps, PipelineDeps } from '../types.ts';
import { createBounded } from './bounded.ts';
import { checkConnection } from './check.ts';
import { createClient } from './client.ts';
import type { GitlabConnectionConfig } from './config.ts';
import type { GitlabConnection } from './types.ts';
import { createWebhook } from './webhook.ts';

const MOST_TRACES = 30;
const MOST_DEPLOYMENTS = 500;
const MOST_BLOCKED = 100;

export function createGitlabConnection(config: GitlabConnectionConfig, deps: ConnectionDeps): GitlabConnection {
  const client = createClient(config, deps);
  const webhook = createWebhook(config);
  return {
    kind: 'gitlab',
    client,
    starting: new Map(),
    traces: createBounded(MOST_TRACES),
    deployments: createBounded(MOST_DEPLOYMENTS),
    blocked: createBounded(MOST_BLOCKED),
    ...(webhook === null ? {} : { webhook }),
    check: () => checkConnection(config, client, deps.now()),
  };
}

/** @throws PipelineError CONFIG_INVALID when the entry has none of this kind */
export function gitlabConnectionOf({ connection }: PipelineDeps): GitlabConnection {
  const isOurs = (value: typeof connection): value is GitlabConnection => value?.kind === 'gitlab' && 'client' in value;
  if (isOurs(connection)) return connection;
  throw new PipelineError('CONFIG_INVALID', 'This needs a connection of the kind gitlab. Add connections.gitlab.');
}
