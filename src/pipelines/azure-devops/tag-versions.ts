import { PipelineError } from '../../errors.ts';
import type { Version } from '../types.ts';
import type { AzureClient } from './client.ts';
import type { AzureVersionsConfig } from './config.ts';
import { isProjectMissing, projectMissing } from './definitions.ts';
import { nameMatcher, newestFirst } from './order.ts';
import { refs } from './schema.ts';
import type { Source } from './source.ts';

const PAGE = 1_000;
const MOST_PAGES = 20;
const PREFIX = 'refs/tags/';

/** Tags of a repository. Source: Azure DevOps REST API, "Refs - List". */
export function createTagVersions(client: AzureClient, config: AzureVersionsConfig): Source {
  const project = config['azure-devops'];
  const repository = config.repository ?? project;
  const isVersion = nameMatcher(config.tags ?? '*');

  /** Tags whose names begin so. */
  async function tags(beginning: string): Promise<Version[]> {
    const found: Version[] = [];
    let token: string | undefined;
    for (let page = 0; page < MOST_PAGES; page += 1) {
      const answer = await client.ask({
        path: [project, '_apis', 'git', 'repositories', repository, 'refs'],
        // An annotated tag is an object of its own: peeled, it is the commit.
        query: { filter: `tags/${beginning}`, peelTags: true, $top: PAGE, continuationToken: token },
        right: '"Read" of the repository',
      });
      if (!answer.ok) {
        if (answer.status === 404)
          throw isProjectMissing(answer.typeKey) ? projectMissing(project) : repositoryMissing(project, repository);
        throw client.refused(answer);
      }
      for (const { name, objectId, peeledObjectId } of client.parse(refs, answer).value)
        if (name.startsWith(PREFIX) && isVersion(name.slice(PREFIX.length)))
          found.push({ name: name.slice(PREFIX.length), sha: peeledObjectId || objectId });
      token = answer.continuation;
      if (token === undefined) return found;
    }
    throw new PipelineError(
      'PIPELINE_UNAVAILABLE',
      `The repository ${repository} has more than ${PAGE * MOST_PAGES} tags. Remove old ones, or take versions from builds.`,
    );
  }

  return {
    all: async () => newestFirst(await tags('')),
    exact: async (name) => (await tags(name)).find((version) => version.name === name) ?? null,
    none: `No tag of the repository ${repository} matches "${config.tags ?? '*'}", so there is no version to deploy. Push a tag, or correct \`tags\`.`,
  };
}

export function repositoryMissing(project: string, repository: string): PipelineError {
  return new PipelineError(
    'PIPELINE_REJECTED',
    `There is no repository ${JSON.stringify(repository)} in the project ${project} that the bot's identity can see. Correct \`repository\`, or give the identity the permission "Read" there.`,
  );
}
