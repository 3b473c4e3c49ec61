import { PipelineError } from '../../errors.ts';
import { isValid } from '../requests.ts';

/**
 * Ids of runs. A run of the bot is named by its key: the build has no number yet when it is triggered, and the number in
 * the queue is forgotten. Any other build is named by its job and number; the job, because ids of two services that share
 * a connection must differ.
 */
export function keyId(key: string): string {
  return `key:${key}`;
}

export function buildId(job: string, number: number): string {
  return `${job}#${number}`;
}

/** @throws PipelineError PIPELINE_LOST when it is no id of a run of this job */
export function parseId(id: string, job: string): { key: string } | { build: number } {
  if (id.startsWith('key:') && isValid('key', id.slice(4))) return { key: id.slice(4) };
  const number = id.startsWith(`${job}#`) ? id.slice(job.length + 1) : '';
  if (/^[1-9]\d{0,8}$/.test(number)) return { build: Number(number) };
  throw new PipelineError('PIPELINE_LOST', `The job ${job} has no run ${JSON.stringify(id.slice(0, 80))}.`);
}
