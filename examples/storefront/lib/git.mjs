import { execFileSync } from 'node:child_process';

/** git without the machine's own settings, so that the example's commits get the same ids everywhere. */
export function git(repo, args, env = {}) {
  const settings = ['-c', 'core.autocrlf=false', '-c', 'commit.gpgsign=false', '-c', 'tag.gpgsign=false'];
  return execFileSync('git', ['-C', repo, ...settings, ...args], {
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      PATH: process.env.PATH,
      LANG: 'C',
      GIT_CONFIG_NOSYSTEM: '1',
      GIT_CONFIG_GLOBAL: '/dev/null',
      GIT_TERMINAL_PROMPT: '0',
      ...env,
    },
  }).trim();
}
