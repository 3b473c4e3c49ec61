import { randomUUID } from 'node:crypto';
import { PipelineError } from '../errors.ts';
import type { DeployDeps } from './decisions.ts';
import { type Gathered, pipelineOf, type Wish } from './gather.ts';
import { titleOf } from './show.ts';

/** What the pipeline itself says to a wish, without running anything. */
export interface Rehearsal {
  /** Null: it could not be asked. */
  accepted: boolean | null;
  /** One sentence, untrusted text. */
  note: string;
}

/** Asks the system that would run it; null where it has no way to say. */
export async function rehearse(
  { catalog, logger }: Pick<DeployDeps, 'catalog' | 'logger'>,
  wish: Wish,
  { environment, service, version }: Gathered,
): Promise<Rehearsal | null> {
  const pipeline = pipelineOf(catalog(), service.name, { command: wish.command ?? null });
  if (pipeline?.dryRun === undefined) return null;
  try {
    const { lines } = await pipeline.dryRun({
      key: randomUUID(),
      service: service.name,
      environment: environment.name,
      version: version.name,
      sha: version.sha,
      requestedBy: wish.person.name,
      ...(wish.command ? { inputs: wish.command.inputs } : {}),
    });
    return { accepted: true, note: `${titleOf(pipeline)} takes it: it would run ${lines.length} lines.` };
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error;
    logger.warn('a dry run failed', { service: service.name, error });
    return { accepted: error.code === 'PIPELINE_REJECTED' ? false : null, note: error.message };
  }
}
