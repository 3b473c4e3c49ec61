import path from 'node:path';
import { PipelineError, ShipmateError } from '../../errors.ts';
import type { Connection, ConnectionDeps, RunRef } from '../types.ts';
import { type AzureClient, createAzureClient } from './client.ts';
import type { AzureConnectionConfig } from './config.ts';
import { createCredentials } from './credentials.ts';
import { type Finding, finding } from './findings.ts';
import { verifyHook } from './webhook.ts';

export const KIND = 'azure-devops';
const KEPT_TAILS = 200;

/** One organization or collection, shared by all services there. */
export interface AzureConnection extends Connection {
  readonly client: AzureClient;
  /** Runs that are being started at this moment, by project, pipeline and key: a second call waits for the first. */
  readonly starting: Map<string, Promise<RunRef>>;
  /** Ends of logs that can't change any more, newest last. */
  readonly tails: Tails;
}

export interface Tails {
  get(key: string): readonly string[] | undefined;
  set(key: string, lines: readonly string[]): void;
}

function createTails(): Tails {
  const kept = new Map<string, readonly string[]>();
  return {
    get: (key) => kept.get(key),
    set(key, lines) {
      kept.set(key, lines);
      const [oldest] = kept.keys();
      if (kept.size > KEPT_TAILS && oldest !== undefined) kept.delete(oldest);
    },
  };
}

/** @throws PipelineError when the certificates in `ca` can't be read */
export function createAzureConnection(config: AzureConnectionConfig, deps: ConnectionDeps): AzureConnection {
  const http = deps.http(config.ca === undefined ? {} : { ca: path.resolve(deps.baseDir, config.ca) });
  const credentials = createCredentials(config, deps);
  const client = createAzureClient({ url: config.url, http, credentials, redact: credentials.redact, now: deps.now });
  const { hook } = config;

  async function check(): Promise<Finding[]> {
    const findings: Finding[] = [];
    const { hostname } = new URL(config.url);
    if (config.token !== undefined && (hostname === 'dev.azure.com' || hostname.endsWith('.visualstudio.com')))
      findings.push({
        level: 'warning',
        message: `${hostname} is used with a personal access token, which belongs to a person and expires. Leave \`token\` out and add the bot's Entra identity to the organization.`,
      });
    const problem = await finding(async () => {
      const answer = await client.ask({
        path: ['_apis', 'projects'],
        query: { $top: 1 },
        right: '"View project-level information"',
      });
      if (answer.ok) return;
      if (answer.status !== 404) throw client.refused(answer);
      throw new PipelineError(
        'PIPELINE_REJECTED',
        `There is no organization or collection at ${client.base}. Correct \`url\` of the connection.`,
      );
    });
    return [...findings, ...problem];
  }

  return {
    kind: KIND,
    client,
    starting: new Map(),
    tails: createTails(),
    ...(hook === undefined ? {} : { webhook: (request) => verifyHook(hook, request) }),
    check,
  };
}

/** @throws ShipmateError CONFIG_INVALID when an entry was bound to no connection, or to one of another vendor */
export function azureConnection(connection: Connection | undefined): AzureConnection {
  if (connection?.kind !== KIND || !('client' in connection))
    throw new ShipmateError('CONFIG_INVALID', `This needs an entry connections.${KIND}.`);
  return connection as AzureConnection;
}
