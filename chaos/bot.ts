/**
 * The bot as a process of its own, to be killed: `bot.ts <JSON of BotArguments>`. It is the real one; it only tells its
 * parent when a job begins and ends, and answers questions about its store, which nobody else may open meanwhile.
 */
import { createApp } from '../src/app.ts';
import { loadConfig } from '../src/config.ts';
import { createLogger, createRedactor } from '../src/logger.ts';
import { createStore } from '../src/store/index.ts';
import type { JobName, ReadTx, Store } from '../src/store/types.ts';
import type { BotArguments, Facts, FromBot, Look, ToBot } from './types.ts';

const EVERYTHING = 1_000_000;

const { config: file, metadataUrl, origin, references } = JSON.parse(process.argv[2] ?? '{}') as BotArguments;
const tell = (message: FromBot) => process.send?.(message);

const config = loadConfig(file, process.env);
const logger = createLogger({ level: config.logLevel, redact: createRedactor(config.secrets) });
const opened = await createStore({
  dataDir: config.dataDir,
  logger,
  ...(config.store === null ? {} : { url: config.store }),
});
const store: Store = {
  ...opened,
  work: (queue, handler) =>
    opened.work(queue, async (data) => {
      const job = { queue: queue as JobName, subject: 'id' in data ? data.id : 'key' in data ? data.key : '' };
      tell({ kind: 'job', edge: 'begins', ...job });
      try {
        await handler(data);
      } finally {
        tell({ kind: 'job', edge: 'ends', ...job });
      }
    }),
};
const app = await createApp(config, {
  store,
  logger,
  trust: { openIdMetadataUrl: metadataUrl, serviceOrigins: [origin] },
  credential: { getToken: async () => ({ token: 'outbound-token', expiresOnTimestamp: Date.now() + 3_600_000 }) },
  references,
});

async function look(tx: ReadTx, version?: string): Promise<Look> {
  const newest = await tx.deployments.list({ limit: 8 });
  const deployments = version === undefined ? newest.slice(0, 1) : newest.filter((each) => each.version === version);
  const rows = await Promise.all(deployments.map(({ id }) => tx.outbox.list(`deploy:${id}:`)));
  return { deployments, rows: rows.flat() };
}

async function facts(tx: ReadTx): Promise<Facts> {
  return {
    deployments: await tx.deployments.list({ limit: EVERYTHING }),
    audit: await tx.audit.page({ after: 0, limit: EVERYTHING }),
    head: await tx.audit.head(),
  };
}

process.on('message', async (question: ToBot) => {
  if (question.ask === 'stop') {
    await app.stop();
    process.exit(0);
  }
  try {
    const answer = await store.read<Look | Facts>((tx) =>
      question.ask === 'look' ? look(tx, question.version) : facts(tx),
    );
    tell({ kind: 'answer', number: question.number, answer });
  } catch (error) {
    tell({ kind: 'answer', number: question.number, problem: String(error) });
  }
});
// The driver is gone: nobody looks any more.
process.once('disconnect', () => process.exit(0));

// Before any job runs: what those found who come after a kill.
tell({ kind: 'opened', look: await store.read((tx) => look(tx)) });
const { port } = await app.start();
tell({ kind: 'listening', port });
