import { PipelineError, ShipmateError } from '../../errors.ts';
import type { Comparison, PipelineDeps, Version, VersionSource } from '../types.ts';
import { checkVersions } from './check.ts';
import { type GitHubVersionsConfig, isRefName, SOURCES, type Source, splitRepository } from './config.ts';
import { type GitHubConnection, githubOf } from './connection.ts';
import { newestFirst } from './order.ts';
import * as answers from './schema.ts';

const PAGE = 100;
/** Pages that are read of a list; confirmed by GitHub, and not sent again, while nothing changes. */
const MOST_PAGES = 10;
/** Tags of releases that are asked for one by one, when the list of tags does not have them. */
const MOST_SINGLE = 10;
/** How often a tag may point to another one. */
const DEEPEST = 3;
const COMMIT = /^[0-9a-f]{7,64}$/;
const MOST_COMMITS = 500;
const COMPARE_PAGE = 100;

interface Place {
  connection: GitHubConnection;
  repository: { owner: string; repo: string };
  config: GitHubVersionsConfig;
}

/** Versions are releases, tags or deployments of a repository at GitHub. */
export function createGitHubVersions(config: GitHubVersionsConfig, deps: PipelineDeps): VersionSource {
  const connection = githubOf(deps);
  const isWord = SOURCES.some((source) => source === config.github);
  const name = isWord ? config.repo : config.github;
  if (name === undefined)
    throw new ShipmateError(
      'CONFIG_INVALID',
      `versions: { github: ${config.github} } needs the repository: add "repo: owner/name".`,
    );
  const source: Source = isWord ? (config.github as Source) : (config.from ?? 'releases');
  const place: Place = { connection, repository: splitRepository(name), config };
  const { list, resolve } = { releases: releasesOf, tags: tagsOf, deployments: deploymentsOf }[source](place);

  return {
    kind: 'github',
    list: ({ limit }) => versions(async () => list({ limit, matches: () => true })),
    search: (text, { limit }) =>
      versions(async () => {
        const wanted = text.trim().toLowerCase();
        return list({ limit, matches: (each) => each.toLowerCase().includes(wanted) });
      }),
    resolve: (text) =>
      versions(async () => {
        const wanted = text.trim();
        const candidates = [wanted, /^v\d/i.test(wanted) ? wanted.slice(1) : `v${wanted}`].filter(isRefName);
        for (const candidate of candidates) {
          const found = await resolve(candidate);
          if (found !== null) return found;
        }
        return null;
      }),
    compare: (from, to, { limit }) => versions(() => compare(place, from, to, limit)),
    check: () => checkVersions(connection, name, () => list({ limit: 1, matches: () => true }), source),
  };
}

/** What goes wrong at GitHub, said of versions. */
async function versions<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (!(error instanceof PipelineError) || error.code.startsWith('VERSION')) throw error;
    const { cause, message, retryable } = error;
    throw new PipelineError('VERSIONS_UNAVAILABLE', message, { cause, retryable });
  }
}

interface Reader {
  /** Newest first. */
  list(options: { limit: number; matches: (name: string) => boolean }): Promise<Version[]>;
  /** By the exact name. */
  resolve(name: string): Promise<Version | null>;
}

/** Pages of a list until one is not full, or the caller has enough. */
async function pages<T>(read: (page: number) => Promise<T[]>, enough: (all: readonly T[]) => boolean): Promise<T[]> {
  const all: T[] = [];
  for (let page = 1; page <= MOST_PAGES; page += 1) {
    const some = await read(page);
    all.push(...some);
    if (some.length < PAGE || enough(all)) break;
  }
  return all;
}

function readTags({ connection: { client }, repository }: Place, enough: (names: readonly string[]) => boolean) {
  return pages(
    (page) =>
      client.read(answers.tags, () =>
        client.octokit.request('GET /repos/{owner}/{repo}/tags', { ...repository, per_page: PAGE, page }),
      ),
    (all) => enough(all.map(({ name }) => name)),
  );
}

/** The commit of a tag, or null: by its exact name, whatever it points to, never from memory. */
async function commitOf({ connection: { client }, repository }: Place, name: string): Promise<string | null> {
  const ref = await client.attempt(answers.gitRef, () =>
    client.octokit.request('GET /repos/{owner}/{repo}/git/ref/{ref}', { ...repository, ref: `tags/${name}` }),
  );
  if (!ref.ok) {
    // 409: the repository is empty.
    if (ref.status === 404 || ref.status === 409) return null;
    throw ref.error;
  }
  let { object } = ref.data;
  for (let depth = 0; object.type === 'tag' && depth < DEEPEST; depth += 1) {
    const { sha } = object;
    ({ object } = await client.read(answers.gitTag, () =>
      client.octokit.request('GET /repos/{owner}/{repo}/git/tags/{tag_sha}', { ...repository, tag_sha: sha }),
    ));
  }
  // A tag of a tree or a file is nothing to deploy.
  return object.type === 'commit' ? object.sha : null;
}

function tagsOf(place: Place): Reader {
  return {
    async list({ limit, matches }) {
      // GitHub lists tags by name, not by age: the newest may be on any page.
      const tags = await readTags(place, () => false);
      return tags
        .filter(({ name }) => matches(name))
        .sort((a, b) => newestFirst(a.name, b.name))
        .slice(0, limit)
        .map(({ commit, name }) => ({ name, sha: commit.sha }));
    },
    async resolve(name) {
      const sha = await commitOf(place, name);
      return sha === null ? null : { name, sha };
    },
  };
}

function releasesOf(place: Place): Reader {
  const { config, connection, repository } = place;
  const { client } = connection;
  const isVersion = ({ draft, prerelease }: { draft: boolean; prerelease: boolean }) =>
    !draft && (config.prerelease || !prerelease);
  const version = (release: { tag_name: string; created_at: string; published_at: string | null }, sha: string) => ({
    name: release.tag_name,
    sha,
    createdAt: release.published_at ?? release.created_at,
  });
  return {
    async list({ limit, matches }) {
      const isWanted = (each: { draft: boolean; prerelease: boolean; tag_name: string }) =>
        isVersion(each) && matches(each.tag_name);
      const releases = await pages(
        (page) =>
          client.read(answers.releases, () =>
            client.octokit.request('GET /repos/{owner}/{repo}/releases', { ...repository, per_page: PAGE, page }),
          ),
        (all) => all.filter(isWanted).length >= limit,
      );
      const wanted = releases
        .filter(isWanted)
        .sort((a, b) => Date.parse(b.published_at ?? b.created_at) - Date.parse(a.published_at ?? a.created_at))
        .slice(0, limit);
      // A release names its tag, not its commit.
      const tags = await readTags(place, (names) => wanted.every(({ tag_name }) => names.includes(tag_name)));
      const shas = new Map(tags.map(({ commit, name }) => [name, commit.sha]));
      let single = 0;
      const found: Version[] = [];
      for (const release of wanted) {
        let sha = shas.get(release.tag_name) ?? null;
        if (sha === null && single < MOST_SINGLE) {
          single += 1;
          sha = await commitOf(place, release.tag_name);
        }
        if (sha !== null) found.push(version(release, sha));
      }
      return found;
    },
    async resolve(name) {
      const release = await client.attempt(answers.release, () =>
        client.octokit.request('GET /repos/{owner}/{repo}/releases/tags/{tag}', { ...repository, tag: name }),
      );
      if (!release.ok) {
        // A token is for this repository: there is no such release, rather than no right to see it.
        if (release.status === 404) return null;
        throw release.error;
      }
      if (!isVersion(release.data)) return null;
      const sha = await commitOf(place, name);
      return sha === null ? null : version(release.data, sha);
    },
  };
}

/** What was deployed from the repository: a deployment's `ref` is the version. Whether it went well is not asked. */
function deploymentsOf({ config, connection: { client }, repository }: Place): Reader {
  const only = config.environment === undefined ? {} : { environment: config.environment };
  const version = (each: { ref: string; sha: string; created_at: string }) => ({
    name: each.ref,
    sha: each.sha,
    createdAt: each.created_at,
  });
  return {
    async list({ limit, matches }) {
      const all = await pages(
        (page) =>
          client.read(answers.deployments, () =>
            client.octokit.request('GET /repos/{owner}/{repo}/deployments', {
              ...repository,
              ...only,
              per_page: PAGE,
              page,
            }),
          ),
        (some) => new Set(some.map(({ ref }) => ref).filter(matches)).size >= limit,
      );
      const byName = new Map<string, Version>();
      // Newest first: of several with the same name the first one counts.
      for (const each of all) if (matches(each.ref) && !byName.has(each.ref)) byName.set(each.ref, version(each));
      return [...byName.values()].slice(0, limit);
    },
    async resolve(name) {
      const [newest] = await client.read(answers.deployments, () =>
        client.octokit.request('GET /repos/{owner}/{repo}/deployments', {
          ...repository,
          ...only,
          ref: name,
          per_page: 1,
        }),
      );
      return newest === undefined || newest.ref !== name ? null : version(newest);
    },
  };
}

async function compare(place: Place, from: string, to: string, limit: number): Promise<Comparison> {
  for (const sha of [from, to]) if (!COMMIT.test(sha)) throw unknownCommit(sha);
  const { connection, repository } = place;
  const { client } = connection;
  const read = async (base: string, head: string, page: number) => {
    const result = await client.attempt(answers.comparison, () =>
      client.octokit.request('GET /repos/{owner}/{repo}/compare/{basehead}', {
        ...repository,
        basehead: `${base}...${head}`,
        per_page: COMPARE_PAGE,
        page,
      }),
    );
    if (result.ok) return result.data;
    // It does not say which one of them it does not have.
    throw result.status === 404 || result.status === 422 ? unknownCommit(to) : result.error;
  };
  let [base, head] = [from, to];
  let first = await read(base, head, 1);
  const backwards = first.status === 'behind';
  if (backwards) {
    [base, head] = [to, from];
    first = await read(base, head, 1);
  }
  const total = first.total_commits;
  // Oldest first, so that the newest ones are on the last pages.
  const most = Math.min(Math.max(Math.trunc(limit), 0), MOST_COMMITS);
  const commits: (typeof first)['commits'] = [];
  for (let page = Math.ceil(total / COMPARE_PAGE); page >= 1 && commits.length < most; page -= 1)
    commits.unshift(...(page === 1 ? first : await read(base, head, page)).commits);
  return {
    commits: commits
      .toReversed()
      .slice(0, most)
      .map(({ commit, sha }) => {
        const author = commit.author?.name?.trim().slice(0, 100) ?? '';
        const subject = (commit.message.split('\n')[0] ?? '').trim().slice(0, 400);
        return { sha, subject: subject.toWellFormed(), ...(author === '' ? {} : { author: author.toWellFormed() }) };
      }),
    total,
    backwards,
  };
}

function unknownCommit(sha: string): PipelineError {
  return new PipelineError(
    'VERSION_UNKNOWN',
    `The repository has no commit ${JSON.stringify(sha.slice(0, 12))}, so the versions can't be compared.`,
  );
}
