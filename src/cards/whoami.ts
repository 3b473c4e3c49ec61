import { z } from 'zod';
import { action, button, fact, factOf, said, spoken } from './parts.ts';
import type { CardDefinition } from './render.ts';
import { list, plain } from './text.ts';
import type { WhoamiInput } from './types.ts';

const schema = z.strictObject({
  ...spoken,
  name: z.string(),
  hasFacts: z.boolean(),
  facts: z.array(fact).max(5),
  hasRights: z.boolean(),
  rights: z.array(z.strictObject({ service: z.string(), environment: z.string(), permissions: z.string() })),
  isEmpty: z.boolean(),
  empty: z.array(z.strictObject({ type: z.literal('TextRun'), text: z.string() })),
  footer: z.string(),
  actions: z.array(action),
});

/** Rows of rights; the rest is counted. */
const SHOWN = 20;

export const whoami: CardDefinition<WhoamiInput, z.infer<typeof schema>> = {
  name: 'whoami',
  schema,
  build(input, sign) {
    const name = plain(input.name, 80) || 'Somebody without a name';
    const allowed = input.rights.filter(({ permissions }) => permissions.length > 0);
    const rest = Math.max(0, allowed.length - SHOWN);
    const nothing = allowed.length === 0 && input.general.length === 0;
    const summary = `You are ${name}`;
    return {
      summary,
      data: {
        ...said(
          `${summary}, in ${list(input.groups, 5) || 'no group that I know'}, with ${list(input.roles, 5) || 'no role'}.`,
        ),
        name,
        hasFacts: true,
        facts: [
          factOf('Groups', list(input.groups, 10) || 'None that I know'),
          factOf('Roles', list(input.roles, 10) || 'None'),
          ...(input.general.length > 0 ? [factOf('Everywhere', list(input.general, 12))] : []),
        ],
        hasRights: allowed.length > 0,
        rights: allowed.slice(0, SHOWN).map(({ service, environment, permissions }) => ({
          service: `${plain(service, 60)}  `,
          environment: plain(environment, 60),
          permissions: list(permissions, 12),
        })),
        isEmpty: nothing,
        empty: [
          {
            type: 'TextRun',
            text: 'You may not do anything here yet. Ask whoever runs Shipmate to give one of your groups a role.',
          },
        ],
        footer: [...(rest > 0 ? [`and ${rest} more rows`] : []), `Your object id is ${plain(input.id, 60)}`].join(
          ' · ',
        ),
        actions: [button(sign, 'help.show', 'Help')],
      },
    };
  },
  shrink: (data) =>
    data.rights.length === 0 ? null : { ...data, rights: data.rights.slice(0, Math.floor(data.rights.length / 2)) },
};
