/**
 * One replica as a process of its own: `replica-child.ts <config> <metadata URL> <connector origin> <references>`. It
 * loads, says so and waits for a word, so that several can start at the same moment. It says each look at a run, so that
 * a test knows who watches. SIGTERM stops it as src/index.ts does.
 */
import { createApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';
import type { Pipeline } from '../../src/pipelines/types.ts';

export type Said =
  | { kind: 'loaded' }
  | { kind: 'ready'; port: number; internalPort: number }
  | { kind: 'failed'; why: string }
  | { kind: 'looks'; run: string };

const [, , config = '', openIdMetadataUrl = '', origin = '', references = '[]'] = process.argv;
const say = (said: Said): void => {
  process.send?.(said);
};
const watched = (pipeline: Pipeline): Pipeline => ({
  ...pipeline,
  status: (run) => {
    say({ kind: 'looks', run: run.id });
    return pipeline.status(run);
  },
});

process.once('message', async () => {
  try {
    const app = await createApp(loadConfig(config, process.env), {
      trust: { openIdMetadataUrl, serviceOrigins: [origin] },
      credential: { getToken: async () => ({ token: 'outbound-token', expiresOnTimestamp: Date.now() + 3_600_000 }) },
      references: JSON.parse(references),
      catalog: (built) => ({
        ...built,
        services: new Map(
          [...built.services].map(([name, service]) => [name, { ...service, pipeline: watched(service.pipeline) }]),
        ),
      }),
    });
    process.once('SIGTERM', () => {
      app.stop().then(
        () => process.exit(0),
        () => process.exit(1),
      );
    });
    say({ kind: 'ready', ...(await app.start()) });
  } catch (error) {
    say({ kind: 'failed', why: String(error) });
    process.exit(1);
  }
});
say({ kind: 'loaded' });
