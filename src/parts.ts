import { readFileSync } from 'node:fs';
import path from 'node:path';
import {
  ClientCertificateCredential,
  ClientSecretCredential,
  ManagedIdentityCredential,
  type TokenCredential,
  WorkloadIdentityCredential,
} from '@azure/identity';
import { groupsFor } from './access/decide.ts';
import { connectionKinds } from './config/connection-kinds.ts';
import type { Chosen, LoadedConfig } from './config/types.ts';
import type { Connection, ConnectionDeps } from './connections.ts';
import type { Catalog } from './deploys/types.ts';
import { createGraphDirectory } from './directory/graph/index.ts';
import { createStaticDirectory } from './directory/static/index.ts';
import type { Directory } from './directory/types.ts';
import { PipelineError, ShipmateError } from './errors.ts';
import { createHttp, type Http } from './http.ts';
import type { Logger } from './logger.ts';
import { logSources } from './monitoring/index.ts';
import type { LogSource, VersionProbe } from './monitoring/types.ts';
import { createVersionProbe } from './monitoring/version-url.ts';
import { pipelines, versionSources } from './pipelines/index.ts';
import type { PipelineDeps } from './pipelines/types.ts';

/** What a configuration names, constructed but not started. */
export interface Parts {
  http: Http;
  /** Null in playground mode: there is nothing to sign in to. */
  credential: TokenCredential | null;
  directory: Directory;
  /** What is spoken to, by name. */
  connections: ReadonlyMap<string, Connection>;
  catalog: Catalog;
  source: LogSource | null;
  probe: VersionProbe;
  close(): Promise<void>;
}

/** What tests put in the place of what is far away. */
export interface PartsOptions {
  /** For Microsoft Graph and for the connector. */
  credential?: TokenCredential;
  graphUrl?: string;
  now?: () => Date;
}

/** Constructs the connections to everything outside, for the bot and for `shipmate check --online`. Opens none of them. */
export function inspect(config: LoadedConfig, options: PartsOptions & { logger: Logger; http?: Http }): Parts {
  const { logger } = options;
  const credential = config.mode === 'playground' ? null : (options.credential ?? credentialFor(config));
  const http = options.http ?? createHttp({ proxy: config.proxy });
  const opened: Http[] = [];
  const connections = buildConnections(config, {
    logger,
    baseDir: config.baseDir,
    entraToken: credential === null ? null : (scope) => entraToken(credential, scope),
    now: options.now ?? (() => new Date()),
    http({ ca } = {}) {
      if (ca === undefined) return http;
      const own = createHttp({ proxy: config.proxy, ca: readCa(ca) });
      opened.push(own);
      return own;
    },
  });
  const catalog = buildCatalog(config, connections, logger);
  const adapter = config.logs === null ? undefined : logSources[config.logs.kind];
  return {
    http,
    credential,
    directory: buildDirectory(config, credential, http, logger, options.graphUrl),
    connections,
    catalog,
    source:
      adapter?.create(config.logs?.config, {
        logger,
        baseDir: config.baseDir,
        ...connectionFor(config.logs, connections),
      }) ?? null,
    probe: createVersionProbe(http),
    close: async () => void (await Promise.all([http, ...opened].map((each) => each.close()))),
  };
}

function buildConnections(config: LoadedConfig, deps: ConnectionDeps): Map<string, Connection> {
  return new Map(
    Object.entries(config.connections).map(([name, { config: given, kind }]) => {
      const adapter = connectionKinds[kind];
      if (!adapter) throw new ShipmateError('CONFIG_INVALID', `${name} has a kind of connection that is not there.`);
      return [name, adapter.create(given, deps)];
    }),
  );
}

/**
 * Whether another service has its runs in the same place for an environment of the same name there: then nobody can say
 * whose a run is that chat did not start.
 */
export function sharesRuns(config: LoadedConfig, name: string): boolean {
  const placesOf = ({ deploy, environments }: LoadedConfig['services'][number]): string[] => {
    const place = pipelines[deploy.kind]?.place?.(deploy.config);
    if (place === undefined) return [];
    const names = (deploy.config as { environments?: Record<string, string> }).environments ?? {};
    const theirs = environments.map((environment) => (names[environment.name] ?? environment.name).toLowerCase());
    return theirs.map((each) => [deploy.kind, deploy.connection, place, each].join(' '));
  };
  const mine = config.services.filter((service) => service.name === name).flatMap(placesOf);
  return config.services.some(
    (service) => service.name !== name && placesOf(service).some((each) => mine.includes(each)),
  );
}

/** The connection that an adapter goes through, where it has one. */
function connectionFor(
  chosen: Chosen | null,
  connections: ReadonlyMap<string, Connection>,
): { connection?: Connection } {
  const connection = chosen?.connection === undefined ? undefined : connections.get(chosen.connection);
  return connection === undefined ? {} : { connection };
}

async function entraToken(credential: TokenCredential, scope: string): Promise<{ token: string; expiresAt: Date }> {
  const given = await credential.getToken(scope);
  if (given === null) throw new PipelineError('PIPELINE_UNAVAILABLE', 'The identity of the bot gave no token.');
  return { token: given.token, expiresAt: new Date(given.expiresOnTimestamp) };
}

function readCa(file: string): string {
  try {
    return readFileSync(file, 'utf8');
  } catch (cause) {
    throw new PipelineError('PIPELINE_UNAVAILABLE', `The certificates in ${file} can't be read. Correct "ca".`, {
      cause,
    });
  }
}

function buildCatalog(config: LoadedConfig, connections: ReadonlyMap<string, Connection>, logger: Logger): Catalog {
  const { baseDir, dataDir, programEnv: env } = config;
  const depsFor = (folder: string, chosen: Chosen): PipelineDeps => ({
    logger,
    baseDir,
    env,
    dataDir: folder,
    ...connectionFor(chosen, connections),
  });
  const services = config.services.map(({ channel, deploy, environments, name, team, versions }) => {
    const pipeline = pipelines[deploy.kind];
    const source = versionSources[versions.kind];
    if (!pipeline || !source)
      throw new ShipmateError('CONFIG_INVALID', `${name} has a kind of pipeline or versions that is not there.`);
    const deps = (folder: string, chosen: Chosen) => depsFor(path.join(dataDir, folder), chosen);
    return {
      name,
      team,
      ...(channel === undefined ? {} : { channel }),
      environments,
      pipeline: pipeline.create(deploy.config, name, deps(path.join('runs', deploy.kind), deploy)),
      versions: source.create(versions.config, name, deps(path.join('versions', versions.kind), versions)),
      alone: !sharesRuns(config, name),
      ...(deploy.connection === undefined ? {} : { connection: deploy.connection }),
      hears: deploy.connection !== undefined && connections.get(deploy.connection)?.webhook !== undefined,
    };
  });
  const commands = config.commands.map((declared) => {
    const pipeline = pipelines[declared.run.kind];
    if (!pipeline)
      throw new ShipmateError('CONFIG_INVALID', `${declared.name} has a kind of pipeline that is not there.`);
    const { approval, confirm, inputs, name, places, run, summary } = declared;
    const folder = path.join(dataDir, 'runs', 'commands', name);
    return {
      name,
      summary,
      inputs,
      confirm,
      ...(approval === undefined ? {} : { approval }),
      places: new Map(places.map(({ environments, service }) => [service, environments])),
      pipelines: new Map(
        places.map(({ service }) => [service, pipeline.create(run.config, service, depsFor(folder, run))]),
      ),
    };
  });
  const { access } = config;
  return {
    services: new Map(services.map((service) => [service.name, service])),
    commands: new Map(commands.map((command) => [command.name, command])),
    zone: config.zone,
    ...(config.opsChannel === undefined ? {} : { opsChannel: config.opsChannel }),
    groupsWho: (permission, service, environment) => groupsFor(access, { permission, service, environment }),
    personOf: (login, connection) => {
      const keys = connection === null ? [login] : [`${connection}/${login}`, login];
      const known = keys.find((key) => Object.hasOwn(config.logins, key));
      const id = known === undefined ? undefined : config.logins[known];
      return id === undefined ? null : { id, tenantId: config.tenants[0] ?? '', name: login };
    },
    whoMay: (permission, service, environment) =>
      groupsFor(access, { permission, service, environment }).map((group) => access.groupNames[group] ?? group),
    ...(config.approvalsChannel === undefined ? {} : { approvalsChannel: config.approvalsChannel }),
    policyHash: config.policyHash,
    groupName: (id) => config.access.groupNames[id] ?? id,
  };
}

function buildDirectory(
  config: LoadedConfig,
  credential: TokenCredential | null,
  http: Http,
  logger: Logger,
  baseUrl: string | undefined,
): Directory {
  if (config.directory.kind === 'static') return createStaticDirectory(config.directory.people);
  if (credential === null) throw new ShipmateError('CONFIG_INVALID', 'Microsoft Graph needs credentials.');
  return createGraphDirectory({ credential, http, logger, ...(baseUrl === undefined ? {} : { baseUrl }) });
}

/** One long-lived, deterministic credential: never a chain that may end in somebody's developer login. */
function credentialFor(config: LoadedConfig): TokenCredential {
  const tenant = config.tenants[0] ?? '';
  const appId = config.appId ?? '';
  const { credentials } = config;
  if (credentials.kind === 'managed-identity')
    return new ManagedIdentityCredential({ clientId: credentials.clientId ?? appId });
  if (credentials.kind === 'certificate')
    return new ClientCertificateCredential(tenant, appId, path.resolve(config.baseDir, credentials.path));
  if (credentials.kind === 'secret') return new ClientSecretCredential(tenant, appId, credentials.secret);
  try {
    return new WorkloadIdentityCredential({
      tenantId: tenant,
      clientId: credentials.clientId ?? appId,
      ...(credentials.tokenFile === undefined
        ? {}
        : { tokenFilePath: path.resolve(config.baseDir, credentials.tokenFile) }),
    });
  } catch (cause) {
    // It wants to know at once where the federated token is; the platform says so in the environment.
    throw new ShipmateError(
      'CONFIG_INVALID',
      'Workload identity has no token file: set AZURE_FEDERATED_TOKEN_FILE or credentials.workload-identity.token-file, or choose another kind of credentials.',
      { cause },
    );
  }
}
