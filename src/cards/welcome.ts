import { z } from 'zod';
import { action, button, said, spoken } from './parts.ts';
import type { CardDefinition } from './render.ts';

const schema = z.strictObject({
  ...spoken,
  lines: z.array(z.strictObject({ example: z.string(), words: z.string() })),
  actions: z.array(action),
});

const LINES: readonly { example: string; words: string }[] = [
  { example: 'deploy', words: '  opens a form, or say it all: deploy storefront 1.2.3 to staging' },
  { example: 'logs', words: '  shows the newest lines of a service' },
  { example: 'status', words: '  shows what really runs where' },
  { example: 'help', words: '  shows the rest' },
];

export const welcome: CardDefinition<undefined, z.infer<typeof schema>> = {
  name: 'welcome',
  schema,
  build(_input, sign) {
    const summary = "Hello, I'm Shipmate: I deploy your services and read their logs";
    return {
      summary,
      data: {
        ...said(`${summary}. Say help to see how.`),
        lines: [...LINES],
        actions: [
          button(sign, 'deploy.form', 'Deploy', { style: 'positive' }),
          button(sign, 'status.show', 'Status'),
          button(sign, 'help.show', 'Help'),
        ],
      },
    };
  },
};
