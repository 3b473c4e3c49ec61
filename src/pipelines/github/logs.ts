import { PipelineError } from '../../errors.ts';
import { HttpError } from '../../http.ts';
import type { Job } from './schema.ts';
import * as answers from './schema.ts';
import type { Target } from './target.ts';

const TIMEOUT_MS = 20_000;
/** What is kept of a log's end, and how much of it is read at all. */
const KEPT_BYTES = 512 * 1024;
const MOST_BYTES = 256 * 1024 * 1024;
const LONGEST_LINE = 2_000;

/** The job that made a run fail. */
export function failing(jobs: readonly Job[]): Job | undefined {
  return (
    jobs.find(({ conclusion }) => conclusion === 'failure' || conclusion === 'timed_out') ??
    jobs.find(({ conclusion }) => conclusion === 'cancelled' || conclusion === 'action_required')
  );
}

/** The job whose log is worth most: the failing one, else the one that ended last. GitHub has no log of one that runs. */
function wanted(jobs: readonly Job[]): Job | undefined {
  const over = jobs.filter(({ conclusion, status }) => status === 'completed' && conclusion !== 'skipped');
  return (
    failing(over) ??
    over.reduce<Job | undefined>(
      (last, job) =>
        last === undefined || Date.parse(job.completed_at ?? '') >= Date.parse(last.completed_at ?? '') ? job : last,
      undefined,
    )
  );
}

/** The end of a run's output for its card; one that can't be read is none, since the state is worth more. */
export async function tailOf(target: Target, jobs: readonly Job[], lines: number): Promise<string[]> {
  try {
    return await readLog(target, jobs, lines);
  } catch (error) {
    if (error instanceof PipelineError) return [];
    throw error;
  }
}

/** @throws PipelineError */
export async function readLog(target: Target, jobs: readonly Job[], lines: number): Promise<string[]> {
  const { connection, repository } = target;
  const { client } = connection;
  const job = wanted(jobs);
  if (job === undefined || lines <= 0) return [];
  let place = '';
  const result = await client.send(async () => {
    const answer = await client.octokit.request('GET /repos/{owner}/{repo}/actions/jobs/{job_id}/logs', {
      ...repository,
      job_id: Number(job.id),
    });
    place = answers.redirect.parse(answer.headers).location ?? '';
    return answer;
  });
  if (!result.ok) {
    // Not written yet, or deleted when its time was over.
    if (result.status === 404 || result.status === 410) return [];
    throw result.error;
  }
  if (place === '') return [];
  return linesOf(await download(target, place), job)
    .slice(-lines)
    .map((line) => client.redact(line));
}

/** The end of the file behind the link. The link is a secret by itself: it is asked without credentials, and shown nowhere. */
async function download({ connection }: Target, place: string): Promise<string> {
  const { server } = connection.client;
  const failed = (cause: unknown) =>
    new PipelineError('PIPELINE_UNAVAILABLE', `${server} has the log, but it could not be fetched. Try again.`, {
      retryable: true,
      cause: cause instanceof HttpError ? cause : new Error('the file server of the log refused or went away'),
    });
  const base = new URL(connection.client.octokit.request.endpoint.DEFAULTS.baseUrl);
  const url = URL.canParse(place, base.href) ? new URL(place, base.href) : null;
  if (url === null || (url.protocol !== 'https:' && url.protocol !== base.protocol)) throw failed(null);
  try {
    const answer = await connection
      .http()
      .fetch(url.href, { redirect: 'error', signal: AbortSignal.timeout(TIMEOUT_MS) });
    if (!answer.ok || answer.body === null) throw failed(null);
    const decoder = new TextDecoder();
    let kept = '';
    let size = 0;
    for await (const chunk of answer.body) {
      size += chunk.length;
      kept += decoder.decode(chunk, { stream: true });
      if (kept.length > 2 * KEPT_BYTES) kept = kept.slice(-KEPT_BYTES);
      if (size > MOST_BYTES) break;
    }
    return kept.slice(-KEPT_BYTES);
  } catch (error) {
    if (error instanceof PipelineError) throw error;
    throw failed(error);
  }
}

const STAMP = /^\uFEFF?(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?Z) ?/;

/** Lines of a job's log, of its failing step where the times tell it apart, as people see them at GitHub. */
export function linesOf(text: string, job: Pick<Job, 'steps'>): string[] {
  const lines: { at: number; line: string }[] = [];
  let at = Number.NaN;
  for (const raw of text.split(/\r?\n/)) {
    const stamp = STAMP.exec(raw);
    // A line that goes on has no time of its own.
    if (stamp !== null) at = Date.parse(stamp[1] ?? '');
    const line = plain(raw.slice(stamp?.[0].length ?? 0));
    if (line !== null) lines.push({ at, line });
  }
  const bad = job.steps?.find(({ conclusion }) => conclusion === 'failure' || conclusion === 'timed_out');
  if (bad?.started_at && bad.completed_at) {
    const from = Date.parse(bad.started_at);
    // The API has whole seconds.
    const to = Date.parse(bad.completed_at) + 1_000;
    const own = lines.filter((each) => each.at >= from && each.at < to);
    if (own.length > 0) return own.map(({ line }) => line);
  }
  return lines.map(({ line }) => line);
}

/** Without colours and the runner's own marks; null for a line that is nothing else. */
function plain(raw: string): string | null {
  const line = raw
    // biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
    .replace(/\u001b\[[0-9;?]*[A-Za-z]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)/g, '')
    .replace(/\t/g, '  ')
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, '')
    .trimEnd();
  const mark = /^##\[(endgroup|group|command|error|warning|notice|debug|section)\]/.exec(line);
  if (mark?.[1] === 'endgroup') return null;
  const text = mark === null ? line : line.slice(mark[0].length);
  return text === '' ? null : text.slice(0, LONGEST_LINE).toWellFormed();
}
