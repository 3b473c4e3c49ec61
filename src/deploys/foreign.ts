import type { Person } from '../access/types.ts';
import { PipelineError, type ReasonCode } from '../errors.ts';
import type { ForeignRun } from '../pipelines/types.ts';
import type { Tx } from '../store/types.ts';
import type { DeployDeps } from './decisions.ts';
import { outOfBand } from './drift.ts';
import { compareVersions, type Gathered, runningVersion, runsBefore } from './gather.ts';
import { createPlacing, type DeployRequest } from './placing.ts';
import { takeBack } from './queue.ts';
import { sameCommit } from './rules.ts';
import { announce, show, tell, titleOf } from './show.ts';
import {
  type ApprovalPolicy,
  type Deployment,
  type EnvironmentPolicy,
  type ForeignStart,
  HOLDING_STATES,
  PENDING_STATES,
  type Service,
  SYSTEM,
} from './types.ts';

/** A vendor that tells by webhook is asked this seldom without one. */
const HEARING_MS = 10 * 60_000;
/** What a vendor tells is looked at this long after the last look: a stream of webhooks costs no more than this. */
const HEARD_MS = 5_000;
/** Vendors list runs by when they were made; one may build for hours before it comes to an environment. */
const SINCE_MS = 24 * 3_600_000;
/** So long after one of ours ended its run may still be listed as it was before. */
const LAG_MS = 2 * 60_000;
/** How often one run may be asked about anew, because it waits again. */
const MOST_ROUNDS = 20;
/** While one of ours is just starting nothing can be told apart: it is looked at again then. */
const AGAIN_MS = 5_000;
const REMEMBERED_MS = 90 * 86_400_000;
const DAY_MS = 86_400_000;
/** Ours are known by their ids: as many of the newest deployments are looked at. */
const KNOWN = 200;
/** For what asks for no approval by itself. */
const DEFAULT_EXPIRES_MS = 4 * 3_600_000;
const DEFAULT_REMIND_MS = 30 * 60_000;

/** What is in nobody's hands now, and may be judged at the next look. */
const LATER: readonly ReasonCode[] = [
  'CHANNEL_UNKNOWN',
  'APPROVERS_EMPTY',
  'DIRECTORY_UNAVAILABLE',
  'VERSIONS_UNAVAILABLE',
];

/**
 * Looks for runs of a service that chat did not start. One that waits at the vendor's guard of an environment becomes a
 * deployment under all our rules, and is let go on or turned away there. One that runs without asking is told.
 */
export function createForeign(deps: DeployDeps) {
  const { catalog, logger, now, store } = deps;
  const placing = createPlacing(deps);

  const look = async ({ service: name, heard = false }: { service: string; heard?: boolean }): Promise<void> => {
    const service = catalog().services.get(name);
    if (service?.pipeline.recent === undefined) return;
    const key = `foreign:${name}`;
    const before = await store.read((tx) => tx.settings.get(key));
    const last = before === null ? null : Date.parse(before);
    const at = now();
    if (!service.alone) return;
    if (last !== null && service.hears && !heard && at.getTime() - last < HEARING_MS) return;
    if ((last !== null && heard && at.getTime() - last < HEARD_MS) || (await isStarting(name))) {
      await store.transaction((tx) =>
        tx.jobs.send('deploy.foreign', { service: name, heard }, { delayMs: AGAIN_MS, singletonKey: `${name}:later` }),
      );
      return;
    }
    const since = new Date(at.getTime() - SINCE_MS);
    const runs = await service.pipeline.recent({ since });
    const known = await store.read((tx) => tx.deployments.list({ service: name, limit: KNOWN }));
    // One that began while we asked may be ours: its id is not stored yet.
    if (await isStarting(name)) return look({ service: name, heard });
    for (const run of runs) {
      // The guard says where a run goes; what the run says of itself (its name, its inputs) is the word of whoever started it.
      const where = run.gate === undefined ? run.environment : run.gate.environment;
      const environment = service.environments.find(({ name }) => name === where);
      const mine = known.filter((each) => each.environment === where && runOf(each) === run.run.id);
      try {
        // A guard of nobody knows which environment is answered by no rule of ours; it waits, and that is told.
        if (environment === undefined) {
          if (run.gate !== undefined)
            await store.transaction((tx) => putOff(tx, service, run, 'its guard is of no environment that I know.'));
        } else if (run.gate !== undefined) {
          // One that follows the run there answers its guard itself.
          if (!mine.some(({ foreign, state }) => foreign === null && HOLDING_STATES.includes(state)))
            await adopt(service, environment, run, run.gate.id);
        } else await notice(service, environment, run, mine, last === null);
      } catch (error) {
        logger.warn('a run that chat did not start could not be looked at', { service: name, run: run.run.id, error });
      }
    }
    await forget(service, known, runs);
    await store.transaction((tx) => tx.settings.set(key, at.toISOString()));
  };

  const isStarting = (service: string): Promise<boolean> =>
    store.read(async (tx) => {
      const queued = await tx.deployments.list({ service, states: ['queued'], limit: 20 });
      return queued.some(({ foreign, triggerStartedAt }) => triggerStartedAt !== null && foreign === null);
    });

  /** Makes it a deployment, or leaves it where it is until it can be judged. */
  const adopt = async (service: Service, environment: EnvironmentPolicy, run: ForeignRun, gate: string) => {
    const origin = await unasked(`foreign:${service.name}:${run.run.id}:${gate}`);
    if (origin === null) return;
    const conversation = service.channel ?? catalog().opsChannel ?? catalog().approvalsChannel;
    if (conversation === undefined) {
      logger.warn('a run waits at the vendor, and no channel is known to ask in', { service: service.name });
      return;
    }
    const person = run.startedBy === null ? null : catalog().personOf(run.startedBy, service.connection ?? null);
    const foreign: ForeignStart = {
      run: run.run,
      gate,
      vendor: titleOf(service.pipeline),
      startedBy: run.startedBy,
      known: person !== null,
    };
    const input: DeployRequest = {
      kind: 'deploy',
      person: person ?? stranger(foreign),
      service: service.name,
      environment: environment.name,
      version: run.version,
      reason: null,
      origin,
      conversation,
      foreign,
    };
    const gathered = await gatherForeign(service, environment, run, input.person, foreign.known);
    input.version = gathered.version.name;
    await store.transaction(async (tx) => {
      const placed = await placing.place(tx, input, gathered);
      if (placed.ok) {
        if (placed.duplicate) return;
        await record(tx, placed.deployment, 'done', 'OK');
        await show(tx, placed.deployment, catalog());
        await placing.begin(tx, placed.deployment, environment);
        return;
      }
      if (LATER.includes(placed.code)) return putOff(tx, service, run, placed.message);
      // A rule refuses: it is told there and here, and whoever started it may do so again.
      const refused = placing.newDeployment(input, gathered, { ok: true, approval: null, start: 'now', broken: [] });
      const problem = { code: placed.code, message: placed.message };
      const row = { ...refused, state: 'blocked' as const, finishedAt: now().toISOString(), problem };
      const inserted = await tx.deployments.insert(row);
      if (inserted.kind !== 'inserted') return;
      await record(tx, inserted.deployment, 'refused', placed.code);
      await show(tx, inserted.deployment, catalog());
      await announce(tx, inserted.deployment, catalog(), 'ended');
    });
  };

  /** The origin of a new request; null while the one before is open, or was answered a moment ago. */
  const unasked = async (base: string): Promise<string | null> => {
    for (let round = 1; round <= MOST_ROUNDS; round += 1) {
      const origin = round === 1 ? base : `${base}:${round}`;
      const before = await store.read((tx) => tx.deployments.byOrigin(origin));
      if (before === null) return origin;
      const ended = before.finishedAt === null ? null : Date.parse(before.finishedAt);
      // Some vendors keep the id of a run that is repeated: it waits again.
      if (ended === null || now().getTime() - ended < LAG_MS) return null;
    }
    return null;
  };

  const record = (tx: Tx, deployment: Deployment, outcome: 'done' | 'refused', code: ReasonCode) => {
    const { digest, environment, foreign, fromVersion, id, requestedBy, service, sha, version } = deployment;
    return tx.audit.append(
      {
        actor: foreign?.known ? requestedBy : SYSTEM,
        action: 'deploy.adopt',
        outcome,
        code,
        service,
        environment,
        version,
        deployment: id,
        digest,
        run: foreign?.run.id ?? '',
        details: {
          vendor: foreign?.vendor ?? '',
          startedBy: foreign?.startedBy ?? null,
          sha,
          from: fromVersion,
          approvals: deployment.approval?.count ?? 0,
        },
      },
      now(),
    );
  };

  /** It waits there; whoever runs Shipmate hears why nobody is asked, once a day. */
  const putOff = async (tx: Tx, service: Service, run: ForeignRun, why: string): Promise<void> => {
    const { opsChannel } = catalog();
    const day = now().toISOString().slice(0, 10);
    const key = `foreign:${service.name}:${run.run.id}:put-off:${day}`;
    if (opsChannel === undefined || !(await tx.claims.claim(key, new Date(now().getTime() + 2 * DAY_MS)))) return;
    const text = `A run of ${service.name} for ${run.environment} waits at ${titleOf(service.pipeline)}, and I can't ask anybody yet: ${why}`;
    await tell(tx, key, opsChannel, text);
  };

  /** What our rules need to know. Who started it is known, or somebody known has to answer for it. */
  const gatherForeign = async (
    service: Service,
    environment: EnvironmentPolicy,
    run: ForeignRun,
    person: Person,
    known: boolean,
  ): Promise<Gathered> => {
    const place = { service: service.name, environment: environment.name };
    const version = { name: await nameOf(service, run), sha: run.sha ?? '' };
    const access = known
      ? await deps.authoriser.authorise(person, { permission: 'deploy', ...place }, { fresh: true })
      : ({ allowed: true, code: 'OK', role: titleOf(service.pipeline) } as const);
    const [from, before] = await Promise.all([
      runningVersion(deps, service, environment),
      runsBefore(deps, service, environment, run.run.id),
    ]);
    return {
      ok: true,
      service,
      environment,
      access,
      breakGlassAccess: null,
      version,
      from,
      comparison: run.sha === null ? null : await compareVersions(deps, service, from?.sha ?? null, run.sha),
      approval: known ? environment.approval : answeredFor(environment.approval, place),
      ...(before === null ? {} : { before }),
    };
  };

  /** A name is a claim of whoever started it: where it stands for another commit, the commit is shown instead. */
  const nameOf = async (service: Service, { sha, version }: ForeignRun): Promise<string> => {
    if (sha === null) return `${version} (commit not known)`;
    const named = await service.versions.resolve(version).catch(() => null);
    return named !== null && !sameCommit(named.sha, sha) ? sha.slice(0, 7) : version;
  };

  /**
   * Nobody knows whether the one who started it is among the approvers: with one approval more, as many others as are asked
   * for have agreed. Where none is asked for, somebody who may deploy there says so.
   */
  const answeredFor = (
    approval: ApprovalPolicy | null,
    place: { service: string; environment: string },
  ): ApprovalPolicy => {
    if (approval !== null) return approval.own ? approval : { ...approval, count: approval.count + 1 };
    return {
      groups: catalog().groupsWho('deploy', place.service, place.environment),
      count: 1,
      expiresMs: DEFAULT_EXPIRES_MS,
      remindMs: DEFAULT_REMIND_MS,
      own: true,
      permission: 'deploy',
    };
  };

  /** It ran without asking us. The first look only learns what is there. */
  const notice = (
    service: Service,
    environment: EnvironmentPolicy,
    run: ForeignRun,
    mine: readonly Deployment[],
    first: boolean,
  ): Promise<void> =>
    store.transaction(async (tx) => {
      // A run of ours that goes on long after it was over was repeated there.
      const repeats = run.state === 'running' || run.state === 'queued';
      const over = (it: Deployment) => it.finishedAt !== null && now().getTime() - Date.parse(it.finishedAt) > LAG_MS;
      if (mine.length > 0 && !(repeats && mine.every(over))) return;
      const round = mine[0] === undefined ? '' : `:${mine[0].id}`;
      const key = `foreign:${service.name}:${run.run.id}:${environment.name}${round}`;
      if (!(await tx.claims.claim(key, new Date(now().getTime() + REMEMBERED_MS))) || first) return;
      const by = run.startedBy === null ? '' : ` by ${run.startedBy}`;
      const place = { service: service.name, environment: environment.name };
      await outOfBand(tx, catalog(), now(), {
        ...place,
        channel: service.channel,
        version: run.version,
        key,
        text: `A run for ${service.name} on ${environment.name} (${run.version}) was started at ${titleOf(service.pipeline)}${by}, and not by me.`,
        details: { run: run.run.id, startedBy: run.startedBy, state: run.state },
      });
    });

  /** One that was answered at the vendor waits for nobody here. */
  const forget = async (service: Service, known: readonly Deployment[], runs: readonly ForeignRun[]): Promise<void> => {
    const waiting = new Set(runs.flatMap(({ gate, run }) => (gate === undefined ? [] : [`${run.id} ${gate.id}`])));
    for (const pending of known) {
      const { foreign, state } = pending;
      if (foreign === null || !PENDING_STATES.includes(state)) continue;
      if (waiting.has(`${foreign.run.id} ${foreign.gate}`)) continue;
      const status = await service.pipeline.status(foreign.run).catch((error: unknown) => {
        if (error instanceof PipelineError && error.code === 'PIPELINE_LOST') return null;
        throw error;
      });
      if (status?.gate?.id === foreign.gate) continue;
      const message = `It no longer waits at ${foreign.vendor}: it was answered or stopped there.`;
      const why = { code: 'PIPELINE_FOREIGN' as const, message, record: { actor: SYSTEM, action: 'deploy.void' } };
      await store.transaction((tx) => takeBack(tx, pending, catalog(), why, now()));
    }
  };

  return { look };
}

/** The vendor's id of the run that it is about. */
function runOf({ foreign, run }: Deployment): string | undefined {
  return run?.id ?? foreign?.run.id;
}

function stranger({ startedBy, vendor }: ForeignStart): Person {
  return { id: `${vendor}:${startedBy ?? ''}`, tenantId: '', name: startedBy ?? `somebody at ${vendor}` };
}

/** What a vendor said has happened: those of ours are looked at now, and perhaps there are others. */
export async function hear(
  deps: DeployDeps,
  { connection, look, runs }: { connection: string; runs: readonly string[]; look: boolean },
  servicesOf: (connection: string) => readonly string[],
): Promise<void> {
  const services = servicesOf(connection);
  const running = await deps.store.read(async (tx) =>
    (await tx.deployments.list({ states: ['running'], limit: KNOWN })).filter(
      ({ run }) => run && runs.includes(run.id),
    ),
  );
  await deps.store.transaction(async (tx) => {
    for (const { id } of running)
      await tx.jobs.send('deploy.poll', { id, once: true }, { singletonKey: `heard:${id}` });
    if (look)
      for (const service of services)
        await tx.jobs.send('deploy.foreign', { service, heard: true }, { singletonKey: service });
  });
}
