import type { z } from 'zod';
import type { ConnectionAdapter } from '../connections.ts';
import { azureConnectionConfig, azureDeployConfig, azureSecrets, azureVersionsConfig } from './azure-devops/config.ts';
import { createAzureConnection } from './azure-devops/connection.ts';
import { createAzurePipeline } from './azure-devops/index.ts';
import { createAzureVersions } from './azure-devops/versions.ts';
import { commandConfig } from './command/config.ts';
import { createCommandPipeline } from './command/index.ts';
import { gitConfig } from './git/config.ts';
import { createGitVersions } from './git/index.ts';
import { keySecrets } from './github/auth.ts';
import { githubConnectionConfig, githubDeployConfig, githubVersionsConfig } from './github/config.ts';
import { createGitHubConnection } from './github/connect.ts';
import { createGitHubPipeline } from './github/index.ts';
import { createGitHubVersions } from './github/versions.ts';
import {
  gitlabConfig,
  gitlabConnectionConfig,
  connectionSecrets as gitlabSecrets,
  gitlabVersionsConfig,
} from './gitlab/config.ts';
import { createGitlabConnection } from './gitlab/connection.ts';
import { createGitlabPipeline } from './gitlab/index.ts';
import { createGitlabVersions } from './gitlab/versions.ts';
import {
  jenkinsConnectionConfig,
  jenkinsDeployConfig,
  jenkinsSecrets,
  jenkinsVersionsConfig,
} from './jenkins/config.ts';
import { createJenkinsConnection } from './jenkins/connection.ts';
import { createJenkinsPipeline } from './jenkins/index.ts';
import { createJenkinsVersions } from './jenkins/versions.ts';
import { ociConnectionConfig, ociSecrets, ociVersionsConfig } from './oci/config.ts';
import { createOciConnection } from './oci/connection.ts';
import { createOciVersions } from './oci/index.ts';
import type { Pipeline, PipelineDeps, VersionSource } from './types.ts';

/** An adapter's own configuration schema, with what makes the adapter from a value that passed it. */
export interface PipelineAdapter {
  config: z.ZodType;
  /** The kind of connection that it needs: `connections.<kind>`, or the one that its key `connection` names. */
  connection?: string;
  /** Where its runs are told apart from others' at the vendor: two services with the same place share them. */
  place?(config: unknown): string;
  create(config: unknown, service: string, deps: PipelineDeps): Pipeline;
}
export interface VersionsAdapter {
  config: z.ZodType;
  connection?: string;
  /** What the entry leaves out because the service's `deploy` says it. */
  complete?(
    entry: Readonly<Record<string, unknown>>,
    deploy: Readonly<Record<string, unknown>>,
  ): Record<string, unknown>;
  create(config: unknown, service: string, deps: PipelineDeps): VersionSource;
}

/** By the key under `connections:`, or its `kind`. */
export const connections: Readonly<Record<string, ConnectionAdapter>> = {
  'azure-devops': {
    config: azureConnectionConfig,
    secrets: (config) => azureSecrets(azureConnectionConfig.parse(config)),
    create: (config, deps) => createAzureConnection(azureConnectionConfig.parse(config), deps),
  },
  gitlab: {
    config: gitlabConnectionConfig,
    secrets: (config) => gitlabSecrets(gitlabConnectionConfig.parse(config)),
    create: (config, deps) => createGitlabConnection(gitlabConnectionConfig.parse(config), deps),
  },
  jenkins: {
    config: jenkinsConnectionConfig,
    secrets: (config) => jenkinsSecrets(jenkinsConnectionConfig.parse(config)),
    create: (config, deps) => createJenkinsConnection(jenkinsConnectionConfig.parse(config), deps),
  },
  github: {
    config: githubConnectionConfig,
    secrets: (config) => {
      const { key, secret } = githubConnectionConfig.parse(config);
      return [...keySecrets(key), ...(secret === undefined ? [] : [secret])];
    },
    create: (config, deps) => createGitHubConnection(githubConnectionConfig.parse(config), deps),
  },
  oci: {
    config: ociConnectionConfig,
    secrets: (config) => ociSecrets(ociConnectionConfig.parse(config)),
    create: (config, deps) => createOciConnection(ociConnectionConfig.parse(config), deps),
  },
};

/** By the first key of `deploy:`. To add one: a folder beside this file, a line here. */
export const pipelines: Readonly<Record<string, PipelineAdapter>> = {
  'azure-devops': {
    config: azureDeployConfig,
    connection: 'azure-devops',
    place: (config) => {
      const { 'azure-devops': project, pipeline } = azureDeployConfig.parse(config);
      return `${project}/${pipeline}`.toLowerCase();
    },
    create: (config, service, deps) => createAzurePipeline(azureDeployConfig.parse(config), service, deps),
  },
  command: {
    config: commandConfig,
    create: (config, service, deps) => createCommandPipeline(commandConfig.parse(config), service, deps),
  },
  gitlab: {
    config: gitlabConfig,
    connection: 'gitlab',
    place: (config) => gitlabConfig.parse(config).gitlab.toLowerCase(),
    create: (config, service, deps) => createGitlabPipeline(gitlabConfig.parse(config), service, deps),
  },
  jenkins: {
    config: jenkinsDeployConfig,
    connection: 'jenkins',
    place: (config) => jenkinsDeployConfig.parse(config).jenkins,
    create: (config, _service, deps) => createJenkinsPipeline(jenkinsDeployConfig.parse(config), deps),
  },
  github: {
    config: githubDeployConfig,
    connection: 'github',
    place: (config) => {
      const { github, workflow } = githubDeployConfig.parse(config);
      return `${github}/${workflow}`.toLowerCase();
    },
    create: (config, _service, deps) => createGitHubPipeline(githubDeployConfig.parse(config), deps),
  },
};

/**
 * Where `versions` says only what a version is ("releases"), it is of the place that `deploy` names, by the same
 * connection.
 */
function completeFrom(kind: string, place: string, words: readonly string[]): NonNullable<VersionsAdapter['complete']> {
  return (entry, deploy) => ({
    ...(typeof deploy[kind] === 'string' && words.includes(String(entry[kind])) ? { [place]: deploy[kind] } : {}),
    ...(typeof deploy.connection === 'string' && Object.hasOwn(deploy, kind) ? { connection: deploy.connection } : {}),
    ...entry,
  });
}

/** By the first key of `versions:`. */
export const versionSources: Readonly<Record<string, VersionsAdapter>> = {
  'azure-devops': {
    config: azureVersionsConfig,
    connection: 'azure-devops',
    create: (config, _service, deps) => createAzureVersions(azureVersionsConfig.parse(config), deps),
  },
  git: { config: gitConfig, create: (config, _service, deps) => createGitVersions(gitConfig.parse(config), deps) },
  gitlab: {
    config: gitlabVersionsConfig,
    connection: 'gitlab',
    complete: completeFrom('gitlab', 'project', ['tags', 'releases']),
    create: (config, _service, deps) => createGitlabVersions(gitlabVersionsConfig.parse(config), deps),
  },
  jenkins: {
    config: jenkinsVersionsConfig,
    connection: 'jenkins',
    create: (config, _service, deps) => createJenkinsVersions(jenkinsVersionsConfig.parse(config), deps),
  },
  github: {
    config: githubVersionsConfig,
    connection: 'github',
    complete: completeFrom('github', 'repo', ['releases', 'tags', 'deployments']),
    create: (config, _service, deps) => createGitHubVersions(githubVersionsConfig.parse(config), deps),
  },
  oci: {
    config: ociVersionsConfig,
    connection: 'oci',
    create: (config, _service, deps) => createOciVersions(ociVersionsConfig.parse(config), deps),
  },
};
