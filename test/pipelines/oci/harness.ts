import { ociVersionsConfig } from '../../../src/pipelines/oci/config.ts';
import { createOciVersions } from '../../../src/pipelines/oci/index.ts';
import { pipelineDeps } from '../../contract/harness/deps.ts';
import { connect } from '../../contract/harness/vendor.ts';
import { createFakeOci } from '../../fakes/oci/index.ts';

/** Versions on a fake registry, with more or other settings than the fake's own. */
export async function open(more: { connection?: Record<string, unknown>; now?: () => Date } = {}) {
  const fake = await createFakeOci();
  const made = connect('oci', { ...fake.config.connection, ...more.connection }, more.now);
  return {
    fake,
    connection: made.connection,
    versions: (entry: Record<string, unknown> = {}) =>
      createOciVersions(ociVersionsConfig.parse({ ...fake.config.versions, ...entry }), {
        ...pipelineDeps('/nowhere'),
        connection: made.connection,
      }),
    async close() {
      await fake.close();
      await made.close();
    },
  };
}

export type Opened = Awaited<ReturnType<typeof open>>;
