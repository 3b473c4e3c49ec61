import { execFile } from 'node:child_process';
import { type Http, HttpError } from '../http.ts';
import type { HealthProbe } from './types.ts';

const URL_TIMEOUT_MS = 5_000;
const PROGRAM_TIMEOUT_MS = 30_000;
const LONGEST = 300;

/** Asks a URL (2xx is well), or runs a program (0 is well), never through a shell and with the environment that is given. */
export function createHealthProbe(
  http: Http,
  options: { baseDir: string; env: Readonly<Record<string, string | undefined>> },
): HealthProbe {
  const ask = async (url: string): Promise<string | null> => {
    try {
      const { status } = await http.request({ url, timeoutMs: URL_TIMEOUT_MS, maxBytes: 65_536 });
      return status >= 200 && status < 300 ? null : `It answered ${status}.`;
    } catch (error) {
      if (error instanceof HttpError) return error.message;
      throw error;
    }
  };

  const run = ([program = '', ...args]: readonly string[]): Promise<string | null> =>
    new Promise((resolve) => {
      const env = Object.fromEntries(Object.entries(options.env).filter(([, value]) => value !== undefined));
      execFile(
        program,
        args,
        { cwd: options.baseDir, env, timeout: PROGRAM_TIMEOUT_MS, killSignal: 'SIGKILL', maxBuffer: 1_048_576 },
        (error, stdout, stderr) => {
          if (error === null) return resolve(null);
          const said = `${stderr}\n${stdout}`.split('\n').find((line) => line.trim() !== '');
          const ended = error.killed
            ? `It took longer than ${PROGRAM_TIMEOUT_MS / 1000} s.`
            : `It ended with ${error.code ?? 'an error'}.`;
          resolve(`${ended}${said ? ` ${said.trim()}` : ''}`.slice(0, LONGEST));
        },
      );
    });

  return { check: (check) => (check.kind === 'url' ? ask(check.url) : run(check.argv)) };
}
