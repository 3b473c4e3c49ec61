import type { z } from 'zod';
import type { ConnectionAdapter } from '../connections.ts';
import { filesConfig } from './files/config.ts';
import { createFilesLogs } from './files/index.ts';
import type { LogSource, MonitoringDeps } from './types.ts';

/** An adapter's own configuration schema, with what makes the adapter from a value that passed it. */
export interface LogsAdapter {
  config: z.ZodType;
  /** The kind of connection that it needs. */
  connection?: string;
  create(config: unknown, deps: MonitoringDeps): LogSource;
}

/** By the key under `connections:`, or its `kind`. */
export const connections: Readonly<Record<string, ConnectionAdapter>> = {};

/** By the first key of `logs:`. To add one: a folder beside this file, a line here. */
export const logSources: Readonly<Record<string, LogsAdapter>> = {
  files: { config: filesConfig, create: (config, deps) => createFilesLogs(filesConfig.parse(config), deps) },
};
