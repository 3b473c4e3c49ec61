import { expect, it } from '@jest/globals';
import fc from 'fast-check';
import { verifyChain } from '../../src/audit/chain.ts';
import { type Deployment, FINAL_STATES, HOLDING_STATES } from '../../src/deploys/types.ts';
import { person } from '../helpers/deployments.ts';
import { createHybridStore } from '../helpers/hybrid-store.ts';
import { describeStore, openTestStore } from '../helpers/store.ts';
import { createBench } from './bench.ts';

/**
 * Random histories against a small model of what must never happen: no approval without right, no run without valid
 * approvals, one running deploy per environment, one effect per origin, an audit without a gap. At least 10,000
 * commands per run of the suite; fast-check prints the seed of a failure.
 */

const PEOPLE = ['dana', 'alex', 'robin', 'kim'] as const;
const RIGHTS = ['deploy', 'approve', 'rollback', 'cancel', 'break-glass', 'lock', 'unlock'] as const;
const VERSIONS = ['1.0.0', '1.1.0', '1.2.0'] as const;
const MINUTE = 60_000;

type Bench = ReturnType<typeof createBench>;
interface Model {
  /** Rights that were taken away, "name right". */
  without: Set<string>;
  /** What was asked for, by its origin. */
  origins: Map<string, string>;
  /** Approvals that counted, by deployment. */
  approvals: Map<string, Set<string>>;
  /** Things that were done, that the audit has to have. */
  done: number;
}
interface Real {
  bench: Bench;
  counted: { commands: number };
  /** Closes the store and opens it again. */
  restart: () => Promise<void>;
}

const may = (model: Model, name: string, right: string) => !model.without.has(`${name} ${right}`);
const all = (bench: Bench) => bench.store.snapshot().deployments;

/** What holds after every command. */
async function holds(model: Model, { bench, counted }: Real): Promise<void> {
  counted.commands += 1;
  const rows = all(bench);
  for (const environment of ['staging', 'production']) {
    const holding = rows.filter((it) => it.environment === environment && HOLDING_STATES.includes(it.state));
    expect(holding.length).toBeLessThanOrEqual(1);
  }
  const triggered = bench.pipeline.triggered.map(({ key }) => key);
  expect(new Set(triggered).size).toBe(triggered.length);
  for (const key of triggered) {
    const it = rows.find(({ runKey }) => runKey === key) as Deployment;
    const counted = [...(model.approvals.get(it.id) ?? [])];
    expect(counted.length).toBeGreaterThanOrEqual(it.approval?.count ?? 0);
    expect(counted).not.toContain(it.requestedBy.name);
  }
  for (const it of rows) if (FINAL_STATES.includes(it.state)) expect(it.finishedAt).not.toBeNull();
}

class Ask implements fc.AsyncCommand<Model, Real> {
  readonly who: string;
  readonly environment: string;
  readonly version: string;
  readonly origin: number;
  readonly glass: boolean;
  constructor(who: string, environment: string, version: string, origin: number, glass: boolean) {
    this.who = who;
    this.environment = environment;
    this.version = version;
    this.origin = origin;
    this.glass = glass;
  }
  check = () => true;
  async run(model: Model, real: Real): Promise<void> {
    const origin = `message:${this.origin}`;
    const before = all(real.bench).length;
    const result = await real.bench.ask({
      person: person(this.who),
      environment: this.environment,
      version: this.version,
      origin,
      ...(this.glass ? { breakGlass: 'it burns' } : {}),
    });
    const known = model.origins.get(origin);
    if (result.ok) {
      if (known === undefined) {
        expect(may(model, this.who, 'deploy')).toBe(true);
        expect(all(real.bench)).toHaveLength(before + 1);
        model.done += 1;
        if (this.glass) expect(may(model, this.who, 'break-glass')).toBe(true);
        else expect(result.deployment.approval === null).toBe(this.environment === 'staging');
      } else expect([result.deployment.id, all(real.bench).length]).toEqual([known, before]);
      model.origins.set(origin, result.deployment.id);
    } else expect(all(real.bench)).toHaveLength(before);
    await holds(model, real);
  }
  toString = () => `ask ${this.who} ${this.version}>${this.environment} #${this.origin}${this.glass ? ' glass' : ''}`;
}

class Decide implements fc.AsyncCommand<Model, Real> {
  readonly who: string;
  readonly which: number;
  readonly decision: 'approve' | 'reject';
  constructor(who: string, which: number, decision: 'approve' | 'reject') {
    this.who = who;
    this.which = which;
    this.decision = decision;
  }
  check = () => true;
  async run(model: Model, real: Real): Promise<void> {
    const rows = all(real.bench);
    const it = rows[this.which % Math.max(1, rows.length)];
    if (it) {
      const result = await real.bench.decide(it, this.who, this.decision);
      if (result.ok) {
        expect(may(model, this.who, 'approve')).toBe(true);
        expect(it.state).toBe('awaiting_approval');
        expect(this.who).not.toBe(it.requestedBy.name);
        expect(Date.parse(it.approval?.expiresAt ?? '')).toBeGreaterThan(real.bench.now().getTime());
        model.done += 1;
        if (this.decision === 'approve') {
          const names = model.approvals.get(it.id) ?? new Set();
          expect(names.has(this.who)).toBe(false);
          model.approvals.set(it.id, names.add(this.who));
        }
      } else expect((await real.bench.get(it.id)).votes).toEqual(it.votes);
    }
    await holds(model, real);
  }
  toString = () => `${this.decision} ${this.who} ${this.which}`;
}

class Right implements fc.AsyncCommand<Model, Real> {
  readonly name: string;
  readonly right: string;
  constructor(name: string, right: string) {
    this.name = name;
    this.right = right;
  }
  check = () => true;
  async run(model: Model, real: Real): Promise<void> {
    const key = `${this.name} ${this.right}`;
    for (const set of [model.without, real.bench.denied]) if (!set.delete(key)) set.add(key);
    await holds(model, real);
  }
  toString = () => `flip ${this.name} ${this.right}`;
}

class Cancel implements fc.AsyncCommand<Model, Real> {
  readonly who: string;
  readonly which: number;
  constructor(who: string, which: number) {
    this.who = who;
    this.which = which;
  }
  check = () => true;
  async run(model: Model, real: Real): Promise<void> {
    const rows = all(real.bench);
    const it = rows[this.which % Math.max(1, rows.length)];
    if (it) {
      const input = { person: person(this.who), id: it.id, reason: null, conversation: 'a:x' };
      const result = await real.bench.deploys.cancel(input);
      const own = it.requestedBy.name === this.who && it.state !== 'running';
      if (result.ok) expect(may(model, this.who, 'cancel') || own).toBe(true);
      if (result.ok && it.cancel === null) model.done += 1;
    }
    await holds(model, real);
  }
  toString = () => `cancel ${this.who} ${this.which}`;
}

class Lock implements fc.AsyncCommand<Model, Real> {
  readonly who: string;
  readonly environment: string;
  readonly on: boolean;
  constructor(who: string, environment: string, on: boolean) {
    this.who = who;
    this.environment = environment;
    this.on = on;
  }
  check = () => true;
  async run(model: Model, real: Real): Promise<void> {
    const place = {
      service: 'storefront',
      environment: this.environment,
      conversation: 'a:x',
      person: person(this.who),
    };
    const result = this.on
      ? await real.bench.deploys.lock({ ...place, reason: 'r', version: null })
      : await real.bench.deploys.unlock(place);
    if (result.ok) {
      model.done += 1;
      expect(may(model, this.who, 'lock') || (!this.on && may(model, this.who, 'unlock'))).toBe(true);
    }
    await holds(model, real);
  }
  toString = () => `${this.on ? 'lock' : 'unlock'} ${this.who} ${this.environment}`;
}

/** Time goes by: jobs run, runs end or not, the configuration's rules change. */
class World implements fc.AsyncCommand<Model, Real> {
  readonly what: 'jobs' | 'end' | 'fail' | 'time' | 'rules' | 'directory' | 'restart';
  readonly minutes: number;
  constructor(what: World['what'], minutes: number) {
    this.what = what;
    this.minutes = minutes;
  }
  check = () => true;
  async run(model: Model, real: Real): Promise<void> {
    const { bench } = real;
    if (this.what === 'restart') await real.restart();
    if (this.what === 'time') bench.tick(this.minutes * MINUTE);
    if (this.what === 'rules') bench.rules.hash = `policy-${this.minutes % 3}`;
    if (this.what === 'directory') bench.directory.down = !bench.directory.down;
    if (this.what === 'end' || this.what === 'fail')
      for (const it of all(bench).filter(({ state }) => state === 'running'))
        await bench.finish(it.id, { state: this.what === 'end' ? 'succeeded' : 'failed' });
    // What may not start now may never: whoever is without a right at this moment had no run of theirs triggered.
    const before = bench.pipeline.triggered.length;
    await bench.store.runDue();
    for (const { key } of bench.pipeline.triggered.slice(before)) {
      const it = all(bench).find(({ runKey }) => runKey === key) as Deployment;
      expect(bench.directory.down).toBe(false);
      expect(may(model, it.requestedBy.name, 'deploy')).toBe(true);
      for (const name of model.approvals.get(it.id) ?? []) expect(may(model, name, 'approve')).toBe(true);
      if (it.breakGlass !== null) expect(may(model, it.requestedBy.name, 'break-glass')).toBe(true);
    }
    await holds(model, real);
  }
  toString = () => `${this.what} ${this.minutes}`;
}

const name = fc.constantFrom(...PEOPLE);
const place = fc.constantFrom('staging', 'production');
const which = fc.nat({ max: 12 });
const COMMANDS = [
  fc
    .tuple(
      name,
      place,
      fc.constantFrom(...VERSIONS),
      fc.nat({ max: 40 }),
      fc.nat({ max: 9 }).map((n) => n === 0),
    )
    .map((args) => new Ask(...args)),
  fc
    .tuple(name, which, fc.constantFrom<'approve' | 'reject'>('approve', 'approve', 'approve', 'reject'))
    .map((args) => new Decide(...args)),
  fc.tuple(name, fc.constantFrom(...RIGHTS)).map((args) => new Right(...args)),
  fc.tuple(name, which).map((args) => new Cancel(...args)),
  fc.tuple(name, place, fc.boolean()).map((args) => new Lock(...args)),
  fc
    .tuple(
      fc.constantFrom<World['what']>('jobs', 'jobs', 'end', 'end', 'fail', 'time', 'rules', 'directory'),
      fc.integer({ min: 1, max: 300 }),
    )
    .map((args) => new World(...args)),
];
const restarts = fc.constant(null).map(() => new World('restart', 0));

interface Seen {
  counted: { commands: number };
  reached: Set<string>;
}

/** One history from an empty store to a quiet end, where nothing is stuck and the audit is whole. */
async function play(
  bench: Bench,
  history: Iterable<fc.AsyncCommand<Model, Real>>,
  { counted, reached }: Seen,
  restart: () => Promise<void> = async () => {},
): Promise<void> {
  await bench.knowApprovals();
  const model: Model = { without: new Set(), origins: new Map(), approvals: new Map(), done: 0 };
  await fc.asyncModelRun(() => ({ model, real: { bench, counted, restart } }), history);
  // In the end nothing is stuck: everybody may again, every run ends, and time goes by.
  bench.directory.down = false;
  for (const { environment, service } of await bench.deploys.locks())
    await bench.store.transaction((tx) => tx.locks.remove(service, environment));
  for (let turn = 0; turn < 40; turn += 1) {
    for (const it of all(bench).filter(({ state }) => state === 'running')) await bench.finish(it.id);
    bench.tick(10 * MINUTE);
    await bench.store.runDue();
  }
  for (const it of all(bench)) {
    reached.add(it.state);
    expect(FINAL_STATES).toContain(it.state);
  }
  const { audit } = bench.store.snapshot();
  expect((await verifyChain(audit)).ok).toBe(true);
  const people = audit.filter(({ actor, outcome }) => outcome === 'done' && actor.id !== 'system');
  expect(people.length).toBeGreaterThanOrEqual(model.done);
}

const CONCURRENCY = fc.constantFrom('queue', 'latest', 'reject');
const COUNT = fc.integer({ min: 1, max: 2 });
const nothingSeen = (): Seen => ({ counted: { commands: 0 }, reached: new Set() });

it('holds over random histories', async () => {
  const seen = nothingSeen();
  await fc.assert(
    fc.asyncProperty(
      fc.commands(COMMANDS, { size: '+2', maxCommands: 120 }),
      CONCURRENCY,
      COUNT,
      (history, concurrency, count) =>
        play(createBench({ count, staging: { concurrency }, production: { concurrency } }), history, seen),
    ),
    { numRuns: 220 },
  );
  expect(seen.counted.commands).toBeGreaterThanOrEqual(10_000);
  expect([...seen.reached]).toEqual(
    expect.arrayContaining(['succeeded', 'failed', 'cancelled', 'rejected', 'expired', 'blocked']),
  );
}, 240_000);

for (const kind of ['pglite', 'postgres'] as const)
  describeStore(kind, 'a sample of the histories, with restarts', () => {
    it('holds on the real store too', async () => {
      const seen = nothingSeen();
      await fc.assert(
        fc.asyncProperty(
          fc.commands([...COMMANDS, restarts], { size: '+1', maxCommands: 60 }),
          CONCURRENCY,
          COUNT,
          async (history, concurrency, count) => {
            const opened = await openTestStore(kind);
            try {
              let restart = async () => {};
              const openStore = (now: () => Date) => {
                const hybrid = createHybridStore(opened, { now });
                restart = hybrid.restart;
                return hybrid;
              };
              const bench = createBench({ count, staging: { concurrency }, production: { concurrency }, openStore });
              await play(bench, history, seen, () => restart());
            } finally {
              await opened.close();
            }
          },
        ),
        // Shrinking on a real store takes minutes: the seed is printed, and the store in memory is faster at it.
        { numRuns: 5, endOnFailure: true },
      );
      expect(seen.counted.commands).toBeGreaterThanOrEqual(50);
    }, 240_000);
  });
