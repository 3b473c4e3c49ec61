import { Writable } from 'node:stream';
import { createLogger, type Logger, type Redactor } from '../logger.ts';
import type { Io } from './types.ts';

/** Errors only, and on standard error: standard output belongs to the command. */
export function quietLogger(io: Io, redact: Redactor): Logger {
  const stream = new Writable({
    write(chunk: Buffer, _encoding, done) {
      io.err(chunk.toString('utf8'));
      done();
    },
  });
  return createLogger({ level: 'error', format: 'text', redact, stream });
}
