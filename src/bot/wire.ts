import type { ConversationRef } from '../store/types.ts';
import { plain } from './text.ts';
import type { Outgoing } from './types.ts';

/** Bot Framework's wire form of what the bot sends. Source: the Bot Connector REST reference. */
export function toActivity(ref: ConversationRef, conversationId: string, message: Outgoing): Record<string, unknown> {
  const { card, mentions = [], text } = message;
  const summary = message.summary ?? card?.summary;
  const greeting = mentions.map(({ name }) => `<at>${plain(name)}</at>`).join(' ');
  const said = [greeting, text ?? ''].filter((part) => part !== '').join(' ');
  return {
    type: 'message',
    from: ref.bot,
    conversation: { id: conversationId, tenantId: ref.tenantId },
    ...(said === '' ? {} : { text: said, textFormat: 'markdown' }),
    ...(summary === undefined ? {} : { summary: summary.slice(0, 500) }),
    ...(mentions.length === 0
      ? {}
      : {
          entities: mentions.map(({ id, name }) => ({
            type: 'mention',
            text: `<at>${plain(name)}</at>`,
            mentioned: { id, name },
          })),
        }),
    ...(card
      ? { attachments: [{ contentType: 'application/vnd.microsoft.card.adaptive', content: card.content }] }
      : {}),
  };
}
