import { PipelineError, ShipmateError } from '../../errors.ts';
import { fill, isValid, validateRequest } from '../requests.ts';
import type { Pipeline, PipelineDeps, RunRef, RunStatus, TriggerRequest } from '../types.ts';
import { type JenkinsDeployConfig, parameterFor, parametersOf } from './config.ts';
import { asJenkins } from './connection.ts';
import { definitionProblem, isPipelineJob, requireDefined } from './definition.ts';
import { answerGate, gateIn, isGateId, pendingInputs } from './gates.ts';
import { keyId } from './ids.ts';
import { fromHtml, interesting, toLines } from './log.ts';
import { environmentOf, recentRuns } from './recent.ts';
import { createRuns, jobMissing, linkOf, lost } from './runs.ts';
import {
  type Build,
  type DescribedStage,
  describeSchema,
  jobSchema,
  nodeLogSchema,
  stageNodesSchema,
} from './schema.ts';
import { errorOf, shaOf, stagesOf, stateOf } from './status.ts';

const TAIL_LINES = 20;
const MOST_LOG_LINES = 1000;
const JOB_TREE = 'buildable,property[parameterDefinitions[name,type,choices]]';

/** A service is deployed by a parameterised Jenkins job, Pipeline or not. */
export function createJenkinsPipeline(config: JenkinsDeployConfig, deps: PipelineDeps): Pipeline {
  const connection = asJenkins(deps.connection);
  const { client, flights, known } = connection;
  const runs = createRuns(config, connection);
  const { job, path } = runs;

  function valuesFor(request: TriggerRequest): Record<string, string> {
    const { environment, inputs, key, service, sha, version } = request;
    const theirs = Object.hasOwn(config.environments, environment) ? config.environments[environment] : environment;
    const values = { key, service, sha, version, environment: theirs ?? environment };
    return Object.fromEntries(
      Object.entries(parametersOf(config)).map(([name, text]) => [name, fill(text, values, inputs)]),
    );
  }

  async function start(request: TriggerRequest): Promise<RunRef> {
    const { key } = request;
    const ref = { id: keyId(key) };
    const { job: defined, place } = await runs.look(key);
    if (place !== null) return ref;
    const values = valuesFor(request);
    requireDefined(job, defined, values);
    const answer = await client.post(`${path}/buildWithParameters`, values);
    if (answer.status === 404) throw jobMissing(job, client.user);
    if (answer.status === 409)
      throw new PipelineError('PIPELINE_REJECTED', `The job ${job} is disabled in Jenkins. Enable it there.`);
    if (answer.status >= 400)
      throw new PipelineError(
        'PIPELINE_REJECTED',
        `Jenkins refused to start the job ${job} (${answer.status}). Compare its parameters with the deploy entry.`,
      );
    const queue = /\/queue\/item\/(\d{1,12})\/?$/.exec(String(answer.headers.location ?? ''))?.[1];
    if (answer.status === 201 && queue !== undefined) {
      known.set(`${job} ${key}`, { queue: Number(queue) });
      return ref;
    }
    // Something between the bot and Jenkins answered in its place, or Jenkins took it without saying where it waits.
    if ((await runs.look(key)).place !== null) return ref;
    throw new PipelineError(
      'PIPELINE_UNAVAILABLE',
      `Jenkins did not say whether it took the build (${answer.status}). Check that "url" of the connection is Jenkins itself, and not a page to sign in.`,
      { retryable: true, sent: 'unknown' },
    );
  }

  async function consoleEnd(number: number): Promise<string[]> {
    const memory = `log ${job} ${number}`;
    const end = await client.logEnd(`${path}/${number}/logText/progressiveText`, known.get(memory).logSize ?? 0);
    if (end === null) return [];
    known.set(memory, { logSize: end.size });
    return toLines(end.text, client.redact);
  }

  /** The last lines of the step that failed: what a Pipeline does after it would push them out of the console's end. */
  async function failedStep(number: number, stages: readonly DescribedStage[] | null): Promise<string[]> {
    const stage = stages?.findLast(({ status }) => status === 'FAILED');
    const id = (text: string | undefined) => (text !== undefined && /^\d{1,9}$/.test(text) ? text : null);
    const stageId = id(stage?.id);
    if (stageId === null) return [];
    const at = (node: string) => `${path}/${number}/execution/node/${node}/wfapi`;
    const nodes = await client.read(`${at(stageId)}/describe`, stageNodesSchema);
    const nodeId = id(nodes?.stageFlowNodes?.findLast(({ status }) => status === 'FAILED')?.id);
    if (nodeId === null) return [];
    const log = await client.read(`${at(nodeId)}/log`, nodeLogSchema);
    return toLines(fromHtml(log?.text ?? ''), client.redact);
  }

  async function tailOf(build: Build, stages: readonly DescribedStage[] | null): Promise<string[]> {
    const step = stateOf(build) === 'failed' ? await failedStep(build.number, stages) : [];
    const lines = step.length > 0 ? step : interesting(await consoleEnd(build.number));
    return lines.slice(-TAIL_LINES);
  }

  async function statusOf(build: Build): Promise<RunStatus> {
    // After the build: when it is over, so are its stages.
    const described = await client.read(`${path}/${build.number}/wfapi/describe`, describeSchema);
    const stages = described?.stages ?? null;
    const waits = stateOf(build) === 'running' && described?.status === 'PAUSED_PENDING_INPUT';
    const [tail, inputs] = await Promise.all([
      tailOf(build, stages),
      waits ? pendingInputs(client, path, build.number) : [],
    ]);
    const gate = gateIn(inputs, config.gate, environmentOf(config, build));
    const sha = shaOf(build);
    const url = linkOf(build);
    const error = errorOf(build, stages);
    return {
      state: stateOf(build),
      stages: stagesOf(build, stages),
      tail,
      ...(sha === undefined ? {} : { sha }),
      ...(error === undefined ? {} : { error: client.redact(error) }),
      ...(url === undefined ? {} : { url }),
      ...(gate === undefined ? {} : { gate: { ...gate, question: client.redact(gate.question) } }),
    };
  }

  return {
    kind: 'jenkins',
    title: 'Jenkins',
    // Jenkins merges equal builds that wait, but not one that waits with one that runs. "Restart from Stage" is no API.
    capabilities: { cancel: true, rerun: false, gates: true, dryRun: false, idempotentTrigger: false },
    get pollMs() {
      return client.pollMs;
    },

    async trigger(request) {
      validateRequest(request);
      const flight = `${job} ${request.key}`;
      const flying = flights.get(flight);
      if (flying) return flying;
      const own = start(request).finally(() => flights.delete(flight));
      flights.set(flight, own);
      return own;
    },

    async findByKey(key) {
      if (!isValid('key', key)) return null;
      return (await runs.find(key)) === null ? null : { id: keyId(key) };
    },

    async status(run) {
      const place = await runs.place(run.id);
      if (place === null) throw lost(run.id, job);
      if ('cancelled' in place)
        return { state: 'cancelled', stages: [], tail: [], error: 'It was taken out of the queue before it began.' };
      if ('queue' in place) return { state: 'queued', stages: [], tail: [] };
      return statusOf(await runs.build(run.id, place.build));
    },

    async cancel(run) {
      const refused = (status: number) =>
        new PipelineError(
          'PIPELINE_REJECTED',
          `Jenkins does not stop the build of ${job} (${status}). Grant ${client.user} the right Job/Cancel there.`,
        );
      let place = await runs.place(run.id);
      if (place !== null && 'queue' in place) {
        const answer = await client.post('/queue/cancelItem', { id: String(place.queue) });
        // 404: it has just begun.
        if (answer.status === 422) throw refused(answer.status);
        place = await runs.place(run.id);
      }
      if (place === null) throw lost(run.id, job);
      if (!('build' in place)) return;
      const build = await runs.build(run.id, place.build);
      if (stateOf(build) !== 'running') return;
      const answer = await client.post(`${path}/${build.number}/stop`);
      if (answer.status >= 400 && answer.status !== 404) throw refused(answer.status);
    },

    recent: ({ since }) => recentRuns({ client, runs, config }, since),

    async answer(run, gate, answer) {
      const place = await runs.place(run.id);
      if (place === null) throw lost(run.id, job);
      if (!isGateId(gate) || !('build' in place))
        throw new PipelineError('PIPELINE_REJECTED', 'The build does not wait for an answer to this.');
      const target = { id: run.id, number: place.build, gate };
      await answerGate({ client, runs, logger: deps.logger }, target, answer);
    },

    async logs(run, { lines }) {
      const place = await runs.place(run.id);
      if (place === null) throw lost(run.id, job);
      const most = Math.min(Math.max(Math.trunc(lines), 0), MOST_LOG_LINES);
      if (!('build' in place) || most === 0) return [];
      return (await consoleEnd(place.build)).slice(-most);
    },

    async check() {
      try {
        const found = await client.read(`${path}/api/json`, jobSchema, JOB_TREE);
        if (found === null) throw jobMissing(job, client.user);
        const problem = definitionProblem(job, found, Object.keys(parametersOf(config)));
        if (problem !== null) return [{ level: 'error', message: problem }];
        const warnings: string[] = [];
        if (isPipelineJob(found) && (await client.read(`${path}/wfapi/describe`, jobSchema)) === null)
          warnings.push(
            'Jenkins shows no stages and no inputs: install its plugin "Pipeline: REST API" (pipeline-rest-api).',
          );
        const texts = Object.values(parametersOf(config)).join('\n');
        // A declared command may need neither; a deploy needs both.
        if (/\{(?:version|sha)\}/.test(texts)) {
          if (!texts.includes('{sha}'))
            warnings.push(
              `No parameter of the job ${job} has {sha}: a tag that moves after the approval would go unseen. Add one.`,
            );
          if (parameterFor(config, '{environment}') === null)
            warnings.push(
              `No parameter of the job ${job} is "{environment}": builds that were not started in chat can't be told apart.`,
            );
        }
        return warnings.map((message) => ({ level: 'warning', message }));
      } catch (error) {
        if (error instanceof ShipmateError) return [{ level: 'error', message: error.message }];
        throw error;
      }
    },
  };
}
