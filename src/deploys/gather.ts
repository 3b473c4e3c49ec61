import type { AccessDecision, Authoriser, Person } from '../access/types.ts';
import { PipelineError, type Refusal, refuse } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { VersionProbe } from '../monitoring/types.ts';
import type { Comparison, Version } from '../pipelines/types.ts';
import type { Store } from '../store/types.ts';
import { denied } from './policy.ts';
import type { Catalog, Deployment, EnvironmentPolicy, Service } from './types.ts';

/** Commit subjects shown on a card. */
const SHOWN_COMMITS = 5;

export interface GatherDeps {
  store: Store;
  authoriser: Authoriser;
  catalog: () => Catalog;
  probe: VersionProbe;
  logger: Logger;
}

/** Everything about a wish to deploy that has to be asked of somebody else. No side effect. */
export interface Gathered {
  ok: true;
  service: Service;
  environment: EnvironmentPolicy;
  access: AccessDecision;
  version: Version;
  /** What runs there now, as far as anybody knows. */
  from: { version: string; sha: string | null } | null;
  comparison: Comparison | null;
}

export interface Wish {
  kind: Deployment['kind'];
  person: Person;
  service: string;
  environment: string;
  version: string;
  /** For a rollback: the commit that ran there, whatever the tag says today. */
  sha?: string;
}

export async function gather(deps: GatherDeps, wish: Wish): Promise<Gathered | Refusal> {
  const found = find(deps.catalog(), wish.service, wish.environment);
  if (!found.ok) return found;
  const { service, environment } = found;
  const access = await deps.authoriser.authorise(wish.person, {
    permission: wish.kind === 'rollback' ? 'rollback' : 'deploy',
    service: service.name,
    environment: environment.name,
  });
  // Somebody who may not deploy learns nothing about the versions.
  if (!access.allowed) return denied(access);
  try {
    const [version, from] = await Promise.all([
      wish.sha === undefined ? service.versions.resolve(wish.version) : { name: wish.version, sha: wish.sha },
      runningVersion(deps, service, environment),
    ]);
    if (version === null) return await unknownVersion(service, wish.version);
    const comparison = await compare(deps, service, from?.sha ?? null, version.sha);
    return { ok: true, service, environment, access, version, from, comparison };
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error;
    deps.logger.warn('version source failed', { service: service.name, error });
    return refuse('VERSIONS_UNAVAILABLE', `I can't read the versions of ${service.name}: ${error.message}`, {
      next: 'Try again in a minute.',
    });
  }
}

/** The service and its environment by their names, as the catalogue spells them, ignoring case. */
export function find(
  catalog: Catalog,
  serviceName: string,
  environmentName: string,
): { ok: true; service: Service; environment: EnvironmentPolicy } | Refusal {
  const service = catalog.services.get(serviceName);
  if (!service)
    return refuse('SERVICE_UNKNOWN', `There is no service "${serviceName}".`, { next: 'Say `status` to see yours.' });
  const environment = service.environments.find(({ name }) => name === environmentName);
  if (!environment)
    return refuse('ENVIRONMENT_UNKNOWN', `${service.name} has no environment "${environmentName}".`, {
      options: service.environments.map(({ name }) => name),
    });
  return { ok: true, service, environment };
}

/**
 * What really runs there: asked of the service itself where it has a version URL, else what we last deployed. Null
 * when nobody knows.
 */
export async function runningVersion(
  deps: Pick<GatherDeps, 'store' | 'probe' | 'logger'>,
  service: Service,
  environment: EnvironmentPolicy,
): Promise<{ version: string; sha: string | null } | null> {
  if (environment.versionUrl !== undefined) {
    const answer = await deps.probe.ask(environment.versionUrl);
    if (!('problem' in answer)) {
      if (answer.sha !== undefined) return { version: answer.version, sha: answer.sha };
      const known = await service.versions.resolve(answer.version).catch(() => null);
      return { version: answer.version, sha: known?.sha ?? null };
    }
    deps.logger.debug('version URL did not answer', { service: service.name, problem: answer.problem });
  }
  const last = await deps.store.read((tx) => tx.deployments.lastSucceeded(service.name, environment.name));
  return last && { version: last.version, sha: last.sha };
}

async function compare(
  deps: GatherDeps,
  service: Service,
  from: string | null,
  to: string,
): Promise<Comparison | null> {
  if (from === null || from === to) return null;
  try {
    return await service.versions.compare(from, to, { limit: SHOWN_COMMITS });
  } catch (error) {
    // The card says less; that is no reason to refuse a deploy.
    deps.logger.warn('versions could not be compared', { service: service.name, error });
    return null;
  }
}

async function unknownVersion(service: Service, name: string): Promise<Refusal> {
  const near = await service.versions.search(name, { limit: 5 });
  const options = (near.length > 0 ? near : await service.versions.list({ limit: 5 })).map((version) => version.name);
  return refuse('VERSION_UNKNOWN', `${service.name} has no version "${name}".`, {
    options,
    next: near.length > 0 ? 'Did you mean one of these?' : 'These are the newest.',
  });
}
