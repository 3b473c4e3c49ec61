import type { Deployment, DeployView, EnvironmentPolicy } from '../deploys/types.ts';
import type { Refusal } from '../errors.ts';
import type { LogLevel, LogLine } from '../monitoring/types.ts';
import type { Commit, Version } from '../pipelines/types.ts';

/** Everything that a card's button can ask for. The router has one handler for each. */
export const VERBS = [
  'deploy.form', // open the form
  'deploy.plan', // the form was sent
  'deploy.confirm', // the confirmation was accepted
  'deploy.discard', // the form or the confirmation was put away
  'deploy.view', // refresh of a living card for one viewer: read-only
  'deploy.approve',
  'deploy.reject',
  'deploy.rollback',
  'deploy.retry',
  'deploy.cancel', // withdraw, or ask a run to stop
  'deploy.why', // every rule, for a wish that was refused
  'version.unblock',
  'gate.answer',
  'glass.review',
  'lock.remove',
  'approvals.show',
  'command.form',
  'command.plan',
  'command.confirm',
  'run.log', // the end of what the pipeline wrote
  'deploy.close', // a person looked: the one that needs attention is over
  'logs.form',
  'logs.query',
  'logs.download',
  'logs.share',
  'status.show',
  'history.show',
  'help.show',
] as const;
export type Verb = (typeof VERBS)[number];

/**
 * Signs what a button stands for. The token goes into the action's data and comes back with the click; whatever else
 * comes back is a form's input and is treated as such. Values are short strings that the server needs again.
 */
export type SignAction = (verb: Verb, bind?: Record<string, string>) => string;

/** A rendered Adaptive Card with the text for notifications, screen readers and clients that can't show it. */
export interface Card {
  name: string;
  /** Adaptive Card 1.5 JSON, at most 80 KB as UTF-16. */
  content: Record<string, unknown>;
  /** One line, plain text: what and where. */
  summary: string;
}

/** Begins the name of a list of versions, before the service's. */
export const VERSIONS_DATASET = 'versions/';

export interface DeployFormInput {
  /** Services that the person may deploy, at least one. */
  services: readonly string[];
  service?: string;
  environments: readonly string[];
  environment?: string;
  /** Newest first; empty while no service is chosen or when the source failed (then a text input is shown). */
  versions: readonly Version[];
  /** There are more than these: the list asks while somebody types. */
  more?: boolean;
  version?: string;
  reason?: string;
  /** What was wrong with what was sent or typed, shown on top. */
  problem?: Refusal;
}

export interface DeployConfirmInput {
  kind: 'deploy' | 'rollback' | 'command';
  /** The declared command, with what was typed. */
  command?: { name: string; inputs: Readonly<Record<string, string>> };
  /** Why the glass is to be broken, and the rules that would refuse. */
  glass?: { reason: string; broken: readonly string[] };
  /** ISO 8601. */
  scheduledFor?: string;
  /** What else is worth knowing before: a freeze that begins soon, who is before it. */
  notes?: readonly string[];
  service: string;
  environment: EnvironmentPolicy;
  version: string;
  sha: string;
  fromVersion: string | null;
  fromSha: string | null;
  changes: readonly Commit[];
  changesTotal: number;
  backwards: boolean;
  reason: string | null;
  /** Names of the groups that may approve; empty when no approval is asked. */
  approverGroups: readonly string[];
  approvalsNeeded: number;
  /** Milliseconds. */
  approvalExpiresMs: number;
  /** The requester may approve too. */
  approvalOwn?: boolean;
  /** What the confirm button's token binds (signed by the builder with verb deploy.confirm). */
  bind: Record<string, string>;
}

export interface DeploymentInput {
  view: DeployView;
  /** For elapsed times. */
  now: Date;
  /** Object id of the one this rendering is for (user-specific view); left out for the card that everybody sees. */
  viewer?: { id: string; mayApprove: boolean };
  /** The requester's channel user id, for the refresh of their own view. */
  refreshUserIds?: readonly string[];
}

export interface LogsFormInput {
  services: readonly string[];
  service?: string;
  environments: readonly string[];
  environment?: string;
  since?: string;
  level?: LogLevel;
  text?: string;
  limit?: number;
  problem?: Refusal;
}

export interface LogsInput {
  /** The log of a pipeline's run instead of a service's: nothing to page or to change. */
  run?: { deployment: string; url?: string };
  service: string;
  environment: string;
  /** Colours the environment; guessed from its name when left out. */
  production?: boolean;
  /** As people wrote or chose it, for example "15m". */
  since: string;
  level?: LogLevel;
  text?: string;
  limit: number;
  /** Redacted already. */
  lines: readonly LogLine[];
  older?: string;
  newer?: string;
  partial?: string;
  /** Signed link to the whole result, once it was asked for. */
  downloadUrl?: string;
  /** Offer "Share to channel": the service has a channel and this isn't it. */
  shareable: boolean;
  /** Who shared it, when it was shared. */
  sharedBy?: string;
  /** What the buttons' tokens bind: the query. */
  bind: Record<string, string>;
}

export interface StatusInput {
  now: Date;
  rows: readonly {
    service: string;
    environment: string;
    production: boolean;
    /** What runs: asked of the service itself, or known from our own deploys. Null when unknown. */
    version: string | null;
    source: 'asked' | 'deployed' | 'unknown';
    /** Why asking failed, one short line. */
    problem?: string;
    /** The service answers another version than the last deploy brought. */
    drift?: { deployed: string };
    last: Deployment | null;
    /** Running or waiting now. */
    current: Deployment | null;
    /** Who keeps deploys out, why, and what freezes now or soon. */
    notes?: readonly string[];
  }[];
}

export interface WhyInput {
  /** "storefront 1.2.3 → production". */
  title: string;
  environment: string;
  production: boolean;
  /** What would happen, in one sentence. */
  verdict: 'yes' | 'asks' | 'no';
  answer: string;
  findings: readonly { rule: string; verdict: 'pass' | 'needs' | 'refuse' | 'broken'; note: string }[];
  /** What to do, who could, from when. */
  next?: string;
  code?: string;
  fromVersion: string | null;
  fromSha: string | null;
  version: string | null;
  sha: string | null;
  changes: readonly Commit[];
  changesTotal: number;
}

export interface InboxInput {
  /** Deployments that wait for the person. */
  items: readonly { deployment: Deployment; what: 'approve' | 'answer' | 'review'; production: boolean }[];
}

export interface CommandFormInput {
  name: string;
  summary: string;
  services: readonly string[];
  service?: string;
  environments: readonly string[];
  environment?: string;
  inputs: readonly { name: string; label: string; required: boolean; choices: readonly string[] }[];
  values: Readonly<Record<string, string>>;
  problem?: Refusal;
  /** What the button's token binds. */
  bind: Record<string, string>;
}

export interface HistoryInput {
  service: string;
  environment?: string;
  /** Colours the environment; guessed from its name when left out. */
  production?: boolean;
  deployments: readonly Deployment[];
}

export interface WhoamiInput {
  name: string;
  id: string;
  groups: readonly string[];
  roles: readonly string[];
  /** Per service and environment, what the person may do there. */
  rights: readonly { service: string; environment: string; permissions: readonly string[] }[];
  /** Rights that are about no service. */
  general: readonly string[];
}

export interface HelpInput {
  commands: readonly { name: string; summary: string; example: string }[];
  /** For "help deploy": the one command at length. */
  detail?: { name: string; summary: string; usage: string; examples: readonly string[]; notes: readonly string[] };
}

/** A refusal, an error, or a plain answer: what happened, why, what to do, and the code in small. */
export interface NoticeInput {
  tone: 'info' | 'good' | 'warning' | 'attention';
  title: string;
  message: string;
  next?: string;
  options?: readonly string[];
  code?: string;
  /** One button that helps, for example "Open the form". */
  action?: { title: string; verb: Verb; bind?: Record<string, string> };
}
