import { plainValue } from '../requests.ts';
import type { RunStatus, Stage, StageState } from '../types.ts';
import type { GitlabJob, GitlabRun } from './schema.ts';

/** GitLab's states (docs.gitlab.com/api/pipelines, `status`) as ours. */

const OVER = new Set(['success', 'failed', 'canceled', 'skipped']);

const LONGEST_WORDS = 20_000;

export function isOver(status: string): boolean {
  return OVER.has(status);
}

/** The latest attempt of each job, in the order of the pipeline. `jobs` are all attempts, in any order. */
export function latestJobs(jobs: readonly GitlabJob[]): GitlabJob[] {
  const latest = new Map<string, GitlabJob>();
  // A repeated job keeps its first attempt's place in the map.
  for (const job of [...jobs].sort((a, b) => a.id - b.id)) latest.set(job.name, job);
  return [...latest.values()];
}

export function isoTime(text: string | null | undefined): string | undefined {
  const time = Date.parse(text ?? '');
  return Number.isNaN(time) ? undefined : new Date(time).toISOString();
}

function stageState(jobs: readonly GitlabJob[]): StageState {
  const is = (job: GitlabJob, ...states: string[]) => states.includes(job.status);
  // A job that may fail, or that nobody has to start, decides nothing.
  const deciding = jobs.filter((job) => !(job.allow_failure && is(job, 'failed', 'canceled', 'manual')));
  if (deciding.some((job) => is(job, 'failed') || (is(job, 'canceled') && job.started_at != null))) return 'failed';
  if (deciding.some((job) => is(job, 'running', 'canceling'))) return 'running';
  const done = deciding.filter((job) => is(job, 'success'));
  const waiting = deciding.filter((job) => !OVER.has(job.status));
  if (waiting.length > 0) return done.length > 0 ? 'running' : 'waiting';
  if (done.length > 0) return 'succeeded';
  // Only jobs that may fail: the stage went by.
  return jobs.some((job) => job.allow_failure && is(job, 'failed')) ? 'succeeded' : 'skipped';
}

/** Stages in the order in which GitLab made their jobs. */
export function stagesOf(jobs: readonly GitlabJob[]): Stage[] {
  const byStage = new Map<string, GitlabJob[]>();
  for (const job of jobs) byStage.set(job.stage, [...(byStage.get(job.stage) ?? []), job]);
  return [...byStage].map(([name, members]) => {
    const state = stageState(members);
    const times = (key: 'started_at' | 'finished_at') =>
      members.flatMap((job) => isoTime(job[key]) ?? []).sort((a, b) => Date.parse(a) - Date.parse(b));
    const startedAt = times('started_at')[0];
    const finishedAt = state === 'running' || state === 'waiting' ? undefined : times('finished_at').at(-1);
    return {
      name: plainValue(name, 60),
      state,
      ...(startedAt === undefined ? {} : { startedAt }),
      ...(finishedAt === undefined ? {} : { finishedAt }),
    };
  });
}

/**
 * A pipeline that waits for a manual job can't be cancelled as a whole: GitLab cancels its other jobs and leaves it
 * "manual". So one with cancelled jobs counts as cancelled.
 */
export function stateOf(run: GitlabRun, jobs: readonly GitlabJob[]): RunStatus['state'] {
  if (run.status === 'success') return 'succeeded';
  if (run.status === 'failed' || run.status === 'skipped') return 'failed';
  if (run.status === 'canceled') return 'cancelled';
  if (run.status === 'manual') return jobs.some(({ status }) => status === 'canceled') ? 'cancelled' : 'running';
  const begun = run.started_at != null || jobs.some(({ started_at: started }) => started != null);
  return begun || run.status === 'running' || run.status === 'canceling' ? 'running' : 'queued';
}

/** The job whose log tells most: the one that failed, else one that runs, else the one that ended last. */
export function tellingJob(jobs: readonly GitlabJob[]): GitlabJob | undefined {
  const failed = failedJob(jobs);
  if (failed?.started_at != null) return failed;
  const running = jobs.find(({ status }) => status === 'running' || status === 'canceling');
  if (running) return running;
  const ended = jobs.filter((job) => job.started_at != null);
  const end = (job: GitlabJob) => Date.parse(job.finished_at ?? job.started_at ?? '');
  return ended.reduce<GitlabJob | undefined>((last, job) => (last && end(last) > end(job) ? last : job), undefined);
}

export function failedJob(jobs: readonly GitlabJob[]): GitlabJob | undefined {
  return jobs.find((job) => job.status === 'failed' && !job.allow_failure);
}

// docs.gitlab.com/api/jobs lists no reasons; these are the usual ones of app/models/concerns/enums/ci/commit_status.rb.
const REASONS: Readonly<Record<string, string>> = {
  script_failure: 'its script ended with an error',
  job_execution_timeout: 'it took longer than its time limit',
  stuck_or_timeout_failure: 'no runner took it in time',
  runner_system_failure: 'its runner broke down',
  deployment_rejected: 'the deployment was rejected',
  protected_environment_failure: 'the access token may not deploy to this protected environment',
  environment_creation_failure: 'its environment could not be made',
  no_matching_runner: 'no runner has its tags',
  missing_dependency_failure: 'artifacts that it needs are gone',
};

/** Why it failed, one line. */
export function failureOf(run: GitlabRun, jobs: readonly GitlabJob[], redact: (text: string) => string): string {
  const line = (text: string) => plainValue(redact(plainValue(text, LONGEST_WORDS)), 300);
  const failed = failedJob(jobs);
  if (failed) {
    const reason = failed.failure_reason ?? '';
    const words = Object.hasOwn(REASONS, reason) ? REASONS[reason] : reason.replaceAll('_', ' ');
    return line(`The job ${failed.name} failed${words ? `: ${words}` : ''}.`);
  }
  if (run.yaml_errors) return line(`.gitlab-ci.yml is not valid: ${run.yaml_errors}`);
  if (run.status === 'skipped') return 'GitLab skipped the pipeline: none of its jobs had to run.';
  return 'The pipeline failed. Look at it in GitLab.';
}
