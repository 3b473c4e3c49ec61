import type { Authoriser } from '../access/types.ts';
import type { Cards } from '../cards/index.ts';
import { baseOf } from '../conversations.ts';
import { denied } from '../deploys/policy.ts';
import type { Catalog, Deployment, DeployView, Service } from '../deploys/types.ts';
import type { Deploys } from '../deploys/workflow.ts';
import { PipelineError, type Refusal, refuse } from '../errors.ts';
import type { Version } from '../pipelines/types.ts';
import { homeOf, type Picked, pick, type Scope, scopeOf, showsHere } from './scope.ts';
import type { Action, Arguments, Command, Reply, Turn } from './types.ts';

export interface DeployCommandDeps {
  authoriser: Authoriser;
  catalog: () => Catalog;
  deploys: Deploys;
  cards: Cards;
  now: () => Date;
}

/** Versions offered in the form's list; a longer list is filtered by typing. */
const OFFERED_VERSIONS = 25;
/** Refusals that the form can help with: it opens with what was right filled in. */
const MENDABLE = new Set([
  'SERVICE_UNKNOWN',
  'ENVIRONMENT_UNKNOWN',
  'VERSION_UNKNOWN',
  'ARGUMENT_MISSING',
  'ARGUMENT_INVALID',
]);

export function deployCommand(deps: DeployCommandDeps): Command {
  const { authoriser, cards, catalog, deploys } = deps;

  const form = async (turn: Turn, args: Arguments, problem?: Refusal): Promise<Reply> => {
    const scope = await scopeOf(deps, turn.person, 'deploy');
    if (!scope.ok) return { kind: 'refusal', refusal: scope };
    const picked = await pickLeniently(turn, scope, args);
    const { service } = picked;
    const environments = service
      ? (scope.services.get(service.name) ?? [])
      : [...new Set([...scope.services.values()].flat())];
    return {
      kind: 'card',
      private: service
        ? !showsHere(turn, service.name)
        : turn.place.kind !== 'personal' && turn.place.services.length === 0,
      card: cards.deployForm({
        services: [...scope.services.keys()],
        environments,
        versions: service ? await versionsOf(service) : [],
        ...(service ? { service: service.name } : {}),
        ...(picked.environment ? { environment: picked.environment.name } : {}),
        ...(args.version === undefined ? {} : { version: args.version }),
        ...(args.reason === undefined ? {} : { reason: args.reason }),
        ...(problem ? { problem } : {}),
      }),
    };
  };

  /** What of the arguments is right, so that the form keeps it when the rest is wrong. */
  const pickLeniently = async (turn: Turn, scope: Scope, args: Arguments): Promise<Picked> => {
    const whole = await pick(deps, turn, scope, args);
    if (whole.ok) return whole;
    const { environment: _, ...serviceOnly } = args;
    const service = await pick(deps, turn, scope, serviceOnly);
    if (service.ok && service.service) return service;
    const neither = await pick(deps, turn, scope, {});
    return neither.ok ? neither : { ok: true };
  };

  const versionsOf = async (service: Service): Promise<Version[]> => {
    try {
      return await service.versions.list({ limit: OFFERED_VERSIONS });
    } catch (error) {
      // The form then takes the version as text; it is checked when it is sent.
      if (error instanceof PipelineError) return [];
      throw error;
    }
  };

  const refusal = (turn: Turn, args: Arguments, refused: Refusal): Reply | Promise<Reply> =>
    MENDABLE.has(refused.code) ? form(turn, args, refused) : { kind: 'refusal', refusal: refused };

  const proceed = async (turn: Turn, args: Arguments): Promise<Reply> => {
    const scope = await scopeOf(deps, turn.person, 'deploy');
    if (!scope.ok) return { kind: 'refusal', refusal: scope };
    const picked = await pick(deps, turn, scope, args);
    if (!picked.ok) return refusal(turn, args, picked);
    const { environment, service } = picked;
    if (!service || !environment || args.version === undefined) return form(turn, args);
    const wish = {
      kind: 'deploy' as const,
      person: turn.person,
      service: service.name,
      environment: environment.name,
      version: args.version,
    };
    if (!environment.confirm) return request(turn, { ...wish, reason: args.reason ?? null });
    const plan = await deploys.plan(wish);
    if (!plan.ok) return refusal(turn, args, plan);
    const { comparison, from, version } = plan.gathered;
    return {
      kind: 'card',
      private: !showsHere(turn, service.name),
      card: cards.deployConfirm({
        kind: 'deploy',
        service: service.name,
        environment,
        version: version.name,
        sha: version.sha,
        fromVersion: from?.version ?? null,
        fromSha: from?.sha ?? null,
        changes: comparison?.commits ?? [],
        changesTotal: comparison?.total ?? 0,
        backwards: comparison?.backwards ?? false,
        reason: args.reason ?? null,
        approverGroups: (plan.approval?.groups ?? []).map((group) => catalog().groupName(group)),
        approvalsNeeded: plan.approval?.count ?? 0,
        approvalExpiresMs: plan.approval?.expiresMs ?? 0,
        bind: {
          kind: 'deploy',
          by: turn.person.id,
          service: service.name,
          environment: environment.name,
          version: version.name,
          sha: version.sha,
          reason: args.reason ?? '',
        },
      }),
    };
  };

  const request = async (
    turn: Turn,
    wish: Omit<Parameters<Deploys['request']>[0], 'origin' | 'conversation' | 'activityId' | 'person'>,
    /** The clicked card becomes the living card; else a new one is posted. */
    adopt = true,
  ): Promise<Reply> => {
    const conversation = await homeOf(turn, wish.service);
    const here = baseOf(conversation) === turn.place.base;
    const result = await deploys.request({
      ...wish,
      person: turn.person,
      origin: turn.origin,
      conversation,
      ...(adopt && here && turn.activityId !== undefined ? { activityId: turn.activityId } : {}),
    });
    if (!result.ok) return { kind: 'refusal', refusal: result };
    return { kind: 'living', card: await render(result.deployment, 'requester') };
  };

  const render = async (deployment: Deployment, audience: DeployView['audience']) =>
    cards.deployment({ view: await deploys.view(deployment, audience), now: deps.now() });

  const confirm: Action = async (turn, bind, inputs) => {
    if (bind.by !== turn.person.id)
      return {
        kind: 'refusal',
        refusal: {
          ok: false,
          code: 'ACCESS_DENIED',
          message: 'Only the person who asked can confirm this.',
          next: 'Say `deploy` to ask for your own.',
        },
      };
    if (bind.kind === 'rollback') {
      // Needs no approval, so it may only go where a rollback goes now, however old the card is.
      const target = await deploys.rollbackTarget(bind.service ?? '', bind.environment ?? '');
      if ('ok' in target) return { kind: 'refusal', refusal: target };
      if (target.sha !== bind.sha) return { kind: 'refusal', refusal: rollbackMoved(target.version) };
    }
    const reason = (inputs.reason || bind.reason || '').slice(0, 200);
    return request(turn, {
      kind: bind.kind === 'rollback' ? 'rollback' : 'deploy',
      service: bind.service ?? '',
      environment: bind.environment ?? '',
      version: bind.version ?? '',
      ...(bind.kind === 'rollback' ? { sha: bind.sha ?? '' } : { confirmedSha: bind.sha ?? '' }),
      reason: reason === '' ? null : reason,
    });
  };

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
      const permission = kind === 'rollback' ? 'rollback' : 'deploy';
      const access = await authoriser.authorise(turn.person, { permission, service, environment });
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
        reply = await request(once, { kind, service, environment, version: deployment.version, reason }, false);
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
    const approve = await authoriser.authorise(turn.person, { permission: 'approve', service, environment });
    const mayView =
      approve.allowed ||
      (await authoriser.authorise(turn.person, { permission: 'view', service, environment })).allowed;
    if (!mayView)
      return {
        kind: 'refusal',
        refusal: { ok: false, code: 'ACCESS_DENIED', message: `You may not see deployments of ${service}.` },
      };
    const audience = baseOf(turn.place.conversation) === catalog().approvalsChannel ? 'approvals' : 'requester';
    const mayApprove = approve.allowed && turn.person.id !== deployment.requestedBy.id;
    return {
      kind: 'living',
      card: cards.deployment({
        view: await deploys.view(deployment, audience),
        now: deps.now(),
        viewer: { id: turn.person.id, mayApprove },
      }),
    };
  };

  return {
    name: 'deploy',
    aliases: ['ship', 'release'],
    summary: 'Deploy a version. Asks for what you leave out.',
    example: 'deploy storefront 1.2.3 to staging',
    usage: 'deploy [service] [version] [to environment] [reason="..."]',
    examples: [
      'deploy',
      'deploy storefront 1.2.3 to staging',
      '/deploy version=1.2.3 environment=production',
      'deploy storefront environment=staging',
    ],
    notes: [
      'In the channel of one service, or if you have just one, you can leave its name out.',
      'An environment is never guessed. Production asks you to confirm, and somebody else to approve.',
    ],
    arguments: ['service', 'environment', 'version', 'reason'],
    run: proceed,
    actions: {
      'deploy.form': async (turn, bind) => {
        const reply = await form(turn, { ...bind });
        return reply.kind === 'card' ? { ...reply, fresh: true } : reply;
      },
      'deploy.plan': (turn, _bind, inputs) => proceed(turn, fromInputs(inputs)),
      'deploy.confirm': confirm,
      'deploy.discard': async () => ({
        kind: 'card',
        card: cards.notice({
          tone: 'info',
          title: 'Put away',
          message: 'Nothing was deployed.',
          action: { title: 'Start again', verb: 'deploy.form' },
        }),
      }),
      'deploy.view': view,
      'deploy.approve': decide('approve'),
      'deploy.reject': decide('reject'),
      'deploy.rollback': again('rollback'),
      'deploy.retry': again('retry'),
      'deploy.close': close,
    },
  };
}

function rollbackMoved(version: string): Refusal {
  return refuse('VERSION_MOVED', `Something was deployed since: a rollback goes to ${version} now.`, {
    next: 'Say `rollback` to get a new card.',
  });
}

/** The form's fields as arguments; what was left empty is missing. */
function fromInputs(inputs: Readonly<Record<string, string>>): Arguments {
  const args: Arguments = {};
  for (const name of ['service', 'environment', 'version', 'reason'] as const) {
    const value = inputs[name]?.trim().slice(0, 200);
    if (value) args[name] = value;
  }
  return args;
}
