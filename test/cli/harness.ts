import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { main } from '../../src/cli/main.ts';
import { ENV } from '../config/harness.ts';

/** A folder of its own, in which commands run. */
export async function openCli(env: Readonly<Record<string, string | undefined>> = ENV) {
  const cwd = await mkdtemp(path.join(tmpdir(), 'shipmate-cli-'));
  return {
    cwd,
    async run(...argv: string[]) {
      let out = '';
      let err = '';
      const io = {
        env,
        cwd,
        out: (text: string) => {
          out += text;
        },
        err: (text: string) => {
          err += text;
        },
      };
      const code = await main(argv, io);
      return { code, out, err };
    },
    close: () => rm(cwd, { recursive: true, force: true }),
  };
}
