import { PipelineError } from '../../errors.ts';
import type { Commit, Comparison } from '../types.ts';
import type { AzureAnswer, AzureClient } from './client.ts';
import { isProjectMissing, projectMissing } from './definitions.ts';
import { commitDiffs, commits } from './schema.ts';
import { repositoryMissing } from './tag-versions.ts';

const FULL_SHA = /^[0-9a-f]{40}$/;
const MOST_COMMITS = 500;
const LONGEST = 400;
const READ = '"Read" of the repository';

/** Commits between two commits. Sources: Azure DevOps REST API, "Diffs - Get" and "Commits - Get Commits". */
export function createCompare(client: AzureClient, project: string, repository: string) {
  const path = (...more: string[]) => [project, '_apis', 'git', 'repositories', repository, ...more];

  function unknown(what: string): PipelineError {
    return new PipelineError(
      'VERSION_UNKNOWN',
      `The repository ${repository} has no ${what}, so the versions can't be compared.`,
    );
  }
  const shown = (sha: string) => `commit ${JSON.stringify(sha.slice(0, 12))}`;

  function failed(answer: AzureAnswer, shas: readonly string[]): PipelineError {
    const { message, status, typeKey } = answer;
    if (isProjectMissing(typeKey)) return projectMissing(project);
    if (typeKey.startsWith('GitRepositoryNotFound')) return repositoryMissing(project, repository);
    // TF401175: the version could not be resolved.
    if (status !== 404 && !/^Git(?:Unresolvable|CommitDoesNotExist)/.test(typeKey)) return client.refused(answer);
    const missing = shas.find((sha) => message.includes(sha));
    return unknown(missing === undefined ? 'such commits' : shown(missing));
  }

  /** What `newer` has and `older` has not, newest first. */
  async function between(older: string, newer: string, limit: number): Promise<Commit[]> {
    const top = Math.min(Math.max(Math.trunc(limit), 0), MOST_COMMITS);
    if (top === 0) return [];
    const answer = await client.ask({
      path: path('commits'),
      query: {
        // The history is walked from `compareVersion`, without what `itemVersion` has.
        'searchCriteria.itemVersion.version': older,
        'searchCriteria.itemVersion.versionType': 'commit',
        'searchCriteria.compareVersion.version': newer,
        'searchCriteria.compareVersion.versionType': 'commit',
        'searchCriteria.$top': top,
      },
      right: READ,
    });
    if (!answer.ok) throw failed(answer, [older, newer]);
    return client.parse(commits, answer).value.map(({ author, comment, commitId }) => {
      const subject = (comment ?? '').split(/\r?\n/)[0]?.trim().slice(0, LONGEST) ?? '';
      const name = author?.name?.trim().slice(0, LONGEST) ?? '';
      return { sha: commitId, subject, ...(name === '' ? {} : { author: name }) };
    });
  }

  return async function compare(from: string, to: string, limit: number): Promise<Comparison> {
    for (const sha of [from, to]) if (!FULL_SHA.test(sha)) throw unknown(shown(sha));
    const answer = await client.ask({
      path: path('diffs', 'commits'),
      query: {
        baseVersion: from,
        baseVersionType: 'commit',
        targetVersion: to,
        targetVersionType: 'commit',
        diffCommonCommit: true,
        $top: 1,
      },
      right: READ,
    });
    if (!answer.ok) throw failed(answer, [from, to]);
    const { aheadCount: ahead, behindCount: behind } = client.parse(commitDiffs, answer);
    const backwards = ahead === 0 && behind > 0;
    const total = backwards ? behind : ahead;
    if (total === 0) return { commits: [], total, backwards };
    return { commits: await (backwards ? between(to, from, limit) : between(from, to, limit)), total, backwards };
  };
}
