import { PipelineError } from '../../errors.ts';
import type { RunRef } from '../types.ts';

/** Names of runs: `<run id>`, or `<run id>.<attempt>` for a second and later attempt of the same run. */

export interface RunId {
  run: number;
  attempt: number;
}

/** @throws PipelineError PIPELINE_LOST for what can't be one */
export function parseRunId({ id }: RunRef): RunId {
  const [, run, attempt = '1'] = /^([1-9]\d{0,14})(?:\.([1-9]\d{0,3}))?$/.exec(id) ?? [];
  if (run === undefined) throw lost(`There is no run ${JSON.stringify(id.slice(0, 40))} at GitHub.`);
  return { run: Number(run), attempt: Number(attempt) };
}

/** The first attempt is the run itself. */
export function refId(run: string, attempt: number | undefined): string {
  return attempt === undefined || attempt <= 1 ? run : `${run}.${attempt}`;
}

export function lost(message: string): PipelineError {
  return new PipelineError('PIPELINE_LOST', `${message} Look at the repository's Actions.`);
}
