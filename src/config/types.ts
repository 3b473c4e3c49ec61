import type { AccessPolicy } from '../access/types.ts';
import type { AuditConfig } from '../audit/config.ts';
import type { ApprovalPolicy, CommandInput, EnvironmentPolicy } from '../deploys/types.ts';

/** An adapter as it was chosen: its kind, and its own configuration, checked by its own schema. */
export interface Chosen {
  kind: string;
  config: unknown;
  /** Name of the connection that it goes through, for a kind that needs one. */
  connection?: string;
}

export interface ServiceConfig {
  name: string;
  team: string;
  /** Conversation id. */
  channel?: string;
  environments: readonly EnvironmentPolicy[];
  deploy: Chosen;
  versions: Chosen;
}

/** A command that the configuration declares. */
export interface CommandConfig {
  name: string;
  summary: string;
  inputs: readonly CommandInput[];
  /** Undefined: as for a deploy there. */
  approval?: ApprovalPolicy | null;
  confirm: boolean;
  /** Object ids of groups; null: each service's team. */
  who: readonly string[] | null;
  run: Chosen;
  /** `team` is the object id of the service's group. */
  places: readonly { service: string; team: string; environments: readonly string[] }[];
}

export type Credentials =
  | { kind: 'managed-identity'; clientId?: string }
  | { kind: 'workload-identity'; clientId?: string; tokenFile?: string }
  | { kind: 'certificate'; path: string }
  | { kind: 'secret'; secret: string };

/** A checked configuration with every default filled in. Plain data: nothing is opened or constructed yet. */
export interface LoadedConfig {
  mode: 'teams' | 'playground';
  tenants: readonly string[];
  /** Null in playground mode only. */
  appId: string | null;
  credentials: Credentials;
  /** Origins of the playground's clients; empty otherwise. */
  playgroundClients: readonly string[];
  /** PostgreSQL's URL; null for the embedded store. */
  store: string | null;
  /** Absolute. */
  dataDir: string;
  /** Folder of the configuration file, absolute: relative paths in it start here. */
  baseDir: string;
  /** Without a slash at the end. */
  publicUrl: string;
  host: string;
  port: number;
  /** Null: health and metrics are on the public port (playground). */
  internalPort: number | null;
  logLevel: string;
  access: AccessPolicy;
  directory: { kind: 'graph' } | { kind: 'static'; people: readonly { id: string; groups: readonly string[] }[] };
  services: readonly ServiceConfig[];
  logs: Chosen | null;
  /** Conversation ids by name. */
  channels: Readonly<Record<string, string>>;
  approvalsChannel?: string;
  opsChannel?: string;
  /** Zone of times that name none. */
  zone: string;
  commands: readonly CommandConfig[];
  /** Sinks and anchors of the audit, with the conversation id of the anchor's channel. */
  audit: AuditConfig & { anchorChannel?: string };
  /** What is spoken to, by name. */
  connections: Readonly<Record<string, Chosen>>;
  /** Object ids of people by their logins at vendors. */
  logins: Readonly<Record<string, string>>;
  /** HTTP_PROXY, HTTPS_PROXY and NO_PROXY. */
  proxy: { http?: string; https?: string; none?: string };
  /** Every file that was read, absolute. */
  files: readonly string[];
  /** Values that must never be printed. */
  secrets: readonly string[];
  /** PATH, HOME, LANG and TZ, for programs that are run. */
  programEnv: Readonly<Record<string, string | undefined>>;
  /** SHA-256 of the normalised content. */
  hash: string;
  /** What the hash is over, for a comparison with the next load; secrets are left out. */
  normalised: Readonly<Record<string, unknown>>;
  /** Hash of a service's effective policy in an environment; an unrelated edit does not change it. */
  policyHash(service: string, environment: string, command?: string): string;
}
