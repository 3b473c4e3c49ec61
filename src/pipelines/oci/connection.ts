import { ShipmateError } from '../../errors.ts';
import type { Connection, ConnectionDeps } from '../types.ts';
import { createOciClient, type OciClient } from './client.ts';
import type { OciConnectionConfig } from './config.ts';

/** What an image says of itself. It has this digest, so that it never changes. */
export interface Facts {
  /** The commit that it was built from. */
  revision: string | null;
  /** ISO 8601. */
  createdAt: string | null;
}

export interface OciConnection extends Connection {
  readonly kind: 'oci';
  readonly client: OciClient;
  /** By digest. */
  readonly facts: { get(digest: string): Facts | undefined; set(digest: string, facts: Facts): void };
}

const MOST_FACTS = 2000;

function createFacts(): OciConnection['facts'] {
  const entries = new Map<string, Facts>();
  return {
    get: (digest) => entries.get(digest),
    set(digest, facts) {
      entries.set(digest, facts);
      const [oldest] = entries.keys();
      if (entries.size > MOST_FACTS && oldest !== undefined) entries.delete(oldest);
    },
  };
}

/** A registry, shared by all services whose images are there. */
export function createOciConnection(config: OciConnectionConfig, deps: ConnectionDeps): OciConnection {
  const client = createOciClient(config, deps);
  return {
    kind: 'oci',
    client,
    facts: createFacts(),

    async check() {
      try {
        // "end-1" of the specification; a registry that is only read in public may want a token even for it.
        if ((await client.get(`${client.url}/v2/`, '', 'application/json')) === null)
          return [{ level: 'error', message: '"url" of the connection is no registry: it has no page /v2/.' }];
        if (!client.isExposed) return [];
        return [
          { level: 'warning', message: 'The token of the connection goes to the registry unencrypted. Use https.' },
        ];
      } catch (error) {
        if (error instanceof ShipmateError) return [{ level: 'error', message: error.message }];
        throw error;
      }
    },
  };
}

/** @throws ShipmateError CONFIG_INVALID when app.ts gave none, or another one */
export function asOci(connection: Connection | undefined): OciConnection {
  if (connection?.kind === 'oci' && 'client' in connection) return connection as OciConnection;
  throw new ShipmateError('CONFIG_INVALID', 'An image in a registry needs an entry connections.oci.');
}
