import { isValid, plainValue } from '../requests.ts';
import type { ForeignRun } from '../types.ts';
import type { JenkinsClient } from './client.ts';
import { type JenkinsDeployConfig, parameterFor } from './config.ts';
import { gateIn, pendingInputs } from './gates.ts';
import { buildId, keyId } from './ids.ts';
import { BUILD_TREE, keyIn, linkOf, parametersIn, type Runs } from './runs.ts';
import { type Build, buildsSchema } from './schema.ts';
import { shaOf, stateOf } from './status.ts';

const MOST_RUNS = 20;
const LISTED = '{0,60}';
const MOST_ASKED = 5;

/** Shipmate's name for the place that a build went to; null when the configuration does not name it. */
export function environmentOf(config: JenkinsDeployConfig, build: { actions?: Build['actions'] }): string | null {
  const value = parametersIn(build.actions).get(parameterFor(config, '{environment}') ?? '');
  if (value === undefined) return null;
  const mapped = Object.entries(config.environments).find(([, theirs]) => theirs === value);
  if (mapped) return mapped[0];
  // A name that stands for something else at Jenkins does not stand for itself.
  return !Object.hasOwn(config.environments, value) && isValid('environment', value) ? value : null;
}

function startedBy(build: Build): string | null {
  const causes = (build.actions ?? []).flatMap((action) =>
    action?._class?.endsWith('.CauseAction') ? action.causes : [],
  );
  const person = causes.find((cause) => cause?.userId || cause?.userName);
  const name = plainValue(person?.userId || person?.userName || '');
  return name === '' ? null : name;
}

/** Builds of the job, newest first, whoever started them: one request, and one more for each that runs. */
export async function recentRuns(
  deps: { client: JenkinsClient; runs: Runs; config: JenkinsDeployConfig },
  since: Date,
): Promise<ForeignRun[]> {
  const { client, config, runs } = deps;
  const listed = await client.read(`${runs.path}/api/json`, buildsSchema, `allBuilds[${BUILD_TREE}]${LISTED}`);
  const builds = (listed?.allBuilds ?? []).toSorted((a, b) => b.number - a.number);

  /** Ours began first with its key, and was started by our user: a person who repeats one repeats its key. */
  function idOf(build: Build): string {
    const key = keyIn(config, build);
    const by = startedBy(build);
    const isOurs =
      key !== null &&
      (by === null || by.toLowerCase() === client.user.toLowerCase()) &&
      !builds.some((other) => other.number < build.number && keyIn(config, other) === key);
    return isOurs ? keyId(key) : buildId(runs.job, build.number);
  }

  const found: { build: Build; environment: string }[] = [];
  for (const build of builds) {
    const environment = environmentOf(config, build);
    if (environment === null || build.timestamp < since.getTime() || Math.abs(build.timestamp) > 8.64e15) continue;
    found.push({ build, environment });
    if (found.length === MOST_RUNS) break;
  }
  const running = new Set(found.filter(({ build }) => stateOf(build) === 'running').slice(0, MOST_ASKED));
  return Promise.all(
    found.map(async (each) => {
      const { build, environment } = each;
      const parameters = parametersIn(build.actions);
      const sha = shaOf(build) ?? parameters.get(parameterFor(config, '{sha}') ?? '');
      const inputs = running.has(each) ? await pendingInputs(client, runs.path, build.number) : [];
      const url = linkOf(build);
      const version =
        parameters.get(parameterFor(config, '{version}') ?? '') || (build.displayName ?? `#${build.number}`);
      const gate = gateIn(inputs, config.gate, environment);
      return {
        run: { id: idOf(build), ...(url === undefined ? {} : { url }) },
        environment,
        version: client.redact(plainValue(version, 128)),
        sha: sha !== undefined && isValid('sha', sha) ? sha : null,
        startedBy: startedBy(build),
        startedAt: new Date(build.timestamp).toISOString(),
        state: stateOf(build),
        ...(gate?.environment === undefined ? {} : { gate: { ...gate, question: client.redact(gate.question) } }),
      };
    }),
  );
}
