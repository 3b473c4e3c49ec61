import type { Authoriser, Permission, Person } from '../access/types.ts';
import { denied } from '../deploys/policy.ts';
import type { Catalog, EnvironmentPolicy, Service } from '../deploys/types.ts';
import { type Refusal, refuse, ShipmateError } from '../errors.ts';
import { nearest } from './parse.ts';
import type { Arguments, Turn } from './types.ts';

export interface Scope {
  ok: true;
  permission: Permission;
  /** Where the person may do this: services in the catalogue's order, environments in promotion order. */
  services: ReadonlyMap<string, readonly string[]>;
}

/** Where this person may do this. One directory answer, from the cache where there is one. */
export async function scopeOf(
  deps: { authoriser: Authoriser; catalog: () => Catalog },
  person: Person,
  permission: Permission,
): Promise<Scope | Refusal> {
  try {
    const { rights } = await deps.authoriser.rights(person);
    const services = new Map<string, string[]>();
    for (const { service, environment, permissions } of rights) {
      if (!permissions.includes(permission)) continue;
      services.set(service, [...(services.get(service) ?? []), environment]);
    }
    if (services.size > 0) return { ok: true, permission, services };
  } catch (error) {
    if (error instanceof ShipmateError) return refuse(error.code, error.message, { next: 'Try again in a minute.' });
    throw error;
  }
  // Nothing at all: the decision about the first service says why.
  const first = [...deps.catalog().services.values()][0];
  const decision = await deps.authoriser.authorise(person, {
    permission,
    ...(first ? { service: first.name } : {}),
    ...(first?.environments[0] ? { environment: first.environments[0].name } : {}),
  });
  return decision.allowed ? { ok: true, permission, services: new Map() } : denied(decision);
}

export interface Picked {
  ok: true;
  service?: Service;
  environment?: EnvironmentPolicy;
}

/**
 * The service and the environment that are meant: as named, else the only one of this channel, else the only one of
 * this person. What stays open is asked; nothing ever defaults to an environment.
 */
export async function pick(
  deps: { authoriser: Authoriser; catalog: () => Catalog },
  turn: Turn,
  scope: Scope,
  args: Pick<Arguments, 'service' | 'environment'>,
): Promise<Picked | Refusal> {
  const names = [...scope.services.keys()];
  const name = args.service ?? only(turn.place.services.filter((each) => names.includes(each))) ?? only(names);
  if (name === undefined) {
    // Without a service an environment can't be checked further than that it exists somewhere.
    return args.environment === undefined ? { ok: true } : knownAnywhere(scope, args.environment);
  }
  const service = deps.catalog().services.get(name);
  if (!service || !scope.services.has(name)) {
    // A service that exists and is somebody else's is refused with the reason; its name alone is no secret to a member.
    if (service) return refusalFor(deps, turn.person, scope.permission, service, args.environment);
    const guess = nearest(name, names);
    return refuse('SERVICE_UNKNOWN', `There is no service "${name.slice(0, 60)}".`, {
      ...(guess ? { next: `Did you mean ${guess}?` } : {}),
      options: guess ? [guess] : names,
    });
  }
  if (args.environment === undefined) return { ok: true, service };
  const environment = service.environments.find((each) => each.name === args.environment);
  if (!environment)
    return unknownEnvironment(
      args.environment,
      service.environments.map((each) => each.name),
      service.name,
    );
  if (!scope.services.get(name)?.includes(environment.name))
    return refusalFor(deps, turn.person, scope.permission, service, environment.name);
  return { ok: true, service, environment };
}

function only(names: readonly string[]): string | undefined {
  return names.length === 1 ? names[0] : undefined;
}

function knownAnywhere(scope: Scope, environment: string): Picked | Refusal {
  const all = [...new Set([...scope.services.values()].flat())];
  return all.includes(environment) ? { ok: true } : unknownEnvironment(environment, all);
}

function unknownEnvironment(name: string, options: readonly string[], service?: string): Refusal {
  const guess = nearest(name, options);
  return refuse('ENVIRONMENT_UNKNOWN', `${service ?? 'Nothing of yours'} has no environment "${name.slice(0, 60)}".`, {
    ...(guess ? { next: `Did you mean ${guess}?` } : {}),
    options: [...options],
  });
}

async function refusalFor(
  deps: { authoriser: Authoriser },
  person: Person,
  permission: Permission,
  service: Service,
  environment?: string,
): Promise<Refusal> {
  const where = environment ?? service.environments[0]?.name;
  const decision = await deps.authoriser.authorise(person, {
    permission,
    service: service.name,
    ...(where === undefined ? {} : { environment: where }),
  });
  return decision.allowed ? refuse('ACCESS_DENIED', `You may not do this on ${service.name}.`) : denied(decision);
}

/** Whether this place may show the service's data: its own channel, or the person's own chat. */
export function showsHere(turn: Turn, service: string): boolean {
  return turn.place.kind === 'personal' || turn.place.services.includes(service);
}

/** Where the answer about a service goes: here where it may be shown, else to the personal chat. */
export async function homeOf(turn: Turn, service: string): Promise<string> {
  return showsHere(turn, service) ? turn.place.conversation : turn.personal();
}
