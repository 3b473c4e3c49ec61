import { randomUUID } from 'node:crypto';
import { createHttp } from '../../../src/http.ts';
import { connections, pipelines, versionSources } from '../../../src/pipelines/index.ts';
import type { Connection } from '../../../src/pipelines/types.ts';
import type { CreateFakeCi } from '../../fakes/ci/types.ts';
import { pipelineDeps, silentLogger, temporaryFolder } from './deps.ts';
import type { PipelineHarness, VersionsHarness } from './types.ts';

/** A connection on a fake, made as app.ts makes it. */
export function connect(kind: string, config: unknown, now: () => Date = () => new Date()) {
  const adapter = connections[kind];
  if (!adapter) throw new Error(`no connection ${kind}`);
  const http = createHttp();
  const connection = adapter.create(adapter.config.parse(config), {
    logger: silentLogger,
    baseDir: process.cwd(),
    http: () => http,
    entraToken: async (scope) => ({ token: `entra-token-for-${scope}`, expiresAt: new Date(Date.now() + 3_600_000) }),
    now,
  });
  return { connection, close: () => http.close() };
}

/** The contract's harness for a pipeline on a fake vendor. */
export function vendorPipeline(createFake: CreateFakeCi): PipelineHarness {
  return {
    family: 'pipeline',
    async open() {
      const fake = await createFake();
      const { folder, remove } = await temporaryFolder();
      const opened: { close(): Promise<void> }[] = [];
      const reopen = () => {
        const { close, connection } = connect(fake.kind, fake.config.connection);
        opened.push({ close });
        const adapter = pipelines[fake.kind];
        if (!adapter) throw new Error(`no pipeline ${fake.kind}`);
        const deps = { ...pipelineDeps(folder), connection };
        return adapter.create(adapter.config.parse(fake.config.deploy), 'storefront', deps);
      };
      return {
        fake,
        pipeline: reopen(),
        reopen,
        behave: (how) => fake.behave(how),
        started: async () => fake.started(),
        request: () => ({
          key: randomUUID(),
          service: 'storefront',
          environment: 'staging',
          version: '1.1.0',
          sha: fake.shas['1.1.0'],
          requestedBy: 'Ana Ruiz',
        }),
        async close() {
          await fake.close();
          await Promise.all(opened.map(({ close }) => close()));
          await remove();
        },
      };
    },
  };
}

/** The contract's harness for versions on a fake vendor. */
export function vendorVersions(
  createFake: CreateFakeCi,
  kind: string,
  entry?: (config: Record<string, unknown>) => Record<string, unknown>,
): VersionsHarness {
  return {
    family: 'versions',
    async open() {
      const fake = await createFake();
      const { folder, remove } = await temporaryFolder();
      const adapter = versionSources[kind];
      if (!adapter) throw new Error(`no versions ${kind}`);
      let connection: Connection | undefined;
      let closeHttp = async () => {};
      if (adapter.connection !== undefined)
        ({ connection, close: closeHttp } = connect(adapter.connection, fake.config.connection));
      const config = adapter.config.parse(entry?.(fake.config.versions) ?? fake.config.versions);
      return {
        source: adapter.create(config, 'storefront', {
          ...pipelineDeps(folder),
          ...(connection ? { connection } : {}),
        }),
        shas: fake.shas,
        moveTag: async () => fake.moveTag('1.1.0', '1.10.0'),
        breakIt: async () => fake.trouble('5xx'),
        async close() {
          await fake.close();
          await closeHttp();
          await remove();
        },
      };
    },
  };
}
