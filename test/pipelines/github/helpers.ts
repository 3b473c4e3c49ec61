import { connections, pipelines, versionSources } from '../../../src/pipelines/index.ts';
import type { Connection, Pipeline, TriggerRequest, VersionSource } from '../../../src/pipelines/types.ts';
import { pipelineDeps, until } from '../../contract/harness/deps.ts';
import { connect } from '../../contract/harness/vendor.ts';
import { createFakeGitHub, type FakeGitHub } from '../../fakes/github/index.ts';

export { until };

export interface System {
  fake: FakeGitHub;
  connection: Connection;
  pipeline: Pipeline;
  /** A request for staging, with a key of its own. */
  request(more?: Partial<TriggerRequest>): TriggerRequest;
  /** Another bot on the same GitHub, with other settings where they are given. */
  other(options?: OtherOptions): { connection: Connection; pipeline: Pipeline };
  versions(entry?: Record<string, unknown>): VersionSource;
  /** The run is over. */
  end(run: { id: string }): ReturnType<Pipeline['status']>;
  close(): Promise<void>;
}
interface OtherOptions {
  deploy?: Record<string, unknown>;
  connection?: Record<string, unknown>;
  now?: () => Date;
}

let keys = 0;

export async function openSystem(options: Parameters<typeof createFakeGitHub>[0] = {}): Promise<System> {
  const fake = await createFakeGitHub(options);
  const closers: (() => Promise<void>)[] = [];
  const other = ({ connection: more = {}, deploy = {}, now }: OtherOptions = {}) => {
    const { close, connection } = connect('github', { ...fake.config.connection, ...more }, now);
    closers.push(close);
    const config = pipelines.github?.config.parse({ ...fake.config.deploy, ...deploy });
    const made = pipelines.github?.create(config, 'storefront', { ...pipelineDeps('/tmp'), connection });
    if (!made) throw new Error('no adapter');
    return { connection, pipeline: made };
  };
  const { connection, pipeline } = other();
  return {
    fake,
    connection,
    pipeline,
    other,
    request(more = {}) {
      keys += 1;
      return {
        key: `key-${keys}-${Date.now().toString(36)}`,
        service: 'storefront',
        environment: 'staging',
        version: '1.1.0',
        sha: fake.shas['1.1.0'],
        requestedBy: 'Ana Ruiz',
        ...more,
      };
    },
    versions(entry = fake.config.versions) {
      const config = versionSources.github?.config.parse(entry);
      const made = versionSources.github?.create(config, 'storefront', { ...pipelineDeps('/tmp'), connection });
      if (!made) throw new Error('no adapter');
      return made;
    },
    end: (run) =>
      until(
        () => pipeline.status(run),
        ({ state }) => state !== 'queued' && state !== 'running',
      ),
    async close() {
      await fake.close();
      await Promise.all(closers.map((close) => close()));
    },
  };
}

export function secretsOf(config: unknown): readonly string[] {
  return connections.github?.secrets(config) ?? [];
}
