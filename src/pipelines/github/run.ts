import { plainValue } from '../requests.ts';
import type { RunRef, RunStatus, Stage } from '../types.ts';
import { gateOf } from './gates.ts';
import { failing, tailOf } from './logs.ts';
import { lost, parseRunId } from './ref.ts';
import type { Annotation, Job, Step, WorkflowRun } from './schema.ts';
import * as answers from './schema.ts';
import type { Target } from './target.ts';

const MOST_JOBS = 100;
const TAIL_LINES = 20;
/** So long after it was made a run may be unknown to the server that is asked. */
const APPEARS_MS = 30_000;
/** Jobs whose notes are read when a run is over. */
const MOST_NOTED = 3;
/** Title of the note in which a workflow says which commit it deployed. */
const SHA_TITLE = 'shipmate-sha';

/**
 * The attempt that was asked for, or null when it was made a moment ago and isn't shown yet.
 * @throws PipelineError PIPELINE_LOST when it is not there, or is a run of another workflow
 */
export async function readRun(target: Target, ref: RunRef): Promise<WorkflowRun | null> {
  const { config, connection, repository } = target;
  const { client, memory } = connection;
  const { attempt, run } = parseRunId(ref);
  const result = await client.attempt(answers.run, () =>
    client.octokit.request('GET /repos/{owner}/{repo}/actions/runs/{run_id}/attempts/{attempt_number}', {
      ...repository,
      run_id: run,
      attempt_number: attempt,
      exclude_pull_requests: true,
    }),
  );
  if (!result.ok) {
    if (result.status !== 404) throw result.error;
    const madeAt = memory.made.get(ref.id);
    if (madeAt !== undefined && connection.now().getTime() - madeAt < APPEARS_MS) return null;
    throw lost(`${config.github} has no run ${ref.id} any more, or the App may not read it (Actions: read).`);
  }
  // The file may stand before an @ and the branch.
  const path = result.data.path.split('@')[0] ?? '';
  if (path.split('/').at(-1) !== config.workflow)
    throw lost(`Run ${ref.id} is one of ${plainValue(path)}, not of ${config.workflow}.`);
  return result.data;
}

export async function readJobs({ connection, repository }: Target, ref: RunRef): Promise<Job[]> {
  const { attempt, run } = parseRunId(ref);
  const result = await connection.client.attempt(answers.jobs, () =>
    connection.client.octokit.request(
      'GET /repos/{owner}/{repo}/actions/runs/{run_id}/attempts/{attempt_number}/jobs',
      {
        ...repository,
        run_id: run,
        attempt_number: attempt,
        per_page: MOST_JOBS,
      },
    ),
  );
  if (result.ok) return result.data.jobs;
  if (result.status === 404) return [];
  throw result.error;
}

export function stateOf({ conclusion, status }: Pick<WorkflowRun, 'conclusion' | 'status'>): RunStatus['state'] {
  if (status === 'completed') {
    if (conclusion === 'success' || conclusion === 'neutral') return 'succeeded';
    return conclusion === 'cancelled' ? 'cancelled' : 'failed';
  }
  return status === 'in_progress' || status === 'waiting' ? 'running' : 'queued';
}

/**
 * A look: the run and its jobs, in two requests that cost nothing while nothing changes. One that waits: two more. Once,
 * at the end: the notes of its jobs, and the failing job's log.
 */
export async function readStatus(target: Target, ref: RunRef): Promise<RunStatus> {
  const [run, jobs] = await Promise.all([readRun(target, ref), readJobs(target, ref)]);
  if (run === null) return { state: 'queued', stages: [], tail: [], ...(ref.url ? { url: ref.url } : {}) };
  const state = stateOf(run);
  const stages = stagesOf(jobs);
  const base = { state, stages, tail: [], url: run.html_url };
  if (state === 'queued' || state === 'running') {
    const waits = run.status === 'waiting' || jobs.some(({ status }) => status === 'waiting');
    const gate = waits ? await gateOf(target, ref) : undefined;
    return { ...base, ...(gate === undefined ? {} : { state: 'running', gate }) };
  }
  if (state === 'cancelled') return base;
  const notes = await notesOf(target, jobs, state);
  const sha = shaIn(notes);
  const found = { ...base, ...(sha === undefined ? {} : { sha }) };
  if (state === 'succeeded') return found;
  return { ...found, error: errorOf(target, run, jobs, notes), tail: await tailOf(target, jobs, TAIL_LINES) };
}

/** Jobs; of a run with a single one, its steps. */
export function stagesOf(jobs: readonly Job[]): Stage[] {
  const [only] = jobs;
  if (jobs.length === 1 && only !== undefined) {
    const steps = (only.steps ?? []).filter(isOwnStep);
    if (steps.length > 0) return steps.map((step) => stageOf(step, only.status));
  }
  return jobs.map((job) => stageOf(job, job.status));
}

/** Not what the runner does before and after. */
function isOwnStep({ name }: Step): boolean {
  return !/^(?:Set up job|Complete job|Post .*|Initialize containers|Stop containers)$/.test(name);
}

function stageOf(part: Job | Step, ofJob: string): Stage {
  const { completed_at, conclusion, name, started_at, status } = part;
  const began = status !== 'queued' && status !== 'waiting' && status !== 'pending' && status !== 'requested';
  return {
    name: plainValue(name, 60) || 'unnamed',
    state: stageState(status, conclusion, ofJob === 'completed'),
    ...(began && started_at ? { startedAt: started_at } : {}),
    ...(completed_at ? { finishedAt: completed_at } : {}),
  };
}

function stageState(status: string, conclusion: string | null, over: boolean): Stage['state'] {
  // A step that was never reached stays as it was when its job ended.
  if (status !== 'completed') return status === 'in_progress' && !over ? 'running' : over ? 'skipped' : 'waiting';
  if (conclusion === 'success' || conclusion === 'neutral') return 'succeeded';
  return conclusion === 'skipped' || conclusion === null ? 'skipped' : 'failed';
}

/** Notes that the jobs left: of the failing one, or of the last ones that ended. Without the right to read them, none. */
async function notesOf(target: Target, jobs: readonly Job[], state: RunStatus['state']): Promise<Annotation[]> {
  const { connection, repository } = target;
  const bad = state === 'failed' ? failing(jobs) : undefined;
  const ended = jobs
    .filter(({ completed_at, conclusion }) => completed_at !== null && conclusion === 'success')
    .sort((a, b) => Date.parse(b.completed_at ?? '') - Date.parse(a.completed_at ?? ''));
  const wanted = bad === undefined ? ended.slice(0, MOST_NOTED) : [bad];
  const all: Annotation[] = [];
  for (const job of wanted) {
    const checkRun = /\/check-runs\/(\d{1,15})$/.exec(job.check_run_url)?.[1];
    if (checkRun === undefined) continue;
    const notes = await connection.client.attempt(answers.annotations, () =>
      connection.client.octokit.request('GET /repos/{owner}/{repo}/check-runs/{check_run_id}/annotations', {
        ...repository,
        check_run_id: Number(checkRun),
        per_page: 50,
      }),
    );
    if (notes.ok) all.push(...notes.data);
    else if (notes.status >= 500) throw notes.error;
    if (shaIn(all) !== undefined) break;
  }
  return all;
}

function shaIn(notes: readonly Annotation[]): string | undefined {
  const said = notes
    .filter(({ annotation_level, title }) => title === SHA_TITLE && annotation_level === 'notice')
    .map(({ message }) => message?.trim() ?? '')
    .filter((message) => /^(?:sha256:)?[0-9a-f]{7,64}$/.test(message));
  return said.at(-1);
}

function errorOf(
  { config, connection }: Target,
  run: WorkflowRun,
  jobs: readonly Job[],
  notes: readonly Annotation[],
): string {
  const bad = failing(jobs);
  if (bad === undefined) {
    const how = run.conclusion === 'failure' ? 'without a job that did' : `as ${run.conclusion ?? 'unknown'}`;
    return `${config.workflow} failed ${how}: look at the run.`;
  }
  const step = bad.steps?.find(({ conclusion }) => conclusion === 'failure' || conclusion === 'timed_out');
  const note = notes.find(({ annotation_level }) => annotation_level === 'failure')?.message ?? '';
  const where = step === undefined ? `The job "${bad.name}"` : `"${step.name}" of the job "${bad.name}"`;
  const how = bad.conclusion === 'timed_out' ? 'took too long' : 'failed';
  const line = plainValue(note, 200);
  return connection.client.redact(plainValue(`${where} ${how}${line === '' ? '.' : `: ${line}`}`, 300));
}
