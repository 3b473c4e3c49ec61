import type { Person } from '../access/types.ts';
import { PipelineError, type ReasonCode } from '../errors.ts';
import type { ForeignRun } from '../pipelines/types.ts';
import type { Tx } from '../store/types.ts';
import type { DeployDeps } from './decisions.ts';
import { outOfBand } from './drift.ts';
import { compareVersions, type Gathered, runningVersion, runsBefore } from './gather.ts';
import { createPlacing, type DeployRequest } from './placing.ts';
import { takeBack } from './queue.ts';
import { announce, show, tell, titleOf } from './show.ts';
import {
  type ApprovalPolicy,
  type Deployment,
  type EnvironmentPolicy,
  type ForeignStart,
  PENDING_STATES,
  type Service,
  SYSTEM,
} from './types.ts';

/** A vendor that tells by webhook is asked this seldom without one. */
const HEARING_MS = 10 * 60_000;
/** Runs are looked for from a little before the last look on: clocks differ, and lists lag. */
const OVERLAP_MS = 10 * 60_000;
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
    if (last !== null && service.hears && !heard && at.getTime() - last < HEARING_MS) return;
    if (await isStarting(name)) {
      await store.transaction((tx) =>
        tx.jobs.send('deploy.foreign', { service: name, heard }, { delayMs: AGAIN_MS, singletonKey: name }),
      );
      return;
    }
    const since = new Date((last ?? at.getTime()) - OVERLAP_MS);
    const runs = await service.pipeline.recent({ since });
    const known = await store.read((tx) => tx.deployments.list({ service: name, limit: KNOWN }));
    // One that began while we asked may be ours: its id is not stored yet.
    if (await isStarting(name)) return look({ service: name, heard });
    const ours = new Set(known.flatMap(({ run }) => (run === null ? [] : [run.id])));
    for (const run of runs) {
      // The guard says where a run goes; what the run says of itself (its name, its inputs) is whoever started it's word.
      const where = run.gate?.environment ?? run.environment;
      const environment = service.environments.find(({ name }) => name === where);
      if (!environment || (ours.has(run.run.id) && run.gate === undefined)) continue;
      try {
        if (run.gate !== undefined && !ours.has(run.run.id)) await adopt(service, environment, run, run.gate.id);
        // The first look only learns what is there; one that ended badly changed nothing that is known.
        else if (run.gate === undefined && last !== null && run.state !== 'cancelled' && run.state !== 'failed')
          await notice(service, environment, run);
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
    const origin = `foreign:${service.name}:${run.run.id}:${gate}`;
    if ((await store.read((tx) => tx.deployments.byOrigin(origin))) !== null) return;
    const conversation = service.channel ?? catalog().opsChannel ?? catalog().approvalsChannel;
    if (conversation === undefined) {
      logger.warn('a run waits at the vendor, and no channel is known to ask in', { service: service.name });
      return;
    }
    const person = run.startedBy === null ? null : catalog().personOf(run.startedBy);
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
    const version = { name: run.version, sha: run.sha ?? '' };
    const access = known
      ? await deps.authoriser.authorise(person, { permission: 'deploy', ...place }, { fresh: true })
      : ({ allowed: true, code: 'OK', role: titleOf(service.pipeline) } as const);
    const [from, before] = await Promise.all([
      runningVersion(deps, service, environment),
      runsBefore(deps, service, environment),
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

  /** It ran without asking us. */
  const notice = (service: Service, environment: EnvironmentPolicy, run: ForeignRun): Promise<void> =>
    store.transaction(async (tx) => {
      const key = `foreign:${service.name}:${run.run.id}`;
      if (!(await tx.claims.claim(key, new Date(now().getTime() + REMEMBERED_MS)))) return;
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
