import type { Cards } from '../cards/index.ts';
import { refuse } from '../errors.ts';
import { nearest } from './parse.ts';
import type { Command, Reply } from './types.ts';

/** `commands` is asked when help runs, so that the registry may hold help itself. */
export function helpCommand(deps: { cards: Cards; commands: () => readonly Command[] }): Command {
  const overview = (): Reply => ({ kind: 'card', card: deps.cards.help({ commands: listed() }) });
  const listed = () => deps.commands().filter(({ name }) => name !== 'help');
  return {
    name: 'help',
    aliases: ['?', 'commands'],
    summary: 'See what I can do.',
    example: 'help deploy',
    usage: 'help [command]',
    examples: ['help', 'help deploy'],
    notes: [],
    arguments: ['topic'],
    run: async (_turn, { topic }) => {
      if (topic === undefined) return overview();
      const word = topic.replace(/^\//, '').toLowerCase();
      const detail = deps.commands().find(({ name, aliases }) => name === word || aliases.includes(word));
      if (detail) return { kind: 'card', card: deps.cards.help({ commands: listed(), detail }) };
      const names = deps.commands().map(({ name }) => name);
      const guess = nearest(word, names);
      return {
        kind: 'refusal',
        refusal: refuse('COMMAND_UNKNOWN', `There is no command "${topic.slice(0, 40)}".`, {
          ...(guess ? { next: `Did you mean \`help ${guess}\`?` } : {}),
          options: names,
        }),
      };
    },
    actions: {
      'help.show': async () => {
        const reply = overview();
        return reply.kind === 'card' ? { ...reply, fresh: true } : reply;
      },
    },
  };
}
