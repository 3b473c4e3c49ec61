import type { Person } from '../access/types.ts';
import type { Card, NoticeInput, Verb } from '../cards/types.ts';
import type { Refusal } from '../errors.ts';
import type { LogLevel } from '../monitoring/types.ts';

/** Where somebody speaks to the bot. */
export interface Place {
  /** Conversation id with its thread. */
  conversation: string;
  /** Conversation id without the thread. */
  base: string;
  kind: 'personal' | 'groupChat' | 'channel';
  /** Services whose channel this is. A place that is bound to a service may show its data; a personal chat shows its owner's. */
  services: readonly string[];
}

export interface Turn {
  person: Person;
  place: Place;
  /** One-time id of the message or of the clicked card: whatever it causes is caused once. */
  origin: string;
  /** The card that was clicked. */
  activityId?: string;
  /** Conversation id of the personal chat with this person, opened when needed. @throws ShipmateError CHANNEL_UNKNOWN */
  personal(): Promise<string>;
}

export type Reply =
  | {
      kind: 'card';
      card: Card;
      /** Goes to the personal chat unless this is one. */
      private?: boolean;
      /** On a click: a new message instead of the clicked card's next content. */
      fresh?: boolean;
      /** Posted to this conversation too, with what the person is told about it. */
      share?: { conversation: string; card: Card; said: string };
    }
  /** The outbox posts and renews the card; on a click `card` is what the clicked card becomes at once. */
  | { kind: 'living'; card: Card }
  /** Said without touching the clicked card; as a notice when it answers a message. */
  | { kind: 'refusal'; refusal: Refusal; private?: boolean; action?: NoticeInput['action'] };

/** Named values of a one-liner, as typed: "environment=production", or by their place in the sentence. */
export interface Arguments {
  service?: string;
  environment?: string;
  version?: string;
  reason?: string;
  since?: string;
  level?: LogLevel;
  text?: string;
  limit?: number;
  topic?: string;
  /** When, as written: "22:00 Europe/Berlin". */
  at?: string;
  /** Only say what would happen. */
  dry?: boolean;
  /** Of a declared command, by name. */
  inputs?: Record<string, string>;
}
export type ArgumentName = Exclude<keyof Arguments, 'inputs'>;

/** One entry of a list. */
export interface Choice {
  title: string;
  value: string;
}

export interface Command {
  name: string;
  /** Other words for it; none may be another command's name. */
  aliases: readonly string[];
  summary: string;
  example: string;
  usage: string;
  examples: readonly string[];
  notes: readonly string[];
  /** What it understands, in the order in which bare words fill them. */
  arguments: readonly ArgumentName[];
  /** Words that mean nothing after this command, besides those that never do. */
  fillers?: readonly string[];
  /** Names that are only understood as name=value. */
  inputs?: readonly string[];
  run(turn: Turn, args: Arguments): Promise<Reply>;
  actions: Partial<Record<Verb, Action>>;
}

/** A click or a sent form. `bind` was signed by us; `inputs` were typed by a person. */
export type Action = (
  turn: Turn,
  bind: Readonly<Record<string, string>>,
  inputs: Readonly<Record<string, string>>,
) => Promise<Reply>;

export type Parsed = { ok: true; command: Command; args: Arguments } | (Refusal & { command?: Command });
