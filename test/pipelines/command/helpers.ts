import { randomUUID } from 'node:crypto';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { z } from 'zod';
import { commandConfig } from '../../../src/pipelines/command/config.ts';
import { createCommandPipeline } from '../../../src/pipelines/command/index.ts';
import type { Pipeline, RunRef, RunStatus, TriggerRequest } from '../../../src/pipelines/types.ts';
import { pipelineDeps, temporaryFolder, until } from '../../contract/harness/deps.ts';

type Input = Omit<z.input<typeof commandConfig>, 'command'> & { command?: string | string[] };

/** A folder with a program (CommonJS source) and pipelines that run it. */
export async function openCommand(program: string, env: Record<string, string | undefined> = process.env) {
  const { folder, remove } = await temporaryFolder();
  await writeFile(join(folder, 'program.cjs'), program);
  const started: { pipeline: Pipeline; run: RunRef }[] = [];
  const deps = { ...pipelineDeps(folder), env };

  function create(config: Input = {}): Pipeline {
    const command = config.command ?? [process.execPath, 'program.cjs', '{version}', '{environment}'];
    const pipeline = createCommandPipeline(commandConfig.parse({ ...config, command }), 'storefront', deps);
    return {
      ...pipeline,
      async trigger(request) {
        const run = await pipeline.trigger(request);
        started.push({ pipeline, run });
        return run;
      },
    };
  }

  return {
    folder,
    create,
    runFolder: (request: TriggerRequest) => join(deps.dataDir, 'storefront', request.key),
    request: (more: Partial<TriggerRequest> = {}): TriggerRequest => ({
      key: randomUUID(),
      service: 'storefront',
      environment: 'staging',
      version: '1.2.3',
      sha: '2aa17ce6032a275ed442537605b8ebb509f26fe1',
      requestedBy: 'Ana Ruiz',
      ...more,
    }),
    async close() {
      for (const { pipeline, run } of started) {
        await pipeline.cancel(run).catch(() => undefined);
        await finished(pipeline, run).catch(() => undefined);
      }
      await remove();
    },
  };
}

export function finished(pipeline: Pipeline, run: RunRef): Promise<RunStatus> {
  return until(
    () => pipeline.status(run),
    ({ state }) => state !== 'queued' && state !== 'running',
  );
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
