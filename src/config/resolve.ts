import { createHash } from 'node:crypto';
import path from 'node:path';
import { canonicalJson } from '../audit/canonical.ts';
import { isZone } from '../calendar/windows.ts';
import type { EnvironmentPolicy } from '../deploys/types.ts';
import { logSources } from '../monitoring/index.ts';
import { pipelines, versionSources } from '../pipelines/index.ts';
import { choose, chooseConnections } from './choose.ts';
import { commandsOf } from './commands.ts';
import { connectionKinds } from './connection-kinds.ts';
import type { ConfigDocument, Path } from './document.ts';
import { accessPolicy, environmentPolicy, type GroupOf, loosens, type Report, windowsOf } from './policy.ts';
import { near } from './problems.ts';
import type { Main, ServiceEntry } from './schema.ts';
import type { Chosen, CommandConfig, Credentials, LoadedConfig, ServiceConfig } from './types.ts';

const GUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
const DEFAULT_PORT = 3978;
/** Begins what stands for the id of a group that has no such name; it is never asked for. */
const UNKNOWN = 'unknown:';

/** A service with the file that says so. */
export interface SourcedService {
  name: string;
  entry: ServiceEntry;
  document: ConfigDocument;
  /** From an included file: may only tighten. */
  included: boolean;
}

export interface Settings {
  baseDir: string;
  /** Of the environment, for what is not a matter of policy. */
  port: string | undefined;
  dataDir: string | undefined;
  logLevel: string | undefined;
  programEnv: LoadedConfig['programEnv'];
  proxy: LoadedConfig['proxy'];
  secrets: readonly string[];
  files: readonly string[];
}

/** Fills in defaults, resolves names and checks what no schema can. Problems go to `report`; the result is then not used. */
export function resolve(
  config: Main,
  sourced: readonly SourcedService[],
  settings: Settings,
  report: Report,
): LoadedConfig {
  const playground = config.mode === 'playground';
  const groupOf = groupFinder(config, report);
  checkMode(config, report);
  const environmentNames = Object.keys(config.environments);
  const services = sourced.map((each) => ({ ...each, environments: policiesOf(config, each, groupOf, report) }));
  if (!isZone(config.zone)) report(['zone'], `there is no time zone "${config.zone}"; write one like Europe/Berlin`);
  checkApprovals(config, services, report);
  const connections = chooseConnections(config.connections ?? {}, connectionKinds, report);
  const commands = commandsOf(config, services, groupOf, report, connections);
  const access = accessPolicy(config, services, commands, groupOf, report);
  const channelOf = (name: string): string | undefined =>
    Object.hasOwn(config.channels, name) ? config.channels[name] : undefined;
  const resolved: ServiceConfig[] = services.map(({ document, entry, environments, name }) => {
    const at = ['services', name];
    const here: Report = (...line) => document.problems.push(document.problem(...line));
    if (entry.channel !== undefined && channelOf(entry.channel) === undefined)
      here(
        [...at, 'channel'],
        `there is no channel "${entry.channel}"${near(entry.channel, Object.keys(config.channels))}`,
      );
    const channel = channelOf(entry.channel ?? entry.team);
    return {
      name,
      team: entry.team,
      ...(channel === undefined ? {} : { channel }),
      environments,
      deploy: mapped(
        choose(entry.deploy, pipelines, [...at, 'deploy'], here, connections),
        environmentNames,
        [...at, 'deploy'],
        here,
      ),
      versions: choose(completed(entry), versionSources, [...at, 'versions'], here, connections),
    };
  });
  const approvalsChannel = channelOf('approvals');
  const opsChannel = channelOf('ops');
  if (
    approvalsChannel === undefined &&
    services.some(({ environments }) => environments.some(({ approval }) => approval !== null))
  )
    report(
      ['channels'],
      'an environment asks for approval, so name the channel where approvers are asked: channels.approvals',
    );
  const port = portOf(settings.port, config.ports?.public ?? DEFAULT_PORT, report);
  const internalPort = config.ports?.internal ?? (port === 0 ? 0 : port < 65_535 ? port + 1 : port - 1);
  if (!playground && internalPort === port && port !== 0)
    report(['ports', 'internal'], `the internal listener needs a port of its own; ${port} is the public one`);
  const dataDir = path.resolve(settings.dataDir ?? path.join(settings.baseDir, config.data ?? '.shipmate'));
  const logs = config.logs === undefined ? null : choose(config.logs, logSources, ['logs'], report, connections);
  const normalised = normalise(config, resolved, commands, logs, connections);
  return {
    mode: config.mode,
    tenants: access.tenants,
    appId: config.bot ?? null,
    credentials: credentialsOf(config),
    playgroundClients: (config.playground?.clients ?? []).map((client) => new URL(client).origin),
    store: config.store ?? null,
    dataDir,
    baseDir: settings.baseDir,
    publicUrl: (config.url ?? `http://127.0.0.1:${port}`).replace(/\/+$/, ''),
    host: playground ? '127.0.0.1' : '0.0.0.0',
    port,
    internalPort: playground ? null : internalPort,
    logLevel: settings.logLevel ?? 'info',
    access,
    directory: directoryOf(config, groupOf),
    services: resolved,
    logs,
    channels: config.channels,
    ...(approvalsChannel === undefined ? {} : { approvalsChannel }),
    ...(opsChannel === undefined ? {} : { opsChannel }),
    zone: config.zone,
    commands,
    audit: auditOf(config, channelOf, report),
    connections,
    logins: config.logins ?? {},
    proxy: settings.proxy,
    files: settings.files,
    secrets: [...new Set([...settings.secrets, ...secretsOf(connections)])],
    programEnv: settings.programEnv,
    hash: sha256(normalised),
    normalised,
    policyHash: (service, environment, command) => {
      const declared = commands.find(({ name }) => name === command);
      const found = resolved.find(({ name }) => name === service);
      const policy = found?.environments.find(({ name }) => name === environment);
      return sha256({
        service,
        environment,
        policy: policy ?? null,
        deploy: found?.deploy ?? null,
        versions: found?.versions ?? null,
        ...(declared === undefined ? {} : { command: declared }),
      });
    },
  };

  function policiesOf(main: Main, { document, entry, included, name }: SourcedService, find: GroupOf, tell: Report) {
    const at = ['services', name];
    const here: Report = (...line) => (included ? document.problems.push(document.problem(...line)) : tell(...line));
    // A group that a team's file names wrongly is wrong there.
    const findHere = included ? groupFinder(main, here) : find;
    const groupOf: GroupOf = (group, where) => (where[0] === 'services' ? findHere : find)(group, where);
    for (const key of ['environments', 'version-url'] as const) {
      const given = entry[key];
      for (const unknown of typeof given === 'object' ? Object.keys(given) : [])
        if (!environmentNames.includes(unknown))
          here([...at, key, unknown], `there is no environment "${unknown}"${near(unknown, environmentNames)}`, 'key');
    }
    if (!Object.hasOwn(main.groups, entry.team))
      here([...at, 'team'], `no group is named "${entry.team}"${near(entry.team, Object.keys(main.groups))}`);
    const ofService = [
      ...windowsOf(main.freeze, ['freeze'], main.zone, (...line) => once(tell, ...line)),
      ...windowsOf(entry.freeze, [...at, 'freeze'], main.zone, here),
    ];
    return environmentNames.map((environment, index) => {
      const versionUrl = versionUrlOf(entry, name, environment, here);
      const entries = {
        environment: own(main.environments, environment) ?? null,
        last: index === environmentNames.length - 1,
        before: environmentNames[index - 1],
        versionUrl,
        freeze: ofService,
        watch: entry.watch,
        service: name,
        zone: main.zone,
        names: environmentNames,
      };
      const places = { environment: ['environments', environment], override: [...at, 'environments', environment] };
      const policy = environmentPolicy(
        environment,
        { ...entries, override: entry.environments && own(entry.environments, environment) },
        entry.team,
        groupOf,
        places,
        (where, ...line) => (where[0] === 'services' ? here(where, ...line) : once(tell, where, ...line)),
      );
      if (included) {
        const base = environmentPolicy(
          environment,
          { ...entries, override: undefined },
          entry.team,
          groupOf,
          places,
          () => {},
        );
        // A group that is not there is told already.
        const clear = policy.approval?.groups.every((group) => !group.startsWith(UNKNOWN)) ?? true;
        const why = clear ? loosens(base, policy) : null;
        if (why) here(places.override, `a team's file may only tighten the rules: ${why}`);
      }
      return policy;
    });
  }
}

/** Adapters may call environments otherwise; the names here are those of the configuration. */
function mapped(chosen: Chosen, environments: readonly string[], at: Path, report: Report): Chosen {
  const { config } = chosen;
  const names = typeof config === 'object' && config !== null && 'environments' in config ? config.environments : {};
  for (const name of Object.keys(names ?? {}))
    if (!environments.includes(name))
      report([...at, 'environments', name], `there is no environment "${name}"${near(name, environments)}`, 'key');
  return chosen;
}

/** The entry of `versions`, with what it takes from the entry of `deploy`. */
function completed({ deploy, versions }: ServiceEntry): Record<string, unknown> {
  const kind = Object.keys(versions)[0] ?? '';
  const adapter = Object.hasOwn(versionSources, kind) ? versionSources[kind] : undefined;
  const whole = adapter?.complete?.(versions, deploy);
  // The first key names the kind.
  return whole === undefined ? versions : { [kind]: versions[kind], ...whole };
}

function groupFinder(config: Main, report: Report): GroupOf {
  const reported = new Set<string>();
  return (name, at) => {
    const id = Object.hasOwn(config.groups, name) ? config.groups[name] : undefined;
    if (id !== undefined) return id;
    // Said once, where it stands; a team's missing group is said by its service.
    if (at.at(-1) !== 'team' && !reported.has(name)) {
      reported.add(name);
      report(at, `no group is named "${name}"${near(name, Object.keys(config.groups))}`);
    }
    return `${UNKNOWN}${name}`;
  };
}

function auditOf(
  { audit = {}, channels }: Main,
  channelOf: (name: string) => string | undefined,
  report: Report,
): LoadedConfig['audit'] {
  const name = audit.anchor?.channel;
  if (name === undefined) return audit;
  const anchorChannel = channelOf(name);
  if (anchorChannel === undefined)
    report(['audit', 'anchor', 'channel'], `there is no channel "${name}"${near(name, Object.keys(channels))}`);
  return { ...audit, ...(anchorChannel === undefined ? {} : { anchorChannel }) };
}

/** What stands in the main file is told once, however many services it is about. */
function once(report: Report, ...[at, message, of]: Parameters<Report>): void {
  const told = TOLD.get(report) ?? new Set<string>();
  TOLD.set(report, told);
  const key = `${at.join('.')} ${message}`;
  if (told.has(key)) return;
  told.add(key);
  report(at, message, of);
}
const TOLD = new WeakMap<Report, Set<string>>();

/** An approval that can never be given: nobody in the groups, or fewer people than approvals, as far as that is known here. */
function checkApprovals(
  config: Main,
  services: readonly (SourcedService & { environments: readonly EnvironmentPolicy[] })[],
  report: Report,
): void {
  // With Microsoft Graph it is `check --online` that counts.
  if (config.people === undefined || config.directory === 'graph') return;
  const members = (group: string) =>
    (config.people ?? []).filter(({ groups }) =>
      groups.some((name) => Object.hasOwn(config.groups, name) && config.groups[name] === group),
    );
  for (const { document, entry, environments, included, name } of services)
    for (const { approval, name: environment } of environments) {
      if (approval === null || approval.groups.some((group) => group.startsWith(UNKNOWN))) continue;
      const people = new Set(approval.groups.flatMap(members).map(({ id }) => id));
      if (people.size >= approval.count) continue;
      const own = entry.environments?.[environment]?.approve !== undefined;
      const at = own
        ? ['services', name, 'environments', environment, 'approve']
        : ['environments', environment, 'approve'];
      const names = Object.entries(config.groups).flatMap(([known, id]) =>
        approval.groups.includes(id) ? [known] : [],
      );
      const message =
        people.size === 0
          ? `nobody is in ${names.join(' or ')}, so nobody could ever approve`
          : `${approval.count} approvals are asked for, and only ${people.size} ${people.size === 1 ? 'person is' : 'people are'} in ${names.join(' or ')}`;
      if (own && included) document.problems.push(document.problem(at, message));
      else once(report, at, message);
    }
}

function checkMode(config: Main, report: Report): void {
  if (config.mode === 'playground') {
    if (config.bot !== undefined)
      report(
        ['bot'],
        'playground mode accepts requests without authentication, so it is not possible together with an application id. Remove one of them',
      );
    if (config.playground === undefined)
      report(['mode'], 'playground mode needs playground.clients: the addresses of its clients');
    if (config.directory === 'graph' || config.people === undefined)
      report(['mode'], 'playground mode needs people: there is no directory to ask');
    for (const [index, client] of (config.playground?.clients ?? []).entries())
      if (!['localhost', '127.0.0.1', '[::1]'].includes(new URL(client).hostname))
        report(['playground', 'clients', index], 'playground clients are on this machine: localhost or 127.0.0.1');
    return;
  }
  if (config.bot === undefined) report([], 'bot is missing: the application id of your Azure Bot');
  if (config.playground !== undefined) report(['playground'], 'this is for mode: playground only');
  if (config.url === undefined) report([], 'url is missing: the public https address of the bot, for links to files');
  else if (!config.url.startsWith('https://')) report(['url'], 'the public address needs https');
  const tenants = typeof config.tenant === 'string' ? [config.tenant] : config.tenant;
  for (const tenant of tenants)
    if (!GUID.test(tenant)) report(['tenant'], `"${tenant}" is no tenant id, which is a GUID`);
  const several = Object.keys(config.connections ?? {}).filter((each) => each !== 'oci').length > 1;
  for (const [login, id] of Object.entries(config.logins ?? {})) {
    const [connection = ''] = login.split('/');
    // The same login may be somebody else elsewhere.
    if (several && !Object.hasOwn(config.connections ?? {}, connection))
      report(
        ['logins', login],
        `there are several connections: say whose login it is, like ${Object.keys(config.connections ?? {})[0]}/${login}`,
        'key',
      );
    if (!GUID.test(id)) report(['logins', login], `"${id}" is no Entra object id, which is a GUID`);
  }
  for (const [name, id] of Object.entries(config.groups))
    if (!GUID.test(id)) report(['groups', name], `"${id}" is no Entra object id, which is a GUID`);
  if (config.directory === 'static' && config.people === undefined)
    report(['directory'], 'a static directory needs people');
  if (config.directory === 'graph' && config.people !== undefined)
    report(['people'], 'people are for directory: static');
}

function directoryOf(config: Main, groupOf: GroupOf): LoadedConfig['directory'] {
  if (config.people === undefined || config.directory === 'graph') return { kind: 'graph' };
  return {
    kind: 'static',
    people: config.people.map(({ groups, id }, index) => ({
      id,
      groups: groups.map((group) => groupOf(group, ['people', index, 'groups'])),
    })),
  };
}

function credentialsOf({ credentials }: Main): Credentials {
  const managed = credentials?.['managed-identity'];
  if (managed !== undefined) return { kind: 'managed-identity', ...(managed === true ? {} : { clientId: managed }) };
  if (credentials?.certificate !== undefined) return { kind: 'certificate', path: credentials.certificate };
  if (credentials?.secret !== undefined) return { kind: 'secret', secret: credentials.secret };
  const workload = credentials?.['workload-identity'];
  const given = typeof workload === 'object' ? workload : {};
  return {
    kind: 'workload-identity',
    ...(given.client === undefined ? {} : { clientId: given.client }),
    ...(given['token-file'] === undefined ? {} : { tokenFile: given['token-file'] }),
  };
}

function versionUrlOf(entry: ServiceEntry, service: string, environment: string, report: Report): string | undefined {
  const template = entry['version-url'];
  const text = typeof template === 'object' ? own(template, environment) : template;
  if (text === undefined) return undefined;
  const url = text
    .replaceAll('{service}', encodeURIComponent(service))
    .replaceAll('{environment}', encodeURIComponent(environment));
  if (!/^https?:\/\//.test(url) || !URL.canParse(url)) {
    report(['services', service, 'version-url'], `"${text}" is no URL with http or https`);
    return undefined;
  }
  return url;
}

/** A key that a person wrote, never one of Object.prototype. */
function own<T>(record: Readonly<Record<string, T>>, key: string): T | undefined {
  return Object.hasOwn(record, key) ? record[key] : undefined;
}

function portOf(text: string | undefined, fallback: number, report: Report): number {
  if (text === undefined || text === '') return fallback;
  const port = Number(text);
  if (/^\d{1,5}$/.test(text) && port <= 65_535) return port;
  report([], `PORT is "${text.slice(0, 20)}", which is no port number`);
  return fallback;
}

function sha256(value: unknown): string {
  return createHash('sha256').update(canonicalJson(value)).digest('hex');
}

/** What decides how Shipmate behaves, without what could be a secret. */
function normalise(
  config: Main,
  services: readonly ServiceConfig[],
  commands: readonly CommandConfig[],
  logs: Chosen | null,
  connections: Readonly<Record<string, Chosen>>,
): Record<string, unknown> {
  const { bot, channels, environments, groups, mode, people, playground, ports, roles, store, tenant, url } = config;
  return JSON.parse(
    JSON.stringify({
      mode,
      tenant,
      bot: bot ?? null,
      credentials: credentialsOf(config).kind,
      store: store === undefined ? 'embedded' : withoutSecrets(store),
      url: url === undefined ? null : withoutSecrets(url),
      ports: ports ?? null,
      playground: playground ?? null,
      groups,
      channels,
      roles,
      environments: Object.fromEntries(
        Object.entries(environments).map(([name, entry]) => {
          const { watch, ...rest } = entry ?? {};
          return [name, { ...rest, ...(watch === undefined ? {} : { watch: sha256(watch) }) }];
        }),
      ),
      people: people ?? null,
      logins: config.logins ?? {},
      connections: Object.fromEntries(
        Object.entries(connections).map(([name, { config: given, kind }]) => [name, { kind, hash: sha256(given) }]),
      ),
      logs: logs && { kind: logs.kind, hash: sha256(logs.config) },
      freeze: config.freeze ?? [],
      audit: config.audit ?? null,
      zone: config.zone,
      commands: Object.fromEntries(
        commands.map(({ name, run, ...rest }) => [
          name,
          { ...rest, run: { kind: run.kind, hash: sha256(run.config) } },
        ]),
      ),
      services: Object.fromEntries(
        services.map(({ deploy, environments: policies, name, versions, ...rest }) => [
          name,
          {
            ...rest,
            environments: Object.fromEntries(
              policies.map(({ name: environment, versionUrl, watch, ...policy }) => [
                environment,
                {
                  ...policy,
                  watch: watchShown(watch),
                  versionUrl: versionUrl === undefined ? null : withoutSecrets(versionUrl),
                },
              ]),
            ),
            deploy: { kind: deploy.kind, hash: sha256(deploy.config) },
            versions: { kind: versions.kind, hash: sha256(versions.config) },
          },
        ]),
      ),
    }),
  ) as Record<string, unknown>;
}

/** The raw entry of `environments` has the watch too: only what its address says without its query is told. */
function watchShown(watch: EnvironmentPolicy['watch']): unknown {
  if (watch === null) return null;
  const { check, ...timing } = watch;
  return {
    ...timing,
    check:
      check.kind === 'url' ? withoutSecrets(check.url) : { command: check.argv[0] ?? '', hash: sha256(check.argv) },
  };
}

/** What the connections hold that must never be printed; one that is not right holds nothing that is used. */
function secretsOf(connections: Readonly<Record<string, Chosen>>): string[] {
  return Object.values(connections)
    .flatMap(({ config, kind }) => (config === null ? [] : (connectionKinds[kind]?.secrets(config) ?? [])))
    .filter((secret) => secret !== '');
}

/** Where an address points to: without user, password and query. */
function withoutSecrets(address: string): string {
  if (!URL.canParse(address)) return 'unreadable';
  const { host, pathname, protocol } = new URL(address);
  return `${protocol}//${host}${pathname}`;
}
