import type { AccessDecision, AccessPolicy, AccessRequest, Grant, Permission, Person, Rights } from './types.ts';
import { PERMISSIONS } from './types.ts';

type Denied = Extract<AccessDecision, { allowed: false }>;

/** The grants that could allow this request, whoever asks. */
function grantsFor(policy: AccessPolicy, request: AccessRequest): Grant[] {
  return policy.grants.filter(
    ({ commands, environments, permissions, services }) =>
      permissions.includes(request.permission) &&
      coversCommand(commands, request) &&
      covers(services, request.service) &&
      covers(environments, request.environment),
  );
}

/** A grant with a scope covers only what is named; a request without a name is not covered by a narrower grant. */
function covers(scope: readonly string[] | undefined, name: string | undefined): boolean {
  return scope === undefined || (name !== undefined && scope.includes(name));
}

/** Who may do something about one command may do so about that one; approvers of a place approve its commands too. */
function coversCommand(commands: readonly string[] | undefined, request: AccessRequest): boolean {
  if (commands === undefined) return request.permission !== 'run';
  return request.permission === 'view' || (request.command !== undefined && commands.includes(request.command));
}

/** Object ids of the groups that have to be asked for, to decide this request. */
export function groupsFor(policy: AccessPolicy, request: AccessRequest): string[] {
  return [...new Set(grantsFor(policy, request).flatMap(({ groups }) => groups))];
}

/** What keeps a person out before any group is looked at; null for a member of an allowed tenant. */
export function strangerCode(
  policy: AccessPolicy,
  person: Person,
): 'ACCESS_NO_IDENTITY' | 'ACCESS_FOREIGN_TENANT' | 'ACCESS_GUEST' | null {
  if (person.id === '' || person.tenantId === '') return 'ACCESS_NO_IDENTITY';
  // Ids are GUIDs: a capital letter makes no other tenant.
  const home = person.tenantId.toLowerCase();
  if (!policy.tenants.some((tenant) => tenant.toLowerCase() === home)) return 'ACCESS_FOREIGN_TENANT';
  return person.guest === true ? 'ACCESS_GUEST' : null;
}

const STRANGERS = {
  ACCESS_NO_IDENTITY: 'Teams did not say who you are.',
  ACCESS_FOREIGN_TENANT: 'You are signed in to another organisation.',
  ACCESS_GUEST: 'Guests can not use me, whatever groups they are in.',
} as const;

/**
 * May this person do this? Pure: `memberOf` are the groups (object ids) that the directory said the person is in. Denies
 * by default; guests and foreign tenants are denied even if a group names them.
 */
export function decide(
  policy: AccessPolicy,
  person: Person,
  request: AccessRequest,
  memberOf: ReadonlySet<string>,
): AccessDecision {
  const stranger = strangerCode(policy, person);
  if (stranger !== null) return { allowed: false, code: stranger, message: STRANGERS[stranger], groups: [] };
  const grants = grantsFor(policy, request);
  const grant = grants.find(({ groups }) => groups.some((group) => memberOf.has(group)));
  if (grant) return { allowed: true, code: 'OK', role: grant.role };
  return deniedFor(policy, request);
}

function deniedFor(policy: AccessPolicy, request: AccessRequest): Denied {
  const { environment, permission, service } = request;
  const what = service === undefined ? '' : ` ${service}`;
  const where = environment === undefined ? '' : ` on ${environment}`;
  return {
    allowed: false,
    code: 'ACCESS_DENIED',
    message: `You have no right to ${VERBS[permission]}${what === '' && ABOUT_SERVICES.has(permission) ? ' everything' : what}${where}.`,
    groups: groupsFor(policy, request).map((group) => policy.groupNames[group] ?? group),
  };
}

/** Without a service they are about all of them, which is more than a team's own. */
const ABOUT_SERVICES: ReadonlySet<Permission> = new Set(['lock', 'unlock']);

const VERBS: Readonly<Record<Permission, string>> = {
  view: 'see',
  deploy: 'deploy',
  approve: 'approve deploys of',
  rollback: 'roll back',
  logs: 'read logs of',
  lock: 'lock',
  unlock: "release other people's locks of",
  cancel: 'cancel deploys of',
  silence: 'silence alerts of',
  'break-glass': 'break the glass for',
  audit: 'read the audit',
  admin: 'administer Shipmate',
  run: 'run this command on',
};

/** The directory could not answer: no. */
export function unreachable(message: string): Denied {
  return { allowed: false, code: 'DIRECTORY_UNAVAILABLE', message, groups: [] };
}

/** Every group that any grant names. */
export function allGroups(policy: AccessPolicy): string[] {
  return [...new Set(policy.grants.flatMap(({ groups }) => groups))];
}

/** What a person may do, over all places of the catalogue; pure, by the same `decide`. */
export function rightsOf(
  policy: AccessPolicy,
  person: Person,
  places: readonly { service: string; environment: string }[],
  memberOf: ReadonlySet<string>,
): Rights {
  const may = (request: AccessRequest) => decide(policy, person, request, memberOf).allowed;
  const general: readonly Permission[] = ['audit', 'admin'];
  const stranger = strangerCode(policy, person) !== null;
  return {
    groups: stranger ? [] : Object.entries(policy.groupNames).flatMap(([id, name]) => (memberOf.has(id) ? [name] : [])),
    roles: stranger
      ? []
      : [
          ...new Set(
            policy.grants.filter(({ groups }) => groups.some((group) => memberOf.has(group))).map(({ role }) => role),
          ),
        ],
    rights: places.map(({ environment, service }) => ({
      service,
      environment,
      permissions: PERMISSIONS.filter(
        (permission) => !general.includes(permission) && may({ permission, service, environment }),
      ),
    })),
    general: general.filter((permission) => may({ permission })),
  };
}
