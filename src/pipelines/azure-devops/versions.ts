import { PipelineError } from '../../errors.ts';
import { isValid } from '../requests.ts';
import type { PipelineDeps, VersionSource } from '../types.ts';
import { createBuildVersions } from './build-versions.ts';
import { createCompare } from './compare.ts';
import type { AzureVersionsConfig } from './config.ts';
import { azureConnection, KIND } from './connection.ts';
import { finding } from './findings.ts';
import { createTagVersions } from './tag-versions.ts';

/** A service's versions: tags of a repository in Azure Repos, or successful runs of a pipeline. */
export function createAzureVersions(config: AzureVersionsConfig, deps: PipelineDeps): VersionSource {
  const { client } = azureConnection(deps.connection);
  const project = config['azure-devops'];
  const repository = config.repository ?? project;
  const source = config.from === 'builds' ? createBuildVersions(client, config) : createTagVersions(client, config);
  const compare = createCompare(client, project, repository);

  /** Versions can't be had: whatever the reason, it is said in the words of this interface. */
  async function asked<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof PipelineError) || error.code === 'VERSION_UNKNOWN') throw error;
      throw new PipelineError('VERSIONS_UNAVAILABLE', error.message, { cause: error, retryable: error.retryable });
    }
  }

  return {
    kind: KIND,

    list: ({ limit }) => asked(async () => (await source.all(limit)).slice(0, limit)),

    search: (text, { limit }) =>
      asked(async () => {
        const wanted = text.trim().toLowerCase();
        const all = await source.all(null);
        return all.filter(({ name }) => name.toLowerCase().includes(wanted)).slice(0, limit);
      }),

    resolve: (name) =>
      asked(async () => {
        const wanted = name.trim();
        const other = /^v\d/i.test(wanted) ? wanted.slice(1) : `v${wanted}`;
        for (const candidate of [wanted, other].filter((each) => isValid('version', each))) {
          const found = await source.exact(candidate);
          if (found !== null) return found;
        }
        return null;
      }),

    compare: (from, to, { limit }) => asked(() => compare(from, to, limit)),

    async check() {
      let empty = false;
      const problems = await finding(async () => {
        empty = (await source.all(1)).length === 0;
      });
      return empty ? [{ level: 'warning' as const, message: source.none }] : problems;
    },
  };
}
