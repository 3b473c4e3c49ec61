import { parseArgsStringToArgv } from 'string-argv';
import { type AccessPolicy, type Grant, PERMISSIONS, type Permission } from '../access/types.ts';
import type { Window } from '../calendar/types.ts';
import { freeAfter, parseWindow, type WindowEntry } from '../calendar/windows.ts';
import type { ApprovalPolicy, EnvironmentPolicy, WatchPolicy } from '../deploys/types.ts';
import { parseDuration } from '../durations.ts';
import type { Path } from './document.ts';
import type { ApproveEntry, EnvironmentEntry, Main, ServiceEntry, WatchEntry } from './schema.ts';
import type { CommandConfig } from './types.ts';

/** What a team may do with its own services, without anybody saying so. */
const TEAM_PERMISSIONS: readonly Permission[] = ['view', 'deploy', 'rollback', 'logs', 'lock', 'cancel'];
const APPROVAL_EXPIRES_MS = 4 * 3_600_000;
const REMIND_MS = 30 * 60_000;
const WATCH = { forMs: 10 * 60_000, everyMs: 30_000, failures: 3 } as const;

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
    /** The environment before it in the promotion order. */
    before: string | undefined;
    versionUrl: string | undefined;
    /** Windows of everything and of the service, checked already. */
    freeze: readonly Window[];
    /** The service's own. */
    watch: WatchEntry | undefined;
    service: string;
    zone: string;
    /** Every environment's name. */
    names: readonly string[];
  },
  team: string,
  groupOf: GroupOf,
  at: { environment: Path; override: Path },
  report: Report,
): EnvironmentPolicy {
  const { before, environment, last, override, versionUrl, zone } = entries;
  const production = override?.production ?? environment?.production ?? last;
  const overridden = override?.approve !== undefined;
  const entry = overridden ? override.approve : environment?.approve;
  const approval = approvalOf(entry, production, team, groupOf, [
    ...(overridden ? at.override : at.environment),
    'approve',
  ]);
  const promote = override?.promote ?? environment?.promote ?? (production && before !== undefined ? before : false);
  if (promote !== false && (promote === name || !entries.names.includes(promote)))
    report(
      [...(override?.promote === undefined ? at.environment : at.override), 'promote'],
      promote === name ? 'an environment does not come before itself' : `there is no environment "${promote}"`,
    );
  const freeze = [
    ...entries.freeze,
    ...windowsOf(environment?.freeze, [...at.environment, 'freeze'], zone, report),
    ...windowsOf(override?.freeze, [...at.override, 'freeze'], zone, report),
  ];
  // A freeze that has no end is a rule that can never be met.
  if (freeze.length > 0 && freeAfter(freeze, new Date()) === null)
    report(
      [...(override?.freeze === undefined ? at.environment : at.override), 'freeze'],
      `together the freezes of ${name} never end, so nothing could ever be deployed there`,
    );
  const watch = override?.watch ?? environment?.watch ?? entries.watch;
  return {
    name,
    production,
    approval,
    rollbackApproval: override?.['rollback-approval'] ?? environment?.['rollback-approval'] ?? false,
    concurrency: override?.concurrency ?? environment?.concurrency ?? 'reject',
    freeze,
    promoteFrom: promote === false ? null : promote,
    watch: watchOf(
      watch,
      entries.service,
      name,
      [...(override?.watch === undefined ? at.environment : at.override), 'watch'],
      report,
    ),
    confirm: override?.confirm ?? environment?.confirm ?? approval !== null,
    ...(versionUrl === undefined ? {} : { versionUrl }),
  };
}

/** The windows of a list; what can't be understood is told where it stands. */
export function windowsOf(
  entries: readonly WindowEntry[] | undefined,
  at: Path,
  zone: string,
  report: Report,
): Window[] {
  return (entries ?? []).flatMap((entry, index) => {
    const window = parseWindow(entry, zone);
    if (typeof window !== 'string') return [window];
    report([...at, index], window);
    return [];
  });
}

function watchOf(
  entry: WatchEntry | undefined,
  service: string,
  environment: string,
  at: Path,
  report: Report,
): WatchPolicy | null {
  if (entry === undefined || entry === false) return null;
  const given = typeof entry === 'string' ? { url: entry } : entry;
  const fill = (text: string, encode: (value: string) => string = (value) => value) =>
    text.replaceAll('{service}', encode(service)).replaceAll('{environment}', encode(environment));
  const timing = {
    forMs: parseDuration(('for' in given ? given.for : undefined) ?? '') ?? WATCH.forMs,
    everyMs: parseDuration(('every' in given ? given.every : undefined) ?? '') ?? WATCH.everyMs,
    failures: ('failures' in given ? given.failures : undefined) ?? WATCH.failures,
  };
  const command = 'command' in given ? given.command : undefined;
  if ((given.url === undefined) === (command === undefined)) {
    report(at, 'name a url or a command to look with, one of them');
    return null;
  }
  if (command !== undefined) {
    const argv = (typeof command === 'string' ? parseArgsStringToArgv(command) : command).map((part) => fill(part));
    return { ...timing, check: { kind: 'command', argv } };
  }
  const url = fill(given.url ?? '', encodeURIComponent);
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
    report(at, `"${given.url}" is no URL with http or https`);
    return null;
  }
  return { ...timing, check: { kind: 'url', url } };
}

export function approvalOf(
  entry: ApproveEntry | undefined,
  production: boolean,
  team: string,
  groupOf: GroupOf,
  at: Path,
): ApprovalPolicy | null {
  if (entry === false || (entry === undefined && !production)) return null;
  // Production without a word about approvers: somebody else of the team.
  if (entry === undefined)
    return {
      groups: [groupOf(team, [...at, 'team'])],
      count: 1,
      ...expiry(APPROVAL_EXPIRES_MS, undefined),
      own: false,
    };
  const detailed = typeof entry === 'object' && !Array.isArray(entry) ? entry : { from: entry };
  const from = typeof detailed.from === 'string' ? [detailed.from] : detailed.from;
  return {
    groups: [...new Set(from.map((group) => groupOf(group, at)))],
    count: ('count' in detailed ? detailed.count : undefined) ?? 1,
    ...expiry(
      ('expires' in detailed && detailed.expires ? parseDuration(detailed.expires) : null) ?? APPROVAL_EXPIRES_MS,
      'remind' in detailed ? detailed.remind : undefined,
    ),
    own: ('own' in detailed ? detailed.own : undefined) ?? false,
  };
}

/** Reminded half an hour before the end, or at half time of a short one. */
function expiry(expiresMs: number, remind: string | undefined): { expiresMs: number; remindMs: number } {
  return { expiresMs, remindMs: parseDuration(remind ?? '') ?? Math.min(REMIND_MS, Math.floor(expiresMs / 2)) };
}

/** Why `next` allows more than `before`, or null when it only tightens. */
export function loosens(before: EnvironmentPolicy, next: EnvironmentPolicy): string | null {
  if (before.production && !next.production) return 'it says that this is not production';
  if (before.approval !== null && next.approval === null) return 'it drops the approval';
  if (before.confirm && !next.confirm) return 'it drops the confirmation';
  if (before.rollbackApproval && !next.rollbackApproval) return 'it drops the approval of rollbacks';
  if (before.promoteFrom !== null && next.promoteFrom !== before.promoteFrom)
    return `it drops the order: first ${before.promoteFrom}`;
  if (before.concurrency === 'reject' && next.concurrency !== 'reject')
    return 'it lets deploys wait instead of refusing them';
  const kept = new Set(next.freeze.map((window) => JSON.stringify(window)));
  const gone = before.freeze.find((window) => !kept.has(JSON.stringify(window)));
  if (gone) return `it drops the freeze ${gone.label}`;
  if (before.watch !== null && next.watch === null) return 'it drops the watch after a deploy';
  const after = next.approval;
  if (before.approval === null || after === null) return null;
  if (after.count < before.approval.count)
    return `it asks for ${after.count} approvals instead of ${before.approval.count}`;
  if (after.expiresMs > before.approval.expiresMs) return 'approvals would live longer';
  if (after.own && !before.approval.own) return 'it lets people approve their own';
  const more = after.groups.filter((group) => !before.approval?.groups.includes(group));
  return more.length > 0 ? 'it lets other groups approve' : null;
}

/** Everything that anybody may do: teams on their services, approvers on their environments, and the named roles. */
export function accessPolicy(
  config: Main,
  services: readonly { name: string; entry: ServiceEntry; environments: readonly EnvironmentPolicy[] }[],
  commands: readonly CommandConfig[],
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
  for (const { approval, name, places, who } of commands)
    for (const { environments, service, team } of places) {
      const at = { services: [service], environments, commands: [name] };
      grants.push({ role: `command ${name}`, permissions: ['run'], groups: who ?? [team], ...at });
      if (approval)
        grants.push({ role: `approver of ${name}`, permissions: ['approve', 'view'], groups: approval.groups, ...at });
    }
  for (const permission of PERMISSIONS) {
    const role = config.roles[permission];
    if (role === undefined) continue;
    const at = ['roles', permission];
    if (permission === 'run') {
      report(at, 'who may run a command is said there: commands.NAME.who', 'key');
      continue;
    }
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
