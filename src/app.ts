import { randomBytes } from 'node:crypto';
import path from 'node:path';
import {
  ClientCertificateCredential,
  ClientSecretCredential,
  ManagedIdentityCredential,
  type TokenCredential,
  WorkloadIdentityCredential,
} from '@azure/identity';
import { createAuthoriser } from './access/authorise.ts';
import type { AuditRecord } from './audit/types.ts';
import { ShipmateActivityHandler } from './bot/activities.ts';
import { BotAdapter } from './bot/adapter.ts';
import { createConnector } from './bot/connector.ts';
import { createOutboxFlush } from './bot/outbox.ts';
import { createRejections } from './bot/rejections.ts';
import { createRouter } from './bot/router.ts';
import { createTokenSource } from './bot/tokens.ts';
import { createTrustGate, type TrustConfig } from './bot/trust.ts';
import { createCards } from './cards/index.ts';
import { createCommands } from './commands/index.ts';
import { createLogFile, LINK_MS } from './commands/log-file.ts';
import { diffConfig, type LoadedConfig } from './config.ts';
import { createDeployJobs } from './deploys/jobs.ts';
import type { Catalog } from './deploys/types.ts';
import { createDeploys } from './deploys/workflow.ts';
import { createGraphDirectory } from './directory/graph/index.ts';
import { createStaticDirectory } from './directory/static/index.ts';
import type { Directory } from './directory/types.ts';
import { ShipmateError } from './errors.ts';
import { createHttp, type Http } from './http.ts';
import { createLogger, createRedactor, type Logger } from './logger.ts';
import { createMetrics } from './metrics.ts';
import { logSources } from './monitoring/index.ts';
import type { LogSource, VersionProbe } from './monitoring/types.ts';
import { createVersionProbe } from './monitoring/version-url.ts';
import { pipelines, versionSources } from './pipelines/index.ts';
import { createServers } from './server.ts';
import { createSigner } from './signatures.ts';
import { createStore } from './store/index.ts';
import type { ConversationRef, Store } from './store/types.ts';

/** What tests and benchmarks put in the place of what is far away. Everything else is the real thing. */
export interface AppOptions {
  /** Conversations that are known from the start (playground: its clients send nothing before a page opens). */
  references?: readonly ConversationRef[];
  trust?: Partial<Extract<TrustConfig, { mode: 'teams' }>>;
  /** For Microsoft Graph and for the connector. */
  credential?: TokenCredential;
  graphUrl?: string;
  store?: Store;
  /** Replaces what the configuration's adapters gave, for what has no adapter of its own (scripted pipelines). */
  catalog?: (built: Catalog) => Catalog;
  logger?: Logger;
  now?: () => Date;
}

export interface App {
  logger: Logger;
  store: Store;
  start(): Promise<{ port: number; internalPort: number }>;
  stop(): Promise<void>;
}

/** How long a button may be pressed; what it does is decided anew each time. */
const ACTION_MS = 30 * 86_400_000;
export const CONNECTOR_SCOPE = 'https://api.botframework.com/.default';
const SYSTEM = { id: 'system', tenantId: '', name: 'Shipmate' };

/** Constructs everything and joins it. The only place where that happens. */
export async function createApp(config: LoadedConfig, options: AppOptions = {}): Promise<App> {
  const now = options.now ?? (() => new Date());
  const redact = createRedactor(config.secrets);
  const playground = config.mode === 'playground';
  const logger =
    options.logger ?? createLogger({ level: config.logLevel, format: playground ? 'text' : 'json', redact });
  const metrics = createMetrics();
  const { catalog: built, close, credential, directory, http, probe, source } = inspect(config, { ...options, logger });
  const store =
    options.store ??
    (await createStore({ dataDir: config.dataDir, logger, ...(config.store === null ? {} : { url: config.store }) }));

  const catalog = options.catalog?.(built) ?? built;
  const authoriser = createAuthoriser({
    policy: () => config.access,
    directory,
    places: () =>
      config.services.flatMap(({ environments, name }) =>
        environments.map((environment) => ({ service: name, environment: environment.name })),
      ),
    onFailure: (error) => logger.warn('the directory did not answer', { error }),
  });
  const signer = createSigner(
    await store.transaction((tx) => tx.settings.getOrSet('signing-secret', randomBytes(32).toString('base64url'))),
  );
  const cards = createCards({
    sign: (verb, bind = {}) =>
      signer.sign('action', { v: verb, ...bind }, { expiresAt: new Date(now().getTime() + ACTION_MS) }),
  });

  const stopping = new AbortController();
  const deployDeps = { store, authoriser, catalog: () => catalog, probe, logger, now };
  const deploys = createDeploys(deployDeps);
  const jobs = createDeployJobs({
    ...deployDeps,
    stopping: stopping.signal,
    onEnd: (state) => metrics.deployment(state),
  });

  const gate = createTrustGate(trustFor(config, options.trust), { http, logger, now: () => now().getTime() });
  const connector = createConnector({
    token: credential === null ? null : createTokenSource(credential, CONNECTOR_SCOPE, () => now().getTime()),
    mayCall: gate.mayCall,
    logger,
    now: () => now().getTime(),
    onCall: (what, result) => metrics.sent(what, result),
  });
  const view = async (id: string, audience: 'requester' | 'approvals' | 'channel') => {
    const deployment = await deploys.get(id);
    return deployment && deploys.view(deployment, audience);
  };
  store.work('deploy.trigger', jobs.trigger);
  store.work('deploy.poll', jobs.poll);
  store.work('deploy.expire', jobs.expire);
  store.work('outbox.flush', createOutboxFlush({ store, connector, view, cards, logger, now }));

  const link = (query: Record<string, string>) =>
    `${config.publicUrl}/files/${signer.sign('link', query, { expiresAt: new Date(now().getTime() + LINK_MS) })}`;
  const commands = createCommands({
    authoriser,
    catalog: () => catalog,
    deploys,
    cards,
    store,
    source,
    probe,
    redact,
    link,
    now,
  });
  const router = createRouter({ commands, cards, catalog: () => catalog, connector, store, signer, logger, now });
  const handler = new ShipmateActivityHandler({ router, catalog: () => catalog, store, logger });
  const adapter = new BotAdapter(config.appId ?? '', logger);
  const rejections = createRejections({ store, logger, now });
  const servers = createServers({
    host: config.host,
    port: config.port,
    internalPort: config.internalPort,
    gate,
    onActivity: (activity, identity) => adapter.run(activity, identity, handler),
    onRejected: rejections.add,
    file: createLogFile({ authoriser, store, source, signer, redact, now }),
    ready: () => store.health(),
    metrics,
    logger,
  });

  return {
    logger,
    store,
    async start() {
      for (const reference of options.references ?? []) await store.transaction((tx) => tx.references.save(reference));
      await auditConfig(store, config, now());
      await store.start();
      const ports = await servers.start();
      if (playground)
        logger.warn('\u001b[31mplayground mode: requests are not authenticated; loopback only\u001b[0m', ports);
      else logger.info('listening', ports);
      return ports;
    },
    async stop() {
      stopping.abort();
      await servers.stop();
      await rejections.flush();
      await store.stop();
      await Promise.all([connector.close(), close()]);
    },
  };
}

/** What a configuration names, constructed but not started. */
export interface Parts {
  http: Http;
  /** Null in playground mode: there is nothing to sign in to. */
  credential: TokenCredential | null;
  directory: Directory;
  catalog: Catalog;
  source: LogSource | null;
  probe: VersionProbe;
  close(): Promise<void>;
}

/** Constructs the connections to everything outside, for the bot and for `shipmate check --online`. Opens none of them. */
export function inspect(
  config: LoadedConfig,
  options: Pick<AppOptions, 'credential' | 'graphUrl'> & { logger: Logger },
): Parts {
  const { logger } = options;
  const catalog = buildCatalog(config, logger);
  const credential = config.mode === 'playground' ? null : (options.credential ?? credentialFor(config));
  const http = createHttp();
  const adapter = config.logs === null ? undefined : logSources[config.logs.kind];
  return {
    http,
    credential,
    directory: buildDirectory(config, credential, http, logger, options.graphUrl),
    catalog,
    source: adapter?.create(config.logs?.config, { logger, baseDir: config.baseDir }) ?? null,
    probe: createVersionProbe(http),
    close: () => http.close(),
  };
}

function buildCatalog(config: LoadedConfig, logger: Logger): Catalog {
  const { baseDir, dataDir, programEnv: env } = config;
  const services = config.services.map(({ channel, deploy, environments, name, team, versions }) => {
    const pipeline = pipelines[deploy.kind];
    const source = versionSources[versions.kind];
    if (!pipeline || !source)
      throw new ShipmateError('CONFIG_INVALID', `${name} has a kind of pipeline or versions that is not there.`);
    const deps = (folder: string) => ({ logger, baseDir, env, dataDir: path.join(dataDir, folder) });
    return {
      name,
      team,
      ...(channel === undefined ? {} : { channel }),
      environments,
      pipeline: pipeline.create(deploy.config, name, deps(path.join('runs', deploy.kind))),
      versions: source.create(versions.config, name, deps(path.join('versions', versions.kind))),
    };
  });
  return {
    services: new Map(services.map((service) => [service.name, service])),
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

function trustFor(config: LoadedConfig, overrides: AppOptions['trust']): TrustConfig {
  if (config.mode === 'playground')
    return { mode: 'playground', tenants: config.tenants, serviceOrigins: config.playgroundClients };
  if (config.appId === null)
    throw new ShipmateError('CONFIG_INVALID', 'bot is missing: the application id of your Azure Bot.');
  return { mode: 'teams', appId: config.appId, tenants: config.tenants, ...overrides };
}

/** A load is audited with its hash and what changed since the last one. */
async function auditConfig(store: Store, config: LoadedConfig, at: Date): Promise<void> {
  await store.transaction(async (tx) => {
    const before = await tx.settings.get('config');
    const last = before === null ? null : (JSON.parse(before) as { hash: string; normalised: unknown });
    const changes = last === null ? [] : diffConfig(last.normalised, config.normalised);
    const record: AuditRecord = {
      actor: SYSTEM,
      action: 'config.load',
      outcome: 'done',
      code: 'CONFIG_LOADED',
      details: { hash: config.hash, mode: config.mode, ...(last === null ? { first: true } : { changes }) },
    };
    await tx.audit.append(record, at);
    await tx.settings.set('config', JSON.stringify({ hash: config.hash, normalised: config.normalised }));
  });
}
