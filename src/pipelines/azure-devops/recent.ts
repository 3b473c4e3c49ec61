import type { Redactor } from '../../logger.ts';
import { plainValue } from '../requests.ts';
import type { ForeignRun, RunStatus } from '../types.ts';
import { gateOf } from './gates.ts';
import type { Parameters } from './parameters.ts';
import type { Runs } from './runs.ts';
import type { Build, TimelineRecord } from './schema.ts';
import { isOver, isoTime, stateOf } from './timeline.ts';

const MOST_RUNS = 20;
/** Runs whose timeline is read in one call; what is over is read once, so that most calls are one request. */
const MOST_LOOKS = 10;
const KEPT_STATES = 200;

/** Lists runs of the pipeline, whoever started them. */
export function createRecent(runs: Runs, parameters: Parameters, redact: Redactor) {
  const states = new Map<string, RunStatus['state']>();

  /** A run that is run again ends at another time. */
  const nameOf = (build: Build) => `${build.id}/${build.finishTime ?? ''}`;

  /** A run may say that it succeeded though nobody let it in: its timeline tells. */
  const needsLook = (build: Build) =>
    !isOver(build) || (stateOf(build, []) === 'succeeded' && !states.has(nameOf(build)));

  function toRun(build: Build, records: readonly TimelineRecord[]): ForeignRun | null {
    const gate = gateOf(build, records, parameters);
    const environment = parameters.environment(build) ?? gate?.environment;
    const startedAt = isoTime(build.startTime ?? build.queueTime);
    if (environment === undefined || startedAt === undefined) return null;
    const { sha, version } = parameters.version(build);
    const { displayName, uniqueName } = build.requestedFor ?? {};
    // The name that people sign in with: a display name can be anybody's.
    const startedBy = plainValue(redact(uniqueName || displayName || ''));
    return {
      run: runs.refOf(build.id),
      environment,
      version: plainValue(redact(version), 128),
      sha,
      startedBy: startedBy === '' ? null : startedBy,
      startedAt,
      state: states.get(nameOf(build)) ?? stateOf(build, records),
      ...(gate === null ? {} : { gate }),
    };
  }

  function remember(build: Build, records: readonly TimelineRecord[]): void {
    states.set(nameOf(build), stateOf(build, records));
    const [oldest] = states.keys();
    if (states.size > KEPT_STATES && oldest !== undefined) states.delete(oldest);
  }

  return async function recent({ since }: { since: Date }): Promise<ForeignRun[]> {
    const found = await runs.since(since, MOST_RUNS);
    // What can't be looked at this time is left out rather than told wrongly; the next call comes to it.
    const looked = found.filter(needsLook).slice(0, MOST_LOOKS);
    const all = await Promise.all(
      found.map(async (build) => {
        if (!needsLook(build)) return toRun(build, []);
        if (!looked.includes(build)) return null;
        const records = await runs.records(runs.refOf(build.id));
        if (isOver(build)) remember(build, records);
        return toRun(build, records);
      }),
    );
    return all.filter((each) => each !== null);
  };
}
