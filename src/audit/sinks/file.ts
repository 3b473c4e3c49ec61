import type { Logger } from '../../logger.ts';
import { toJsonl } from '../export.ts';
import { openLines } from '../lines.ts';
import type { AuditSink } from './types.ts';

/**
 * JSON lines at the end of a file (absolute path; made with 0600). Each write is on the disk when it resolves. A file that
 * a log rotation put in its place is written to from then on. With several replicas each host's file holds what its own
 * replica wrote.
 */
export function createFileSink(file: string, { logger }: { logger: Logger }): AuditSink {
  const lines = openLines(file);
  return {
    name: `file:${file}`,
    async write(entries) {
      const { replaced } = await lines.append(entries.map(toJsonl));
      if (replaced) logger.info('the audit file was replaced; the new one is written to', { file });
    },
    close: () => lines.close(),
  };
}
