import type { z } from 'zod';
import type { ConnectionAdapter } from '../connections.ts';
import { elasticConnectionConfig, elasticLogsConfig, elasticSecrets } from './elasticsearch/config.ts';
import { createElasticConnection, createElasticLogs } from './elasticsearch/index.ts';
import { filesConfig } from './files/config.ts';
import { createFilesLogs } from './files/index.ts';
import { lokiConnectionConfig, lokiLogsConfig, lokiSecrets } from './loki/config.ts';
import { createLokiConnection, createLokiLogs } from './loki/index.ts';
import type { LogSource, MonitoringDeps } from './types.ts';

/** An adapter's own configuration schema, with what makes the adapter from a value that passed it. */
export interface LogsAdapter {
  config: z.ZodType;
  /** The kind of connection that it needs. */
  connection?: string;
  create(config: unknown, deps: MonitoringDeps): LogSource;
}

/** By the key under `connections:`, or its `kind`. */
export const connections: Readonly<Record<string, ConnectionAdapter>> = {
  elasticsearch: {
    config: elasticConnectionConfig,
    secrets: (config) => elasticSecrets(elasticConnectionConfig.parse(config)),
    create: (config, deps) => createElasticConnection(elasticConnectionConfig.parse(config), deps),
  },
  loki: {
    config: lokiConnectionConfig,
    secrets: (config) => lokiSecrets(lokiConnectionConfig.parse(config)),
    create: (config, deps) => createLokiConnection(lokiConnectionConfig.parse(config), deps),
  },
};

/** By the first key of `logs:`. To add one: a folder beside this file, a line here. */
export const logSources: Readonly<Record<string, LogsAdapter>> = {
  elasticsearch: {
    config: elasticLogsConfig,
    connection: 'elasticsearch',
    create: (config, deps) => createElasticLogs(elasticLogsConfig.parse(config), deps),
  },
  files: { config: filesConfig, create: (config, deps) => createFilesLogs(filesConfig.parse(config), deps) },
  loki: {
    config: lokiLogsConfig,
    connection: 'loki',
    create: (config, deps) => createLokiLogs(lokiLogsConfig.parse(config), deps),
  },
};
