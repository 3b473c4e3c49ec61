import { appendFileSync, mkdirSync, renameSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

const MAX_BYTES = 5 * 1024 * 1024;

/** JSON lines to a file, or to standard output when there is none; one old file is kept as `<file>.1`. */
export function createLog(file) {
  let bytes = 0;
  if (file) {
    mkdirSync(dirname(file), { recursive: true });
    bytes = statSync(file, { throwIfNoEntry: false })?.size ?? 0;
  }

  function write(level, msg, fields = {}) {
    const line = `${JSON.stringify({ time: new Date().toISOString(), level, msg, ...fields })}\n`;
    if (!file) {
      process.stdout.write(line);
      return;
    }
    if (bytes + line.length > MAX_BYTES) {
      renameSync(file, `${file}.1`);
      bytes = 0;
    }
    appendFileSync(file, line);
    bytes += Buffer.byteLength(line);
  }

  return {
    debug: (msg, fields) => write('debug', msg, fields),
    info: (msg, fields) => write('info', msg, fields),
    warn: (msg, fields) => write('warn', msg, fields),
    error: (msg, fields) => write('error', msg, fields),
  };
}
