import type { Authoriser } from '../access/types.ts';
import { baseOf } from '../conversations.ts';
import type { Decided } from '../deploys/decisions.ts';
import { permissionFor } from '../deploys/gather.ts';
import { denied } from '../deploys/policy.ts';
import type { Catalog } from '../deploys/types.ts';
import { type Refusal, refuse } from '../errors.ts';
import { createRequesting, type RequestingDeps } from './request.ts';
import { showsHere } from './scope.ts';
import type { Action, Command, Reply, Turn } from './types.ts';

export interface DeployActionsDeps extends RequestingDeps {
  authoriser: Authoriser;
  catalog: () => Catalog;
  /** Removes secrets. */
  redact: (text: string) => string;
}

/** Lines of a run's log on a card. */
const RUN_LINES = 60;

/** The buttons of a deployment's card. */
export function deployActions(deps: DeployActionsDeps): Command['actions'] {
  const { authoriser, cards, catalog, deploys, redact } = deps;
  const { render, request } = createRequesting(deps);

  const decide =
    (decision: 'approve' | 'reject'): Action =>
    async (turn, bind, inputs) => {
      const reason = (inputs.reason ?? '').trim().slice(0, 200);
      const result = await deploys.decide({
        person: turn.person,
        id: bind.id ?? '',
        digest: bind.digest ?? '',
        decision,
        reason: reason === '' ? null : reason,
        conversation: turn.place.conversation,
      });
      if (result.ok) return { kind: 'living', card: await render(result.deployment, 'approvals') };
      // The same click once more, or a card that is behind: it is shown as it is now.
      if (result.deployment && (result.code === 'NOT_PENDING' || result.code === 'ALREADY_VOTED'))
        return { kind: 'living', card: await render(result.deployment, 'approvals') };
      return { kind: 'refusal', refusal: result };
    };

  /** Rollback and retry of the deployment on a card. The clicked card stays; the new deployment has its own. */
  const again =
    (kind: 'rollback' | 'retry'): Action =>
    async (turn, bind, inputs) => {
      const deployment = await deploys.get(bind.id ?? '');
      if (!deployment)
        return {
          kind: 'refusal',
          refusal: { ok: false, code: 'DEPLOYMENT_UNKNOWN', message: `There is no deployment #${bind.id ?? ''}.` },
        };
      const { environment, service } = deployment;
      // First of all: where a rollback would go is not for everybody.
      const access = await authoriser.authorise(turn.person, {
        ...permissionFor({ kind, command: deployment.command }),
        service,
        environment,
      });
      if (!access.allowed) return { kind: 'refusal', refusal: denied(access) };
      const reason = (inputs.reason ?? '').trim().slice(0, 200) || null;
      const once = { ...turn, origin: `${kind}:${deployment.id}:${bind.rev ?? ''}` };
      let reply: Reply;
      if (kind === 'retry') {
        if (deployment.state !== 'failed' && deployment.state !== 'cancelled' && deployment.state !== 'expired')
          return {
            kind: 'refusal',
            refusal: {
              ok: false,
              code: 'NOT_RETRYABLE',
              message: `#${deployment.id} did not fail, so there is nothing to try again.`,
            },
          };
        reply = await request(
          once,
          // A command that failed is the same command once more.
          deployment.command === null
            ? {
                kind,
                service,
                environment,
                version: deployment.version,
                reason,
                // Where the pipeline can, only what failed runs again.
                ...(deployment.state === 'failed' && deployment.run !== null
                  ? { rerun: { run: deployment.run, sha: deployment.sha } }
                  : {}),
              }
            : { kind: 'command', service, environment, version: '', reason, command: deployment.command },
          false,
        );
      } else {
        const target = await deploys.rollbackTarget(service, environment);
        if ('ok' in target) return { kind: 'refusal', refusal: target };
        if (target.version !== bind.to) return { kind: 'refusal', refusal: rollbackMoved(target.version) };
        reply = await request(
          once,
          { kind, service, environment, version: target.version, sha: target.sha, reason },
          false,
        );
      }
      return reply.kind === 'living'
        ? {
            kind: 'living',
            card: await render(
              deployment,
              showsHere(turn, service) && turn.place.kind !== 'personal' ? 'channel' : 'requester',
            ),
          }
        : reply;
    };

  const close: Action = async (turn, bind, inputs) => {
    const reason = (inputs.reason ?? '').trim().slice(0, 200);
    if (reason === '')
      return {
        kind: 'refusal',
        refusal: {
          ok: false,
          code: 'ARGUMENT_MISSING',
          message: 'Say what you found.',
          next: 'The reason goes into the audit.',
        },
      };
    const { person, place } = turn;
    const result = await deploys.close({ person, id: bind.id ?? '', reason, conversation: place.conversation });
    const shown = result.ok || result.code === 'NOT_PENDING' ? result.deployment : undefined;
    if (!shown) return { kind: 'refusal', refusal: result as Refusal };
    const current = (await deploys.get(shown.id)) ?? shown;
    return { kind: 'living', card: await render(current, place.kind === 'personal' ? 'requester' : 'channel') };
  };

  const view: Action = async (turn, bind) => {
    const deployment = await deploys.get(bind.id ?? '');
    if (!deployment)
      return {
        kind: 'refusal',
        refusal: { ok: false, code: 'DEPLOYMENT_UNKNOWN', message: 'This deployment is not there any more.' },
      };
    const { environment, service } = deployment;
    const command = deployment.command ? { command: deployment.command.name } : {};
    const approve = await authoriser.authorise(turn.person, {
      permission: 'approve',
      service,
      environment,
      ...command,
    });
    const mayView =
      approve.allowed ||
      (await authoriser.authorise(turn.person, { permission: 'view', service, environment })).allowed;
    if (!mayView)
      return {
        kind: 'refusal',
        refusal: { ok: false, code: 'ACCESS_DENIED', message: `You may not see deployments of ${service}.` },
      };
    const audience = baseOf(turn.place.conversation) === catalog().approvalsChannel ? 'approvals' : 'requester';
    const mayApprove =
      approve.allowed && (turn.person.id !== deployment.requestedBy.id || deployment.approval?.own === true);
    const opened = bind.open === 'yes';
    const card = cards.deployment({
      // Opened from a list, it is the approver's card wherever that is.
      view: await deploys.view(deployment, opened ? 'approvals' : audience),
      now: deps.now(),
      viewer: { id: turn.person.id, mayApprove },
    });
    return opened ? { kind: 'card', card, fresh: true, private: true } : { kind: 'living', card };
  };

  /** What the clicked card becomes: its own audience's view of what is so now. A refusal that it explains is not said twice. */
  const shown = async (turn: Turn, result: Decided): Promise<Reply> => {
    const moved = !result.ok && ['NOT_PENDING', 'NOT_CANCELLABLE', 'GATE_UNKNOWN'].includes(result.code);
    if (!result.deployment || !(result.ok || moved)) return { kind: 'refusal', refusal: result as Refusal };
    const current = (await deploys.get(result.deployment.id)) ?? result.deployment;
    const { base, kind } = turn.place;
    const audience = base === catalog().approvalsChannel ? 'approvals' : kind === 'personal' ? 'requester' : 'channel';
    return { kind: 'living', card: await render(current, audience) };
  };

  const cancel: Action = async (turn, bind, inputs) => {
    const reason = (inputs.reason ?? '').trim().slice(0, 200) || null;
    const { person, place } = turn;
    return shown(turn, await deploys.cancel({ person, id: bind.id ?? '', reason, conversation: place.conversation }));
  };

  const answerGate: Action = async (turn, bind) =>
    shown(
      turn,
      await deploys.answerGate({
        person: turn.person,
        id: bind.id ?? '',
        gate: bind.gate ?? '',
        approved: bind.answer === 'yes',
        conversation: turn.place.conversation,
      }),
    );

  const runLog: Action = async (turn, bind) => {
    const { person, place } = turn;
    const read = await deploys.runLog({
      person,
      id: bind.id ?? '',
      lines: RUN_LINES,
      conversation: place.conversation,
    });
    if (!read.ok) return { kind: 'refusal', refusal: read };
    const { environment, id, run, service } = read.deployment;
    return {
      kind: 'card',
      fresh: true,
      // As the logs of the service: where it is at home, else in private.
      private: !showsHere(turn, service),
      card: cards.logs({
        run: { deployment: id, ...(run?.url === undefined ? {} : { url: run.url }) },
        service,
        environment,
        since: '',
        limit: RUN_LINES,
        lines: read.lines.map((line) => ({ time: '', text: redact(line) })),
        shareable: false,
        bind: {},
      }),
    };
  };

  const review: Action = async (turn, bind, inputs) =>
    shown(
      turn,
      await deploys.review({
        person: turn.person,
        id: bind.id ?? '',
        note: (inputs.reason ?? '').trim().slice(0, 200),
        conversation: turn.place.conversation,
      }),
    );

  const unblock: Action = async (turn, bind) => {
    const result = await deploys.unblock({
      person: turn.person,
      service: bind.service ?? '',
      environment: bind.environment ?? '',
      version: bind.version ?? '',
      conversation: turn.place.conversation,
    });
    if (!result.ok) return { kind: 'refusal', refusal: result };
    const rollback = await deploys.get(result.block.deployment);
    if (!rollback)
      return { kind: 'refusal', refusal: refuse('DEPLOYMENT_UNKNOWN', 'Its card is gone; it may come back in.') };
    return { kind: 'living', card: await render(rollback, turn.place.kind === 'personal' ? 'requester' : 'channel') };
  };

  /** Buttons that only a deployment's own card has: whoever presses one tells which card it is. */
  const onItsCard =
    (action: Action): Action =>
    async (turn, bind, inputs) => {
      const { activityId, place } = turn;
      const reply = await action(turn, bind, inputs);
      if (activityId !== undefined && bind.id !== undefined && bind.open !== 'yes' && reply.kind === 'living')
        await deploys.seen(bind.id, { activityId, conversation: place.conversation });
      return reply;
    };

  return {
    'deploy.view': onItsCard(view),
    'deploy.approve': onItsCard(decide('approve')),
    'deploy.reject': onItsCard(decide('reject')),
    'deploy.rollback': again('rollback'),
    'deploy.retry': again('retry'),
    'deploy.close': onItsCard(close),
    'deploy.cancel': cancel,
    'run.log': runLog,
    'gate.answer': onItsCard(answerGate),
    'glass.review': review,
    'version.unblock': unblock,
  };
}

export function rollbackMoved(version: string): Refusal {
  return refuse('VERSION_MOVED', `Something was deployed since: a rollback goes to ${version} now.`, {
    next: 'Say `rollback` to get a new card.',
  });
}
