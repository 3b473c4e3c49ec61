import type { Authoriser } from '../access/types.ts';
import type { Cards } from '../cards/index.ts';
import { refuse, ShipmateError } from '../errors.ts';
import type { Command } from './types.ts';

export function whoamiCommand(deps: { authoriser: Authoriser; cards: Cards }): Command {
  return {
    name: 'whoami',
    aliases: ['who', 'me'],
    summary: 'See your groups, your roles and what you may do here.',
    example: 'whoami',
    usage: 'whoami',
    examples: ['whoami'],
    notes: ['Comes in our personal chat.'],
    arguments: [],
    run: async (turn) => {
      try {
        const rights = await deps.authoriser.rights(turn.person);
        const { services } = turn.place;
        // "Here": in a service's channel only that service counts.
        const rows =
          services.length > 0 ? rights.rights.filter(({ service }) => services.includes(service)) : rights.rights;
        return {
          kind: 'card',
          private: true,
          card: deps.cards.whoami({ name: turn.person.name, id: turn.person.id, ...rights, rights: rows }),
        };
      } catch (error) {
        if (error instanceof ShipmateError)
          return { kind: 'refusal', refusal: refuse(error.code, error.message, { next: 'Try again in a minute.' }) };
        throw error;
      }
    },
    actions: {},
  };
}
