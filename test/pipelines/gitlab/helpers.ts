import { randomUUID } from 'node:crypto';
import { createHttp } from '../../../src/http.ts';
import { gitlabConfig, gitlabConnectionConfig, gitlabVersionsConfig } from '../../../src/pipelines/gitlab/config.ts';
import { createGitlabConnection } from '../../../src/pipelines/gitlab/connection.ts';
import { createGitlabPipeline } from '../../../src/pipelines/gitlab/index.ts';
import { createGitlabVersions } from '../../../src/pipelines/gitlab/versions.ts';
import type { Pipeline, RunRef, RunStatus, TriggerRequest } from '../../../src/pipelines/types.ts';
import { pipelineDeps, silentLogger, until } from '../../contract/harness/deps.ts';
import { createFakeGitlab, type FakeGitlab } from '../../fakes/gitlab/index.ts';

/** A fake server, and what the adapter makes on it; `close` fails when something was asked that GitLab does not have. */
export async function openGitlab(options: { path?: string } = {}) {
  const fake = await createFakeGitlab(options);
  const http = createHttp();
  let shift = 0;
  const connection = (more: Record<string, unknown> = {}) =>
    createGitlabConnection(gitlabConnectionConfig.parse({ ...fake.config.connection, ...more }), {
      logger: silentLogger,
      baseDir: process.cwd(),
      http: () => http,
      entraToken: null,
      now: () => new Date(Date.now() + shift),
    });
  const deps = (more: Record<string, unknown> = {}) => ({
    ...pipelineDeps('/nowhere'),
    connection: connection(more),
  });
  return {
    fake,
    connection,
    /** Moves the adapter's clock. */
    later: (ms: number) => {
      shift += ms;
    },
    pipeline: (deploy: Record<string, unknown> = {}, more: Record<string, unknown> = {}): Pipeline =>
      createGitlabPipeline(gitlabConfig.parse({ ...fake.config.deploy, ...deploy }), 'storefront', deps(more)),
    versions: (entry: Record<string, unknown> = { gitlab: 'acme/storefront' }) =>
      createGitlabVersions(gitlabVersionsConfig.parse(entry), deps()),
    request: (more: Partial<TriggerRequest> = {}): TriggerRequest => ({
      key: randomUUID(),
      service: 'storefront',
      environment: 'production',
      version: '1.1.0',
      sha: fake.shas['1.1.0'],
      requestedBy: 'Ana Ruiz',
      ...more,
    }),
    async close({ strict = true } = {}) {
      await fake.close();
      await http.close();
      if (strict && fake.unknown().length > 0) throw new Error(`unknown to GitLab: ${fake.unknown().join(', ')}`);
    },
  };
}

export type Opened = Awaited<ReturnType<typeof openGitlab>>;

export function over({ state }: RunStatus): boolean {
  return state !== 'queued' && state !== 'running';
}

export function end(pipeline: Pipeline, run: RunRef): Promise<RunStatus> {
  return until(() => pipeline.status(run), over);
}

export async function gateOf(pipeline: Pipeline, run: RunRef) {
  const { gate } = await until(
    () => pipeline.status(run),
    (status) => status.gate !== undefined || over(status),
  );
  if (gate === undefined) throw new Error('it asked nothing');
  return gate;
}

/** Until the job that deploys waits. */
export async function waiting(fake: FakeGitlab): Promise<void> {
  await until(
    async () => fake.world.runs.some(({ jobs }) => jobs.some(({ status }) => status === 'manual')),
    (so) => so,
  );
}
