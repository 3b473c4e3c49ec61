import { appendFile, mkdir, rm, symlink } from 'node:fs/promises';
import { join } from 'node:path';
import { filesConfig } from '../../../src/monitoring/files/config.ts';
import { createFilesLogs } from '../../../src/monitoring/files/index.ts';
import { silentLogger, temporaryFolder } from './deps.ts';
import type { LogsHarness } from './types.ts';

export const harness: LogsHarness = {
  family: 'logs',
  async open() {
    const { folder, remove } = await temporaryFolder();
    const logs = join(folder, 'staging', 'logs');
    await mkdir(logs, { recursive: true });
    const config = filesConfig.parse({ files: '{environment}/logs/{service}.jsonl' });
    return {
      source: createFilesLogs(config, { logger: silentLogger, baseDir: folder }),
      write: (lines) =>
        appendFile(
          join(logs, 'storefront.jsonl'),
          lines.map(({ time, level, text }) => `${JSON.stringify({ time, level, msg: text })}\n`).join(''),
        ),
      async breakIt() {
        // A link to itself can't be read by root either, whom no file mode stops.
        await rm(logs, { recursive: true });
        await symlink('logs', logs);
      },
      close: remove,
    };
  },
};
