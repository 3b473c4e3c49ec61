import type { Permission, Person } from '../access/types.ts';
import type { Window } from '../calendar/types.ts';
import type { ReasonCode } from '../errors.ts';
import type { Commit, Pipeline, RunRef, Stage, VersionSource } from '../pipelines/types.ts';

/** Who acts when nobody does. */
export const SYSTEM: Person = { id: 'system', tenantId: '', name: 'Shipmate' };

/** Rules of one environment, as they hold for one service (the effective policy). */
export interface EnvironmentPolicy {
  name: string;
  /** Null: no approval asked. `groups` are object ids; an empty list means that nobody can approve. */
  approval: ApprovalPolicy | null;
  /** Whether a rollback needs the approval too. */
  rollbackApproval: boolean;
  /** What a deploy does while another one holds the environment. */
  concurrency: Concurrency;
  /** When nothing may be deployed: the windows of everything, of the environment and of the service. Deny wins. */
  freeze: readonly Window[];
  /** The environment where the same commit has to run well before; null: no order. */
  promoteFrom: string | null;
  /** What is looked at for a while after a deploy succeeded. */
  watch: WatchPolicy | null;
  /** Ask the requester to confirm first. */
  confirm: boolean;
  /** For people and colours: the last environment of the promotion order counts as production unless said otherwise. */
  production: boolean;
  /** Where to ask what really runs: answers JSON {version, sha?} or the version as text. */
  versionUrl?: string;
}

export interface ApprovalPolicy {
  groups: readonly string[];
  count: number;
  expiresMs: number;
  /** Approvers are reminded so long before it expires. */
  remindMs: number;
  /** The requester may approve, if they are in the groups. */
  own: boolean;
  /** Right that a vote needs; 'approve' when it is left out. */
  permission?: 'deploy';
}

/** `queue`: waits for its turn; `latest`: so too, and the newest takes the place of those that wait; `reject`: refused. */
export const CONCURRENCIES = ['queue', 'latest', 'reject'] as const;
export type Concurrency = (typeof CONCURRENCIES)[number];

export interface WatchPolicy {
  /** A URL that answers 2xx, or a program that ends with 0. */
  check: { kind: 'url'; url: string } | { kind: 'command'; argv: readonly string[] };
  forMs: number;
  everyMs: number;
  /** So many in a row are bad. */
  failures: number;
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
  /** The vendor tells by webhook when something happens there: it need not be asked so often. */
  hears: boolean;
  /** No other service has its runs in the same place: whose a run is that chat did not start is certain. */
  alone: boolean;
  /** Name of the pipeline's connection, where it has one. */
  connection?: string;
}

/** A command that the configuration declares. */
export interface DeclaredCommand {
  name: string;
  summary: string;
  /** In the order in which a form asks for them. */
  inputs: readonly CommandInput[];
  /** Approval instead of the environment's; undefined: as for a deploy there. */
  approval?: ApprovalPolicy | null;
  confirm: boolean;
  /** Environments where it may run, by service. */
  places: ReadonlyMap<string, readonly string[]>;
  /** By service. */
  pipelines: ReadonlyMap<string, Pipeline>;
}

export interface CommandInput {
  name: string;
  label: string;
  required: boolean;
  /** The only values, if there are any. */
  choices: readonly string[];
  /** A regular expression that the whole value fits. */
  pattern?: string;
}

/** What the configuration says, ready to use. Replaced as a whole when the configuration changes. */
export interface Catalog {
  /** By name, in the order of the configuration. */
  services: ReadonlyMap<string, Service>;
  /** Declared commands by name. */
  commands: ReadonlyMap<string, DeclaredCommand>;
  /** Conversation id of the approvals channel, if there is one. */
  approvalsChannel?: string;
  /** Conversation id of the channel of those who run Shipmate. */
  opsChannel?: string;
  /** Zone of times that name none. */
  zone: string;
  /** Names of the groups that may do this there, for people. */
  whoMay(permission: Permission, service: string, environment: string): string[];
  /** Their object ids. */
  groupsWho(permission: Permission, service: string, environment: string): string[];
  /** Who a login at a vendor is, as far as the configuration says. */
  personOf(login: string, connection: string | null): Person | null;
  /** Hash of a service's effective policy in an environment; part of an approval's digest. */
  policyHash(service: string, environment: string, command?: string): string;
  /** A group's name in the configuration, for people; its id when it has none. */
  groupName(id: string): string;
}

export const DEPLOYMENT_STATES = [
  'awaiting_approval',
  'scheduled', // may run, later
  'waiting', // may run, after the one that holds the environment
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

/** States in which it may still be taken back by whoever asked for it: nothing runs yet. */
export const PENDING_STATES: readonly DeploymentState[] = ['awaiting_approval', 'scheduled', 'waiting'];
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
  /** `command`: a declared command; it deploys nothing. */
  kind: 'deploy' | 'rollback' | 'retry' | 'command';
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
  approval: {
    groups: string[];
    count: number;
    expiresAt: string;
    own?: boolean;
    /** Right that a vote needs; 'approve' when it is left out. */
    permission?: 'deploy';
  } | null;
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
  /** When it is to start; null: as soon as it may. */
  scheduledFor: string | null;
  /** Since when it waits for the environment. */
  waitingSince: string | null;
  /** Somebody asked the running one to stop. */
  cancel: { person: Person; reason: string | null; at: string } | null;
  /** The run waits for a person's answer. */
  gate: GateState | null;
  /** Rules were broken, with a reason, by somebody who may. Open until a second person has looked at it. */
  breakGlass: BreakGlass | null;
  /** How it does after it succeeded. */
  watch: WatchState | null;
  /** The declared command that it runs, with what was typed. */
  command: { name: string; inputs: Record<string, string> } | null;
  /** It began at the vendor and waits there: approving lets that run go on. */
  foreign: ForeignStart | null;
  /** The failed run that a retry lets go on, where the pipeline can. */
  rerun: RunRef | null;
}

export interface ForeignStart {
  run: RunRef;
  /** What the run waits at. */
  gate: string;
  /** Name of the pipeline for people. */
  vendor: string;
  /** Login there. Untrusted text. */
  startedBy: string | null;
  /** The configuration says who that is; `requestedBy` is that person. */
  known: boolean;
}

export interface GateState {
  id: string;
  /** Untrusted text. */
  question: string;
  answer: { person: Person; approved: boolean; at: string } | null;
}

export interface BreakGlass {
  /** Untrusted text. */
  reason: string;
  /** Rules that would have refused it. */
  broken: string[];
  /** Reminders that were sent. */
  reminders: number;
  review: { person: Person; note: string; at: string } | null;
}

export interface WatchState {
  state: 'watching' | 'healthy' | 'unhealthy';
  until: string;
  /** Bad ones in a row. */
  failures: number;
  /** What the last bad one said; untrusted text. */
  problem: string | null;
}

/** Keeps deploys out until somebody takes it away. '' stands for every service, or every environment. */
export interface Lock {
  service: string;
  environment: string;
  person: Person;
  /** Untrusted text. */
  reason: string;
  /** Only this version, and only by this person, may be deployed meanwhile; null: nothing. */
  version: string | null;
  /** ISO 8601. */
  at: string;
}

/** A commit that somebody rolled back from: it is not deployed there again until somebody lifts that. */
export interface Block {
  service: string;
  environment: string;
  sha: string;
  version: string;
  person: Person;
  /** The rollback's number. */
  deployment: string;
  at: string;
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
  /** Place among those that wait for the environment, from 1; null when it does not wait. */
  position: number | null;
  /** What may be done about it, whoever looks: the card leaves out what can't be. */
  cancellable: boolean;
  /** The version that a rollback took away is kept from coming back here. */
  blocked: { version: string; sha: string } | null;
}
