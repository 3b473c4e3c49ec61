import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { PipelineError } from '../../errors.ts';
import type { PipelineDeps } from '../types.ts';
import { isRemote } from './config.ts';

const READ_TIMEOUT_MS = 10_000;
const FETCH_TIMEOUT_MS = 60_000;
const MAX_OUTPUT_BYTES = 32 * 1024 * 1024;
const FETCH_AGE_MS = 30_000;
const LOCK_RETRIES = 3;

/** git ended with an exit code other than 0. */
export interface GitFailure {
  code: number | string | null;
  stderr: string;
}

export interface GitClient {
  /**
   * Standard output of a git command on the repository, or how it failed where `allow` names its exit code.
   * @throws PipelineError VERSIONS_UNAVAILABLE
   */
  read(args: readonly string[], allow?: readonly number[]): Promise<string | GitFailure>;
  /** Brings a remote repository's tags and branches here: always, or when the last time is more than 30 s ago. */
  refresh(when: 'always' | 'stale'): Promise<void>;
}

function unavailable(message: string, cause: unknown): PipelineError {
  return new PipelineError('VERSIONS_UNAVAILABLE', message, { retryable: true, cause });
}

/** A repository on this machine is read where it lies; a remote one through a bare mirror in the data folder. */
export function createGitClient(repository: string, deps: PipelineDeps): GitClient {
  const remote = isRemote(repository);
  const mirror = `${createHash('sha256').update(repository).digest('hex').slice(0, 16)}.git`;
  const folder = remote ? join(deps.dataDir, mirror) : resolve(deps.baseDir, repository);
  let fetchedAt = Number.NEGATIVE_INFINITY;
  let fetching: Promise<void> | null = null;

  const passedOn = ['PATH', 'HOME', 'SSH_AUTH_SOCK'].flatMap((name) => {
    const value = deps.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const env = {
    ...Object.fromEntries(passedOn),
    LANG: 'C.UTF-8',
    // A folder that is no repository must not be read as a part of one around it.
    GIT_CEILING_DIRECTORIES: dirname(folder),
    GIT_TERMINAL_PROMPT: '0',
    GIT_OPTIONAL_LOCKS: '0',
    GIT_SSH_COMMAND: 'ssh -oBatchMode=yes',
    GIT_ALLOW_PROTOCOL: 'https:http:ssh:git:file',
  };

  function run(args: readonly string[], timeout: number): Promise<string | GitFailure> {
    // Settings of the repository itself must not start programs.
    const safe = ['--no-pager', '-c', 'core.hooksPath=/dev/null', '-c', 'core.fsmonitor=false'];
    return new Promise((done) => {
      execFile(
        'git',
        [...safe, '-C', folder, ...args],
        { env, timeout, maxBuffer: MAX_OUTPUT_BYTES, encoding: 'utf8', windowsHide: true },
        (error, stdout, stderr) => {
          if (!error) done(stdout);
          else done({ code: error.killed ? 'timeout' : (error.code ?? null), stderr: stderr.slice(-2000) });
        },
      );
    });
  }

  function explain(failure: GitFailure): PipelineError {
    const cause = new Error(`git: ${failure.code}: ${failure.stderr}`);
    if (failure.code === 'ENOENT') return unavailable('git is not installed on the bot’s host. Install it.', cause);
    if (failure.code === 'timeout') return unavailable('The git repository did not answer in time. Try again.', cause);
    if (/dubious ownership/.test(failure.stderr))
      return unavailable(
        `git does not trust ${folder}, which belongs to another user. Give it to the bot's user, or set safe.directory.`,
        cause,
      );
    if (/not a git repository/.test(failure.stderr))
      return unavailable(`${folder} is not a git repository. Correct "git" of the service's versions.`, cause);
    return unavailable('The git repository could not be read. Try again, or look at the bot’s log.', cause);
  }

  async function fetchOnce(): Promise<void> {
    if (!existsSync(join(folder, 'HEAD'))) {
      await mkdir(folder, { recursive: true, mode: 0o700 });
      const made = await run(['init', '--quiet', '--bare', '--template='], READ_TIMEOUT_MS);
      if (typeof made !== 'string') throw explain(made);
    }
    const options = ['--quiet', '--force', '--prune', '--no-write-fetch-head', '--no-recurse-submodules'];
    const refs = ['+refs/tags/*:refs/tags/*', '+refs/heads/*:refs/heads/*'];
    for (let attempt = 1; ; attempt += 1) {
      const result = await run(['fetch', ...options, '--', repository, ...refs], FETCH_TIMEOUT_MS);
      if (typeof result === 'string') return;
      // Another service with the same repository fetches into the same mirror at this moment.
      if (!/\.lock|cannot lock ref/.test(result.stderr) || attempt >= LOCK_RETRIES) {
        if (result.code === 'ENOENT' || result.code === 'timeout') throw explain(result);
        throw unavailable(
          'The git repository could not be fetched. Check its URL, the connection and the bot’s rights there.',
          new Error(`git fetch: ${result.code}: ${result.stderr}`),
        );
      }
      await wait(150 * attempt);
    }
  }

  return {
    async read(args, allow = []) {
      if (!remote && !existsSync(folder))
        throw unavailable(`${folder} does not exist. Correct "git" of the service's versions.`, null);
      const result = await run(args, READ_TIMEOUT_MS);
      if (typeof result === 'string' || (typeof result.code === 'number' && allow.includes(result.code))) return result;
      throw explain(result);
    },

    async refresh(when) {
      if (!remote || (when === 'stale' && Date.now() - fetchedAt < FETCH_AGE_MS)) return;
      // A fetch that began earlier may have read the tags before the caller's moment: wait for it, then do another.
      if (fetching !== null) {
        await fetching.catch(() => undefined);
        if (when === 'stale' && Date.now() - fetchedAt < FETCH_AGE_MS) return;
      }
      const own: Promise<void> = (fetching ?? Promise.resolve())
        .catch(() => undefined)
        .then(fetchOnce)
        .then(() => {
          fetchedAt = Date.now();
        })
        .finally(() => {
          if (fetching === own) fetching = null;
        });
      fetching = own;
      await own;
    },
  };
}
