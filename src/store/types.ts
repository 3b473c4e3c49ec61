import type { AuditEntry, AuditRecord } from '../audit/types.ts';
import type { Block, Deployment, DeploymentState, Lock, Vote } from '../deploys/types.ts';

/**
 * One transaction, one narrow repository per concern. State, audit, job and outbox commit together or not at all. No
 * network call inside a transaction.
 */
export interface Tx {
  claims: Claims;
  deployments: Deployments;
  locks: Locks;
  blocks: Blocks;
  audit: AuditLog;
  jobs: Jobs;
  outbox: Outbox;
  references: References;
  settings: Settings;
}

/** What only reads. */
export interface ReadTx {
  deployments: Pick<
    Deployments,
    'get' | 'byOrigin' | 'holder' | 'list' | 'lastSucceeded' | 'rollbackTarget' | 'unreviewed'
  >;
  locks: Pick<Locks, 'covering' | 'all'>;
  blocks: Pick<Blocks, 'get' | 'list'>;
  audit: Pick<AuditLog, 'page' | 'head'>;
  outbox: Pick<Outbox, 'get' | 'list'>;
  references: Pick<References, 'get' | 'personal' | 'any'>;
  settings: Pick<Settings, 'get'>;
}

export interface Store {
  readonly kind: 'pglite' | 'postgres' | 'memory';
  /**
   * Commits when `fn` resolves, rolls back when it throws. After a deadlock `fn` runs again, so it has no effect but
   * through its `tx`; it opens no transaction and no read of its own. @throws ShipmateError STORE_UNAVAILABLE
   */
  transaction<T>(fn: (tx: Tx) => Promise<T>): Promise<T>;
  /**
   * Reads without the cost of a transaction: each statement sees what was committed when it ran, so what must fit together
   * is read in one statement or in a transaction. @throws ShipmateError STORE_UNAVAILABLE
   */
  read<T>(fn: (tx: ReadTx) => Promise<T>): Promise<T>;
  /** Registers the handler of a durable job. Handlers run at least once, so guard them by state. Before `start`. */
  work<Q extends JobName>(queue: Q, handler: (data: JobData[Q]) => Promise<void>): void;
  start(): Promise<void>;
  /** Waits for running handlers (at most `graceMs`, default 10,000), then closes. */
  stop(options?: { graceMs?: number }): Promise<void>;
  /** A real round trip that also writes, and whether jobs run; null when healthy, else why not. Within two seconds. */
  health(): Promise<string | null>;
}

/** One-time things: activity ids, links, nonces. */
export interface Claims {
  /** True the first time for this key, false ever after (until it is pruned some time after `expiresAt`). */
  claim(key: string, expiresAt: Date): Promise<boolean>;
}

export interface NewDeployment extends Omit<Deployment, 'id' | 'revision' | 'votes' | 'createdAt'> {
  createdAt: string;
}

export interface Deployments {
  /**
   * Inserts and gives the id. `duplicate` when the origin was used before; `busy` when the state holds the
   * environment and another deployment does already (a unique index decides, so replicas can't race).
   */
  insert(
    deployment: NewDeployment,
  ): Promise<
    | { kind: 'inserted'; deployment: Deployment }
    | { kind: 'duplicate'; deployment: Deployment }
    | { kind: 'busy'; deployment: Deployment }
  >;
  get(id: string): Promise<Deployment | null>;
  byOrigin(origin: string): Promise<Deployment | null>;
  /**
   * The fenced change: applies `patch` and revision + 1 if the row still is in one of `from` (and at `revision`, when
   * given). `stale` when it is not; `busy` when the new state would hold an environment that another one holds.
   */
  change(
    id: string,
    fence: { from: readonly DeploymentState[]; revision?: number },
    patch: DeploymentPatch,
  ): Promise<
    { kind: 'changed'; deployment: Deployment } | { kind: 'stale' } | { kind: 'busy'; deployment: Deployment }
  >;
  /** One vote per person and deployment: false when there is one. Locks the deployment's row first. */
  vote(id: string, vote: Vote): Promise<boolean>;
  /** The one that holds the environment now. */
  holder(service: string, environment: string): Promise<Deployment | null>;
  /** Newest first, by id. */
  list(filter: {
    service?: string;
    environment?: string;
    states?: readonly DeploymentState[];
    /** Declared commands are left out. */
    deploysOnly?: boolean;
    limit: number;
  }): Promise<Deployment[]>;
  /** The one that succeeded there last, by when it ended: an approval may let an older number run after a newer one. */
  lastSucceeded(service: string, environment: string): Promise<Deployment | null>;
  /** Those whose glass was broken and nobody has reviewed, oldest first. */
  unreviewed(limit: number): Promise<Deployment[]>;
  /**
   * The last that succeeded there, by when it ended, with another sha than what runs now (`exceptSha`): where a rollback goes. Rows
   * that ran after and were themselves rolled back from are passed over because their sha equals `exceptSha`.
   */
  rollbackTarget(service: string, environment: string, exceptSha: string | null): Promise<Deployment | null>;
}

/** Locks of environments. One per place; a place is a service and an environment, '' for every one. */
export interface Locks {
  /** False when the place itself is locked already. */
  add(lock: Lock): Promise<boolean>;
  /** The lock that was taken away, or null when there was none. */
  remove(service: string, environment: string): Promise<Lock | null>;
  /** Those that hold there: of everything, of the environment, of the service, of both; the widest first. */
  covering(service: string, environment: string): Promise<Lock[]>;
  all(): Promise<Lock[]>;
}

/** Commits that are kept out of an environment. */
export interface Blocks {
  /** A commit that is blocked already stays as it is. */
  add(block: Block): Promise<void>;
  remove(service: string, environment: string, sha: string): Promise<Block | null>;
  get(service: string, environment: string, sha: string): Promise<Block | null>;
  list(service: string, environment: string): Promise<Block[]>;
}

export type DeploymentPatch = Partial<
  Pick<
    Deployment,
    | 'state'
    | 'triggerStartedAt'
    | 'run'
    | 'stages'
    | 'tail'
    | 'problem'
    | 'startedAt'
    | 'finishedAt'
    | 'waitingSince'
    | 'cancel'
    | 'gate'
    | 'breakGlass'
    | 'watch'
  >
>;

export interface AuditLog {
  append(record: AuditRecord, at: Date): Promise<AuditEntry>;
  /** In order of seq, in pages; `after` is exclusive. */
  page(options: { after: number; limit: number; since?: Date; until?: Date }): Promise<AuditEntry[]>;
  head(): Promise<{ seq: number; hash: string }>;
}

/** Names and payloads of durable jobs. */
export interface JobData {
  /** `since`: when the trouble with this trigger began, ISO 8601; left out at the first attempt. */
  'deploy.trigger': { id: string; since?: string };
  /** `once`: looks without waiting for its turn, because the vendor said that something happened. */
  'deploy.poll': { id: string; once?: true };
  'deploy.expire': { id: string };
  'deploy.remind': { id: string };
  /** A scheduled one is due. */
  'deploy.due': { id: string };
  /** The environment was let go, or somebody began to wait for it: the first that waits may have it. */
  'deploy.next': { service: string; environment: string };
  /** Somebody asked a run to stop. */
  'deploy.cancel': { id: string };
  /** Somebody answered what a run waits for. */
  'deploy.answer': { id: string };
  'deploy.watch': { id: string };
  'deploy.review': { id: string };
  /** Looks whether something else was deployed, and not by us. */
  'deploy.drift': { at: string };
  /** A vendor said that something happened to these runs; `look`: also to runs that are not ours. */
  'pipeline.event': { connection: string; runs: string[]; look: boolean };
  /** Looks for runs of a service that chat did not start. */
  'deploy.foreign': { service: string; heard?: boolean };
  'audit.stream': { at: string };
  'audit.anchor': { at: string };
  /** `recover`: a POST of this card began some time ago; when its outcome was never recorded, it is posted anew. */
  'outbox.flush': { key: string; recover?: true };
}
export type JobName = keyof JobData;

export interface Jobs {
  /**
   * Sends a job that is visible when the transaction commits. `delayMs` starts it later. `singletonKey`: while one
   * with the same key waits to start, another send does nothing.
   */
  send<Q extends JobName>(
    queue: Q,
    data: JobData[Q],
    options?: { delayMs?: number; singletonKey?: string },
  ): Promise<void>;
}

/** A living card, or a message that is posted once. One row per key; the newest version wins. */
export interface OutboxRow {
  /** For example "deploy:42:requester" (card) or "deploy:42:started" (message). */
  key: string;
  /** Conversation id to post to (with ";messageid=" for a thread). */
  conversation: string;
  /** Posted activity, once there is one; a form that became the card hands its id in. */
  activityId: string | null;
  /** What to render: small and JSON-safe; the card's content is read from the domain's state when it is sent. */
  payload: OutboxPayload;
  /** Wanted version. */
  version: number;
  /** Version that the channel has; 0 for none. */
  sentVersion: number;
  /** A POST began and its result is not known: never post again by ourselves. */
  posting: boolean;
  /** Given up for good (403, gone): why. */
  dead: string | null;
}
export type OutboxPayload =
  | { kind: 'deployment'; id: string; audience: 'requester' | 'approvals' | 'channel' }
  | {
      kind: 'message';
      text: string;
      /** Key of the row in whose thread it is posted; it waits for that one. */
      threadOf?: string;
      /** Key of a row that has to be posted before. */
      after?: string;
    };

export interface Outbox {
  /**
   * Makes or renews the row (version + 1) and sends an "outbox.flush" job for it. With `activityId` an activity that
   * is already there becomes the card.
   */
  put(row: { key: string; conversation: string; payload: OutboxPayload; activityId?: string }): Promise<void>;
  get(key: string): Promise<OutboxRow | null>;
  /** Every row whose key starts with the prefix. */
  list(prefix: string): Promise<OutboxRow[]>;
  /** Marks that a POST begins; false when one began before or the row has an activity. */
  beginPost(key: string): Promise<boolean>;
  /** Takes back the mark after a POST that certainly did not arrive. */
  abandonPost(key: string): Promise<void>;
  /** Records what was sent. Never lowers sentVersion. `activityId` null makes the card be posted anew. */
  sent(key: string, result: { version: number; activityId: string }): Promise<void>;
  /** The activity is gone at the channel (404): forget it, so that the next flush posts a new one, once. */
  forget(key: string): Promise<void>;
  kill(key: string, why: string): Promise<void>;
}

/** Where the bot can speak: kept from what came in. */
export interface ConversationRef {
  /** Without ";messageid=". */
  conversationId: string;
  kind: 'personal' | 'groupChat' | 'channel';
  serviceUrl: string;
  channelId: string;
  tenantId: string;
  /** The bot's own account in this conversation. */
  bot: { id: string; name: string };
  /** For a personal chat: the person's object id. */
  personId?: string;
  /** 403 or 404 for good. */
  dead?: string;
}
export interface References {
  /** Inserts or refreshes (serviceUrl, bot), and revives a dead one. */
  save(ref: ConversationRef): Promise<void>;
  get(conversationId: string): Promise<ConversationRef | null>;
  personal(personId: string): Promise<ConversationRef | null>;
  /** The newest of any kind in this tenant: its serviceUrl opens new personal chats. */
  any(): Promise<ConversationRef | null>;
  kill(conversationId: string, why: string): Promise<void>;
}

export interface Settings {
  get(key: string): Promise<string | null>;
  set(key: string, value: string): Promise<void>;
  /** The value that is there, else `value` is stored and returned; replicas agree. */
  getOrSet(key: string, value: string): Promise<string>;
}
