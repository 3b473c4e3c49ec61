import { z } from 'zod';
import { action, button, prose, runs, said, spoken, text } from './parts.ts';
import type { CardDefinition } from './render.ts';
import { plain } from './text.ts';
import type { InboxInput } from './types.ts';
import { clientTime, environmentTone } from './words.ts';

const schema = z.strictObject({
  ...spoken,
  title: z.string(),
  rows: z.array(
    z.strictObject({ runs, details: runs, hasTime: z.boolean(), at: z.string(), open: z.array(action).max(1) }),
  ),
  isEmpty: z.boolean(),
  empty: runs,
  left: z.number(),
  hasFooter: z.boolean(),
  footer: z.string(),
  actions: z.array(action),
});

const SHOWN = 10;
const WORDS = {
  approve: 'waits for approval',
  answer: 'asks something',
  review: 'glass broken, not reviewed',
} as const;

/** What waits for one person. Each opens the card on which it is decided. */
export const inbox: CardDefinition<InboxInput, z.infer<typeof schema>> = {
  name: 'inbox',
  schema,
  build(input, sign) {
    const count = input.items.length;
    const title =
      count === 0 ? 'Nothing waits for you' : count === 1 ? 'One thing waits for you' : `${count} things wait for you`;
    const shown = input.items.slice(0, SHOWN);
    return {
      summary: title,
      data: {
        ...said(
          `${title}. ${shown
            .slice(0, 3)
            .map(
              ({ deployment: it }) =>
                `${plain(it.service, 60)} ${plain(it.version, 50)} to ${plain(it.environment, 50)}.`,
            )
            .join(' ')}`,
        ),
        title,
        rows: shown.map(({ deployment: it, production, what }) => ({
          runs: [
            text(`${plain(it.command?.name ?? '', 40)} ${plain(it.service, 60)} ${plain(it.version, 50)}`.trim(), {
              weight: 'bolder',
            }),
            text(' → '),
            text(plain(it.environment, 50), { color: environmentTone(it.environment, production) }),
          ],
          details: [
            text(`${WORDS[what]} · asked by ${plain(it.requestedBy.name, 60) || 'somebody'} · #${plain(it.id, 20)}`, {
              size: 'small',
              isSubtle: true,
            }),
          ],
          hasTime: clientTime(it.createdAt) !== '',
          at: clientTime(it.createdAt),
          open: [button(sign, 'deploy.view', 'Open', { bind: { id: it.id, open: 'yes' } })],
        })),
        isEmpty: count === 0,
        empty: prose('Requests for approval come to the approvals channel, and show up here too.', 200),
        left: count - shown.length,
        hasFooter: count > shown.length,
        footer: `and ${count - shown.length} more`,
        actions: [button(sign, 'approvals.show', 'Refresh')],
      },
    };
  },
  shrink(data) {
    if (data.rows.length <= 1) return null;
    const rows = data.rows.slice(0, Math.floor(data.rows.length / 2));
    const left = data.left + data.rows.length - rows.length;
    return { ...data, rows, left, hasFooter: true, footer: `and ${left} more` };
  },
};
