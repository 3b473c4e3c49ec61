import type { AccessDecision, AccessRequest, Authoriser, Person } from '../access/types.ts';
import { PipelineError, type Refusal, refuse } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { VersionProbe } from '../monitoring/types.ts';
import type { Comparison, Pipeline, Version } from '../pipelines/types.ts';
import type { Store } from '../store/types.ts';
import { denied } from './policy.ts';
import type { ApprovalPolicy, Catalog, Deployment, EnvironmentPolicy, Service } from './types.ts';

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
  /** What glass-breaking rests on; null when it was not asked for. */
  breakGlassAccess: AccessDecision | null;
  version: Version;
  /** What runs on the environment before, as far as anybody knows; undefined where no order is kept. */
  before?: {
    environment: string;
    active: { version: string; sha: string | null } | null;
    /** The very run that waits here has just been there. */
    sameRun?: true;
  };
  /** What this wish needs. */
  approval: ApprovalPolicy | null;
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
  /** Rules are to be broken, for this reason. */
  breakGlass?: string;
  /** ISO 8601: it is to start then. */
  scheduledFor?: string;
  /** The declared command to run; `version` says nothing then. */
  command?: { name: string; inputs: Record<string, string> };
}

export async function gather(deps: GatherDeps, wish: Wish): Promise<Gathered | Refusal> {
  const found = find(deps.catalog(), wish.service, wish.environment);
  if (!found.ok) return found;
  const { service, environment } = found;
  const place = { service: service.name, environment: environment.name };
  const access = await deps.authoriser.authorise(wish.person, { ...permissionFor(wish), ...place });
  // Somebody who may not deploy learns nothing about the versions.
  if (!access.allowed) return denied(access);
  const breakGlassAccess =
    wish.breakGlass === undefined
      ? null
      : await deps.authoriser.authorise(wish.person, { permission: 'break-glass', ...place }, { fresh: true });
  try {
    const [named, from, before] = await Promise.all([
      wish.command !== undefined
        ? null
        : wish.sha === undefined
          ? service.versions.resolve(wish.version)
          : { name: wish.version, sha: wish.sha },
      runningVersion(deps, service, environment),
      runsBefore(deps, service, environment),
    ]);
    // A command brings no version: it is about what runs.
    const running = { name: from?.version ?? 'unknown', sha: from?.sha ?? '' };
    const version = wish.command === undefined ? named : running;
    if (version === null) return await unknownVersion(service, wish.version);
    const comparison = wish.command ? null : await compareVersions(deps, service, from?.sha ?? null, version.sha);
    const approval = approvalFor(deps.catalog(), wish, environment);
    return {
      ok: true,
      service,
      environment,
      access,
      breakGlassAccess,
      version,
      from,
      comparison,
      approval,
      ...(before === null ? {} : { before }),
    };
  } catch (error) {
    if (!(error instanceof PipelineError)) throw error;
    deps.logger.warn('version source failed', { service: service.name, error });
    return refuse('VERSIONS_UNAVAILABLE', `I can't read the versions of ${service.name}: ${error.message}`, {
      next: 'Try again in a minute.',
    });
  }
}

/** The right that this wish needs. */
export function permissionFor(wish: {
  kind: Deployment['kind'];
  command?: { name: string } | null | undefined;
}): Pick<AccessRequest, 'permission' | 'command'> {
  if (wish.command) return { permission: 'run', command: wish.command.name };
  return { permission: wish.kind === 'rollback' ? 'rollback' : 'deploy' };
}

/** The approval that this wish needs. A rollback brings back what succeeded there: mostly none, because minutes count. */
export function approvalFor(
  catalog: Catalog,
  wish: { kind: Deployment['kind']; command?: { name: string } | null | undefined },
  environment: EnvironmentPolicy,
): ApprovalPolicy | null {
  if (wish.kind === 'rollback' && !environment.rollbackApproval) return null;
  const own = wish.command ? catalog.commands.get(wish.command.name)?.approval : undefined;
  return own === undefined ? environment.approval : own;
}

/** What runs this: the service's own pipeline, or the declared command's. */
export function pipelineOf(
  catalog: Catalog,
  service: string,
  { command }: Pick<Deployment, 'command'>,
): Pipeline | undefined {
  if (command !== null) return catalog.commands.get(command.name)?.pipelines.get(service);
  return catalog.services.get(service)?.pipeline;
}

/** What runs on the environment that comes before; null where no order is kept. */
export async function runsBefore(
  deps: Pick<GatherDeps, 'store' | 'probe' | 'logger'>,
  service: Service,
  { promoteFrom }: EnvironmentPolicy,
  /** The vendor's id of a run that goes through several environments. */
  run?: string,
): Promise<NonNullable<Gathered['before']> | null> {
  const before = service.environments.find(({ name }) => name === promoteFrom);
  if (before === undefined) return null;
  if (run !== undefined) {
    // It waits for the next environment, so it is done with this one; ours of this one ends with the whole run.
    const holder = await deps.store.read((tx) => tx.deployments.holder(service.name, before.name));
    if (holder?.run?.id === run)
      return { environment: before.name, active: { version: holder.version, sha: holder.sha }, sameRun: true };
  }
  return { environment: before.name, active: await runningVersion(deps, service, before) };
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

/** What would change; null when nobody can say. */
export async function compareVersions(
  deps: Pick<GatherDeps, 'logger'>,
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
    next: near.length > 0 ? 'Did you mean one of those?' : 'Say one of the newest.',
  });
}
