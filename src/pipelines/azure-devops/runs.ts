import { PipelineError } from '../../errors.ts';
import type { RunRef } from '../types.ts';
import type { AzureConnection } from './connection.ts';
import { type Definition, isProjectMissing, projectMissing } from './definitions.ts';
import { type Build, build, builds, type TimelineRecord, timeline } from './schema.ts';

const RUN_ID = /^[1-9]\d{0,17}$/;
const VIEW_BUILDS = '"View builds"';
const PAGE = 200;
const MOST_PAGES = 10;
/** A key is looked for among the runs of this time: a deployment whose trigger is in doubt is looked after much sooner. */
const LOOK_BACK_MS = 7 * 86_400_000;
/** How many runs are asked for one by one, where a list leaves their parameters out. */
const MOST_SINGLE = 25;

/** Reads runs: here a run is a build. */
export function createRuns(connection: AzureConnection, project: string, definition: Definition, now: () => Date) {
  const { client } = connection;
  const path = (id: string | number, ...more: string[]) => [project, '_apis', 'build', 'builds', id, ...more];

  function lost(id: string): PipelineError {
    return new PipelineError(
      'PIPELINE_LOST',
      `Run ${JSON.stringify(id.slice(0, 40))} is not in the project ${project} any more: it was deleted there, or its retention is over. Check what runs in the environment.`,
    );
  }

  async function one(id: string | number): Promise<Build | null> {
    const answer = await client.ask({ path: path(id), right: VIEW_BUILDS });
    if (answer.status === 404 && isProjectMissing(answer.typeKey)) throw projectMissing(project);
    if (answer.status === 404) return null;
    if (!answer.ok) throw client.refused(answer);
    return client.parse(build, answer);
  }

  async function page(options: { since: Date; top: number; token?: string }) {
    const answer = await client.ask({
      path: [project, '_apis', 'build', 'builds'],
      query: {
        definitions: await definition.id(),
        queryOrder: 'queueTimeDescending',
        minTime: options.since.toISOString(),
        $top: options.top,
        continuationToken: options.token,
      },
      right: VIEW_BUILDS,
    });
    if (answer.status === 404) {
      definition.forget();
      throw definition.notThere(answer.typeKey);
    }
    if (!answer.ok) throw client.refused(answer);
    return { found: client.parse(builds, answer).value, next: answer.continuation };
  }

  return {
    lost,

    refOf(id: string | number): RunRef {
      return {
        id: String(id),
        url: `${client.base}/${encodeURIComponent(project)}/_build/results?buildId=${id}`,
      };
    },

    /** @throws PipelineError PIPELINE_LOST */
    async open(run: RunRef): Promise<Build> {
      const found = RUN_ID.test(run.id) ? await one(run.id) : null;
      if (found === null) throw lost(run.id);
      return found;
    },

    /** Empty before the run was expanded. @throws PipelineError PIPELINE_LOST */
    async records(run: RunRef): Promise<TimelineRecord[]> {
      if (!RUN_ID.test(run.id)) throw lost(run.id);
      const answer = await client.ask({ path: path(run.id, 'timeline'), right: VIEW_BUILDS });
      if (answer.status === 204) return [];
      if (answer.status === 404) throw lost(run.id);
      if (!answer.ok) throw client.refused(answer);
      return client.parse(timeline, answer)?.records ?? [];
    },

    /** Newest first. */
    async since(since: Date, top: number): Promise<Build[]> {
      return (await page({ since, top })).found;
    },

    /**
     * The newest run for which this holds, or null when there is none for certain.
     * @throws PipelineError PIPELINE_UNAVAILABLE when there are too many runs to be certain
     */
    async find(isIt: (run: Build) => boolean): Promise<Build | null> {
      const since = new Date(now().getTime() - LOOK_BACK_MS);
      let token: string | undefined;
      let single = 0;
      for (let pages = 0; pages < MOST_PAGES; pages += 1) {
        const { found, next } = await page({ since, top: PAGE, ...(token === undefined ? {} : { token }) });
        for (const each of found) {
          if (isIt(each)) return each;
          if (each.templateParameters || (each.reason ?? 'manual') !== 'manual') continue;
          if (single >= MOST_SINGLE) continue;
          single += 1;
          const whole = await one(each.id);
          if (whole !== null && isIt(whole)) return whole;
        }
        if (next === undefined || found.length === 0) return null;
        token = next;
      }
      throw new PipelineError(
        'PIPELINE_UNAVAILABLE',
        `The ${definition.shown} had more than ${PAGE * MOST_PAGES} runs in the last 7 days, so it is not certain whether this one is among them. Deploy with a pipeline of its own.`,
      );
    },
  };
}

export type Runs = ReturnType<typeof createRuns>;
