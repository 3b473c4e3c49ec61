import { randomUUID } from 'node:crypto';
import { jenkinsDeployConfig, jenkinsVersionsConfig } from '../../../src/pipelines/jenkins/config.ts';
import { createJenkinsPipeline } from '../../../src/pipelines/jenkins/index.ts';
import { createJenkinsVersions } from '../../../src/pipelines/jenkins/versions.ts';
import type { RunRef, RunStatus, TriggerRequest } from '../../../src/pipelines/types.ts';
import { pipelineDeps, until } from '../../contract/harness/deps.ts';
import { connect } from '../../contract/harness/vendor.ts';
import { createFakeJenkins, type FakeJenkins } from '../../fakes/jenkins/index.ts';

/** A pipeline on a fake Jenkins, with more or other settings than the fake's own. */
export async function open(
  more: { deploy?: Record<string, unknown>; connection?: Record<string, unknown>; now?: () => Date } = {},
) {
  const fake = await createFakeJenkins();
  const closers: (() => Promise<void>)[] = [];
  const connectNow = () => {
    const made = connect('jenkins', { ...fake.config.connection, ...more.connection }, more.now);
    closers.push(made.close);
    return made.connection;
  };
  const connection = connectNow();
  const build = (deploy: Record<string, unknown> = {}, shared = connection) =>
    createJenkinsPipeline(jenkinsDeployConfig.parse({ ...fake.config.deploy, ...more.deploy, ...deploy }), {
      ...pipelineDeps('/nowhere'),
      connection: shared,
    });
  const pipeline = build();
  return {
    fake,
    connection,
    pipeline,
    /** Another pipeline; `fresh`: as after a restart. */
    another: (deploy: Record<string, unknown> = {}, fresh = true) => build(deploy, fresh ? connectNow() : connection),
    versions: (versions: Record<string, unknown> = {}) =>
      createJenkinsVersions(jenkinsVersionsConfig.parse({ ...fake.config.versions, ...versions }), {
        ...pipelineDeps('/nowhere'),
        connection,
      }),
    request: (changes: Partial<TriggerRequest> = {}): TriggerRequest => ({
      key: randomUUID(),
      service: 'storefront',
      environment: 'staging',
      version: '1.1.0',
      sha: fake.shas['1.1.0'],
      requestedBy: 'Ana Ruiz',
      ...changes,
    }),
    end: (run: RunRef, asked = pipeline): Promise<RunStatus> =>
      until(
        () => asked.status(run),
        ({ state }) => state !== 'queued' && state !== 'running',
      ),
    gate: async (run: RunRef) => {
      const { gate } = await until(
        () => pipeline.status(run),
        (status) => status.gate !== undefined,
      );
      if (!gate) throw new Error('it asks nothing');
      return gate;
    },
    async close() {
      await fake.close();
      await Promise.all(closers.map((close) => close()));
    },
  };
}

export type Opened = Awaited<ReturnType<typeof open>>;

/** Every parameter of the build that was started last. */
export function lastParameters({ model }: FakeJenkins): Record<string, string> {
  return model.queue.at(-1)?.parameters ?? {};
}
