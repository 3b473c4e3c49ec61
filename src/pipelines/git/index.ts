import { PipelineError } from '../../errors.ts';
import type { Commit, PipelineDeps, Version, VersionSource } from '../types.ts';
import { createGitClient } from './client.ts';
import { type GitConfig, isRefName, tagMatcher } from './config.ts';
import { newestFirst } from './order.ts';

const COMMIT_ID = /^[0-9a-f]{7,64}$/;
const MOST_COMMITS = 500;
// Fields end with NUL, which none of them can contain; the subject is cut by git, however long somebody made it.
const TAG_FORMAT =
  '%(refname:strip=2)%00%(objectname)%00%(objecttype)%00%(*objectname)%00%(*objecttype)%00%(creatordate:iso-strict)';
const COMMIT_FORMAT = '%H%x00%<(400,trunc)%s%x00%<(100,trunc)%an';

function isoTime(text: string): string | undefined {
  const time = Date.parse(text);
  return Number.isNaN(time) ? undefined : new Date(time).toISOString();
}

function parseTag(line: string): Version | null {
  const [name = '', id = '', type, peeled = '', peeledType, created = ''] = line.split('\0');
  const sha = type === 'commit' ? id : peeledType === 'commit' ? peeled : null;
  if (sha === null) return null; // a tag of a tree, a file or another tag: nothing to deploy
  const createdAt = isoTime(created);
  return { name, sha, ...(createdAt ? { createdAt } : {}) };
}

/** Versions are the tags of a git repository, annotated or not; git itself is asked each time. */
export function createGitVersions(config: GitConfig, deps: PipelineDeps): VersionSource {
  const client = createGitClient(config.git, deps);
  const isVersion = tagMatcher(config.tags);
  const branch = config.branch === undefined ? null : `refs/heads/${config.branch}`;

  async function tags(pattern: string): Promise<Version[]> {
    const merged = branch === null ? [] : [`--merged=${branch}`];
    const output = await client.read(['for-each-ref', `--format=${TAG_FORMAT}`, ...merged, '--', pattern]);
    return String(output)
      .split('\n')
      .map(parseTag)
      .filter((version) => version !== null && isVersion(version.name))
      .filter((version) => version !== null);
  }

  async function all(): Promise<Version[]> {
    await client.refresh('stale');
    return newestFirst(await tags('refs/tags'));
  }

  async function hasCommit(sha: string): Promise<boolean> {
    const found = await client.read(['cat-file', '-e', `${sha}^{commit}`], [1, 128]);
    return typeof found === 'string';
  }

  async function requireCommit(sha: string): Promise<void> {
    if (COMMIT_ID.test(sha)) {
      if (await hasCommit(sha)) return;
      await client.refresh('always');
      if (await hasCommit(sha)) return;
    }
    throw new PipelineError(
      'VERSION_UNKNOWN',
      `The repository has no commit ${JSON.stringify(sha.slice(0, 12))}, so the versions can't be compared.`,
    );
  }

  return {
    kind: 'git',

    async list({ limit }) {
      return (await all()).slice(0, limit);
    },

    async search(text, { limit }) {
      const wanted = text.trim().toLowerCase();
      return (await all()).filter(({ name }) => name.toLowerCase().includes(wanted)).slice(0, limit);
    },

    async resolve(name) {
      const wanted = name.trim();
      const candidates = [wanted, /^v\d/i.test(wanted) ? wanted.slice(1) : `v${wanted}`].filter(isRefName);
      if (candidates.length === 0) return null;
      await client.refresh('always');
      for (const candidate of candidates) {
        const found = (await tags(`refs/tags/${candidate}`)).find((version) => version.name === candidate);
        if (found) return found;
      }
      return null;
    },

    async compare(fromSha, toSha, { limit }) {
      await requireCommit(fromSha);
      await requireCommit(toSha);
      const older = await client.read(['merge-base', '--is-ancestor', toSha, fromSha], [1]);
      const newer = await client.read(['merge-base', '--is-ancestor', fromSha, toSha], [1]);
      // Both hold for one and the same commit.
      const backwards = typeof older === 'string' && typeof newer !== 'string';
      const range = backwards ? `${toSha}..${fromSha}` : `${fromSha}..${toSha}`;
      const total = Number(await client.read(['rev-list', '--count', '--end-of-options', range, '--']));
      const count = `--max-count=${Math.min(Math.max(Math.trunc(limit), 0), MOST_COMMITS)}`;
      const format = ['-z', '--no-color', '--no-show-signature', '--encoding=UTF-8', `--format=${COMMIT_FORMAT}`];
      const output = String(await client.read(['log', ...format, count, '--end-of-options', range, '--']));
      const fields = output.split('\0');
      const commits: Commit[] = [];
      for (let index = 0; index + 2 < fields.length; index += 3) {
        // Characters without width don't count for git.
        const [sha = '', subject = '', author = ''] = fields
          .slice(index, index + 3)
          .map((field) => field.trim().slice(0, 400));
        commits.push({ sha, subject, ...(author === '' ? {} : { author }) });
      }
      return { commits, total, backwards };
    },

    async check() {
      try {
        await client.refresh('always');
        if (branch !== null) await client.read(['rev-parse', '--verify', '--quiet', '--end-of-options', branch]);
        if ((await tags('refs/tags')).length > 0) return [];
        const where = config.branch === undefined ? '' : ` on branch ${config.branch}`;
        const message = `No tag${where} matches "${config.tags}", so there is no version to deploy. Push a tag, or correct "tags".`;
        return [{ level: 'warning' as const, message }];
      } catch (error) {
        if (error instanceof PipelineError) return [{ level: 'error' as const, message: error.message }];
        throw error;
      }
    },
  };
}
