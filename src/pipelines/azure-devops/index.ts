import { PipelineError } from '../../errors.ts';
import { isValid, plainValue, validateRequest } from '../requests.ts';
import type { Pipeline, PipelineDeps, RunRef, RunStatus, TriggerRequest } from '../types.ts';
import type { AzureAnswer } from './client.ts';
import type { AzureDeployConfig } from './config.ts';
import { azureConnection, KIND } from './connection.ts';
import { createDefinition } from './definitions.ts';
import { finding } from './findings.ts';
import { createAnswers, gateOf } from './gates.ts';
import { createLogs } from './logs.ts';
import { createParameters, type RunParameters } from './parameters.ts';
import { createRecent } from './recent.ts';
import { createRerun } from './rerun.ts';
import { createRuns } from './runs.ts';
import { type Build, preview, run as runSchema, type TimelineRecord } from './schema.ts';
import { failureOf, isOver, logIds, stagesOf, stateOf } from './timeline.ts';

const QUEUE = '"Queue builds", and "Edit queue build configuration" for its parameters';
const STOP = '"Stop builds"';
const TAIL_LINES = 20;
const PREVIEW_LINES = 200;
const LONGEST_ERROR = 300;

/**
 * Deploys by running a YAML pipeline of Azure DevOps, with the version, the commit and a key as runtime parameters.
 * @throws ShipmateError CONFIG_INVALID without a connection
 */
export function createAzurePipeline(config: AzureDeployConfig, service: string, deps: PipelineDeps): Pipeline {
  const connection = azureConnection(deps.connection);
  const { client } = connection;
  const project = config['azure-devops'];
  const definition = createDefinition(client, project, config.pipeline);
  const parameters = createParameters(config, service);
  const runs = createRuns(connection, project, definition, () => new Date());
  const logs = createLogs(connection, project);
  const line = (text: string, most = LONGEST_ERROR) => plainValue(client.redact(text), most);

  function requireService(request: TriggerRequest): void {
    validateRequest(request);
    if (request.service !== service)
      throw new PipelineError('PIPELINE_REJECTED', `This pipeline belongs to ${service}, not ${request.service}.`);
  }

  /** Why the vendor does not start (or preview) a run. */
  function notStarted(answer: AzureAnswer): PipelineError {
    if (answer.status === 404) {
      definition.forget();
      return definition.notThere(answer.typeKey);
    }
    const [, unexpected] = /Unexpected parameter '([^']{1,100})'/i.exec(answer.message) ?? [];
    if (unexpected !== undefined)
      return new PipelineError(
        'PIPELINE_REJECTED',
        `The ${definition.shown} has no parameter named ${unexpected}. Add it under \`parameters:\` in its YAML (type: string), or correct \`parameters\` of the service.`,
      );
    const words = answer.message || `HTTP ${answer.status}`;
    return new PipelineError(
      'PIPELINE_REJECTED',
      `The ${definition.shown} can't be started: ${words} Correct its YAML, or \`ref\`, \`parameters\` or \`skip\` of the service.`,
    );
  }

  async function post(json: RunParameters): Promise<RunRef> {
    const answer = await client.ask({
      method: 'POST',
      path: [project, '_apis', 'pipelines', await definition.id(), 'runs'],
      json,
      right: QUEUE,
      starts: true,
    });
    if (!answer.ok) throw notStarted(answer);
    return runs.refOf(client.parse(runSchema, answer, 'unknown').id);
  }

  /** The final YAML. The resource is made for that alone: nothing of it starts a run, whatever the server's version is. */
  async function previewed(json: RunParameters): Promise<string> {
    const answer = await client.ask({
      method: 'POST',
      path: [project, '_apis', 'pipelines', await definition.id(), 'preview'],
      json: { ...json, previewRun: true },
      right: QUEUE,
    });
    if (!answer.ok) throw notStarted(answer);
    return client.parse(preview, answer).finalYaml;
  }

  async function start(request: TriggerRequest): Promise<RunRef> {
    const found = await runs.find((build) => parameters.hasKey(build, request.key));
    if (found === null) return post(parameters.of(request));
    parameters.requireSame(found, request);
    return runs.refOf(found.id);
  }

  async function toStatus(build: Build, records: readonly TimelineRecord[]): Promise<RunStatus> {
    const ref = runs.refOf(build.id);
    const state = stateOf(build, records);
    const gate = gateOf(build, records, parameters);
    const sha = parameters.deployed(build);
    return {
      state,
      stages: stagesOf(records).map((stage) => ({ ...stage, name: line(stage.name, 100) })),
      tail: await logs.glance(ref.id, logIds(records), TAIL_LINES),
      ...(sha === null ? {} : { sha }),
      ...(state === 'failed' ? { error: line(failureOf(build, records)) } : {}),
      ...(ref.url === undefined ? {} : { url: ref.url }),
      ...(gate === null ? {} : { gate }),
    };
  }

  /** Runs the check of the vendor itself over the parameters, with values that could be real. */
  async function checkParameters(): Promise<void> {
    if (config.ref !== undefined && /\{/.test(config.ref)) return; // there is no such tag
    const [environment = 'production'] = Object.keys(config.environments);
    const key = '00000000-0000-4000-8000-000000000000';
    const request = { key, service, environment, version: '0.0.0', sha: '0'.repeat(40), requestedBy: 'Shipmate' };
    try {
      await previewed(parameters.of(request));
    } catch (error) {
      // A parameter may take only some values, so these may be wrong; a name that is not there is wrong for all.
      const certain = error instanceof PipelineError && /no parameter named|permission|no pipeline/.test(error.message);
      if (certain || !(error instanceof PipelineError) || error.code !== 'PIPELINE_REJECTED') throw error;
    }
  }

  return {
    kind: KIND,
    title: 'Azure DevOps',
    capabilities: { cancel: true, rerun: true, gates: true, dryRun: true, idempotentTrigger: false },
    get pollMs() {
      return client.pollMs;
    },

    async trigger(request) {
      requireService(request);
      const name = JSON.stringify([project, config.pipeline, request.key]);
      const under = connection.starting.get(name);
      if (under !== undefined) return under;
      const starting = start(request).finally(() => connection.starting.delete(name));
      connection.starting.set(name, starting);
      return starting;
    },

    async findByKey(key) {
      if (!isValid('key', key)) return null;
      const found = await runs.find((build) => parameters.hasKey(build, key));
      return found === null ? null : runs.refOf(found.id);
    },

    async status(run) {
      const build = await runs.open(run);
      // After the build: what is over in the one is over in the other.
      return toStatus(build, await runs.records(run));
    },

    async cancel(run) {
      if (isOver(await runs.open(run))) return;
      const answer = await client.ask({
        method: 'PATCH',
        path: [project, '_apis', 'build', 'builds', run.id],
        json: { status: 'cancelling' },
        right: STOP,
      });
      if (answer.ok) return;
      const { status } = await runs.open(run);
      if (status !== 'completed' && status !== 'cancelling') throw client.refused(answer);
    },

    rerun: createRerun(client, project, runs),

    async dryRun(request) {
      requireService(request);
      const yaml = client.redact(await previewed(parameters.of(request)));
      const lines = yaml.trimEnd().split(/\r?\n/);
      const more = lines.length - PREVIEW_LINES;
      return { lines: more > 0 ? [...lines.slice(0, PREVIEW_LINES), `... and ${more} more lines`] : lines };
    },

    recent: createRecent(runs, parameters, client.redact),

    answer: createAnswers(client, project, runs),

    async logs(run, { lines }) {
      return logs.last(run.id, logIds(await runs.records(run)), lines);
    },

    check: () =>
      finding(async () => {
        await definition.check();
        await checkParameters();
      }),
  };
}
