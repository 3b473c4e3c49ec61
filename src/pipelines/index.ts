import type { z } from 'zod';
import { commandConfig } from './command/config.ts';
import { createCommandPipeline } from './command/index.ts';
import { gitConfig } from './git/config.ts';
import { createGitVersions } from './git/index.ts';
import type { Connection, ConnectionDeps, Pipeline, PipelineDeps, VersionSource } from './types.ts';

/** An adapter's own configuration schema, with what makes the adapter from a value that passed it. */
export interface PipelineAdapter {
  config: z.ZodType;
  /** The kind of connection that it needs: `connections.<kind>`, or the one that its key `connection` names. */
  connection?: string;
  create(config: unknown, service: string, deps: PipelineDeps): Pipeline;
}
export interface VersionsAdapter {
  config: z.ZodType;
  connection?: string;
  create(config: unknown, service: string, deps: PipelineDeps): VersionSource;
}

export interface ConnectionAdapter {
  config: z.ZodType;
  /** What of it must never be printed. */
  secrets(config: unknown): readonly string[];
  /** Opens nothing yet. */
  create(config: unknown, deps: ConnectionDeps): Connection;
}

/** By the key under `connections:`, or its `kind`. */
export const connections: Readonly<Record<string, ConnectionAdapter>> = {};

/** By the first key of `deploy:`. To add one: a folder beside this file, a line here. */
export const pipelines: Readonly<Record<string, PipelineAdapter>> = {
  command: {
    config: commandConfig,
    create: (config, service, deps) => createCommandPipeline(commandConfig.parse(config), service, deps),
  },
};

/** By the first key of `versions:`. */
export const versionSources: Readonly<Record<string, VersionsAdapter>> = {
  git: { config: gitConfig, create: (config, _service, deps) => createGitVersions(gitConfig.parse(config), deps) },
};
