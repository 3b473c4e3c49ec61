import type { Person } from '../access/types.ts';
import type { ReasonCode } from '../errors.ts';
import type { Commit, Pipeline, RunRef, Stage, VersionSource } from '../pipelines/types.ts';

/** Rules of one environment, as they hold for one service (the effective policy). */
export interface EnvironmentPolicy {
  name: string;
  /** Null: no approval asked. `groups` are object ids; an empty list means that nobody can approve. */
  approval: { groups: readonly string[]; count: number; expiresMs: number } | null;
  /** Ask the requester to confirm first. */
  confirm: boolean;
  /** For people and colours: the last environment of the promotion order counts as production unless said otherwise. */
  production: boolean;
  /** Where to ask what really runs: answers JSON {version, sha?} or the version as text. */
  versionUrl?: string;
}

export interface Service {
  name: string;
  /** Name of the owning group, as in the configuration. */
  team: string;
  /** Conversation id of the service's channel, if it has one. */
  channel?: string;
  /** In promotion order. */
  environments: readonly EnvironmentPolicy[];
  pipeline: Pipeline;
  versions: VersionSource;
}

/** What the configuration says, ready to use. Replaced as a whole when the configuration changes. */
export interface Catalog {
  /** By name, in the order of the configuration. */
  services: ReadonlyMap<string, Service>;
  /** Conversation id of the approvals channel, if there is one. */
  approvalsChannel?: string;
  /** Hash of a service's effective policy in an environment; part of an approval's digest. */
  policyHash(service: string, environment: string): string;
  /** A group's name in the configuration, for people; its id when it has none. */
  groupName(id: string): string;
}

export const DEPLOYMENT_STATES = [
  'awaiting_approval',
  'queued', // may run; the trigger job is on its way
  'running',
  'attention', // it is not known whether a run was started: a person must look
  'succeeded',
  'failed',
  'cancelled',
  'rejected',
  'expired',
  'blocked', // a rule that held at the request no longer held at the trigger
] as const;
export type DeploymentState = (typeof DEPLOYMENT_STATES)[number];

/** States in which a deployment holds its environment. */
export const HOLDING_STATES: readonly DeploymentState[] = ['queued', 'running', 'attention'];
export const FINAL_STATES: readonly DeploymentState[] = [
  'succeeded',
  'failed',
  'cancelled',
  'rejected',
  'expired',
  'blocked',
];

export interface Vote {
  person: Person;
  decision: 'approve' | 'reject';
  reason?: string;
  /** ISO 8601. */
  at: string;
}

export interface Deployment {
  /** Short number as text, "42"; unique in the store. */
  id: string;
  kind: 'deploy' | 'rollback' | 'retry';
  service: string;
  environment: string;
  version: string;
  sha: string;
  /** What ran there when it was asked for; null when nothing was known. */
  fromVersion: string | null;
  fromSha: string | null;
  /** What changes, newest first, at most five, and how many in all. Untrusted text. */
  changes: Commit[];
  changesTotal: number;
  /** Untrusted text, at most 200 characters. */
  reason: string | null;
  requestedBy: Person;
  /** Conversation id (with ";messageid=" for a thread) where it was asked for. */
  requestedIn: string;
  /** What caused it, unique: one effect per message or click. */
  origin: string;
  state: DeploymentState;
  /** Grows with every change; the fence of every update. */
  revision: number;
  digest: string;
  approval: { groups: string[]; count: number; expiresAt: string } | null;
  votes: Vote[];
  /** Correlation key handed to the pipeline. */
  runKey: string;
  triggerStartedAt: string | null;
  run: RunRef | null;
  stages: Stage[];
  tail: string[];
  /** Why it ended badly. `message` may hold untrusted text. */
  problem: { code: ReasonCode; message: string } | null;
  /** ISO 8601. */
  createdAt: string;
  startedAt: string | null;
  finishedAt: string | null;
}

/** What a conversation shows of a deployment: the domain declares it, bot/ renders and sends it. */
export interface DeployView {
  deployment: Deployment;
  /** Who follows it in this conversation. */
  audience: 'requester' | 'approvals' | 'channel';
  /** Names of the groups that may approve, for people. */
  approverGroups: string[];
  /** Version that a rollback would bring back, or null when there is none. */
  rollbackTo: string | null;
  /** A newer deployment of the same service and environment exists: the buttons of this one go. */
  outdated: boolean;
  /** Colour and words of the environment. */
  production: boolean;
}
