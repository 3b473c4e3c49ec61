import { createHash, randomBytes } from 'node:crypto';
import path from 'node:path';
import { createAuthoriser } from './access/authorise.ts';
import { createAnchors } from './audit/anchor.ts';
import { createSinks } from './audit/sinks/index.ts';
import { createAuditStream } from './audit/stream.ts';
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
import { lookForDrift } from './deploys/drift.ts';
import { createForeign, hear } from './deploys/foreign.ts';
import { createDeployJobs } from './deploys/jobs.ts';
import { createLaterJobs } from './deploys/later.ts';
import { remindOfReview } from './deploys/reviews.ts';
import type { Catalog } from './deploys/types.ts';
import { watch } from './deploys/watch.ts';
import { createWebhooks } from './deploys/webhooks.ts';
import { createDeploys } from './deploys/workflow.ts';
import type { Directory } from './directory/types.ts';
import { parseDuration } from './durations.ts';
import { ShipmateError } from './errors.ts';
import { createLogger, createRedactor, type Logger } from './logger.ts';
import { createMetrics } from './metrics.ts';
import { createHealthProbe } from './monitoring/health.ts';
import { inspect, type PartsOptions } from './parts.ts';
import { needsRestart } from './reload.ts';
import { createServers } from './server.ts';
import { createSigner } from './signatures.ts';
import { createStore } from './store/index.ts';
import type { ConversationRef, Store } from './store/types.ts';

/** What tests and benchmarks put in the place of what is far away. Everything else is the real thing. */
export interface AppOptions extends PartsOptions {
  /** Conversations that are known from the start (playground: its clients send nothing before a page opens). */
  references?: readonly ConversationRef[];
  trust?: Partial<Extract<TrustConfig, { mode: 'teams' }>>;
  store?: Store;
  /** Replaces what the configuration's adapters gave, for what has no adapter of its own (scripted pipelines). */
  catalog?: (built: Catalog) => Catalog;
  logger?: Logger;
}

export interface App {
  logger: Logger;
  store: Store;
  start(): Promise<{ port: number; internalPort: number }>;
  /**
   * Takes over a changed configuration, or leaves everything as it is: what is wrong is told to the ops channel. Gives what
   * changed, one line each.
   */
  reload(load: () => LoadedConfig): Promise<{ ok: true; changes: string[] } | { ok: false; problem: string }>;
  stop(): Promise<void>;
}

/** How long a button may be pressed; what it does is decided anew each time. */
const ACTION_MS = 30 * 86_400_000;
export const CONNECTOR_SCOPE = 'https://api.botframework.com/.default';
/** Between two rounds of the work that comes round. */
const ROUND_MS = 60_000;
const DAY_MS = 86_400_000;
const SYSTEM = { id: 'system', tenantId: '', name: 'Shipmate' };

/** Constructs everything and joins it. The only place where that happens. */
export async function createApp(config: LoadedConfig, options: AppOptions = {}): Promise<App> {
  const now = options.now ?? (() => new Date());
  const redact = createRedactor(config.secrets);
  const playground = config.mode === 'playground';
  const logger =
    options.logger ?? createLogger({ level: config.logLevel, format: playground ? 'text' : 'json', redact });
  const metrics = createMetrics();
  // Everything that a changed configuration replaces. The rest takes a restart (see reload.ts).
  let live = { config, parts: inspect(config, { ...options, logger }) };
  const { close, credential, http, probe } = live.parts;
  const store =
    options.store ??
    (await createStore({
      dataDir: config.dataDir,
      logger,
      onJobFailed: (job) => metrics.jobFailed(job),
      ...(config.store === null ? {} : { url: config.store }),
    }));

  let catalog = options.catalog?.(live.parts.catalog) ?? live.parts.catalog;
  const directory: Directory = {
    kind: live.parts.directory.kind,
    memberOf: (...args) => live.parts.directory.memberOf(...args),
    isGuest: async (...args) => (await live.parts.directory.isGuest?.(...args)) ?? false,
    size: (group) => live.parts.directory.size(group),
    check: () => live.parts.directory.check(),
  };
  const authoriser = createAuthoriser({
    policy: () => live.config.access,
    directory,
    places: () =>
      live.config.services.flatMap(({ environments, name }) =>
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
  const later = createLaterJobs(deployDeps);
  store.work('deploy.due', later.due);
  store.work('deploy.next', later.next);
  store.work('deploy.remind', later.remind);
  store.work('deploy.cancel', later.cancel);
  store.work('deploy.answer', later.answer);
  const health = createHealthProbe(http, { baseDir: config.baseDir, env: config.programEnv });
  store.work('deploy.watch', ({ id }) => watch({ ...deployDeps, health }, id));
  store.work('deploy.review', ({ id }) => remindOfReview(deployDeps, id));
  store.work('deploy.drift', async () => {
    await lookForDrift(deployDeps);
    await store.transaction(async (tx) => {
      for (const { name, pipeline } of catalog.services.values())
        if (pipeline.recent) await tx.jobs.send('deploy.foreign', { service: name }, { singletonKey: name });
    });
  });
  const foreign = createForeign(deployDeps);
  store.work('deploy.foreign', foreign.look);
  store.work('pipeline.event', (event) =>
    hear(deployDeps, event, (connection) =>
      live.config.services.filter(({ deploy }) => deploy.connection === connection).map(({ name }) => name),
    ),
  );
  const keeping = createKeeping({ store, logger, now }, config);
  store.work('audit.stream', () => keeping.flush());
  store.work('audit.anchor', () => keeping.anchor());
  store.work('outbox.flush', createOutboxFlush({ store, connector, view, cards, logger, now }));

  const link = (query: Record<string, string>) =>
    `${live.config.publicUrl}/files/${signer.sign('link', query, { expiresAt: new Date(now().getTime() + LINK_MS) })}`;
  const commands = createCommands({
    authoriser,
    catalog: () => catalog,
    deploys,
    cards,
    store,
    get source() {
      return live.parts.source;
    },
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
    file: createLogFile({
      authoriser,
      store,
      get source() {
        return live.parts.source;
      },
      signer,
      redact,
      now,
    }),
    webhook: createWebhooks({ store, connections: () => live.parts.connections, logger, now }),
    ready: () => store.health(),
    metrics,
    logger,
  });

  /** Work that comes round. Every replica sends it; whoever takes the job does it once for all. */
  const comeRound = () =>
    store
      .transaction(async (tx) => {
        const at = now().toISOString();
        for (const queue of ['deploy.drift', 'audit.stream', 'audit.anchor'] as const)
          await tx.jobs.send(queue, { at }, { singletonKey: queue });
      })
      .catch((error: unknown) => logger.warn('work that comes round could not be sent', { error }));
  let round: NodeJS.Timeout | undefined;

  const reload: App['reload'] = async (load) => {
    let next: LoadedConfig;
    try {
      next = load();
      const fixed = needsRestart(live.config, next);
      const same = JSON.stringify(next.secrets) === JSON.stringify(live.config.secrets);
      if (fixed.length === 0 && next.hash === live.config.hash && same) return { ok: true, changes: [] };
      if (fixed.length > 0)
        throw new ShipmateError(
          'CONFIG_INVALID',
          `This needs a restart: ${fixed.join(', ')}. Until then nothing of the new file holds.`,
        );
      const parts = inspect(next, { ...options, logger, http });
      for (const secret of next.secrets) redact.secret(secret);
      live = { config: next, parts };
      catalog = options.catalog?.(parts.catalog) ?? parts.catalog;
    } catch (error) {
      if (!(error instanceof ShipmateError)) throw error;
      logger.error('the configuration was changed and is not right; nothing of it holds', { error: error.message });
      await auditRefusedConfig(store, live.config, error, now());
      return { ok: false, problem: error.message };
    }
    const changes = await auditConfig(store, next, now(), 'changed');
    logger.info('the configuration was changed', { hash: next.hash, changes });
    return { ok: true, changes };
  };

  return {
    logger,
    store,
    reload,
    async start() {
      for (const reference of options.references ?? []) await store.transaction((tx) => tx.references.save(reference));
      await auditConfig(store, config, now());
      await store.start();
      await comeRound();
      round = setInterval(comeRound, ROUND_MS);
      round.unref();
      const ports = await servers.start();
      if (playground)
        logger.warn('\u001b[31mplayground mode: requests are not authenticated; loopback only\u001b[0m', ports);
      else logger.info('listening', ports);
      return ports;
    },
    async stop() {
      stopping.abort();
      clearInterval(round);
      await servers.stop();
      await rejections.flush();
      await store.stop();
      await Promise.all([connector.close(), close(), keeping.close()]);
    },
  };
}

function trustFor(config: LoadedConfig, overrides: AppOptions['trust']): TrustConfig {
  if (config.mode === 'playground')
    return { mode: 'playground', tenants: config.tenants, serviceOrigins: config.playgroundClients };
  if (config.appId === null)
    throw new ShipmateError('CONFIG_INVALID', 'bot is missing: the application id of your Azure Bot.');
  return { mode: 'teams', appId: config.appId, tenants: config.tenants, ...overrides };
}

/** A load is audited with its hash and what changed since the last one; a change is told to those who run Shipmate. */
async function auditConfig(
  store: Store,
  config: LoadedConfig,
  at: Date,
  why: 'start' | 'changed' = 'start',
): Promise<string[]> {
  return store.transaction(async (tx) => {
    const before = await tx.settings.get('config');
    const last = before === null ? null : (JSON.parse(before) as { hash: string; normalised: unknown });
    const changes = last === null ? [] : diffConfig(last.normalised, config.normalised);
    // Another replica read the same file a moment ago and said so.
    if (why === 'changed' && last?.hash === config.hash) return changes;
    const record: AuditRecord = {
      actor: SYSTEM,
      action: 'config.load',
      outcome: 'done',
      code: 'CONFIG_LOADED',
      details: { hash: config.hash, mode: config.mode, ...(last === null ? { first: true } : { changes }) },
    };
    await tx.audit.append(record, at);
    await tx.settings.set('config', JSON.stringify({ hash: config.hash, normalised: config.normalised }));
    if (config.opsChannel !== undefined && changes.length > 0)
      await tx.outbox.put({
        key: `config:${config.hash}:${at.toISOString()}`,
        conversation: config.opsChannel,
        payload: {
          kind: 'message',
          text: `My configuration changed (${config.hash.slice(0, 12)}): ${changes.slice(0, 10).join('; ')}`,
        },
      });
    return changes;
  });
}

/** A file that is not right changes nothing; it is audited and told, once per what is wrong with it. */
async function auditRefusedConfig(store: Store, config: LoadedConfig, error: ShipmateError, at: Date): Promise<void> {
  const day = at.toISOString().slice(0, 10);
  const key = `config:refused:${createHash('sha256').update(`${day} ${error.message}`).digest('hex')}`;
  await store.transaction(async (tx) => {
    if (!(await tx.claims.claim(key, new Date(at.getTime() + 2 * DAY_MS)))) return;
    const problems = error.message.split('\n');
    await tx.audit.append(
      {
        actor: SYSTEM,
        action: 'config.load',
        outcome: 'refused',
        code: 'CONFIG_INVALID',
        details: { problems: problems.slice(0, 10), holds: config.hash },
      },
      at,
    );
    if (config.opsChannel !== undefined)
      await tx.outbox.put({
        key,
        conversation: config.opsChannel,
        payload: {
          kind: 'message',
          text: `My configuration was changed and is not right, so the one before still holds. ${problems.slice(0, 5).join(' ')}`,
        },
      });
  });
}

/** Sinks and anchors of the audit, as the start's configuration names them. */
function createKeeping(deps: { store: Store; logger: Logger; now: () => Date }, config: LoadedConfig) {
  const { anchor, anchorChannel } = config.audit;
  const sinks = createSinks(config.audit, { baseDir: config.baseDir, logger: deps.logger });
  const stream = createAuditStream({ ...deps, sinks });
  const anchors =
    anchor === undefined
      ? null
      : createAnchors({
          ...deps,
          every: parseDuration(anchor.every) ?? DAY_MS,
          ...(anchor.file === undefined ? {} : { file: path.resolve(config.baseDir, anchor.file) }),
          ...(anchorChannel === undefined
            ? {}
            : {
                post: (tx, text) =>
                  tx.outbox.put({
                    key: `audit:anchor:${deps.now().toISOString()}`,
                    conversation: anchorChannel,
                    payload: { kind: 'message', text },
                  }),
              }),
        });
  return {
    flush: () => stream.flush(),
    anchor: async () => void (await anchors?.anchor()),
    close: async () => void (await Promise.all(sinks.map((sink) => sink.close()))),
  };
}
