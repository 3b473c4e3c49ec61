import type { SentActivity } from '../test/fakes/teams/connector.ts';
import { actionsOf, cardContent, type Person } from '../test/fakes/teams/index.ts';
import type { BotProcess } from './process.ts';
import { WEB_CHANNEL, type World } from './world.ts';

const REQUEST_MS = 15_000;

interface Answer {
  status: number;
  body: unknown;
}

/** What an answered click came to: the card that Teams then shows, or words beside the old one. */
export type ClickAnswer = { card: unknown } | { said: string };

/**
 * The chat client and the people at it. Requests go to whichever replica is there, as through a load balancer. A request
 * that got no 2xx is sent again with the same ids; a click without an answer is clicked again, if the button is still
 * there.
 */
export class People {
  /** Who has a request of ours at this moment. */
  readonly busy = new Map<BotProcess, number>();
  readonly #world: World;
  readonly #random: () => number;
  readonly #tell: (what: string) => void;
  /** Throws when nobody waits any more. */
  readonly #patient: () => void;

  constructor(world: World, random: () => number, tell: (what: string) => void, patient: () => void) {
    this.#world = world;
    this.#random = random;
    this.#tell = tell;
    this.#patient = patient;
  }

  message(person: Person, text: string, where: 'personal' | 'channel'): Record<string, unknown> {
    if (where === 'personal') return person.activity({ type: 'message', text, textFormat: 'plain' });
    const mention = '<at>Shipmate</at>';
    return person.activity(
      {
        type: 'message',
        textFormat: 'plain',
        text: `${mention}&nbsp;${text}`,
        entities: [{ type: 'mention', text: mention, mentioned: person.activity({}).recipient }],
      },
      { kind: 'channel', id: WEB_CHANNEL },
    );
  }

  /** Delivers until it is answered with 2xx. */
  async deliver(what: string, activity: Record<string, unknown>): Promise<void> {
    for (;;) {
      const answer = await this.#post(what, activity);
      if (answer !== null && answer.status < 300) return;
      await this.#pause(100, 400);
    }
  }

  /**
   * Clicks until there is an answer that shows the deployment; null when the button went before one came. What is
   * clicked is the card as it was first seen, like in a client that has not heard of an edit.
   */
  async click(
    what: string,
    person: Person,
    card: SentActivity,
    verb: string,
    twice: boolean,
  ): Promise<Extract<ClickAnswer, { card: unknown }> | null> {
    const action = structuredClone(actionOf(card, verb));
    if (!action) throw new Error(`the card has no button for ${verb}`);
    const once = async (): Promise<ClickAnswer | null> => {
      const answer = await this.#post(what, invoke(person, card, action));
      if (answer === null || answer.status >= 300) return null;
      const { type, value } = answer.body as { type: string; value: unknown };
      return type.includes('card') ? { card: value } : { said: String(value) };
    };
    for (let attempt = 1; ; attempt += 1) {
      const answers = await Promise.all(attempt === 1 && twice ? [once(), once()] : [once()]);
      const shown = answers.find((answer) => answer !== null && 'card' in answer);
      if (shown && 'card' in shown) return shown;
      for (const answer of answers) if (answer && 'said' in answer) this.#tell(`${what} is told: ${answer.said}`);
      await this.#pause(200, 700);
      if (!actionOf(card, verb)) return null;
    }
  }

  /** A client asks for its person's own view of a card that it shows, where the card wants that; once, as it may fail. */
  async view(what: string, person: Person, card: SentActivity): Promise<void> {
    const { refresh } = cardContent(card) as { refresh?: { action: Record<string, unknown>; userIds?: string[] } };
    const { id } = person.activity({}).from as { id: string };
    if (refresh?.userIds?.includes(id)) await this.#post(what, invoke(person, card, refresh.action, 'automatic'));
  }

  /** One request to whoever is there; null when nobody is, or nobody answered. */
  async #post(what: string, activity: Record<string, unknown>): Promise<Answer | null> {
    const { alive } = this.#world;
    const bot = alive[Math.floor(this.#random() * alive.length)];
    if (bot === undefined) return null;
    const token = await this.#world.teams.tokens.mint();
    this.busy.set(bot, (this.busy.get(bot) ?? 0) + 1);
    this.#tell(`${what} → ${bot.name}`);
    try {
      const answer = await fetch(`http://127.0.0.1:${bot.port}/api/messages`, {
        method: 'POST',
        body: JSON.stringify(activity),
        headers: { 'content-type': 'application/json', authorization: `Bearer ${token}` },
        signal: AbortSignal.timeout(REQUEST_MS),
      });
      const text = await answer.text();
      this.#tell(`${what} ← ${answer.status}`);
      return { status: answer.status, body: text === '' ? null : JSON.parse(text) };
    } catch (error) {
      this.#tell(`${what} ← no answer (${error instanceof Error ? error.message : String(error)})`);
      return null;
    } finally {
      this.busy.set(bot, (this.busy.get(bot) ?? 1) - 1);
    }
  }

  async #pause(least: number, most: number): Promise<void> {
    await sleep(least + this.#random() * (most - least));
    this.#patient();
  }
}

export function actionOf(card: SentActivity, verb: string): Record<string, unknown> | undefined {
  return actionsOf(cardContent(card)).find((action) => action.verb === verb);
}

function invoke(
  person: Person,
  card: SentActivity,
  action: Record<string, unknown>,
  trigger: 'manual' | 'automatic' = 'manual',
): Record<string, unknown> {
  const personal = card.conversation.startsWith('a:');
  return {
    ...person.activity({
      type: 'invoke',
      name: 'adaptiveCard/action',
      replyToId: card.id,
      value: { action: { type: 'Action.Execute', verb: action.verb, data: action.data }, trigger },
    }),
    conversation: {
      id: card.conversation,
      conversationType: personal ? 'personal' : 'channel',
      tenantId: (person.activity({}).conversation as { tenantId: string }).tenantId,
      isGroup: !personal,
    },
  };
}

export function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
