import { PipelineError } from '../../errors.ts';
import { fill, isValid, validateRequest } from '../requests.ts';
import type { Pipeline, RunRef, TriggerRequest } from '../types.ts';
import { type GitlabConfig, pipelineValues } from './config.ts';
import { type PlaceNames, projectPath } from './places.ts';
import { pipelineSchema, projectSchema } from './schema.ts';
import type { GitlabConnection } from './types.ts';
import { startWords } from './words.ts';

/** What `workflow:name` in .gitlab-ci.yml has to make: the API finds a pipeline by its exact name, and by nothing else. */
export function pipelineName(key: string): string {
  return `shipmate ${key}`;
}

export function runRef(run: { id: number; web_url?: string | null | undefined }): RunRef {
  const { id, web_url: url } = run;
  return { id: String(id), ...(url && /^https?:\/\//.test(url) ? { url } : {}) };
}

/** Starts pipelines, once per key. */
export function createStarter(
  config: GitlabConfig,
  connection: GitlabConnection,
  places: PlaceNames,
): Pick<Pipeline, 'trigger' | 'findByKey'> {
  const { client, starting } = connection;
  const project = config.gitlab;
  const base = projectPath(project);
  const { kind, values: texts } = pipelineValues(config);

  function refused(outcome: { status: number; message: string; scope: boolean }, ref: string): PipelineError {
    return new PipelineError('PIPELINE_REJECTED', startWords(outcome, { project, ref, kind }));
  }

  async function findByKey(key: string): Promise<RunRef | null> {
    if (!isValid('key', key)) return null;
    const name = pipelineName(key);
    const outcome = await client.call({
      family: 'pipeline',
      path: `${base}/pipelines`,
      // The oldest one: should there ever be two, everybody means the same.
      query: { name, order_by: 'id', sort: 'asc' },
      schema: pipelineSchema.array(),
    });
    if (!outcome.ok) throw refused(outcome, config.ref ?? 'its default branch');
    // Servers before 16.9 don't know the filter and answer with all of them.
    const found = outcome.data.find((run) => run.name === name);
    return found ? runRef(found) : null;
  }

  async function refOf(): Promise<string> {
    if (config.ref !== undefined) return config.ref;
    const outcome = await client.call({ family: 'pipeline', path: base, schema: projectSchema });
    if (!outcome.ok) throw refused(outcome, 'its default branch');
    if (outcome.data.default_branch) return outcome.data.default_branch;
    throw new PipelineError('PIPELINE_REJECTED', `${project} has no default branch. Push one, or set \`ref\`.`);
  }

  function filled(request: TriggerRequest): [string, string][] {
    const { environment, inputs = {}, key, service, sha, version } = request;
    const values = { service, environment: places.theirs(environment), version, sha, key };
    // GitLab replaces $NAME in the value of a variable, so it could give away a secret of the project.
    const dollar = kind === 'variables' && Object.values(inputs).some((value) => value.includes('$'));
    if (dollar)
      throw new PipelineError(
        'PIPELINE_REJECTED',
        'An input with "$" is not passed on as a variable, since GitLab would replace it. Leave it out, or use `inputs`.',
      );
    return Object.entries(texts).map(([name, text]) => [name, fill(text, values, inputs)]);
  }

  async function start(request: TriggerRequest): Promise<RunRef> {
    const values = filled(request);
    const found = await findByKey(request.key);
    if (found) return found;
    const ref = await refOf();
    const outcome = await client.call({
      family: 'pipeline',
      method: 'POST',
      path: `${base}/pipeline`,
      json: {
        ref,
        ...(kind === 'inputs'
          ? { inputs: Object.fromEntries(values) }
          : { variables: values.map(([key, value]) => ({ key, value })) }),
      },
      schema: pipelineSchema,
      starts: true,
    });
    if (!outcome.ok) throw refused(outcome, ref);
    return runRef(outcome.data);
  }

  return {
    findByKey,
    async trigger(request) {
      validateRequest(request);
      // Of two calls at the same time in this process, the second waits for the first.
      const slot = `${project} ${request.key}`;
      const under = starting.get(slot);
      if (under) return under;
      const work = start(request).finally(() => starting.delete(slot));
      starting.set(slot, work);
      return work;
    },
  };
}
