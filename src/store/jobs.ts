import type { Transaction } from 'kysely';
import { type Db, fromKysely, PgBoss } from 'pg-boss';
import type { Logger } from '../logger.ts';
import type { Database } from './schema.ts';
import type { JobData, JobName, Jobs } from './types.ts';

/** A handler that throws is tried again for about a day; each handler looks at the state first. */
const RETRIES = { retryLimit: 300, retryDelay: 1, retryBackoff: true, retryDelayMax: 300 };
/** A killed process's job is taken over after this time without a sign of life (pg-boss's least). */
const HEARTBEAT_S = 10;
const DAY_S = 86_400;

const QUEUES: Readonly<Record<JobName, { policy: 'standard' | 'short'; concurrency: number }>> = {
  'deploy.trigger': { policy: 'standard', concurrency: 2 },
  'deploy.poll': { policy: 'standard', concurrency: 8 },
  'deploy.expire': { policy: 'standard', concurrency: 1 },
  // "short": one waiting job per key; one that runs already does not swallow the next.
  'outbox.flush': { policy: 'short', concurrency: 4 },
};
const NAMES = Object.keys(QUEUES) as JobName[];

type Handler = (data: never) => Promise<void>;

/** Durable jobs on pg-boss. `send` needs the transaction: outside one, PGlite would wait for itself for ever. */
export class JobEngine {
  readonly #boss: PgBoss;
  readonly #logger: Logger;
  readonly #handlers = new Map<JobName, Handler>();
  readonly #workers = new Map<JobName, string[]>();
  readonly #timers = new Set<NodeJS.Timeout>();
  #started = false;

  constructor(connection: { connectionString: string } | { db: Db; backend: 'pglite' }, logger: Logger) {
    this.#logger = logger;
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
    this.#boss.on('error', (error) => logger.error('job engine', { error }));
    this.#boss.on('warning', (warning) => logger.debug('job engine', { warning }));
  }

  async open(): Promise<void> {
    await this.#boss.start();
    for (const name of NAMES)
      await this.#boss.createQueue(name, {
        policy: QUEUES[name].policy,
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

  async start(): Promise<void> {
    for (const [name, handler] of this.#handlers) {
      const workers: string[] = [];
      for (let worker = 0; worker < QUEUES[name].concurrency; worker += 1)
        workers.push(
          await this.#boss.work(
            name,
            // NOTIFY and our own timers wake the workers; polling is for what another process delayed.
            { batchSize: 1, pollingIntervalSeconds: 2, notifyPollingIntervalSeconds: 2 },
            async (jobs) => {
              for (const job of jobs) await this.#run(name, handler, job.data);
            },
          ),
        );
      this.#workers.set(name, workers);
    }
  }

  async #run(name: JobName, handler: Handler, data: unknown): Promise<void> {
    try {
      await handler(data as never);
    } catch (error) {
      this.#logger.error('a job failed and will be tried again', { job: name, data, error });
      throw error;
    }
  }

  /** Sends inside a transaction; `afterCommit` collects what is to be done when it has committed. */
  in(trx: Transaction<Database>, afterCommit: (() => void)[]): Jobs {
    return {
      send: async (queue, data, { delayMs = 0, singletonKey } = {}) => {
        const delayed = delayMs > 0;
        await this.#boss.send(queue, data, {
          db: fromKysely(trx),
          ...(delayed ? { startAfter: new Date(Date.now() + delayMs) } : {}),
          ...(singletonKey === undefined ? {} : { singletonKey }),
        });
        // A worker of this process is woken when the job is due, since its polling is slow.
        if (delayed && delayMs < 60_000) afterCommit.push(() => this.#wakeAfter(queue, delayMs + 20));
      },
    };
  }

  #wakeAfter(queue: JobName, ms: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(timer);
      for (const worker of this.#workers.get(queue) ?? []) this.#boss.notifyWorker(worker);
    }, ms);
    timer.unref();
    this.#timers.add(timer);
  }

  async stop(graceMs: number): Promise<void> {
    for (const timer of this.#timers) clearTimeout(timer);
    if (!this.#started) return;
    this.#started = false;
    await this.#boss.stop({ graceful: true, timeout: graceMs, close: true });
  }
}
