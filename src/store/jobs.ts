import { randomUUID } from 'node:crypto';
import { sql, type Transaction } from 'kysely';
import { type Db, fromKysely, PgBoss } from 'pg-boss';
import type { Logger } from '../logger.ts';
import type { Database } from './schema.ts';
import type { JobData, JobName, Jobs } from './types.ts';

/** A handler that throws is tried again for about a day; each handler looks at the state first. */
const RETRIES = { retryLimit: 300, retryDelay: 1, retryBackoff: true, retryDelayMax: 300 };
/** A killed process's job is taken over after this time without a sign of life (pg-boss's least). */
const HEARTBEAT_S = 10;
const DAY_S = 86_400;
const TROUBLE_MS = 5_000;

/** Workers of each queue in this process. */
const QUEUES: Readonly<Record<JobName, number>> = {
  'deploy.trigger': 2,
  'deploy.poll': 8,
  'deploy.expire': 1,
  'deploy.remind': 1,
  'deploy.due': 1,
  'deploy.next': 2,
  'deploy.cancel': 1,
  'deploy.answer': 1,
  'deploy.watch': 2,
  'deploy.review': 1,
  'deploy.drift': 1,
  'pipeline.event': 2,
  'deploy.foreign': 2,
  'audit.stream': 1,
  'audit.anchor': 1,
  'outbox.flush': 4,
};
const NAMES = Object.keys(QUEUES) as JobName[];

type Handler = (data: never) => Promise<void>;

/** Durable jobs on pg-boss. `send` needs the transaction: outside one, PGlite would wait for itself for ever. */
export class JobEngine {
  readonly #boss: PgBoss;
  readonly #logger: Logger;
  /** Told of each run of a job that failed. */
  onFailure: (job: JobName) => void = () => {};
  readonly #handlers = new Map<JobName, Handler>();
  readonly #workers = new Map<JobName, string[]>();
  readonly #timers = new Set<NodeJS.Timeout>();
  /** With one connection no worker can take a job while a transaction is open. */
  readonly #serial: boolean;
  #started = false;
  #trouble: { at: number; message: string } | null = null;

  constructor(connection: { connectionString: string } | { db: Db; backend: 'pglite' }, logger: Logger) {
    this.#logger = logger;
    this.#serial = 'backend' in connection;
    this.#boss = new PgBoss({
      ...connection,
      schema: 'jobs',
      max: 4,
      useListenNotify: true,
      superviseIntervalSeconds: 1,
      monitorIntervalSeconds: 1,
      schedule: false,
      reindex: false,
      monitorVacuum: false,
    });
    this.#boss.on('error', (error) => {
      this.#trouble = { at: Date.now(), message: error.message };
      logger.error('job engine', { error });
    });
    this.#boss.on('warning', (warning) => logger.debug('job engine', { warning }));
  }

  async open(): Promise<void> {
    await this.#boss.start();
    for (const name of NAMES)
      await this.#boss.createQueue(name, {
        // One waiting job per key; one that runs already does not swallow the next.
        policy: 'short',
        notify: true,
        ...RETRIES,
        heartbeatSeconds: HEARTBEAT_S,
        expireInSeconds: 300,
        // An expiry may wait longer than the default fourteen days if somebody configures it so.
        retentionSeconds: 90 * DAY_S,
        deleteAfterSeconds: DAY_S,
      });
    this.#started = true;
  }

  work<Q extends JobName>(queue: Q, handler: (data: JobData[Q]) => Promise<void>): void {
    this.#handlers.set(queue, handler as Handler);
  }

  /** Null when jobs run; else why not. Its own supervision looks every second, so trouble that is over is soon forgotten. */
  problem(): string | null {
    if (!this.#started) return 'the job engine is not running';
    const trouble = this.#trouble;
    return trouble !== null && Date.now() - trouble.at < TROUBLE_MS ? `the job engine: ${trouble.message}` : null;
  }

  async start(): Promise<void> {
    for (const [name, handler] of this.#handlers) {
      const workers: string[] = [];
      this.#workers.set(name, workers);
      for (let worker = 0; worker < QUEUES[name]; worker += 1) {
        const id = await this.#boss.work(
          name,
          // NOTIFY and our own timers wake the workers; polling is for what another process delayed.
          { batchSize: 1, pollingIntervalSeconds: 2, notifyPollingIntervalSeconds: 2 },
          async (jobs) => {
            // Whoever found a job looks for the next at once: a backlog would go at one job per poll.
            const own = workers[worker];
            if (own !== undefined) this.#boss.notifyWorker(own);
            for (const job of jobs) await this.#run(name, handler, job.data);
          },
        );
        workers[worker] = id;
      }
    }
  }

  async #run(name: JobName, handler: Handler, data: unknown): Promise<void> {
    try {
      await handler(data as never);
    } catch (error) {
      this.#logger.error('a job failed and will be tried again', { job: name, data, error });
      this.onFailure(name);
      throw error;
    }
  }

  /** Sends inside a transaction; `afterCommit` collects what is to be done when it has committed. */
  in(trx: Transaction<Database>, afterCommit: (() => void)[]): Jobs {
    return {
      send: async (queue, data, { delayMs = 0, singletonKey } = {}) => {
        const delayed = delayMs > 0;
        const options = {
          db: fromKysely(trx),
          ...(delayed ? { startAfter: new Date(Date.now() + delayMs) } : {}),
          // Jobs without a key would count as one: to the "short" policy no key is a key too.
          singletonKey: singletonKey ?? randomUUID(),
        };
        while ((await this.#boss.send(queue, data, options)) === null) {
          if (this.#serial || (await heldBack(trx, queue, options.singletonKey))) {
            afterCommit.push(() => this.#wake(queue));
            return;
          }
        }
        // A worker of this process is woken when the job is due, since its polling is slow.
        if (delayed && delayMs < 60_000) afterCommit.push(() => this.#wakeAfter(queue, delayMs + 20));
      },
    };
  }

  #wakeAfter(queue: JobName, ms: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      this.#wake(queue);
    }, ms);
    timer.unref();
    this.#timers.add(timer);
  }

  #wake(queue: JobName): void {
    for (const worker of this.#workers.get(queue) ?? []) this.#boss.notifyWorker(worker);
  }

  async stop(graceMs: number): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    if (!this.#started) return;
    this.#started = false;
    await this.#boss.stop({ graceful: true, timeout: graceMs, close: true });
  }
}

/**
 * Locks the job that waits under this key, so that no worker takes it before this transaction commits: a worker that did
 * would read what was there before, and what is being written now would never be acted on. False when a worker has it
 * already; then another job is needed.
 */
async function heldBack(trx: Transaction<Database>, queue: JobName, key: string): Promise<boolean> {
  const { rows } = await sql`
    select 1 from jobs.job where name = ${queue} and singleton_key = ${key} and state = 'created' for update`.execute(
    trx,
  );
  return rows.length > 0;
}
