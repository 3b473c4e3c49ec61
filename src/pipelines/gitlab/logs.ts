import type { GitlabJob } from './schema.ts';
import { isOver } from './status.ts';
import type { GitlabConnection } from './types.ts';

const KEPT_BYTES = 262_144;
const LONGEST_LINE = 1_000;
/** A log is read as a whole, since GitLab takes no Range for it: while the job runs, no more often than this. */
const FRESH_MS = 8_000;
const KEPT_MS = 120_000;

// With FF_TIMESTAMPS each line begins with its time, the stream, and a "+" when it goes on from the one before
// (docs.gitlab.com/ci/jobs/job_logs, "Job log timestamps").
const TIMESTAMP = /^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z [0-9a-f]{2}[EO]([+ ]?)/;
// biome-ignore lint/suspicious/noControlCharactersInRegex: these are what is taken out
const ESCAPES = /\u001b\[[0-9;?]*[ -/]*[@-~]|\u001b\][^\u0007\u001b]*(?:\u0007|\u001b\\)?|\u001b[@-Z\\-_]/g;
// Marks of sections that can be folded (docs.gitlab.com/ci/jobs/job_logs, "Custom collapsible sections").
const SECTION = /section_(?:start|end):\d+:[\w.-]+(?:\[[^\]\r\n]*\])?\r/g;

/**
 * Lines of a raw log without colours, marks of sections, times and what a carriage return wrote over. Redacted as one
 * text, so that a secret of several lines is found too.
 */
export function cleanLog(text: string, redact: (text: string) => string): string[] {
  const lines: string[] = [];
  for (const raw of text.split('\n')) {
    const line = raw.replace(ESCAPES, '');
    const goesOn = TIMESTAMP.exec(line)?.[1] === '+';
    // A mark of a section may stand between two times.
    const rest = line.replace(TIMESTAMP, '').replace(SECTION, '').replace(TIMESTAMP, '').replace(/\r+$/, '');
    if (goesOn && lines.length > 0) lines.push((lines.pop() ?? '') + rest);
    else lines.push(rest);
  }
  const plain = lines
    .map((line) => line.slice(line.lastIndexOf('\r') + 1))
    .map((line) => line.replace(/\t/g, '  ').replace(/[\p{Cc}\p{Cf}\u2028\u2029]/gu, ''))
    .join('\n');
  const clean = redact(plain)
    .split('\n')
    .map((line) => line.trimEnd())
    .map((line) => (line.length > LONGEST_LINE ? `${line.slice(0, LONGEST_LINE).toWellFormed()}…` : line));
  while (clean.at(-1) === '') clean.pop();
  return clean;
}

/** @throws PipelineError PIPELINE_UNAVAILABLE */
export async function traceOf(
  connection: GitlabConnection,
  project: string,
  job: GitlabJob,
  now: number,
): Promise<readonly string[]> {
  const key = String(job.id);
  const known = connection.traces.get(key);
  const age = known === undefined ? Number.POSITIVE_INFINITY : now - known.at;
  if (known?.state === job.status && age < (isOver(job.status) ? KEPT_MS : FRESH_MS)) return known.lines;
  const { client } = connection;
  const read = await client.tail(`/projects/${encodeURIComponent(project)}/jobs/${job.id}/trace`, KEPT_BYTES);
  const text = read === null ? '' : read.text;
  // Half a line at the beginning could be half a secret.
  const lines = cleanLog(read?.cut ? text.slice(text.indexOf('\n') + 1 || text.length) : text, client.redact);
  connection.traces.set(key, { state: job.status, at: now, lines });
  return lines;
}

const SAYS = /^shipmate-sha:\s*((?:sha256:)?[0-9a-f]{7,64})$/;

/** The commit that a log says was deployed; the last one, when it says several. */
export function deployedSha(lines: readonly string[]): string | undefined {
  return lines.map((line) => SAYS.exec(line.trim())?.[1]).findLast((sha) => sha !== undefined);
}
