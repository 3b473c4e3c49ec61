import { PipelineError } from '../../errors.ts';
import { isValid, plainValue } from '../requests.ts';
import type { Commit, PipelineDeps, Version, VersionSource } from '../types.ts';
import { type JenkinsVersionsConfig, pathOf } from './config.ts';
import { asJenkins } from './connection.ts';
import { jobMissing } from './runs.ts';
import { type Built, builtsSchema, changedSchema } from './schema.ts';
import { shaOf } from './status.ts';

const LISTED = 300;
const BUILT_TREE = 'number,result,displayName,description,timestamp,actions[lastBuiltRevision[SHA1],remoteUrls]';
const CHANGES = 'items[commitId,msg,timestamp,author[fullName]]';
const MOST_COMMITS = 500;

interface Release extends Version {
  number: number;
}

/** Versions are the builds of a job that went well; what is in them is what git checked out for them. */
export function createJenkinsVersions(config: JenkinsVersionsConfig, deps: PipelineDeps): VersionSource {
  const { client } = asJenkins(deps.connection);
  const job = config.jenkins;
  const path = pathOf(job);

  /** The commit of a build: as its description says it, else as git's plugin recorded it. Null when there is not exactly one. */
  function shaIn(build: Built): string | null {
    const said = shaOf(build);
    if (said !== undefined) return said;
    const checkouts = (build.actions ?? []).flatMap((action) => {
      const sha = action?.lastBuiltRevision?.SHA1;
      if (!sha || !isValid('sha', sha)) return [];
      const isMeant = (url: string) => config.repository === undefined || url.includes(config.repository);
      return config.repository === undefined || action.remoteUrls?.some(isMeant) ? [sha] : [];
    });
    const [first] = checkouts;
    return first !== undefined && checkouts.every((sha) => sha === first) ? first : null;
  }

  function nameOf(build: Built): string | null {
    const text =
      config.name === 'number'
        ? String(build.number)
        : config.name === 'description'
          ? build.description
          : build.displayName;
    const name = (text ?? '').trim().replace(/^#/, '');
    return isValid('version', name) ? name : null;
  }

  /** VERSIONS_UNAVAILABLE, whatever it was. */
  async function read<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (!(error instanceof PipelineError) || error.code.startsWith('VERSION')) throw error;
      throw new PipelineError('VERSIONS_UNAVAILABLE', error.message, { retryable: error.retryable, cause: error });
    }
  }

  /** Builds that went well, newest first. */
  function builds(): Promise<Built[]> {
    return read(async () => {
      const tree = `allBuilds[${BUILT_TREE}]{0,${LISTED}}`;
      const found = await client.read(`${path}/api/json`, builtsSchema, tree);
      if (found === null) throw jobMissing(job, client.user);
      return (found.allBuilds ?? [])
        .filter(({ result }) => result === 'SUCCESS')
        .toSorted((a, b) => b.number - a.number);
    });
  }

  function toRelease(build: Built): Release | null {
    const [name, sha] = [nameOf(build), shaIn(build)];
    if (name === null || sha === null) return null;
    const createdAt = Math.abs(build.timestamp) < 8.64e15 ? new Date(build.timestamp).toISOString() : undefined;
    return { number: build.number, name, sha, ...(createdAt === undefined ? {} : { createdAt }) };
  }

  /** Newest first. Of builds with the same name, the newest one is the version. */
  async function releases(): Promise<Release[]> {
    const byName = new Map<string, Release>();
    for (const build of await builds()) {
      const release = toRelease(build);
      if (release && !byName.has(release.name)) byName.set(release.name, release);
    }
    return [...byName.values()];
  }

  const withoutNumber = ({ number: _number, ...version }: Release): Version => version;

  function commitsIn(
    build: NonNullable<NonNullable<ReturnType<typeof changedSchema.parse>['allBuilds']>[number]>,
  ): Commit[] {
    const sets = [...(build.changeSets ?? []), ...(build.changeSet ? [build.changeSet] : [])];
    // git's plugin lists the oldest first (GitChangeSetList).
    const items = sets.flatMap((set) => set.items ?? []).toReversed();
    return items
      .toSorted((a, b) => (b.timestamp ?? 0) - (a.timestamp ?? 0))
      .map(({ author, commitId, msg }) => {
        const name = plainValue(author?.fullName ?? '');
        return { sha: commitId ?? '', subject: plainValue(msg ?? '', 400), ...(name === '' ? {} : { author: name }) };
      });
  }

  return {
    kind: 'jenkins',

    async list({ limit }) {
      return (await releases()).slice(0, limit).map(withoutNumber);
    },

    async search(text, { limit }) {
      const wanted = text.trim().toLowerCase();
      const found = (await releases()).filter(({ name }) => name.toLowerCase().includes(wanted));
      return found.slice(0, limit).map(withoutNumber);
    },

    async resolve(name) {
      const wanted = name.trim().replace(/^#/, '');
      const other = /^v\d/i.test(wanted) ? wanted.slice(1) : /^\d/.test(wanted) ? `v${wanted}` : null;
      const all = await releases();
      const found = all.find((each) => each.name === wanted) ?? all.find((each) => each.name === other);
      return found ? withoutNumber(found) : null;
    },

    async compare(fromSha, toSha, { limit }) {
      const all = await builds();
      /** The first build with a commit is the one that says what came with it. */
      const numberOf = (sha: string) => {
        const found = all.findLast((build) => shaIn(build) === sha);
        if (found) return found.number;
        throw new PipelineError(
          'VERSION_UNKNOWN',
          `No build of ${job} that Jenkins still has was made from ${JSON.stringify(sha.slice(0, 12))}, so the versions can't be compared.`,
        );
      };
      const [from, to] = [numberOf(fromSha), numberOf(toSha)];
      if (from === to) return { commits: [], total: 0, backwards: false };
      const [low, high] = [Math.min(from, to), Math.max(from, to)];
      const tree = `allBuilds[number,changeSet[${CHANGES}],changeSets[${CHANGES}]]{0,${LISTED}}`;
      const changed = await read(() => client.read(`${path}/api/json`, changedSchema, tree));
      const between = (changed?.allBuilds ?? [])
        .filter(({ number }) => number > low && number <= high)
        .toSorted((a, b) => b.number - a.number);
      const seen = new Set<string>();
      const commits = between.flatMap(commitsIn).filter(({ sha }) => sha !== '' && !seen.has(sha) && seen.add(sha));
      const most = Math.min(Math.max(Math.trunc(limit), 0), MOST_COMMITS);
      return { commits: commits.slice(0, most), total: commits.length, backwards: from > to };
    },

    async check() {
      try {
        const all = await builds();
        if (all.some((build) => toRelease(build) !== null)) return [];
        const unclear = all.some((build) => nameOf(build) !== null && shaIn(build) === null);
        const message =
          all.length === 0
            ? `No build of ${job} has gone well, so there is no version to deploy.`
            : unclear
              ? `Jenkins does not say which commit the builds of ${job} are of. Set "repository", where a build checks out several, or let the Jenkinsfile write "shipmate-sha: <commit>" into the description.`
              : `No build of ${job} has a name that can be a version. Set currentBuild.displayName in its Jenkinsfile, or "name" of the versions entry.`;
        return [{ level: 'warning' as const, message }];
      } catch (error) {
        if (error instanceof PipelineError) return [{ level: 'error' as const, message: error.message }];
        throw error;
      }
    },
  };
}
