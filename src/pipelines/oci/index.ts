import { PipelineError } from '../../errors.ts';
import { isValid } from '../requests.ts';
import type { PipelineDeps, Version, VersionSource } from '../types.ts';
import { nextPage } from './auth.ts';
import { digestOf, MANIFEST_TYPES, unavailable } from './client.ts';
import { type OciVersionsConfig, tagMatcher } from './config.ts';
import { asOci } from './connection.ts';
import { readFacts } from './image.ts';
import { highestFirst, isVersion } from './order.ts';
import { tagsSchema } from './schema.ts';

const TAGS_PER_PAGE = 1000;
const MOST_PAGES = 20;
const MOST_VERSIONS = 50;
/** So many tags that are no version are looked into for when they were made. */
const MOST_DATED = 50;
const AT_ONCE = 4;
const DIGEST = /^sha256:[0-9a-f]{64}$/;

/** Versions are the tags of an image in a registry. */
export function createOciVersions(config: OciVersionsConfig, deps: PipelineDeps): VersionSource {
  const { client, facts } = asOci(deps.connection);
  const repository = config.oci;
  const root = `${client.url}/v2/${repository}`;
  const isWanted = tagMatcher(config.pattern);

  const missing = () =>
    unavailable(
      `The registry has no image ${repository}, or the token of the connection may not see it. Correct "oci", or grant the right to read (pull).`,
      { retryable: false },
    );

  async function tags(): Promise<{ tags: string[]; all: boolean }> {
    const found = new Set<string>();
    let page: string | null = `${root}/tags/list?n=${TAGS_PER_PAGE}`;
    for (let count = 1; page !== null && count <= MOST_PAGES; count += 1) {
      const answer = await client.get(page, repository, 'application/json');
      if (answer === null) throw missing();
      const parsed = tagsSchema.safeParse(answer.json());
      if (!parsed.success)
        throw unavailable('The registry answered something that is not understood. Check "url" of the connection.', {
          retryable: false,
        });
      for (const tag of parsed.data.tags ?? []) if (isWanted(tag)) found.add(tag);
      page = nextPage(answer.headers.link, page);
    }
    return { tags: [...found], all: page === null };
  }

  /** The image that a tag names at this moment; null when there is no such tag. */
  async function read(tag: string): Promise<Version | null> {
    const at = `${root}/manifests/${tag}`;
    // Asking for the digest alone does not count as a pull where pulls are limited.
    const head = await client.head(at, repository);
    const told = head?.status === 200 && head.digest !== null && DIGEST.test(head.digest) ? head.digest : null;
    const remembered = told === null ? undefined : facts.get(told);
    if (told !== null && remembered !== undefined) return toVersion(tag, told, remembered);
    const answer =
      told === null
        ? await client.get(at, repository, MANIFEST_TYPES)
        : await client.getByDigest('manifests', repository, told);
    if (answer === null) return null;
    const digest = digestOf(answer.text);
    const given = answer.headers['docker-content-digest'];
    if (typeof given === 'string' && DIGEST.test(given) && given !== digest)
      throw unavailable(`The registry answered something else than ${repository}:${tag}.`, { retryable: false });
    const known = facts.get(digest) ?? (await readFacts(client, repository, answer.text));
    facts.set(digest, known);
    return toVersion(tag, digest, known);
  }

  function toVersion(
    name: string,
    digest: string,
    { createdAt, revision }: { createdAt: string | null; revision: string | null },
  ): Version {
    const sha = config.sha === 'commit' && revision !== null ? revision : digest;
    return { name, sha, ...(createdAt === null ? {} : { createdAt }) };
  }

  /** A few at a time, in their order; a tag that is gone meanwhile is left out. */
  async function readAll(names: readonly string[]): Promise<Version[]> {
    const found: (Version | null)[] = [];
    for (let at = 0; at < names.length; at += AT_ONCE)
      found.push(...(await Promise.all(names.slice(at, at + AT_ONCE).map(read))));
    return found.filter((version) => version !== null);
  }

  /** Versions by their number, then other tags by when they were made. */
  async function newest(names: readonly string[], limit: number): Promise<Version[]> {
    const most = Math.min(Math.max(Math.trunc(limit), 0), MOST_VERSIONS);
    const numbered = await readAll(highestFirst(names).slice(0, most));
    if (numbered.length >= most) return numbered;
    const others = names.filter((name) => !isVersion(name)).slice(-MOST_DATED);
    const dated = (await readAll(others)).sort(
      (a, b) => Date.parse(b.createdAt ?? '1970-01-01') - Date.parse(a.createdAt ?? '1970-01-01'),
    );
    return [...numbered, ...dated].slice(0, most);
  }

  return {
    kind: 'oci',

    async list({ limit }) {
      return newest((await tags()).tags, limit);
    },

    async search(text, { limit }) {
      const wanted = text.trim().toLowerCase();
      const found = (await tags()).tags.filter((tag) => tag.toLowerCase().includes(wanted));
      return newest(found, limit);
    },

    async resolve(name) {
      const wanted = name.trim();
      const other = /^v\d/i.test(wanted) ? [wanted.slice(1)] : /^\d/.test(wanted) ? [`v${wanted}`] : [];
      const candidates = [wanted, ...other];
      for (const candidate of candidates) {
        if (!isValid('version', candidate) || !isWanted(candidate)) continue;
        const found = await read(candidate);
        if (found !== null) return found;
      }
      return null;
    },

    async compare() {
      throw new PipelineError(
        'VERSIONS_UNAVAILABLE',
        'A registry knows images and no commits, so that it can not say what changed between two versions.',
      );
    },

    async check() {
      try {
        const { all, tags: found } = await tags();
        const findings: string[] = [];
        if (found.length === 0)
          findings.push(
            `No tag of ${repository}${config.pattern === undefined ? '' : ` matches ${config.pattern}`}, so there is no version to deploy. Push one, or correct "pattern".`,
          );
        if (!all)
          findings.push(
            `${repository} has more than ${MOST_PAGES * TAGS_PER_PAGE} tags, and the newest may not be seen. Delete old ones.`,
          );
        return findings.map((message) => ({ level: 'warning' as const, message }));
      } catch (error) {
        if (error instanceof PipelineError) return [{ level: 'error' as const, message: error.message }];
        throw error;
      }
    },
  };
}
