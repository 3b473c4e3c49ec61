import type { Permission, Person } from '../access/types.ts';
import type { AuditRecord } from '../audit/types.ts';
import { PipelineError, type ReasonCode, type Refusal, refuse } from '../errors.ts';
import type { Decided, DeployDeps } from './decisions.ts';
import { approvalFor, pipelineOf } from './gather.ts';
import { denied } from './policy.ts';
import { takeBack } from './queue.ts';
import { show } from './show.ts';
import { type Block, type Deployment, PENDING_STATES } from './types.ts';

/** What people do about a deployment that is on its way. */
export interface Interventions {
  /**
   * Takes back what does not run yet, or asks the run to stop. Whoever asked for it may take it back; everything else
   * needs the right to cancel. A run is asked, never killed behind anybody's back: the card shows who asked.
   */
  cancel(input: { person: Person; id: string; reason: string | null; conversation: string }): Promise<Decided>;
  /** Answers what a run waits for. Who may approve a deploy there may answer; without approval there, who may deploy. */
  answerGate(input: {
    person: Person;
    id: string;
    gate: string;
    approved: boolean;
    conversation: string;
  }): Promise<Decided>;
  /** The end of what a deployment's run wrote, for who may read the service's logs there. Reading it is audited. */
  runLog(input: {
    person: Person;
    id: string;
    lines: number;
    conversation: string;
  }): Promise<{ ok: true; deployment: Deployment; lines: string[] } | Refusal>;
  /** Lets a version come back that somebody rolled back from. */
  unblock(input: {
    person: Person;
    service: string;
    environment: string;
    /** By its commit, or by the name it had. */
    version: string;
    conversation: string;
  }): Promise<{ ok: true; block: Block } | Refusal>;
}

export function createInterventions(deps: DeployDeps): Interventions {
  const { catalog, now, store } = deps;

  /** A deployment, the right to do something about it, and a record that fits. */
  const prepare = async (
    input: { person: Person; id: string; conversation: string },
    action: string,
    permission: (deployment: Deployment) => Permission,
  ) => {
    const { conversation, id, person } = input;
    const known = await store.read((tx) => tx.deployments.get(id));
    const record = (more: Pick<AuditRecord, 'outcome' | 'code'> & Partial<AuditRecord>): AuditRecord => ({
      actor: person,
      action,
      deployment: id,
      conversation,
      ...(known && {
        service: known.service,
        environment: known.environment,
        version: known.version,
        digest: known.digest,
        ...(known.run === null ? {} : { run: known.run.id }),
      }),
      ...more,
    });
    const refused = async (refusal: Refusal) => {
      await store.transaction((tx) => tx.audit.append(record({ outcome: 'refused', code: refusal.code }), now()));
      return { ...refusal, audited: true as const, ...(known ? { deployment: known } : {}) };
    };
    if (known === null)
      return {
        ok: false as const,
        refusal: await refused(refuse('DEPLOYMENT_UNKNOWN', `There is no deployment #${id.slice(0, 20)}.`)),
      };
    const { command, environment, service } = known;
    const access = await deps.authoriser.authorise(
      person,
      { permission: permission(known), service, environment, ...(command ? { command: command.name } : {}) },
      { fresh: true },
    );
    return { ok: true as const, known, access, record, refused };
  };

  const cancel: Interventions['cancel'] = async (input) => {
    const { conversation, id, person, reason } = input;
    const found = await prepare(input, 'deploy.cancel', () => 'cancel');
    if (!found.ok) return found.refusal;
    const { access, known, record, refused } = found;
    const own = known.requestedBy.id === person.id;
    const runs = known.state === 'running' || known.state === 'attention';
    if (!access.allowed && !(own && !runs)) return refused(denied(access));
    const notNow = (message: string, next?: string) =>
      refused(refuse('NOT_CANCELLABLE', message, next === undefined ? {} : { next }));
    if (PENDING_STATES.includes(known.state) || (known.state === 'queued' && known.triggerStartedAt === null)) {
      const code: ReasonCode = own ? 'WITHDRAWN' : 'CANCELLED';
      const message = `${own ? 'Withdrawn' : 'Cancelled'} by ${person.name}${reason === null ? '' : `: ${reason}`}`;
      const taken = await store.transaction((tx) =>
        takeBack(
          tx,
          known,
          catalog(),
          {
            code,
            message,
            record: {
              actor: person,
              action: own ? 'deploy.withdraw' : 'deploy.cancel',
              conversation,
              ...(reason === null ? {} : { details: { reason } }),
            },
          },
          now(),
        ),
      );
      if (taken) return { ok: true, deployment: taken };
      return notNow(`#${id} has just gone on.`, 'Look at its card, and try again.');
    }
    if (known.state === 'queued') return notNow(`#${id} is just starting.`, 'Try again in a few seconds.');
    if (known.state === 'attention')
      return notNow(`It is not known whether #${id} runs.`, 'Look at the pipeline, then close it on its card.');
    if (known.state !== 'running') return notNow(`#${id} is over: there is nothing to cancel.`);
    if (pipelineOf(catalog(), known.service, known)?.capabilities.cancel !== true)
      return notNow(`This kind of pipeline can't be cancelled from here.`, 'Look at the run itself.');
    return store.transaction(async (tx): Promise<Decided> => {
      const current = await tx.deployments.get(id);
      if (current?.state !== 'running') {
        const refusal = refuse('NOT_CANCELLABLE', `#${id} has just ended.`);
        await tx.audit.append(record({ outcome: 'refused', code: refusal.code }), now());
        return { ...refusal, audited: true, ...(current ? { deployment: current } : {}) };
      }
      // Asked once: the second click finds it.
      if (current.cancel !== null) return { ok: true, deployment: current };
      const changed = await tx.deployments.change(
        id,
        { from: ['running'] },
        { cancel: { person, reason, at: now().toISOString() } },
      );
      if (changed.kind !== 'changed') throw new Error('a locked row changed');
      await tx.audit.append(
        record({ outcome: 'done', code: 'OK', ...(reason === null ? {} : { details: { reason } }) }),
        now(),
      );
      await show(tx, changed.deployment, catalog());
      await tx.jobs.send('deploy.cancel', { id });
      return { ok: true, deployment: changed.deployment };
    });
  };

  const answerGate: Interventions['answerGate'] = async (input) => {
    const { approved, gate, id, person } = input;
    const guarded = (deployment: Deployment) => {
      const service = catalog().services.get(deployment.service);
      const environment = service?.environments.find(({ name }) => name === deployment.environment);
      // A rollback's gates are the environment's, though the rollback itself needs no approval.
      const kind = deployment.kind === 'rollback' ? 'deploy' : deployment.kind;
      return environment ? approvalFor(catalog(), { ...deployment, kind }, environment) : null;
    };
    const found = await prepare(input, approved ? 'gate.approve' : 'gate.reject', (deployment) =>
      guarded(deployment) === null ? 'deploy' : 'approve',
    );
    if (!found.ok) return found.refusal;
    const { access, known, record, refused } = found;
    if (!access.allowed) return refused(denied(access));
    const policy = guarded(known);
    if (policy !== null && !policy.own && person.id === known.requestedBy.id)
      return refused(refuse('OWN_DEPLOY', 'You asked for this deploy, so somebody else has to answer.'));
    return store.transaction(async (tx): Promise<Decided> => {
      // The row is locked first: of two answers at once the second sees the first.
      const touched = await tx.deployments.change(id, { from: ['running'] }, {});
      const current = touched.kind === 'changed' ? touched.deployment : await tx.deployments.get(id);
      const open = current?.gate ?? null;
      if (touched.kind !== 'changed' || open === null || open.id !== gate || open.answer !== null) {
        const by = open?.id === gate && open.answer ? ` ${open.answer.person.name} answered it.` : '';
        await tx.audit.append(record({ outcome: 'refused', code: 'GATE_UNKNOWN' }), now());
        return {
          ...refuse('GATE_UNKNOWN', `#${id} does not wait for this any more.${by}`),
          audited: true,
          ...(current ? { deployment: current } : {}),
        };
      }
      const answer = { person, approved, at: now().toISOString() };
      const changed = await tx.deployments.change(id, { from: ['running'] }, { gate: { ...open, answer } });
      if (changed.kind !== 'changed') throw new Error('a locked row changed');
      await tx.audit.append(
        record({
          outcome: 'done',
          code: approved ? 'OK' : 'GATE_REJECTED',
          details: { gate, question: open.question.slice(0, 200) },
        }),
        now(),
      );
      await show(tx, changed.deployment, catalog());
      await tx.jobs.send('deploy.answer', { id });
      return { ok: true, deployment: changed.deployment };
    });
  };

  const runLog: Interventions['runLog'] = async ({ lines, ...input }) => {
    const found = await prepare(input, 'run.log', () => 'logs');
    if (!found.ok) return found.refusal;
    const { access, known, record, refused } = found;
    if (!access.allowed) return refused(denied(access));
    const pipeline = pipelineOf(catalog(), known.service, known);
    if (known.run === null || pipeline === undefined)
      return refused(refuse('LOGS_UNAVAILABLE', `#${known.id} has no run whose log could be read.`));
    // Before it is read: whoever saw it is in the audit.
    await store.transaction((tx) => tx.audit.append(record({ outcome: 'done', code: 'OK' }), now()));
    try {
      return { ok: true, deployment: known, lines: await pipeline.logs(known.run, { lines }) };
    } catch (error) {
      if (!(error instanceof PipelineError)) throw error;
      deps.logger.warn('the log of a run could not be read', { deployment: known.id, error });
      return refuse('LOGS_UNAVAILABLE', error.message, { next: 'Open the run itself, or try again.' });
    }
  };

  const unblock: Interventions['unblock'] = async ({ conversation, environment, person, service, version }) => {
    const access = await deps.authoriser.authorise(
      person,
      { permission: 'deploy', service, environment },
      { fresh: true },
    );
    const record = { actor: person, action: 'version.unblock', service, environment, version, conversation };
    return store.transaction(async (tx) => {
      const refused = async (refusal: Refusal) => {
        await tx.audit.append({ ...record, outcome: 'refused', code: refusal.code }, now());
        return { ...refusal, audited: true as const };
      };
      if (!access.allowed) return refused(denied(access));
      const blocked = await tx.blocks.list(service, environment);
      const found = blocked.find((each) => each.sha === version || each.version === version);
      if (!found)
        return refused(
          refuse('BLOCK_UNKNOWN', `${version.slice(0, 60)} is not kept out of ${environment} of ${service}.`, {
            options: blocked.map((each) => each.version),
          }),
        );
      await tx.blocks.remove(service, environment, found.sha);
      await tx.audit.append(
        {
          ...record,
          version: found.version,
          outcome: 'done',
          code: 'OK',
          deployment: found.deployment,
          details: { sha: found.sha },
        },
        now(),
      );
      const rollback = await tx.deployments.get(found.deployment);
      if (rollback) await show(tx, rollback, catalog());
      return { ok: true as const, block: found };
    });
  };

  return { cancel, answerGate, runLog, unblock };
}
