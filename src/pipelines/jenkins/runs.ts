import { PipelineError } from '../../errors.ts';
import { isValid } from '../requests.ts';
import { type JenkinsDeployConfig, parameterFor, pathOf } from './config.ts';
import type { JenkinsConnection } from './connection.ts';
import { parseId } from './ids.ts';
import {
  type Action,
  type Build,
  buildSchema,
  type Job,
  jobSchema,
  keyedBuildsSchema,
  queueItemSchema,
  queueSchema,
} from './schema.ts';

// allBuilds, since `builds` may be cut at 100 without a word; Jenkins reads each build's record for it.
const NEAR = '{0,100}';
const FAR = '{100,500}';
const KEYED = 'number,queueId,actions[parameters[name,value]]';
const JOB_TREE = `buildable,property[parameterDefinitions[name,type,choices]],allBuilds[${KEYED}]${NEAR}`;
const ACTIONS_TREE = 'actions[parameters[name,value],causes[shortDescription,userId,userName],userId]';
export const BUILD_TREE = `number,url,building,result,description,displayName,timestamp,${ACTIONS_TREE}`;

/** Where a run is by now. */
export type Place = { build: number } | { queue: number; why: string | null } | { cancelled: true } | null;

/** Where the runs of one job are. */
export interface Runs {
  readonly job: string;
  /** /job/deploy/job/billing */
  readonly path: string;
  /** The job as it is defined now, and where the run with this key is. @throws PipelineError PIPELINE_REJECTED when there is no such job */
  look(key: string): Promise<{ job: Job; place: Place }>;
  /** Where the run with this key is, among the last 500 builds and what waits. */
  find(key: string): Promise<Place>;
  /** Where a run is; null when it is nowhere. @throws PipelineError PIPELINE_LOST when the id is of no run of this job */
  place(id: string): Promise<Place>;
  /** @throws PipelineError PIPELINE_LOST */
  build(id: string, number: number): Promise<Build>;
}

export function parametersIn(actions: readonly (Action | null | undefined)[] | null | undefined): Map<string, string> {
  const found = new Map<string, string>();
  for (const action of actions ?? [])
    for (const { name, value } of action?.parameters ?? [])
      if (typeof name === 'string' && ['string', 'number', 'boolean'].includes(typeof value))
        found.set(name, String(value));
  return found;
}

/** A link as Jenkins gives it, which people may follow; undefined when it is none. */
export function linkOf(build: Build): string | undefined {
  return build.url && /^https?:\/\/[^\s<>"]+$/.test(build.url) ? build.url : undefined;
}

export function jobMissing(job: string, user: string): PipelineError {
  return new PipelineError(
    'PIPELINE_REJECTED',
    `Jenkins has no job ${job}, or ${user} has no right Job/Read there. Correct "jenkins", or grant the right.`,
  );
}

export function lost(id: string, job: string): PipelineError {
  return new PipelineError(
    'PIPELINE_LOST',
    `Jenkins has no build of ${job} for ${JSON.stringify(id.slice(0, 80))} any more. Look at the job: it was deleted, or cancelled before it began.`,
  );
}

/** Runs of the bot are found by the parameter that holds their key, among what waits and among the last builds. */
export function createRuns(config: JenkinsDeployConfig, { client, known }: JenkinsConnection): Runs {
  const job = config.jenkins;
  const path = pathOf(job);
  const keyParameter = parameterFor(config, '{key}') ?? 'SHIPMATE_KEY';
  const memory = (key: string) => `${job} ${key}`;

  const hasKey = (key: string) => (item: { actions?: Build['actions'] }) =>
    parametersIn(item.actions).get(keyParameter) === key;

  /** The first one that began: one that a person repeated by hand has the same key. */
  function oldestWith<T extends { number: number; actions?: Build['actions'] }>(
    builds: readonly T[] | null | undefined,
    key: string,
  ): T | undefined {
    return builds?.filter(hasKey(key)).reduce<T | undefined>((a, b) => (a && a.number < b.number ? a : b), undefined);
  }

  async function inQueue(key: string): Promise<{ queue: number } | null> {
    const tree = 'items[id,task[url],actions[parameters[name,value]]]';
    const queue = await client.read('/queue/api/json', queueSchema, tree);
    const found = queue?.items.find((item) => isThisJob(item.task?.url ?? '') && hasKey(key)(item));
    return found ? { queue: found.id } : null;
  }

  /** Jenkins gives its own URL, which may have another host than the one that the bot uses. */
  function isThisJob(url: string): boolean {
    try {
      return decodeURIComponent(new URL(url).pathname).endsWith(`${decodeURIComponent(path)}/`);
    } catch {
      return false;
    }
  }

  /** What Jenkins says of a place in the queue; undefined when it has forgotten it. */
  async function followQueue(key: string, queue: number): Promise<Place | undefined> {
    const item = await client.read(
      `/queue/item/${queue}/api/json`,
      queueItemSchema,
      'cancelled,why,executable[number]',
    );
    if (item === null) return undefined;
    const number = item.executable?.number;
    if (typeof number === 'number') {
      known.set(memory(key), { build: number });
      return { build: number };
    }
    return item.cancelled === true ? { cancelled: true } : { queue, why: item.why ?? null };
  }

  async function look(key: string): Promise<{ job: Job; place: Place }> {
    // The queue first: what leaves it in between is a build already.
    const waiting = await inQueue(key);
    const found = await client.read(`${path}/api/json`, jobSchema, JOB_TREE);
    if (found === null) throw jobMissing(job, client.user);
    const build = oldestWith(found.allBuilds, key);
    if (build) {
      known.set(memory(key), { build: build.number });
      return { job: found, place: { build: build.number } };
    }
    if (waiting === null) return { job: found, place: null };
    known.set(memory(key), { queue: waiting.queue });
    return { job: found, place: { queue: waiting.queue, why: null } };
  }

  async function find(key: string): Promise<Place> {
    const { place } = await look(key);
    if (place !== null) return place;
    const older = await client.read(`${path}/api/json`, keyedBuildsSchema, `allBuilds[${KEYED}]${FAR}`);
    const found = oldestWith(older?.allBuilds, key);
    if (!found) return null;
    known.set(memory(key), { build: found.number });
    return { build: found.number };
  }

  return {
    job,
    path,
    look,
    find,

    async place(id) {
      const wanted = parseId(id, job);
      if ('build' in wanted) return wanted;
      const { build, queue } = known.get(memory(wanted.key));
      if (build !== undefined) return { build };
      const followed = queue === undefined ? undefined : await followQueue(wanted.key, queue);
      if (followed !== undefined) return followed;
      return find(wanted.key);
    },

    async build(id, number) {
      const build = await client.read(`${path}/${number}/api/json`, buildSchema, BUILD_TREE);
      const wanted = parseId(id, job);
      if (build !== null && ('build' in wanted || hasKey(wanted.key)(build))) return build;
      // Deleted, or the job was made anew and counts from 1 again.
      if ('key' in wanted) known.forget(memory(wanted.key));
      throw lost(id, job);
    },
  };
}

/** Whether a key in a build's parameters is one that the bot could have given. */
export function keyIn(config: JenkinsDeployConfig, build: { actions?: Build['actions'] }): string | null {
  const key = parametersIn(build.actions).get(parameterFor(config, '{key}') ?? '');
  return key !== undefined && isValid('key', key) ? key : null;
}
