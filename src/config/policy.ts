import { type AccessPolicy, type Grant, PERMISSIONS, type Permission } from '../access/types.ts';
import type { EnvironmentPolicy } from '../deploys/types.ts';
import { parseDuration } from '../durations.ts';
import type { Path } from './document.ts';
import type { ApproveEntry, EnvironmentEntry, Main, ServiceEntry } from './schema.ts';

/** What a team may do with its own services, without anybody saying so. */
const TEAM_PERMISSIONS: readonly Permission[] = ['view', 'deploy', 'rollback', 'logs', 'lock', 'cancel'];
const APPROVAL_EXPIRES_MS = 4 * 3_600_000;

/** `of`: whether the key itself is wrong or, as mostly, its value. */
export type Report = (at: Path, message: string, of?: 'key' | 'value' | undefined) => void;

/** Object id of a named group; reports a name that is not there, with the nearest that is. */
export type GroupOf = (name: string, at: Path) => string;

/** The rules of one environment for one service: the environment's own, with what the service adds. */
export function environmentPolicy(
  name: string,
  entries: {
    environment: EnvironmentEntry | null;
    override: EnvironmentEntry | undefined;
    last: boolean;
    versionUrl: string | undefined;
  },
  team: string,
  groupOf: GroupOf,
  at: { environment: Path; override: Path },
): EnvironmentPolicy {
  const { environment, last, override, versionUrl } = entries;
  const production = override?.production ?? environment?.production ?? last;
  const overridden = override?.approve !== undefined;
  const entry = overridden ? override.approve : environment?.approve;
  const approval = approvalOf(entry, production, team, groupOf, [
    ...(overridden ? at.override : at.environment),
    'approve',
  ]);
  return {
    name,
    production,
    approval,
    confirm: override?.confirm ?? environment?.confirm ?? approval !== null,
    ...(versionUrl === undefined ? {} : { versionUrl }),
  };
}

function approvalOf(
  entry: ApproveEntry | undefined,
  production: boolean,
  team: string,
  groupOf: GroupOf,
  at: Path,
): EnvironmentPolicy['approval'] {
  if (entry === false || (entry === undefined && !production)) return null;
  // Production without a word about approvers: somebody else of the team.
  if (entry === undefined)
    return { groups: [groupOf(team, [...at, 'team'])], count: 1, expiresMs: APPROVAL_EXPIRES_MS };
  const detailed = typeof entry === 'object' && !Array.isArray(entry) ? entry : { from: entry };
  const from = typeof detailed.from === 'string' ? [detailed.from] : detailed.from;
  return {
    groups: [...new Set(from.map((group) => groupOf(group, at)))],
    count: ('count' in detailed ? detailed.count : undefined) ?? 1,
    expiresMs:
      ('expires' in detailed && detailed.expires ? parseDuration(detailed.expires) : null) ?? APPROVAL_EXPIRES_MS,
  };
}

/** Why `next` allows more than `before`, or null when it only tightens. */
export function loosens(before: EnvironmentPolicy, next: EnvironmentPolicy): string | null {
  if (before.production && !next.production) return 'it says that this is not production';
  if (before.approval !== null && next.approval === null) return 'it drops the approval';
  if (before.confirm && !next.confirm) return 'it drops the confirmation';
  const after = next.approval;
  if (before.approval === null || after === null) return null;
  if (after.count < before.approval.count)
    return `it asks for ${after.count} approvals instead of ${before.approval.count}`;
  if (after.expiresMs > before.approval.expiresMs) return 'approvals would live longer';
  const more = after.groups.filter((group) => !before.approval?.groups.includes(group));
  return more.length > 0 ? 'it lets other groups approve' : null;
}

/** Everything that anybody may do: teams on their services, approvers on their environments, and the named roles. */
export function accessPolicy(
  config: Main,
  services: readonly { name: string; entry: ServiceEntry; environments: readonly EnvironmentPolicy[] }[],
  groupOf: GroupOf,
  report: Report,
): AccessPolicy {
  const grants: Grant[] = [];
  for (const { entry, environments, name } of services) {
    grants.push({
      role: `team ${entry.team}`,
      permissions: TEAM_PERMISSIONS,
      groups: [groupOf(entry.team, ['services', name, 'team'])],
      services: [name],
    });
    for (const { approval, name: environment } of environments)
      if (approval !== null)
        // An approver has to see what they decide on.
        grants.push({
          role: `approver ${environment}`,
          permissions: ['approve', 'view'],
          groups: approval.groups,
          services: [name],
          environments: [environment],
        });
  }
  for (const permission of PERMISSIONS) {
    const role = config.roles[permission];
    if (role === undefined) continue;
    const at = ['roles', permission];
    if (permission === 'approve') {
      report(at, 'approvers are named per environment: environments.production.approve', 'key');
      continue;
    }
    const scoped: { groups: string | string[]; services?: string[] | undefined; environments?: string[] | undefined } =
      typeof role === 'object' && !Array.isArray(role) ? role : { groups: role };
    const groups = typeof scoped.groups === 'string' ? [scoped.groups] : scoped.groups;
    for (const each of scoped.services ?? [])
      if (!services.some(({ name }) => name === each)) report([...at, 'services'], `there is no service "${each}"`);
    for (const each of scoped.environments ?? [])
      if (!Object.hasOwn(config.environments, each))
        report([...at, 'environments'], `there is no environment "${each}"`);
    grants.push({
      role: permission,
      permissions: [permission],
      groups: groups.map((group) => groupOf(group, at)),
      ...(scoped.services ? { services: scoped.services } : {}),
      ...(scoped.environments ? { environments: scoped.environments } : {}),
    });
  }
  return {
    // Teams writes them in small letters.
    tenants: [config.tenant].flat().map((tenant) => tenant.toLowerCase()),
    grants,
    groupNames: Object.fromEntries(Object.entries(config.groups).map(([name, id]) => [id, name])),
  };
}
