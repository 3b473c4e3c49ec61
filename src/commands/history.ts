import type { Authoriser } from '../access/types.ts';
import type { Cards } from '../cards/index.ts';
import type { Catalog } from '../deploys/types.ts';
import { refuse } from '../errors.ts';
import type { Store } from '../store/types.ts';
import { pick, scopeOf, showsHere } from './scope.ts';
import type { Arguments, Command, Reply, Turn } from './types.ts';

export interface HistoryCommandDeps {
  authoriser: Authoriser;
  catalog: () => Catalog;
  cards: Cards;
  store: Store;
}

const SHOWN = 15;

export function historyCommand(deps: HistoryCommandDeps): Command {
  const run = async (turn: Turn, args: Arguments): Promise<Reply> => {
    const scope = await scopeOf(deps, turn.person, 'view');
    if (!scope.ok) return { kind: 'refusal', refusal: scope };
    const picked = await pick(deps, turn, scope, args);
    if (!picked.ok) return { kind: 'refusal', refusal: picked };
    if (!picked.service)
      return {
        kind: 'refusal',
        refusal: refuse('ARGUMENT_MISSING', 'Which service?', {
          next: 'Say it like `history storefront`.',
          options: [...scope.services.keys()],
        }),
      };
    const { name } = picked.service;
    const visible = scope.services.get(name) ?? [];
    const found = await deps.store.read((tx) =>
      tx.deployments.list({
        service: name,
        ...(picked.environment ? { environment: picked.environment.name } : {}),
        limit: SHOWN * 2,
      }),
    );
    const deployments = found.filter(({ environment }) => visible.includes(environment)).slice(0, SHOWN);
    return {
      kind: 'card',
      private: !showsHere(turn, name),
      card: deps.cards.history({
        service: name,
        ...(picked.environment ? { environment: picked.environment.name } : {}),
        deployments,
      }),
    };
  };

  return {
    name: 'history',
    aliases: ['hist'],
    summary: 'See what was deployed, by whom, and how it went.',
    example: 'history storefront',
    usage: 'history [service] [environment]',
    examples: ['history storefront', 'history storefront production'],
    notes: [`Shows the last ${SHOWN} deployments and requests.`],
    arguments: ['service', 'environment'],
    run,
    actions: {
      'history.show': async (turn, bind) => {
        const reply = await run(turn, {
          ...(bind.service ? { service: bind.service } : {}),
          ...(bind.environment ? { environment: bind.environment } : {}),
        });
        return reply.kind === 'card' ? { ...reply, fresh: true } : reply;
      },
    },
  };
}
