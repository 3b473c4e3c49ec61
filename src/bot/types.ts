import type { Card } from '../cards/types.ts';
import type { ConversationRef } from '../store/types.ts';

/** What the bot sends: text or one card, in Bot Framework's wire form made by the connector. */
export interface Outgoing {
  /** Plain text with Teams' markdown subset; escaped by whoever builds it. */
  text?: string;
  card?: Card;
  /** Text of the notification; for cards their own summary. */
  summary?: string;
  mentions?: readonly { id: string; name: string }[];
}

/**
 * How a send ended, sorted by what may be done next:
 * `retry` the channel certainly did not take it; `unknown` it may have; `gone` the activity or conversation is not there;
 * `forbidden` final, the bot may not speak there; `invalid` final, the channel refuses this content.
 */
export type SendResult =
  | { kind: 'sent'; activityId: string; conversationId: string }
  | { kind: 'retry'; afterMs: number; message: string }
  | { kind: 'unknown'; message: string }
  | { kind: 'gone'; message: string }
  | { kind: 'forbidden'; message: string }
  | { kind: 'invalid'; message: string };

/** Our own small client of the Bot Connector API. Never throws for what the channel answers. */
export interface Connector {
  /**
   * Posts to a conversation. A channel id without ";messageid=" makes a new root post (POST /v3/conversations); with
   * it, a reply in that thread; a personal or group chat, a message. `replyTo` answers a given activity.
   */
  post(ref: ConversationRef, conversationId: string, message: Outgoing, replyTo?: string): Promise<SendResult>;
  /** Edits in place; safe to repeat, retried inside. */
  update(ref: ConversationRef, conversationId: string, activityId: string, message: Outgoing): Promise<SendResult>;
  /** Opens (or finds) the personal chat with a person. */
  openPersonal(
    near: ConversationRef,
    person: { id: string; channelUserId?: string },
  ): Promise<{ kind: 'opened'; conversationId: string } | Exclude<SendResult, { kind: 'sent' }>>;
  /**
   * Channel ids ("29:...") of the people in a conversation; null when there are more than `most`, or nobody can say.
   */
  members(ref: ConversationRef, most: number): Promise<readonly string[] | null>;
  close(): Promise<void>;
}
