import { createHttp } from '../../../src/http.ts';
import {
  azureConnectionConfig,
  azureDeployConfig,
  azureVersionsConfig,
} from '../../../src/pipelines/azure-devops/config.ts';
import { createAzureConnection } from '../../../src/pipelines/azure-devops/connection.ts';
import { createAzurePipeline } from '../../../src/pipelines/azure-devops/index.ts';
import { createAzureVersions } from '../../../src/pipelines/azure-devops/versions.ts';
import type { ConnectionDeps, TriggerRequest } from '../../../src/pipelines/types.ts';
import { pipelineDeps, silentLogger, until } from '../../contract/harness/deps.ts';
import { createFakeAzure } from '../../fakes/azure-devops/index.ts';

/** A fake with adapters on it. `entra` counts tokens that were asked for. */
export async function open(options: Parameters<typeof createFakeAzure>[0] & { url?: string } = {}) {
  const fake = await createFakeAzure(options);
  const http = createHttp();
  const clock = { offset: 0 };
  const entra = { asked: 0 };
  const deps: ConnectionDeps = {
    logger: silentLogger,
    baseDir: process.cwd(),
    http: () => http,
    entraToken: async (scope) => {
      entra.asked += 1;
      return { token: `entra-token-for-${scope}`, expiresAt: new Date(Date.now() + 3_600_000) };
    },
    now: () => new Date(Date.now() + clock.offset),
  };
  const connect = (config: object = {}, more: Partial<ConnectionDeps> = {}) =>
    createAzureConnection(azureConnectionConfig.parse({ ...fake.config.connection, ...config }), { ...deps, ...more });
  const connection = connect();
  const bound = { ...pipelineDeps('/nowhere'), connection };
  return {
    fake,
    clock,
    entra,
    connect,
    connection,
    pipeline: (config: object = {}, over = bound) =>
      createAzurePipeline(azureDeployConfig.parse({ ...fake.config.deploy, ...config }), 'storefront', over),
    versions: (config: object = {}) =>
      createAzureVersions(azureVersionsConfig.parse({ ...fake.config.versions, ...config }), bound),
    request: (more: Partial<TriggerRequest> = {}): TriggerRequest => ({
      key: crypto.randomUUID(),
      service: 'storefront',
      environment: 'staging',
      version: '1.1.0',
      sha: fake.shas['1.1.0'],
      requestedBy: 'Ana Ruiz',
      ...more,
    }),
    async close() {
      await fake.close();
      await http.close();
    },
  };
}

export type Opened = Awaited<ReturnType<typeof open>>;

export const isOver = ({ state }: { state: string }) => state !== 'queued' && state !== 'running';

export function untilOver(pipeline: ReturnType<Opened['pipeline']>, run: { id: string }) {
  return until(() => pipeline.status(run), isOver);
}

/** The error that a promise ends in. */
export async function errorOf(work: Promise<unknown>): Promise<Error> {
  const reason = await work.then(
    () => new Error('it did not fail'),
    (error: unknown) => error,
  );
  if (reason instanceof Error) return reason;
  throw new Error(String(reason));
}
