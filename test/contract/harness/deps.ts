import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Logger } from '../../../src/logger.ts';
import type { PipelineDeps } from '../../../src/pipelines/types.ts';

export const silentLogger: Logger = {
  debug: () => undefined,
  info: () => undefined,
  warn: () => undefined,
  error: () => undefined,
  child: () => silentLogger,
};

export async function temporaryFolder(): Promise<{ folder: string; remove: () => Promise<void> }> {
  const folder = await mkdtemp(join(tmpdir(), 'shipmate-test-'));
  return { folder, remove: () => rm(folder, { recursive: true, force: true }) };
}

export function pipelineDeps(folder: string): PipelineDeps {
  return { logger: silentLogger, dataDir: join(folder, 'data'), baseDir: folder, env: process.env };
}

/** Asks again until it is so; an error after 15 seconds. */
export async function until<T>(ask: () => Promise<T>, isSo: (answer: T) => boolean): Promise<T> {
  const deadline = Date.now() + 15_000;
  for (;;) {
    const answer = await ask();
    if (isSo(answer)) return answer;
    if (Date.now() > deadline) throw new Error(`still not so: ${JSON.stringify(answer)}`);
    await new Promise((resolve) => setTimeout(resolve, 25));
  }
}
