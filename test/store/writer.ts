/**
 * A child for the crash tests: `node writer.ts DATA_DIR [URL]` opens the store, writes one transaction after the other
 * (setting, audit entry, job), and prints each one's number once it is acknowledged.
 */
import { writeSync } from 'node:fs';
import { createStore } from '../../src/store/index.ts';
import { silentLogger } from '../contract/harness/deps.ts';

const [dataDir = '', url] = process.argv.slice(2);
const store = await createStore({ dataDir, logger: silentLogger, ...(url === undefined ? {} : { url }) });
writeSync(1, 'ready\n');
const written = await store.read((tx) => tx.audit.head());
for (let number = written.seq + 1; ; number += 1) {
  await store.transaction(async (tx) => {
    await tx.settings.set(`row:${number}`, 'x'.repeat(200));
    await tx.jobs.send('deploy.trigger', { id: String(number) });
    await tx.audit.append(
      { actor: { id: 'system', tenantId: '', name: 'child' }, action: 'write', outcome: 'done', code: 'OK' },
      new Date(),
    );
  });
  writeSync(1, `${number}\n`);
}
