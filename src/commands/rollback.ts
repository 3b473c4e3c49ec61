import type { Authoriser } from '../access/types.ts';
import type { Cards } from '../cards/index.ts';
import type { Catalog } from '../deploys/types.ts';
import type { Deploys } from '../deploys/workflow.ts';
import { refuse } from '../errors.ts';
import { approvalOf, whyOf } from './request.ts';
import { homeOf, pick, scopeOf, showsHere } from './scope.ts';
import type { Arguments, Command, Reply, Turn } from './types.ts';

export interface RollbackCommandDeps {
  authoriser: Authoriser;
  catalog: () => Catalog;
  deploys: Deploys;
  cards: Cards;
  now: () => Date;
}

export function rollbackCommand(deps: RollbackCommandDeps): Command {
  const { cards, deploys } = deps;

  const run = async (turn: Turn, args: Arguments): Promise<Reply> => {
    const scope = await scopeOf(deps, turn.person, 'rollback');
    if (!scope.ok) return { kind: 'refusal', refusal: scope };
    const picked = await pick(deps, turn, scope, args);
    if (!picked.ok) return { kind: 'refusal', refusal: picked };
    const { environment, service } = picked;
    if (!service)
      return {
        kind: 'refusal',
        refusal: refuse('ARGUMENT_MISSING', 'Roll back which service?', {
          next: 'Say it like `rollback storefront production`.',
          options: [...scope.services.keys()],
        }),
      };
    if (!environment)
      return {
        kind: 'refusal',
        refusal: refuse('ARGUMENT_MISSING', `Roll back ${service.name} where?`, {
          next: `Say it like \`rollback ${service.name} production\`.`,
          options: [...(scope.services.get(service.name) ?? [])],
        }),
      };
    const target = await deploys.rollbackTarget(service.name, environment.name);
    if ('ok' in target) return { kind: 'refusal', refusal: target };
    const wish = {
      kind: 'rollback' as const,
      person: turn.person,
      service: service.name,
      environment: environment.name,
      version: target.version,
      sha: target.sha,
    };
    if (!environment.confirm) {
      const result = await deploys.request({
        ...wish,
        reason: args.reason ?? null,
        origin: turn.origin,
        conversation: await homeOf(turn, service.name),
      });
      if (!result.ok) return { kind: 'refusal', refusal: result, ...whyOf(wish) };
      return {
        kind: 'living',
        card: cards.deployment({ view: await deploys.view(result.deployment, 'requester'), now: deps.now() }),
      };
    }
    const plan = await deploys.plan(wish);
    if (!plan.ok) return { kind: 'refusal', refusal: plan, ...whyOf(wish) };
    const { comparison, from } = plan.gathered;
    return {
      kind: 'card',
      private: !showsHere(turn, service.name),
      card: cards.deployConfirm({
        kind: 'rollback',
        service: service.name,
        environment,
        version: target.version,
        sha: target.sha,
        fromVersion: from?.version ?? null,
        fromSha: from?.sha ?? null,
        changes: comparison?.commits ?? [],
        changesTotal: comparison?.total ?? 0,
        backwards: comparison?.backwards ?? true,
        reason: args.reason ?? null,
        ...approvalOf(plan.approval, deps.catalog()),
        bind: {
          kind: 'rollback',
          by: turn.person.id,
          service: service.name,
          environment: environment.name,
          version: target.version,
          sha: target.sha,
          reason: args.reason ?? '',
        },
      }),
    };
  };

  return {
    name: 'rollback',
    aliases: ['undo', 'revert'],
    summary: 'Go back to the last good version. Needs no approval.',
    example: 'rollback storefront production',
    usage: 'rollback [service] environment [reason="..."]',
    examples: ['rollback storefront production', 'rollback storefront production reason="checkout is down"'],
    notes: [
      'The version that it takes away stays out of that environment until somebody lets it back in.',
      'Goes to the newest version that succeeded there and is not the one that runs now.',
    ],
    arguments: ['service', 'environment', 'reason'],
    run,
    actions: {},
  };
}
