import { z } from 'zod';
import { action, button, prose, runs, said, spoken } from './parts.ts';
import type { CardDefinition } from './render.ts';
import { list, plain } from './text.ts';
import type { HelpInput } from './types.ts';

const schema = z.strictObject({
  ...spoken,
  title: z.string(),
  lead: runs,
  commands: z.array(z.strictObject({ name: z.string(), summary: z.string(), example: z.string() })),
  detail: z
    .array(
      z.strictObject({
        usage: z.string(),
        examples: z.array(z.strictObject({ example: z.string() })),
        notes: z.array(z.strictObject({ runs })),
      }),
    )
    .max(1),
  footer: z.string(),
  actions: z.array(action),
});

export const help: CardDefinition<HelpInput, z.infer<typeof schema>> = {
  name: 'help',
  schema,
  build(input, sign) {
    const { detail } = input;
    if (detail) {
      const title = plain(detail.name, 40);
      return {
        summary: `Help: ${title}`,
        data: {
          ...said(`${title}: ${plain(detail.summary, 200)} ${plain(detail.usage, 200)}`),
          title,
          lead: prose(detail.summary, 300),
          commands: [],
          detail: [
            {
              usage: plain(detail.usage, 200),
              examples: detail.examples.slice(0, 8).map((example) => ({ example: plain(example, 160) })),
              notes: detail.notes.slice(0, 8).map((note) => ({ runs: prose(note, 300) })),
            },
          ],
          footer: 'Order, capitals and key=value do not matter. What you leave out, I ask for.',
          actions: [button(sign, 'help.show', 'All commands')],
        },
      };
    }
    const names = list(
      input.commands.map(({ name }) => name),
      20,
    );
    return {
      summary: 'What I can do',
      data: {
        ...said(`What I can do: ${names}. Say help and a command's name for more.`),
        title: 'What I can do',
        lead: prose(
          'Say it in your own order; what you leave out, I ask for. `help deploy` tells more about one.',
          300,
        ),
        commands: input.commands.slice(0, 20).map(({ name, summary, example }) => ({
          name: `${plain(name, 40)}  `,
          summary: plain(summary, 160),
          example: plain(example, 160),
        })),
        detail: [],
        footer: 'In a channel or a group chat, mention me first.',
        actions: [
          button(sign, 'deploy.form', 'Deploy', { style: 'positive' }),
          button(sign, 'logs.form', 'Logs'),
          button(sign, 'status.show', 'Status'),
        ],
      },
    };
  },
};
