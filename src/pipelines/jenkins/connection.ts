import { ShipmateError } from '../../errors.ts';
import { plainValue } from '../requests.ts';
import type { Connection, ConnectionDeps, RunRef } from '../types.ts';
import { createJenkinsClient, type JenkinsClient } from './client.ts';
import type { JenkinsConnectionConfig } from './config.ts';
import { meSchema } from './schema.ts';
import { createWebhook } from './webhook.ts';

/** What is known about a run between two looks; all of it can be found out again. */
export interface Known {
  /** Number in the queue, which Jenkins forgets some minutes after the build began. */
  queue?: number;
  build?: number;
  /** How long its log was, in bytes. */
  logSize?: number;
}

export interface JenkinsConnection extends Connection {
  readonly kind: 'jenkins';
  readonly client: JenkinsClient;
  /** By job and run, the oldest first. */
  readonly known: { get(run: string): Known; set(run: string, more: Known): void; forget(run: string): void };
  /** Triggers on the way, by job and key: the same one is not sent twice. */
  readonly flights: Map<string, Promise<RunRef>>;
}

const MOST_KNOWN = 1000;

function createKnown(): JenkinsConnection['known'] {
  const entries = new Map<string, Known>();
  return {
    get: (run) => entries.get(run) ?? {},
    set(run, more) {
      const merged = { ...entries.get(run), ...more };
      entries.delete(run);
      entries.set(run, merged);
      const [oldest] = entries.keys();
      if (entries.size > MOST_KNOWN && oldest !== undefined) entries.delete(oldest);
    },
    forget: (run) => void entries.delete(run),
  };
}

/** A Jenkins controller, shared by all services whose jobs are there. */
export function createJenkinsConnection(config: JenkinsConnectionConfig, deps: ConnectionDeps): JenkinsConnection {
  const client = createJenkinsClient(config, deps);
  const { secret } = config;
  return {
    kind: 'jenkins',
    client,
    known: createKnown(),
    flights: new Map(),
    ...(secret === undefined ? {} : { webhook: createWebhook(secret) }),

    async check() {
      const finding = (level: 'error' | 'warning', message: string) => [{ level, message }];
      try {
        // Anonymous has no such page, however much it may read.
        const me = await client.read('/me/api/json', meSchema, 'id');
        if (me === null)
          return finding('error', '"url" of the connection is not Jenkins: it has no page /me. Correct its path.');
        if (me.id.toLowerCase() !== config.user.toLowerCase())
          return finding(
            'error',
            `Jenkins knows the bot as ${client.redact(plainValue(me.id))}: put that into "user" of the connection.`,
          );
        const { hostname, protocol } = new URL(client.url);
        const isExposed = protocol === 'http:' && !/^(?:127\.|localhost$|\[::1\])/.test(hostname);
        return isExposed
          ? finding('warning', 'The API token goes to Jenkins unencrypted, where others can read it. Use https.')
          : [];
      } catch (error) {
        if (error instanceof ShipmateError) return finding('error', error.message);
        throw error;
      }
    },
  };
}

/** @throws ShipmateError CONFIG_INVALID when app.ts gave none, or another one */
export function asJenkins(connection: Connection | undefined): JenkinsConnection {
  if (connection?.kind === 'jenkins' && 'client' in connection) return connection as JenkinsConnection;
  throw new ShipmateError('CONFIG_INVALID', 'A job in Jenkins needs an entry connections.jenkins.');
}
