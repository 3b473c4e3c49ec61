/**
 * Appends entries and streams them to a file until it is killed: `node stream-child.ts <dataDir> <file>`. Writes "<seq>" when
 * a flush that had to take that entry has ended.
 */
import { createFileSink } from '../../src/audit/sinks/file.ts';
import { createAuditStream } from '../../src/audit/stream.ts';
import { createStore } from '../../src/store/index.ts';
import { silentLogger } from '../contract/harness/deps.ts';
import { AT, RECORD } from './harness.ts';

const [dataDir = '', file = ''] = process.argv.slice(2);
const store = await createStore({ dataDir, logger: silentLogger });
const sinks = [createFileSink(file, { logger: silentLogger })];
const stream = createAuditStream({ store, sinks, logger: silentLogger, now: () => new Date() });
for (;;) {
  const { seq } = await store.transaction(async (tx) => {
    await tx.audit.append(RECORD, AT);
    return tx.audit.append(RECORD, AT);
  });
  await stream.flush();
  process.stdout.write(`${seq}\n`);
}
