import type { AccessDecision, AccessRequest, Person } from '../../src/access/types.ts';
import { lookForDrift } from '../../src/deploys/drift.ts';
import { createForeign, hear } from '../../src/deploys/foreign.ts';
import { createDeployJobs } from '../../src/deploys/jobs.ts';
import { createLaterJobs } from '../../src/deploys/later.ts';
import { remindOfReview } from '../../src/deploys/reviews.ts';
import type {
  ApprovalPolicy,
  Catalog,
  DeclaredCommand,
  Deployment,
  EnvironmentPolicy,
  Service,
} from '../../src/deploys/types.ts';
import { watch } from '../../src/deploys/watch.ts';
import { createDeploys, type DeployRequest } from '../../src/deploys/workflow.ts';
import { PipelineError } from '../../src/errors.ts';
import type {
  ForeignRun,
  Pipeline,
  RunStatus,
  TriggerRequest,
  Version,
  VersionSource,
} from '../../src/pipelines/types.ts';
import { silentLogger } from '../contract/harness/deps.ts';
import { person } from '../helpers/deployments.ts';
import { createMemoryStore, type MemoryStore } from '../helpers/memory-store.ts';
import { approval, catalog as emptyCatalog, environment as environmentOf } from '../helpers/policies.ts';

export const START = Date.parse('2026-11-24T12:00:00.000Z');
export const APPROVALS = '19:approvals@thread.tacv2';
export const OPS = '19:ops@thread.tacv2';
export const CHANNEL = '19:web@thread.tacv2';
export const sha = (letter: string) => letter.repeat(40);

/** A pipeline that does what the test says, and remembers what was asked of it. */
export interface ScriptedPipeline extends Pipeline {
  triggered: TriggerRequest[];
  /** What the next triggers do; then they succeed. */
  script: ('ok' | 'lost answer' | PipelineError | Error)[];
  /** Answers of findByKey before it tells the truth. */
  finds: (PipelineError | null)[];
  /** By run id. */
  runs: Map<string, RunStatus>;
  statusFails: PipelineError | null;
  cancelled: string[];
  answers: [gate: string, approved: boolean, by: string][];
  answerFails: PipelineError | null;
  /** What the vendor lists. */
  foreign: ForeignRun[];
}

export function scriptedPipeline({ idempotentTrigger = false } = {}): ScriptedPipeline {
  const byKey = new Map<string, string>();
  const pipeline: ScriptedPipeline = {
    kind: 'scripted',
    capabilities: { cancel: true, rerun: false, gates: true, dryRun: false, idempotentTrigger },
    pollMs: 1,
    triggered: [],
    script: [],
    finds: [],
    runs: new Map(),
    statusFails: null,
    cancelled: [],
    answers: [],
    answerFails: null,
    foreign: [],
    async trigger(request) {
      pipeline.triggered.push(request);
      const what = pipeline.script.shift() ?? 'ok';
      if (what instanceof Error) throw what;
      const id = byKey.get(request.key) ?? `run-${pipeline.runs.size + 1}`;
      byKey.set(request.key, id);
      if (!pipeline.runs.has(id)) pipeline.runs.set(id, { state: 'running', stages: [], tail: [] });
      if (what === 'lost answer') throw unknown();
      return { id };
    },
    async findByKey(key) {
      const what = pipeline.finds.shift();
      if (what) throw what;
      const id = byKey.get(key);
      return what === null || id === undefined ? null : { id };
    },
    async status({ id }) {
      if (pipeline.statusFails) throw pipeline.statusFails;
      const status = pipeline.runs.get(id);
      if (!status) throw new PipelineError('PIPELINE_LOST', 'The run is gone.');
      return structuredClone(status);
    },
    cancel: async ({ id }) => void pipeline.cancelled.push(id),
    async answer(_run, gate, { approved, by }) {
      if (pipeline.answerFails) throw pipeline.answerFails;
      pipeline.answers.push([gate, approved, by]);
    },
    recent: async () => pipeline.foreign,
    logs: async () => [],
    check: async () => [],
  };
  return pipeline;
}

export const unknown = () =>
  new PipelineError('PIPELINE_UNAVAILABLE', 'The answer did not come.', { sent: 'unknown', retryable: true });
export const refused = () =>
  new PipelineError('PIPELINE_UNAVAILABLE', 'Nobody listens.', { sent: 'no', retryable: true });

export type Bench = ReturnType<typeof createBench>;

/** Deploys and their jobs on the memory store, with a clock, people and tags that the test sets. */
export function createBench({
  idempotentTrigger = false,
  count = 1,
  staging = {},
  production = {},
  openStore,
}: {
  idempotentTrigger?: boolean;
  count?: number;
  staging?: Partial<EnvironmentPolicy>;
  production?: Partial<EnvironmentPolicy>;
  /** Another store than the one in memory, on the bench's clock. */
  openStore?: (now: () => Date) => MemoryStore;
} = {}) {
  let clock = START;
  const now = () => new Date(clock);
  const store = openStore?.(now) ?? createMemoryStore({ now });
  const pipeline = scriptedPipeline({ idempotentTrigger });
  const tags = new Map<string, string>([
    ['1.0.0', sha('0')],
    ['1.1.0', sha('1')],
    ['1.2.0', sha('2')],
  ]);
  const broken = { versions: false };
  const guard = <T>(value: T): T => {
    if (broken.versions) throw new PipelineError('VERSIONS_UNAVAILABLE', 'git is down', { retryable: true });
    return value;
  };
  const named = ([name, id]: [string, string]): Version => ({ name, sha: id });
  const versions: VersionSource = {
    kind: 'scripted',
    list: async ({ limit }) => guard([...tags].reverse().map(named).slice(0, limit)),
    search: async (text) => guard([...tags].map(named).filter(({ name }) => name.includes(text))),
    resolve: async (name) => guard(tags.has(name) ? { name, sha: tags.get(name) ?? '' } : null),
    compare: async () => ({ commits: [{ sha: sha('c'), subject: 'Fix the total' }], total: 3, backwards: false }),
    check: async () => [],
  };
  /** Who may not, by "name permission". */
  const denied = new Set<string>();
  const directory = { down: false };
  const asked: { name: string; permission: string; fresh: boolean }[] = [];
  const authorise = async (who: Person, { permission }: AccessRequest, options?: { fresh?: boolean }) => {
    asked.push({ name: who.name, permission, fresh: options?.fresh ?? false });
    const no = (code: 'ACCESS_DENIED' | 'DIRECTORY_UNAVAILABLE'): AccessDecision => ({
      allowed: false,
      code,
      message: 'No.',
      groups: ['leads'],
    });
    if (directory.down) return no('DIRECTORY_UNAVAILABLE');
    return denied.has(`${who.name} ${permission}`)
      ? no('ACCESS_DENIED')
      : ({ allowed: true, code: 'OK', role: 'r' } as const);
  };
  const environment = (name: string, wanted: ApprovalPolicy | null): EnvironmentPolicy =>
    environmentOf({ name, approval: wanted, confirm: wanted !== null, production: wanted !== null });
  const service: Service = {
    name: 'storefront',
    team: 'web',
    channel: CHANNEL,
    environments: [
      { ...environment('staging', null), ...staging },
      { ...environment('production', approval({ count })), ...production },
    ],
    pipeline,
    versions,
    hears: false,
    alone: true,
  };
  const rules = { hash: 'policy-1' };
  const services = new Map([[service.name, service]]);
  const commands = new Map<string, DeclaredCommand>([
    [
      'restart',
      {
        name: 'restart',
        summary: 'Restart it.',
        inputs: [],
        confirm: false,
        places: new Map([['storefront', ['staging', 'production']]]),
        pipelines: new Map([['storefront', pipeline]]),
      },
    ],
  ]);
  /** What a version URL answers, and what the check after a deploy says. */
  const seen: { version: { version: string; sha?: string } | { problem: string }; health: string | null } = {
    version: { problem: 'none' },
    health: null,
  };
  const catalog = (): Catalog =>
    emptyCatalog({
      services,
      commands,
      approvalsChannel: APPROVALS,
      opsChannel: OPS,
      groupsWho: (permission) => [`g-${permission}`],
      personOf: (login) => (login === 'octo-dana' ? person('dana') : null),
      whoMay: (permission) => (permission === 'break-glass' ? ['oncall'] : []),
      policyHash: (_service, name) => `${name}:${rules.hash}`,
    });
  const stopping = new AbortController();
  const ended: Deployment['state'][] = [];
  const deps = {
    store,
    catalog,
    now,
    authoriser: { authorise, rights: async () => ({ groups: [], roles: [], rights: [], general: [] }) },
    probe: { ask: async () => seen.version },
    logger: silentLogger,
  };
  const deploys = createDeploys(deps);
  const jobs = createDeployJobs({ ...deps, stopping: stopping.signal, onEnd: (state) => void ended.push(state) });
  store.work('deploy.trigger', jobs.trigger);
  store.work('deploy.expire', jobs.expire);
  const later = createLaterJobs(deps);
  store.work('deploy.due', later.due);
  store.work('deploy.next', later.next);
  store.work('deploy.remind', later.remind);
  store.work('deploy.cancel', later.cancel);
  store.work('deploy.answer', later.answer);
  store.work('deploy.watch', ({ id }) => watch({ ...deps, health: { check: async () => seen.health } }, id));
  store.work('deploy.review', ({ id }) => remindOfReview(deps, id));
  const foreign = createForeign(deps);
  store.work('deploy.foreign', foreign.look);
  let origins = 0;
  const ask = (more: Partial<DeployRequest> = {}) => {
    origins += 1;
    return deploys.request({
      kind: 'deploy',
      person: person('dana'),
      service: 'storefront',
      environment: 'staging',
      version: '1.1.0',
      reason: null,
      origin: `message:${origins}`,
      conversation: 'a:dana',
      ...more,
    });
  };
  const asking = async (more: Partial<DeployRequest> = {}): Promise<Deployment> => {
    const result = await ask(more);
    if (!result.ok) throw new Error(`refused: ${result.code} ${result.message}`);
    return result.deployment;
  };
  return {
    seen,
    drift: () => lookForDrift(deps),
    look: (heard = true) => {
      // What is heard within seconds is looked at together.
      clock += 6_000;
      return foreign.look({ service: 'storefront', heard });
    },
    hear: (runs: string[], look = false) => hear(deps, { connection: 'c', runs, look }, () => ['storefront']),
    store,
    deploys,
    jobs,
    later,
    pipeline,
    services,
    tags,
    broken,
    denied,
    directory,
    asked,
    rules,
    stopping,
    ended,
    ask,
    asking,
    now,
    /** Makes the approvals channel known, as if the bot had been spoken to there. */
    knowApprovals: () =>
      store.transaction((tx) =>
        tx.references.save({
          conversationId: APPROVALS,
          kind: 'channel',
          serviceUrl: 'http://127.0.0.1:1/',
          channelId: 'msteams',
          tenantId: 'tenant',
          bot: { id: '28:b', name: 'Shipmate' },
        }),
      ),
    decide: (deployment: Deployment, name: string, decision: 'approve' | 'reject' = 'approve', more: object = {}) =>
      deploys.decide({
        person: person(name),
        id: deployment.id,
        digest: deployment.digest,
        decision,
        reason: null,
        conversation: APPROVALS,
        ...more,
      }),
    get: async (id: string): Promise<Deployment> => {
      const found = await deploys.get(id);
      if (!found) throw new Error(`no deployment ${id}`);
      return found;
    },
    /** Moves the clock in steps and runs what becomes due, all but the polls. */
    async pass(ms: number, step = 1_000): Promise<void> {
      for (const until = clock + ms; clock < until; ) {
        clock = Math.min(until, clock + step);
        await store.runDue();
      }
    },
    tick(ms: number): void {
      clock += ms;
    },
    /** One poll that looks once. */
    async poll(id: string): Promise<void> {
      stopping.abort();
      await jobs.poll({ id });
    },
    /** Brings a deploy to its end by the run's result. */
    async finish(id: string, status: Partial<RunStatus> = {}): Promise<Deployment> {
      await store.runDue();
      const run = (await deploys.get(id))?.run?.id ?? '';
      pipeline.runs.set(run, { state: 'succeeded', stages: [], tail: [], ...status });
      stopping.abort();
      await jobs.poll({ id });
      clock += 1_000;
      const found = await deploys.get(id);
      if (!found) throw new Error(`no deployment ${id}`);
      return found;
    },
    /** "action outcome code" of each audit entry. */
    trail: () => store.snapshot().audit.map(({ action, code, outcome }) => `${action} ${outcome} ${code}`),
    texts: () =>
      Object.values(store.snapshot().outbox).flatMap(({ payload }) =>
        payload.kind === 'message' ? [payload.text] : [],
      ),
    cards: () => Object.keys(store.snapshot().outbox).filter((key) => /:(?:requester|approvals|channel)$/.test(key)),
  };
}
