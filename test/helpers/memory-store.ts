import { AsyncLocalStorage } from 'node:async_hooks';
import { chain, GENESIS } from '../../src/audit/chain.ts';
import type { AuditEntry } from '../../src/audit/types.ts';
import { type Block, type Deployment, HOLDING_STATES, type Lock } from '../../src/deploys/types.ts';
import { ShipmateError } from '../../src/errors.ts';
import type { ConversationRef, JobData, JobName, OutboxRow, Store, Tx } from '../../src/store/types.ts';

/** A job as it lies in the queue. */
export type MemoryJob = { [Q in JobName]: { queue: Q; data: JobData[Q]; due: number; singletonKey?: string } }[JobName];

export interface MemoryStore extends Store {
  readonly kind: 'memory';
  /** Jobs that wait, in the order in which they are due. */
  waiting(): readonly MemoryJob[];
  /**
   * Runs what is due by `now`, and what those runs send, until nothing is; a handler that throws keeps its job, and
   * its error is thrown at the end. Jobs without a handler stay.
   */
  runDue(): Promise<void>;
  /** Everything, for assertions. A copy. */
  snapshot(): MemoryState;
  /** From now on every transaction fails like a database that is gone; null heals it. */
  breakWith(error: Error | null): void;
}

export interface MemoryState {
  deployments: Deployment[];
  locks: Lock[];
  blocks: Block[];
  nextId: number;
  claims: Record<string, string>;
  audit: AuditEntry[];
  jobs: MemoryJob[];
  outbox: Record<string, OutboxRow>;
  references: ConversationRef[];
  settings: Record<string, string>;
}

type Handlers = Map<JobName, (data: never) => Promise<void>>;

/**
 * A Store in memory for fast tests of the domain: transactions one at a time, rolled back by a snapshot, jobs run by
 * hand with `runDue()`. The contract suite holds it to the same rules as the real ones.
 */
export function createMemoryStore({ now = () => new Date() }: { now?: () => Date } = {}): MemoryStore {
  let state: MemoryState = {
    deployments: [],
    locks: [],
    blocks: [],
    nextId: 1,
    claims: {},
    audit: [],
    jobs: [],
    outbox: {},
    references: [],
    settings: {},
  };
  const handlers: Handlers = new Map();
  let broken: Error | null = null;
  let stopped = false;
  let lane: Promise<unknown> = Promise.resolve();

  const run = async <T>(fn: (tx: Tx) => Promise<T>): Promise<T> => {
    if (stopped) throw new ShipmateError('STORE_UNAVAILABLE', 'The store is closed.');
    if (broken) throw broken;
    // What a transaction does goes to a copy, so that a throw leaves nothing and a leak of an object changes nothing.
    const draft = structuredClone(state);
    const result = await fn(txOf(draft, now));
    state = draft;
    return structuredClone(result);
  };
  const inside = new AsyncLocalStorage<true>();
  const transaction = <T>(fn: (tx: Tx) => Promise<T>): Promise<T> => {
    // On the embedded store it would wait for itself for ever.
    if (inside.getStore()) return Promise.reject(new Error('a transaction within a transaction'));
    const mine = lane.then(() => inside.run(true, () => run(fn)));
    lane = mine.catch(() => undefined);
    return mine;
  };

  const runDue = async (): Promise<void> => {
    const failed: MemoryJob[] = [];
    const errors: unknown[] = [];
    for (;;) {
      const job = state.jobs.find(({ due, queue }) => due <= now().getTime() && handlers.has(queue));
      if (!job) break;
      // Taken out before it runs: one that runs does not swallow the next of its key.
      state.jobs = state.jobs.filter((each) => each !== job);
      try {
        await handlers.get(job.queue)?.(structuredClone(job.data) as never);
      } catch (error) {
        failed.push(job);
        errors.push(error);
      }
    }
    state.jobs = sorted([...failed, ...state.jobs]);
    if (errors.length > 0) throw errors[0];
  };

  return {
    kind: 'memory',
    transaction,
    read: (fn) => transaction(fn),
    work: (queue, handler) => void handlers.set(queue, handler as (data: never) => Promise<void>),
    start: () => Promise.resolve(),
    stop: async () => {
      stopped = true;
    },
    health: () => Promise.resolve(stopped ? 'the store is closed' : (broken?.message ?? null)),
    waiting: () => structuredClone(state.jobs),
    runDue,
    snapshot: () => structuredClone(state),
    breakWith: (error) => {
      broken = error;
    },
  };
}

function sorted(jobs: MemoryJob[]): MemoryJob[] {
  return jobs.sort((a, b) => a.due - b.due);
}

function txOf(state: MemoryState, now: () => Date): Tx {
  const jobs: Tx['jobs'] = {
    async send(queue, data, { delayMs = 0, singletonKey } = {}) {
      const same = (job: MemoryJob) => job.queue === queue && job.singletonKey === singletonKey;
      if (singletonKey !== undefined && state.jobs.some(same)) return;
      const due = now().getTime() + Math.max(0, delayMs);
      state.jobs.push({ queue, data, due, ...(singletonKey === undefined ? {} : { singletonKey }) } as MemoryJob);
      sorted(state.jobs);
    },
  };
  return {
    jobs,
    claims: {
      async claim(key, expiresAt) {
        if (Object.hasOwn(state.claims, key)) return false;
        state.claims[key] = expiresAt.toISOString();
        return true;
      },
    },
    deployments: deploymentsIn(state),
    locks: locksIn(state),
    blocks: blocksIn(state),
    audit: {
      async append(record, at) {
        const entry = chain(state.audit.at(-1) ?? GENESIS, record, at);
        state.audit.push(entry);
        return entry;
      },
      page: async ({ after, limit, since, until }) =>
        state.audit
          .filter(
            (entry) =>
              entry.seq > after &&
              (!since || Date.parse(entry.at) >= since.getTime()) &&
              (!until || Date.parse(entry.at) < until.getTime()),
          )
          .slice(0, limit),
      async head() {
        const { hash, seq } = state.audit.at(-1) ?? GENESIS;
        return { seq, hash };
      },
    },
    outbox: outboxIn(state, jobs),
    references: referencesIn(state),
    settings: {
      get: async (key) => state.settings[key] ?? null,
      async set(key, value) {
        state.settings[key] = value;
      },
      async getOrSet(key, value) {
        state.settings[key] ??= value;
        return state.settings[key];
      },
    },
  };
}

function deploymentsIn(state: MemoryState): Tx['deployments'] {
  const all = () => [...state.deployments].reverse();
  const find = (id: string) => state.deployments.find((each) => each.id === id);
  const holderOf = (service: string, environment: string) =>
    state.deployments.find(
      (each) => each.service === service && each.environment === environment && HOLDING_STATES.includes(each.state),
    ) ?? null;
  /** What succeeded there, the last first, by when it ended. */
  const there = (service: string, environment: string) =>
    all()
      .filter(
        (each) =>
          each.service === service &&
          each.environment === environment &&
          each.state === 'succeeded' &&
          each.kind !== 'command',
      )
      .sort((a, b) => (endsAfter(a, b) ? -1 : 1));
  const copy = <T>(value: T): T => structuredClone(value);
  return {
    async insert(wanted) {
      const duplicate = state.deployments.find(({ origin }) => origin === wanted.origin);
      if (duplicate) return { kind: 'duplicate', deployment: copy(duplicate) };
      const holder = holderOf(wanted.service, wanted.environment);
      if (holder && HOLDING_STATES.includes(wanted.state)) return { kind: 'busy', deployment: copy(holder) };
      const deployment = copy({ ...wanted, id: String(state.nextId), revision: 1, votes: [] });
      state.nextId += 1;
      state.deployments.push(deployment);
      return { kind: 'inserted', deployment: copy(deployment) };
    },
    get: async (id) => copy(find(id) ?? null),
    byOrigin: async (origin) => copy(state.deployments.find((each) => each.origin === origin) ?? null),
    async change(id, { from, revision }, patch) {
      const row = find(id);
      if (!row || !from.includes(row.state) || (revision !== undefined && row.revision !== revision))
        return { kind: 'stale' };
      const holder = holderOf(row.service, row.environment);
      if (patch.state !== undefined && HOLDING_STATES.includes(patch.state) && holder && holder.id !== id)
        return { kind: 'busy', deployment: copy(holder) };
      Object.assign(row, copy(patch), { revision: row.revision + 1 });
      return { kind: 'changed', deployment: copy(row) };
    },
    async vote(id, vote) {
      const row = find(id);
      if (!row) throw new Error(`no deployment ${id}`);
      if (row.votes.some(({ person }) => person.id === vote.person.id)) return false;
      row.votes.push(copy(vote));
      return true;
    },
    holder: async (service, environment) => copy(holderOf(service, environment)),
    unreviewed: async (limit) =>
      copy(
        state.deployments.filter(({ breakGlass }) => breakGlass !== null && breakGlass.review === null).slice(0, limit),
      ),
    list: async ({ deploysOnly, environment, limit, service, states }) =>
      copy(
        all()
          .filter(
            (each) =>
              (service === undefined || each.service === service) &&
              (environment === undefined || each.environment === environment) &&
              (states === undefined || states.includes(each.state)) &&
              (!deploysOnly || each.kind !== 'command'),
          )
          .slice(0, limit),
      ),
    lastSucceeded: async (service, environment) => copy(there(service, environment)[0] ?? null),
    async rollbackTarget(service, environment, exceptSha) {
      const good = there(service, environment);
      const leftBehind = (row: Deployment) =>
        good.some((back, index) => back.kind === 'rollback' && back.fromSha === row.sha && index < good.indexOf(row));
      return copy(good.find((row) => row.sha !== exceptSha && !leftBehind(row)) ?? null);
    },
  };
}

function locksIn(state: MemoryState): Tx['locks'] {
  const width = (lock: Lock) => Number(lock.service !== '') + Number(lock.environment !== '');
  const at = (service: string, environment: string) =>
    state.locks.find((lock) => lock.service === service && lock.environment === environment);
  return {
    async add(lock) {
      if (at(lock.service, lock.environment)) return false;
      state.locks.push(structuredClone(lock));
      return true;
    },
    async remove(service, environment) {
      const lock = at(service, environment);
      state.locks = state.locks.filter((each) => each !== lock);
      return lock ?? null;
    },
    covering: async (service, environment) =>
      structuredClone(
        state.locks
          .filter((lock) => ['', service].includes(lock.service) && ['', environment].includes(lock.environment))
          .sort((a, b) => width(a) - width(b) || a.service.localeCompare(b.service)),
      ),
    all: async () =>
      structuredClone(
        state.locks.toSorted(
          (a, b) => a.service.localeCompare(b.service) || a.environment.localeCompare(b.environment),
        ),
      ),
  };
}

function blocksIn(state: MemoryState): Tx['blocks'] {
  const at = (service: string, environment: string, sha: string) =>
    state.blocks.find((each) => each.service === service && each.environment === environment && each.sha === sha);
  return {
    async add(block) {
      if (!at(block.service, block.environment, block.sha)) state.blocks.push(structuredClone(block));
    },
    async remove(service, environment, sha) {
      const block = at(service, environment, sha);
      state.blocks = state.blocks.filter((each) => each !== block);
      return block ?? null;
    },
    get: async (service, environment, sha) => structuredClone(at(service, environment, sha) ?? null),
    list: async (service, environment) =>
      structuredClone(
        state.blocks
          .filter((each) => each.service === service && each.environment === environment)
          .sort((a, b) => a.sha.localeCompare(b.sha)),
      ),
  };
}

function endsAfter(a: Deployment, b: Deployment): boolean {
  const [one, other] = [a.finishedAt ?? '', b.finishedAt ?? ''];
  return one === other ? Number(a.id) > Number(b.id) : one > other;
}

function outboxIn(state: MemoryState, jobs: Tx['jobs']): Tx['outbox'] {
  const update = (key: string, patch: (row: OutboxRow) => Partial<OutboxRow>) => {
    const row = state.outbox[key];
    if (row) Object.assign(row, patch(row));
  };
  return {
    async put({ activityId, conversation, key, payload }) {
      const row = state.outbox[key];
      state.outbox[key] = {
        ...(row ?? { key, sentVersion: 0, posting: false, dead: null }),
        conversation,
        payload: structuredClone(payload),
        activityId: activityId ?? row?.activityId ?? null,
        version: (row?.version ?? 0) + 1,
      };
      await jobs.send('outbox.flush', { key }, { singletonKey: key });
    },
    get: async (key) => structuredClone(state.outbox[key] ?? null),
    list: async (prefix) =>
      structuredClone(
        Object.values(state.outbox)
          .filter(({ key }) => key.startsWith(prefix))
          .sort((a, b) => (a.key < b.key ? -1 : 1)),
      ),
    async beginPost(key) {
      const row = state.outbox[key];
      if (!row || row.posting || row.activityId !== null) return false;
      row.posting = true;
      return true;
    },
    abandonPost: async (key) => update(key, (row) => (row.activityId === null ? { posting: false } : {})),
    sent: async (key, { activityId, version }) =>
      update(key, (row) => ({ activityId, posting: false, sentVersion: Math.max(row.sentVersion, version) })),
    forget: async (key) => update(key, () => ({ activityId: null, posting: false, sentVersion: 0 })),
    kill: async (key, why) => update(key, () => ({ dead: why })),
  };
}

function referencesIn(state: MemoryState): Tx['references'] {
  // Newest last.
  const newest = (wanted: (ref: ConversationRef) => boolean) =>
    structuredClone([...state.references].reverse().find(wanted) ?? null);
  return {
    async save(ref) {
      const { dead: _, ...alive } = structuredClone(ref);
      state.references = [
        ...state.references.filter(({ conversationId }) => conversationId !== ref.conversationId),
        alive,
      ];
    },
    get: async (conversationId) => newest((ref) => ref.conversationId === conversationId),
    personal: async (personId) => newest((ref) => ref.personId === personId),
    any: async () => newest((ref) => ref.dead === undefined),
    async kill(conversationId, why) {
      for (const ref of state.references) if (ref.conversationId === conversationId) ref.dead = why;
    },
  };
}
