import { resolve } from 'node:path';
import type { Http } from '../../http.ts';
import type { ConnectionDeps } from '../types.ts';
import { createBounded } from './bounded.ts';
import { checkConnection } from './check.ts';
import { createClient } from './client.ts';
import type { GitHubConnectionConfig } from './config.ts';
import type { GitHubConnection } from './connection.ts';
import { notUnderstood } from './problems.ts';
import * as answers from './schema.ts';
import { verdictOf } from './webhook.ts';

const FACT_MS = 10 * 60_000;
/** Servers of an earlier version answer a dispatch with 204 and nothing else. */
const TELLS_RUN_SINCE = [3, 20] as const;

export function createGitHubConnection(config: GitHubConnectionConfig, deps: ConnectionDeps): GitHubConnection {
  const { baseDir, logger, now } = deps;
  let made: Http | null = null;
  const http = () => {
    made ??= deps.http(config.ca === undefined ? {} : { ca: resolve(baseDir, config.ca) });
    return made;
  };
  const client = createClient(config, { baseDir, http, logger, now });
  const branches = createBounded<string, { name: string; until: number }>(200);
  let self: { id: number; slug: string } | null = null;
  let tells: { is: boolean; until: number } | null = null;

  const connection: GitHubConnection = {
    kind: 'github',
    client,
    http,
    now,

    async self() {
      if (self !== null) return self;
      const found = await client.read(answers.app, () =>
        client.octokit.request('GET /app', { request: { as: 'app' } }),
      );
      if (found?.slug === undefined) throw notUnderstood(client.server, 'no App', 'no');
      self = { id: found.id, slug: found.slug };
      return self;
    },

    async defaultBranch(repository) {
      const name = `${repository.owner}/${repository.repo}`;
      const known = branches.get(name);
      if (known !== undefined && known.until > now().getTime()) return known.name;
      const { default_branch } = await client.read(answers.repository, () =>
        client.octokit.request('GET /repos/{owner}/{repo}', repository),
      );
      branches.put(name, { name: default_branch, until: now().getTime() + FACT_MS });
      return default_branch;
    },

    async tellsRun(repository) {
      if (!client.selfManaged) return true;
      if (tells !== null && tells.until > now().getTime()) return tells.is;
      const { installed_version } = await client.read(answers.meta, () =>
        client.octokit.request('GET /meta', { request: { repository } }),
      );
      tells = { is: isSince(installed_version), until: now().getTime() + FACT_MS };
      return tells.is;
    },

    memory: {
      triggering: new Map(),
      triggered: createBounded(500),
      made: createBounded(500),
      answers: createBounded(500),
      rules: createBounded(500),
      madeBy: createBounded(2_000),
    },

    check: () => checkConnection(connection, config),
    ...(config.secret === undefined ? {} : { webhook: verdictOf(config.secret) }),
  };
  return connection;
}

/** One without a number is not GitHub Enterprise Server, or hides it: then it is new. */
function isSince(version: string | undefined): boolean {
  const [, major, minor] = /^(\d+)\.(\d+)/.exec(version ?? '') ?? [];
  if (major === undefined || minor === undefined) return true;
  const [sinceMajor, sinceMinor] = TELLS_RUN_SINCE;
  return Number(major) > sinceMajor || (Number(major) === sinceMajor && Number(minor) >= sinceMinor);
}
