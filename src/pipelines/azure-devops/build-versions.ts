import type { Version } from '../types.ts';
import type { AzureClient } from './client.ts';
import type { AzureVersionsConfig } from './config.ts';
import { createDefinition } from './definitions.ts';
import { builds } from './schema.ts';
import type { Source } from './source.ts';
import { isoTime } from './timeline.ts';

/** A search looks through so many of the newest builds. */
const MOST_BUILDS = 500;

/** Successful runs of a pipeline; a version is called by the run's number, and its commit is the one that was built. */
export function createBuildVersions(client: AzureClient, config: AzureVersionsConfig): Source {
  const project = config['azure-devops'];
  const definition = createDefinition(client, project, config.pipeline ?? '');

  async function query(more: Readonly<Record<string, string | number>>): Promise<Version[]> {
    const answer = await client.ask({
      path: [project, '_apis', 'build', 'builds'],
      query: {
        definitions: await definition.id(),
        statusFilter: 'completed',
        resultFilter: 'succeeded',
        queryOrder: 'finishTimeDescending',
        branchName: config.branch,
        ...more,
      },
      right: '"View builds"',
    });
    if (!answer.ok) throw answer.status === 404 ? definition.notThere(answer.typeKey) : client.refused(answer);
    const seen = new Set<string>();
    return client.parse(builds, answer).value.flatMap(({ buildNumber, finishTime, sourceVersion }) => {
      // A number that was used twice means its newest run.
      if (!buildNumber || !sourceVersion || seen.has(buildNumber)) return [];
      seen.add(buildNumber);
      const createdAt = isoTime(finishTime);
      return [{ name: buildNumber, sha: sourceVersion, ...(createdAt === undefined ? {} : { createdAt }) }];
    });
  }

  return {
    all: (limit) => query({ $top: Math.min(Math.max(limit ?? MOST_BUILDS, 1), MOST_BUILDS) }),
    // The filter takes "*" at the end for anything; a version's name has none.
    exact: async (name) =>
      (await query({ buildNumber: name, $top: 1 })).find((version) => version.name === name) ?? null,
    none: `The ${definition.shown} has no successful run${config.branch === undefined ? '' : ` of ${config.branch}`}, so there is no version to deploy.`,
  };
}
