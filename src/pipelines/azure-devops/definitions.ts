import { PipelineError } from '../../errors.ts';
import type { AzureClient } from './client.ts';
import { definition, listOf, pipeline } from './schema.ts';

const RIGHT = '"View build pipeline"';

/** The id of a pipeline that is configured by its id or its name; a name is looked up once. */
export function createDefinition(client: AzureClient, project: string, configured: number | string) {
  const numeric = typeof configured === 'number' || /^[1-9]\d{0,8}$/.test(configured);
  const shown = JSON.stringify(configured);
  let known: number | null = numeric ? Number(configured) : null;

  async function byName(): Promise<number> {
    const answer = await client.ask({
      path: [project, '_apis', 'build', 'definitions'],
      query: { name: configured },
      right: RIGHT,
    });
    if (!answer.ok) throw answer.status === 404 ? notThere(project, answer.typeKey, shown) : client.refused(answer);
    const { value } = client.parse(listOf(definition), answer);
    // The filter takes "*" for anything.
    const same = value.filter(({ name }) => name.toLowerCase() === String(configured).toLowerCase());
    if (same.length > 1)
      throw new PipelineError(
        'PIPELINE_REJECTED',
        `There are ${same.length} pipelines named ${shown} in the project ${project}, in different folders. Set \`pipeline\` to the id of the right one: ${same.map(({ id, path }) => `${id} in ${path ?? '\\'}`).join(', ')}.`,
      );
    const [found] = same;
    if (found === undefined) throw notThere(project, '', shown);
    return found.id;
  }

  return {
    shown: numeric ? `pipeline ${configured}` : `pipeline ${shown}`,
    async id(): Promise<number> {
      known ??= await byName();
      return known;
    },
    /** After it was not there under this id: it may have been made anew. */
    forget(): void {
      if (!numeric) known = null;
    },
    notThere: (typeKey: string) => notThere(project, typeKey, shown),
    /** @throws PipelineError when it is not there or can't be seen */
    async check(): Promise<number> {
      const id = numeric ? Number(configured) : await byName();
      const answer = await client.ask({ path: [project, '_apis', 'pipelines', id], right: RIGHT });
      if (!answer.ok) throw answer.status === 404 ? notThere(project, answer.typeKey, shown) : client.refused(answer);
      client.parse(pipeline, answer);
      return id;
    },
  };
}

export type Definition = ReturnType<typeof createDefinition>;

/** Whether it is the whole project that is not there, or not visible. */
export function isProjectMissing(typeKey: string): boolean {
  return typeKey.startsWith('ProjectDoesNotExist');
}

export function projectMissing(project: string): PipelineError {
  return new PipelineError(
    'PIPELINE_REJECTED',
    `There is no project ${JSON.stringify(project)} that the bot's identity can see. Correct \`azure-devops\`, or add the identity to the project.`,
  );
}

function notThere(project: string, typeKey: string, shown: string): PipelineError {
  if (isProjectMissing(typeKey)) return projectMissing(project);
  return new PipelineError(
    'PIPELINE_REJECTED',
    `There is no pipeline ${shown} in the project ${project} that the bot's identity can see. Correct \`pipeline\`, or give the identity the permission ${RIGHT}.`,
  );
}
