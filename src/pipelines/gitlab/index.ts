import { PipelineError } from '../../errors.ts';
import type { Pipeline, PipelineDeps, RunRef, RunStatus } from '../types.ts';
import { checkPipeline } from './check.ts';
import type { GitlabConfig } from './config.ts';
import { gitlabConnectionOf } from './connection.ts';
import { createGates, NOTHING_TO_CANCEL } from './gates.ts';
import { deployedSha, traceOf } from './logs.ts';
import { createPlaces, projectPath } from './places.ts';
import { createRecent } from './recent.ts';
import { type GitlabJob, type GitlabRun, jobSchema, pipelineSchema } from './schema.ts';
import { createStarter, runRef } from './start.ts';
import { failedJob, failureOf, isOver, latestJobs, stagesOf, stateOf, tellingJob } from './status.ts';
import { rightWords } from './words.ts';

const TAIL_LINES = 20;
const MOST_LINES = 2_000;
/** Pages of 100 jobs. */
const MOST_PAGES = 3;

/** Deploys by a pipeline of GitLab CI, started through the API and found again by its name. */
export function createGitlabPipeline(config: GitlabConfig, _service: string, deps: PipelineDeps): Pipeline {
  const connection = gitlabConnectionOf(deps);
  const { client } = connection;
  const places = createPlaces(config.environments);
  const gates = createGates(config, connection, places);
  const starter = createStarter(config, connection, places);
  const base = projectPath(config.gitlab);
  const family = 'pipeline';

  function pathOf(run: RunRef): string {
    if (!/^[1-9]\d{0,17}$/.test(run.id) || run.id.endsWith('\n')) throw lost();
    return `${base}/pipelines/${run.id}`;
  }

  function lost(): PipelineError {
    return new PipelineError('PIPELINE_LOST', `${config.gitlab} has no such pipeline. Look at it in GitLab.`);
  }

  function refused(outcome: { status: number; message: string; scope: boolean }, doing: string): PipelineError {
    if (outcome.status === 404) return lost();
    return new PipelineError('PIPELINE_REJECTED', rightWords(outcome, doing, `the role Developer in ${config.gitlab}`));
  }

  async function lookAt(run: RunRef): Promise<GitlabRun> {
    const outcome = await client.call({ family, path: pathOf(run), schema: pipelineSchema, remember: true });
    if (!outcome.ok) throw refused(outcome, 'read pipelines');
    return outcome.data;
  }

  /** All attempts of all jobs: the first ones tell the order of the stages. */
  async function attemptsOf(run: RunRef): Promise<GitlabJob[]> {
    const jobs: GitlabJob[] = [];
    let page: string | null = '1';
    for (let pages = 0; page !== null && pages < MOST_PAGES; pages += 1) {
      const outcome: Awaited<ReturnType<typeof client.call<GitlabJob[]>>> = await client.call({
        family,
        path: `${pathOf(run)}/jobs`,
        query: { include_retried: 'true', per_page: '100', page },
        schema: jobSchema.array(),
        remember: true,
      });
      if (!outcome.ok) throw refused(outcome, 'read jobs');
      jobs.push(...outcome.data);
      page = outcome.next;
    }
    return jobs;
  }

  const traceFor = (job: GitlabJob) => traceOf(connection, config.gitlab, job, Date.now());

  /** The end of the log, which only at the end of a good run has to be there: it may say that another commit runs. */
  async function linesFor(jobs: readonly GitlabJob[], needed: boolean): Promise<readonly string[]> {
    const job = tellingJob(jobs);
    if (!job) return [];
    try {
      return await traceFor(job);
    } catch (error) {
      if (needed) throw error;
      return [];
    }
  }

  async function shaSaid(jobs: readonly GitlabJob[], lines: readonly string[]): Promise<string | undefined> {
    if (config.job === undefined) return deployedSha(lines);
    const job = jobs.find(({ name }) => name === config.job);
    return job?.started_at == null ? undefined : deployedSha(await traceFor(job));
  }

  return {
    kind: 'gitlab',
    title: 'GitLab',
    capabilities: {
      cancel: true,
      rerun: true,
      gates: true,
      // CI lint's simulation takes no inputs and no variables (docs.gitlab.com/api/lint), so it would show another pipeline.
      dryRun: false,
      idempotentTrigger: false,
    },
    get pollMs() {
      return client.pollMs();
    },

    trigger: starter.trigger,
    findByKey: starter.findByKey,

    async status(run) {
      const found = await lookAt(run);
      const jobs = latestJobs(await attemptsOf(run));
      const failed = failedJob(jobs);
      let state = stateOf(found, jobs);
      // GitLab can't cancel what waits for approval, so cancel() rejects it.
      if (state === 'failed' && failed?.failure_reason === 'deployment_rejected' && (await gates.wasWithdrawn(failed)))
        state = 'cancelled';
      const gate = state === 'running' && !isOver(found.status) ? await gates.find(jobs) : undefined;
      const lines = await linesFor(jobs, state === 'succeeded');
      const sha = state === 'succeeded' || state === 'failed' ? await shaSaid(jobs, lines) : undefined;
      const { url } = runRef(found);
      const status: RunStatus = {
        state,
        stages: stagesOf(jobs),
        tail: lines.slice(-TAIL_LINES),
        ...(sha === undefined ? {} : { sha }),
        ...(state === 'failed' ? { error: failureOf(found, jobs, client.redact) } : {}),
        ...(url === undefined ? {} : { url }),
        ...(gate === undefined ? {} : { gate }),
      };
      return status;
    },

    async cancel(run) {
      const path = `${pathOf(run)}/cancel`;
      const outcome = await client.call({ family, method: 'POST', path, schema: pipelineSchema });
      if (!outcome.ok) throw refused(outcome, 'cancel pipelines');
      if (isOver(outcome.data.status)) return;
      const jobs = latestJobs(await attemptsOf(run));
      if (!jobs.some(({ status }) => status === 'manual')) return;
      const withdrawn = await gates.withdraw(jobs);
      if (withdrawn || outcome.data.status !== 'manual' || jobs.some(({ status }) => status === 'canceled')) return;
      throw new PipelineError('PIPELINE_REJECTED', NOTHING_TO_CANCEL);
    },

    async rerun(run) {
      const found = await lookAt(run);
      const attempts = await attemptsOf(run);
      const jobs = latestJobs(attempts);
      const state = stateOf(found, jobs);
      if (state !== 'failed' && state !== 'cancelled') {
        // A job that was repeated: it goes on already, asked by us a moment ago.
        if (attempts.length > jobs.length) return runRef(found);
        throw new PipelineError('PIPELINE_REJECTED', 'This pipeline did not fail, so there is nothing to repeat.');
      }
      if (failedJob(jobs)?.failure_reason === 'deployment_rejected')
        throw new PipelineError(
          'PIPELINE_REJECTED',
          'The deployment was rejected, and GitLab does not repeat such a job. Start a new deploy.',
        );
      const path = `${pathOf(run)}/retry`;
      const outcome = await client.call({ family, method: 'POST', path, schema: pipelineSchema });
      if (!outcome.ok) throw refused(outcome, 'repeat pipelines, or this one is archived');
      return runRef(found);
    },

    recent: createRecent(config, connection, places, gates),

    answer: (run, gate, answer) => {
      pathOf(run);
      return gates.answer(run, gate, answer);
    },

    async logs(run, { lines }) {
      const job = tellingJob(latestJobs(await attemptsOf(run)));
      const count = Math.min(Math.max(Math.trunc(lines), 0), MOST_LINES);
      return job === undefined || count === 0 ? [] : (await traceFor(job)).slice(-count);
    },

    check: () => checkPipeline(config, connection),
  };
}
