import { createHash } from 'node:crypto';
import { type Answer, count, list, ok, query, Refusal } from './answers.ts';

export type VersionName = '1.0.0' | '1.1.0' | '1.10.0';

interface FakeCommit {
  commitId: string;
  comment: string;
  author: { name: string; email: string; date: string };
}

export const REPOSITORY = 'storefront';
const SHA = /^[0-9a-f]{40}$/;

function hash(text: string): string {
  return createHash('sha1').update(text).digest('hex');
}

/** A repository of Azure Repos with one branch, oldest commit first. */
export function createGit() {
  const commits: FakeCommit[] = [];
  const commit = (subject: string): string => {
    const commitId = hash(`${commits.length} ${subject}`);
    const date = new Date(Date.UTC(2026, 8, 1, 0, commits.length)).toISOString();
    commits.push({
      commitId,
      comment: `${subject}\n\nMore about it.`,
      author: { name: 'Ana Ruiz', email: 'ana@example.com', date },
    });
    return commitId;
  };
  const release = (name: string) => {
    commit(`Work for ${name}`);
    return commit(`Release ${name}`);
  };
  const shas: Record<VersionName, string> = {
    '1.0.0': release('1.0.0'),
    '1.1.0': release('1.1.0'),
    '1.10.0': release('1.10.0'),
  };
  const tags = new Map<string, { commit: string; annotated: boolean }>([
    ['1.0.0', { commit: shas['1.0.0'], annotated: false }],
    ['1.1.0', { commit: shas['1.1.0'], annotated: true }],
    ['1.10.0', { commit: shas['1.10.0'], annotated: true }],
  ]);

  function indexOf(version: string | undefined, type: string | undefined): number {
    if (type !== 'commit')
      throw new Refusal(400, 'InvalidArgumentValueException', `The version type '${type}' is not used here.`);
    const index = commits.findIndex(({ commitId }) => commitId === version);
    if (index >= 0) return index;
    throw new Refusal(
      404,
      'GitUnresolvableToCommitException',
      `TF401175: The version descriptor <Commit: ${version} > could not be resolved to a version in the repository ${REPOSITORY}`,
    );
  }

  return {
    shas,
    tags,
    head: () => commits.at(-1)?.commitId ?? '',
    has: (sha: string) => commits.some(({ commitId }) => commitId === sha),

    /** Commit of a ref, or null. */
    resolve(refName: string): string | null {
      if (refName === 'refs/heads/main') return commits.at(-1)?.commitId ?? null;
      const tag = /^refs\/tags\/(.+)$/.exec(refName)?.[1];
      return tag === undefined ? null : (tags.get(tag)?.commit ?? null);
    },

    /** GET git/repositories/{repository}/... */
    handle(rest: string, search: URLSearchParams): Answer {
      if (rest === 'refs') {
        const {
          $top,
          continuationToken,
          filter = '',
          peelTags,
        } = query(search, ['filter', 'peelTags', '$top', 'continuationToken']);
        const all = [...tags]
          .map(([name, { annotated, commit: sha }]) => ({
            name: `refs/tags/${name}`,
            objectId: annotated ? hash(`tag ${name} ${sha}`) : sha,
            ...(annotated && peelTags === 'true' ? { peeledObjectId: sha } : {}),
            creator: { displayName: 'Ana Ruiz' },
          }))
          .filter(({ name }) => name.startsWith(`refs/${filter}`))
          .sort((a, b) => (a.name < b.name ? -1 : 1));
        const from = count(continuationToken, 0);
        const to = from + count($top, 100);
        return list(all.slice(from, to), to < all.length ? { 'x-ms-continuationtoken': String(to) } : {});
      }
      if (rest === 'diffs/commits') {
        const asked = query(search, [
          'baseVersion',
          'baseVersionType',
          'targetVersion',
          'targetVersionType',
          'diffCommonCommit',
          '$top',
          '$skip',
        ]);
        const base = indexOf(asked.baseVersion, asked.baseVersionType);
        const target = indexOf(asked.targetVersion, asked.targetVersionType);
        const common = commits[Math.min(base, target)]?.commitId;
        return ok({
          allChangesIncluded: true,
          changeCounts: { Edit: 1 },
          changes: [],
          commonCommit: common,
          baseCommit: asked.baseVersion,
          targetCommit: asked.targetVersion,
          aheadCount: Math.max(target - base, 0),
          behindCount: Math.max(base - target, 0),
        });
      }
      if (rest === 'commits') {
        const asked = query(search, [
          'searchCriteria.itemVersion.version',
          'searchCriteria.itemVersion.versionType',
          'searchCriteria.compareVersion.version',
          'searchCriteria.compareVersion.versionType',
          'searchCriteria.$top',
          'searchCriteria.$skip',
        ]);
        // "compareVersion: if provided, start walking history starting at this commit".
        const item = indexOf(
          asked['searchCriteria.itemVersion.version'],
          asked['searchCriteria.itemVersion.versionType'],
        );
        const compare = indexOf(
          asked['searchCriteria.compareVersion.version'],
          asked['searchCriteria.compareVersion.versionType'],
        );
        const found = commits.slice(item + 1, compare + 1).reverse();
        return list(
          found.slice(0, count(asked['searchCriteria.$top'], 100)).map((each) => ({
            ...each,
            comment: each.comment.split('\n')[0],
            commentTruncated: true,
          })),
        );
      }
      throw new Refusal(404, 'UnknownResource', `There is no resource ${rest}.`);
    },

    isSha: (text: string) => SHA.test(text),
  };
}

export type FakeGit = ReturnType<typeof createGit>;
