/**
 * A child for the takeover test: `node holder.ts DATA_DIR [URL]` opens the store, takes a job, prints its id and never
 * ends it.
 */
import { writeSync } from 'node:fs';
import { createStore } from '../../src/store/index.ts';
import { silentLogger } from '../contract/harness/deps.ts';

const [dataDir = '', url] = process.argv.slice(2);
const store = await createStore({ dataDir, logger: silentLogger, ...(url === undefined ? {} : { url }) });
store.work('deploy.trigger', async ({ id }) => {
  writeSync(1, `${id}\n`);
  await new Promise(() => {});
});
await store.start();
