import { readFileSync } from 'node:fs';
import path from 'node:path';
import { ShipmateError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import type { AuditConfig } from '../config.ts';
import { createFileSink } from './file.ts';
import { createSyslogSink } from './syslog.ts';
import type { AuditSink } from './types.ts';

export type { AuditSink } from './types.ts';

/**
 * The sinks that the configuration names, none opened yet. `baseDir`: absolute, where relative paths start.
 * @throws ShipmateError CONFIG_INVALID when a certificate or key can't be read
 */
export function createSinks(
  config: AuditConfig | undefined,
  { baseDir, logger }: { baseDir: string; logger: Logger },
): AuditSink[] {
  const sinks: AuditSink[] = [];
  if (config?.file !== undefined) sinks.push(createFileSink(path.resolve(baseDir, config.file), { logger }));
  if (config?.syslog) {
    const { ca, cert, host, key, port, servername } = config.syslog;
    const files = Object.fromEntries(
      Object.entries({ ca, cert, key }).flatMap(([name, file]) =>
        file === undefined ? [] : [[name, readable(`audit.syslog.${name}`, path.resolve(baseDir, file))]],
      ),
    );
    sinks.push(
      createSyslogSink({
        host,
        port,
        ...(servername === undefined ? {} : { servername }),
        ...files,
      }),
    );
  }
  return sinks;
}

/** They are read again for each connection, since certificates are renewed. What is wrong from the start is told now. */
function readable(key: string, file: string): string {
  try {
    readFileSync(file);
    return file;
  } catch (error) {
    throw new ShipmateError('CONFIG_INVALID', `${key}: ${file} can't be read.`, { cause: error });
  }
}
