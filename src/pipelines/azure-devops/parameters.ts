import { PipelineError } from '../../errors.ts';
import { fill, isValid } from '../requests.ts';
import type { TriggerRequest } from '../types.ts';
import type { AzureDeployConfig } from './config.ts';
import type { Build, TimelineRecord } from './schema.ts';

const FULL_SHA = /^[0-9a-f]{40}$/;
/** Names that environments have everywhere, also where the configuration does not list them. */
const ENVIRONMENT_WORD = / (?:dev|development|qa|uat|staging|preprod|prod|production|live) /;
const SHA_TAG = /^shipmate-sha-([0-9a-f]{7,64})$/i;

/** What is sent to start a run. Source: Azure DevOps REST API, "Runs - Run Pipeline", RunPipelineParameters. */
export interface RunParameters {
  templateParameters: Record<string, string>;
  resources?: { repositories: { self: { refName: string; version?: string } } };
  stagesToSkip?: string[];
}

/** Goes from a request to a pipeline's parameters, and from the parameters of a run back. */
export function createParameters(config: AzureDeployConfig, service: string) {
  const { environments, parameters, ref, skip } = config;
  /** The parameter that holds nothing but this. */
  const holding = (placeholder: string) =>
    Object.entries(parameters).find(([, text]) => text === `{${placeholder}}`)?.[0];
  const names = {
    key: holding('key') ?? '',
    version: holding('version'),
    sha: holding('sha'),
    environment: holding('environment'),
  };

  function given(build: Build, name: string | undefined): string | null {
    if (name === undefined) return null;
    // Names of parameters are not sensitive to case in the YAML.
    const found = Object.entries(build.templateParameters ?? {}).find(
      ([each]) => each.toLowerCase() === name.toLowerCase(),
    )?.[1];
    return typeof found === 'string' && found !== '' ? found : null;
  }

  function toVendor(environment: string): string {
    return Object.hasOwn(environments, environment) ? (environments[environment] ?? environment) : environment;
  }

  /** Shipmate's name; null for one that only some other name of Shipmate's stands for. */
  function fromVendor(environment: string): string | null {
    const same = (name: string) => name.toLowerCase() === environment.toLowerCase();
    const mapped = Object.entries(environments).find(([, theirs]) => same(theirs))?.[0];
    if (mapped !== undefined) return mapped;
    return Object.keys(environments).some(same) || !isValid('environment', environment) ? null : environment;
  }

  /** Whether the run's own commit is the one that is deployed: it runs from the version's tag or commit. */
  const runsOnVersion = ref !== undefined && /\{(?:version|sha)\}/.test(ref);

  function environmentOf(build: Build): string | null {
    const found = given(build, names.environment);
    return found === null ? null : fromVendor(found);
  }

  function deployedBy(build: Build): string | null {
    const tagged = build.tags?.map((tag) => SHA_TAG.exec(tag)?.[1]?.toLowerCase()).find((sha) => sha !== undefined);
    if (tagged !== undefined) return tagged;
    return runsOnVersion && build.sourceVersion ? build.sourceVersion : null;
  }

  return {
    of(request: TriggerRequest): RunParameters {
      const { inputs, key, sha, version } = request;
      const values = { service, environment: toVendor(request.environment), version, sha, key };
      const templateParameters = Object.fromEntries(
        Object.entries(parameters).map(([name, text]) => [name, fill(text, values, inputs)]),
      );
      const refName = ref === undefined ? undefined : fill(ref, values, inputs);
      // With the commit beside it, a tag that moves at this moment changes nothing.
      const pinned = runsOnVersion && FULL_SHA.test(sha) ? { version: sha } : {};
      return {
        templateParameters,
        ...(refName === undefined ? {} : { resources: { repositories: { self: { refName, ...pinned } } } }),
        ...(skip === undefined || skip.length === 0 ? {} : { stagesToSkip: skip }),
      };
    },

    hasKey: (build: Build, key: string): boolean => given(build, names.key) === key,

    /** @throws PipelineError PIPELINE_REJECTED when the run with this key was asked for something else */
    requireSame(build: Build, request: TriggerRequest): void {
      const wanted = { sha: request.sha, environment: toVendor(request.environment) };
      for (const name of ['sha', 'environment'] as const) {
        const found = given(build, names[name]);
        if (found === null || found === wanted[name]) continue;
        throw new PipelineError(
          'PIPELINE_REJECTED',
          `Run ${build.id} was started with the key ${request.key} for another ${name} already; nothing else was started.`,
        );
      }
    },

    /** Shipmate's name of the place that the run is for, or null when it does not say. */
    environment: environmentOf,

    /**
     * Whose guard a waiting stage stands before. The stage says so by its name; where it names no environment, it is
     * that of the run. A stage that names another environment than the run is for is that other one's, or nobody's: an
     * approval for staging must not open production.
     */
    guarded(build: Build, stage: TimelineRecord | undefined): string | null {
      const own = environmentOf(build);
      const theirs = new Map(Object.entries(environments));
      if (own !== null && !theirs.has(own)) theirs.set(own, own);
      const words = [stage?.name, stage?.identifier].map((text) => ` ${wordsOf(text ?? '')} `);
      const named = [...theirs]
        .filter(([ours, vendor]) =>
          [ours, vendor].map(wordsOf).some((name) => name !== '' && words.some((text) => text.includes(` ${name} `))),
        )
        .map(([ours]) => ours);
      if (named.length === 0) return words.some((text) => ENVIRONMENT_WORD.test(text)) ? null : own;
      return named.length === 1 ? (named[0] ?? null) : null;
    },

    /** The commit that the run deployed, as far as it says: a tag, else its own commit where that is it. */
    deployed: deployedBy,

    /** As people would call what a run deploys, and its commit where it is known. */
    version(build: Build): { version: string; sha: string | null } {
      const named = given(build, names.version);
      const source = /^refs\/(?:tags|heads)\/(.+)$/.exec(build.sourceBranch ?? '')?.[1];
      const asked = given(build, names.sha);
      const sha = deployedBy(build) ?? (asked !== null && isValid('sha', asked) ? asked : null);
      return {
        version: named ?? source ?? build.buildNumber ?? String(build.id),
        // A run that was not told a version deploys its own commit.
        sha: sha ?? (named === null ? (build.sourceVersion ?? null) : null),
      };
    },
  };
}

export type Parameters = ReturnType<typeof createParameters>;

/** "Deploy_Prod-EU" as "deploy prod eu". */
function wordsOf(text: string): string {
  return text
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, ' ')
    .trim();
}
