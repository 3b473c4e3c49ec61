import { PipelineError } from '../../errors.ts';
import { isValid, plainValue } from '../requests.ts';
import type { Commit, PipelineDeps, Version, VersionSource } from '../types.ts';
import type { Outcome } from './client.ts';
import { type GitlabVersionsConfig, versionsOf } from './config.ts';
import { gitlabConnectionOf } from './connection.ts';
import { projectPath } from './places.ts';
import { commitSchema, releaseSchema, tagSchema } from './schema.ts';
import { isoTime } from './status.ts';
import { rightWords } from './words.ts';

const COMMIT_ID = /^[0-9a-f]{40}(?:[0-9a-f]{24})?$/;
const PAGE = 100;
/** Pages of versions that are looked through, and of commits that are counted. */
const MOST_PAGES = 5;
const MOST_COMMIT_PAGES = 10;
const family = 'versions';

function version(name: string, sha: string | undefined, time: string | null | undefined): Version | null {
  if (sha === undefined) return null; // a tag of a file or a tree: nothing to deploy
  const createdAt = isoTime(time);
  return { name, sha, ...(createdAt === undefined ? {} : { createdAt }) };
}

/** A project's tags, or its releases, as versions. GitLab is asked each time. */
export function createGitlabVersions(config: GitlabVersionsConfig, deps: PipelineDeps): VersionSource {
  const { client } = gitlabConnectionOf(deps);
  const { from, project } = versionsOf(config);
  const base = projectPath(project);

  function refused(outcome: Extract<Outcome<unknown>, { ok: false }>): PipelineError {
    const message =
      outcome.status === 404
        ? `The access token sees no repository of ${project}. Correct the service's versions, or make the token a member of it.`
        : rightWords(outcome, `read the repository of ${project}`, 'the role Reporter there');
    return new PipelineError('VERSIONS_UNAVAILABLE', message);
  }

  /** One page, newest first: tags by their number, releases by their date. */
  async function page(number: string, search: string): Promise<{ versions: Version[]; next: string | null }> {
    const paging = { per_page: String(PAGE), page: number };
    if (from === 'releases') {
      const outcome = await client.call({
        family,
        path: `${base}/releases`,
        query: { order_by: 'released_at', sort: 'desc', ...paging },
        schema: releaseSchema.array(),
      });
      if (!outcome.ok) throw refused(outcome);
      const versions = outcome.data
        .filter((release) => !release.upcoming_release)
        .map((release) => version(release.tag_name, release.commit?.id, release.released_at));
      return { versions: versions.filter((each) => each !== null), next: outcome.next };
    }
    const outcome = await client.call({
      family,
      path: `${base}/repository/tags`,
      query: { order_by: 'version', sort: 'desc', ...paging, ...(search === '' ? {} : { search }) },
      schema: tagSchema.array(),
    });
    if (!outcome.ok) throw refused(outcome);
    const versions = outcome.data.map((tag) =>
      version(tag.name, tag.commit?.id, tag.created_at ?? tag.commit?.created_at),
    );
    return { versions: versions.filter((each) => each !== null), next: outcome.next };
  }

  async function matching(text: string, limit: number): Promise<Version[]> {
    const wanted = text.trim().toLowerCase();
    // To GitLab "^", "$" and "*" mean more than themselves, and no version has them.
    if (/[\^$*]/.test(wanted)) return [];
    const found: Version[] = [];
    let next: string | null = '1';
    for (let pages = 0; next !== null && pages < MOST_PAGES && found.length < limit; pages += 1) {
      const answer = await page(next, wanted);
      found.push(...answer.versions.filter(({ name }) => name.toLowerCase().includes(wanted)));
      next = answer.next;
    }
    return found.slice(0, limit);
  }

  async function tag(name: string): Promise<Version | null> {
    const path = `${base}/repository/tags/${encodeURIComponent(name)}`;
    const outcome = await client.call({ family, path, schema: tagSchema });
    if (outcome.ok)
      return version(
        outcome.data.name,
        outcome.data.commit?.id,
        outcome.data.created_at ?? outcome.data.commit?.created_at,
      );
    if (outcome.status === 404 && /tag not found/i.test(outcome.message)) return null;
    throw refused(outcome);
  }

  /** A release remembers the commit of the day when it was made: what its tag names now counts. */
  async function released(name: string): Promise<boolean> {
    const path = `${base}/releases/${encodeURIComponent(name)}`;
    const outcome = await client.call({ family, path, schema: releaseSchema });
    if (outcome.ok) return !outcome.data.upcoming_release;
    // A release that is not there is "404 Not Found" for those who may see releases; the tag's answer was right already.
    if (outcome.status === 404) return false;
    throw refused(outcome);
  }

  async function commits(range: string, limit: number): Promise<{ commits: Commit[]; total: number }> {
    const all: Commit[] = [];
    let next: string | null = '1';
    for (let pages = 0; next !== null && pages < MOST_COMMIT_PAGES; pages += 1) {
      const outcome: Outcome<{ id: string; title: string; author_name?: string | null | undefined }[]> =
        await client.call({
          family,
          path: `${base}/repository/commits`,
          query: { ref_name: range, per_page: String(PAGE), page: next },
          schema: commitSchema.array(),
        });
      if (!outcome.ok) throw refused(outcome);
      for (const { author_name: by, id: sha, title } of outcome.data) {
        const author = plainValue(by ?? '');
        all.push({ sha, subject: plainValue(title, 400), ...(author === '' ? {} : { author }) });
      }
      next = outcome.next;
    }
    return { commits: all.slice(0, Math.max(Math.trunc(limit), 0)), total: all.length };
  }

  return {
    kind: 'gitlab',

    list: ({ limit }) => matching('', limit),
    search: (text, { limit }) => matching(text, limit),

    async resolve(name) {
      const wanted = name.trim();
      const other = /^v\d/i.test(wanted) ? wanted.slice(1) : `v${wanted}`;
      for (const candidate of [wanted, other]) {
        if (!isValid('version', candidate)) continue;
        const found = await tag(candidate);
        if (found && (from === 'tags' || (await released(found.name)))) return found;
      }
      return null;
    },

    async compare(fromSha, toSha, { limit }) {
      const unknown = (sha: string) =>
        new PipelineError(
          'VERSION_UNKNOWN',
          `${project} has no commit ${JSON.stringify(sha.slice(0, 12))}, so the versions can't be compared.`,
        );
      for (const sha of [fromSha, toSha]) if (!COMMIT_ID.test(sha)) throw unknown(sha);
      const outcome = await client.call({
        family,
        path: `${base}/repository/merge_base?refs[]=${fromSha}&refs[]=${toSha}`,
        schema: commitSchema,
      });
      if (!outcome.ok && outcome.status === 400 && /could not find/i.test(outcome.message))
        throw unknown(outcome.message.includes(fromSha) ? fromSha : toSha);
      // "404 Merge Base Not Found": two histories that have nothing in common.
      if (!outcome.ok && !/merge base/i.test(outcome.message)) throw refused(outcome);
      if (fromSha === toSha) return { commits: [], total: 0, backwards: false };
      const backwards = outcome.ok && outcome.data.id === toSha;
      // Not the compare API: it gives all differences of all files along.
      const range = backwards ? `${toSha}..${fromSha}` : `${fromSha}..${toSha}`;
      return { ...(await commits(range, limit)), backwards };
    },

    async check() {
      try {
        if ((await matching('', 1)).length > 0) return [];
        const message = `${project} has no ${from}, so there is no version to deploy. Make one, or correct the service's versions.`;
        return [{ level: 'warning' as const, message }];
      } catch (error) {
        if (error instanceof PipelineError) return [{ level: 'error' as const, message: error.message }];
        throw error;
      }
    },
  };
}
