import type { Cards } from '../cards/index.ts';
import { VERBS } from '../cards/types.ts';
import type { Commands } from '../commands/index.ts';
import { parse } from '../commands/parse.ts';
import type { Reply, Turn } from '../commands/types.ts';
import { baseOf } from '../conversations.ts';
import type { Catalog } from '../deploys/types.ts';
import { type ReasonCode, type Refusal, refuse, ShipmateError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Signer } from '../signatures.ts';
import type { ConversationRef, Store } from '../store/types.ts';
import type { Incoming } from './incoming.ts';
import { plain } from './text.ts';
import type { Connector, Outgoing } from './types.ts';

export interface RouterDeps {
  commands: Pick<Commands, 'all' | 'actions' | 'search'>;
  cards: Cards;
  catalog: () => Catalog;
  connector: Connector;
  store: Store;
  signer: Signer;
  logger: Logger;
  now: () => Date;
}

/** The answer to an adaptiveCard/action invoke, as Teams wants it. */
export interface InvokeAnswer {
  statusCode: number;
  type: string;
  value: unknown;
}

export interface Router {
  /** Answers a message. `text` is free of mentions. */
  message(incoming: Incoming, text: string, activityId: string): Promise<void>;
  /** Answers a click on a card. Never throws except when nothing could be stored. */
  action(incoming: Incoming, click: Click): Promise<InvokeAnswer>;
  /** A click of a client that knows only Action.Submit: it comes as a message and is answered by one. */
  submit(incoming: Incoming, click: Click): Promise<void>;
  /** Answers what somebody types into a list of a form (`application/search`). Never throws. */
  search(incoming: Incoming, query: { dataset: string; text: string }): Promise<InvokeAnswer>;
  welcome(incoming: Incoming): Promise<void>;
}

export interface Click {
  verb: string;
  data: unknown;
  /** The card's activity. */
  activityId?: string;
}

const GREETINGS =
  /^(?:hi|hello|hey|hallo|moin|good (?:morning|evening|day)|thanks?|thank you|danke|hola|salut)\b[ !.,]*(?:shipmate|bot)?[ !.]*$/i;
const LONGEST_GREETING = 60;
const MAX_INPUT = 2_000;
const POST_TRIES = 3;
const LONGEST_WAIT_MS = 3_000;

export function createRouter(deps: RouterDeps): Router {
  const { cards, catalog, commands, connector, logger, store } = deps;
  const { actions } = commands;

  const turnOf = (incoming: Incoming, origin: string, activityId?: string): Turn => ({
    person: incoming.person,
    place: incoming.place,
    origin,
    ...(activityId === undefined ? {} : { activityId }),
    personal: () => personalChat(incoming),
  });

  const personalChat = async ({ person, place, ref }: Incoming): Promise<string> => {
    if (place.kind === 'personal') return place.conversation;
    const known = person.id === '' ? null : await store.read((tx) => tx.references.personal(person.id));
    if (known && known.dead === undefined) return known.conversationId;
    const opened = await connector.openPersonal(ref, person);
    if (opened.kind !== 'opened')
      throw new ShipmateError(
        'CHANNEL_UNKNOWN',
        `I can't open our personal chat. Write me there once, then ask again.`,
        { cause: opened },
      );
    const personal: ConversationRef = {
      ...ref,
      conversationId: opened.conversationId,
      kind: 'personal',
      ...(person.id === '' ? {} : { personId: person.id }),
    };
    await store.transaction((tx) => tx.references.save(personal));
    return opened.conversationId;
  };

  const message = async (incoming: Incoming, text: string, activityId: string): Promise<void> => {
    const reply = await guarded(incoming, () => answer(incoming, text, activityId));
    if (reply) await deliver(incoming, reply, activityId);
  };

  const answer = async (incoming: Incoming, text: string, activityId: string): Promise<Reply> => {
    if (text === '' || (text.length <= LONGEST_GREETING && GREETINGS.test(text)))
      return run(incoming, 'help', activityId);
    const vocabulary = {
      services: [...catalog().services.keys()],
      environments: [
        ...new Set(
          [...catalog().services.values()].flatMap(({ environments }) => environments.map(({ name }) => name)),
        ),
      ],
    };
    const parsed = parse(text, commands.all(), vocabulary);
    if (!parsed.ok) {
      const action =
        parsed.code === 'COMMAND_UNKNOWN' ? ({ title: 'Show what I can do', verb: 'help.show' } as const) : undefined;
      return { kind: 'refusal', refusal: parsed, ...(action ? { action } : {}) };
    }
    const origin = `message:${incoming.place.conversation}:${activityId}`;
    const reply = await parsed.command.run(turnOf(incoming, origin), parsed.args);
    return noted(incoming, parsed.command.name, reply);
  };

  const run = (incoming: Incoming, name: string, activityId: string): Promise<Reply> => {
    const command = commands.all().find((each) => each.name === name);
    if (!command) throw new Error(`no command ${name}`);
    return command.run(turnOf(incoming, `message:${activityId}`), {});
  };

  /** Runs a handler; what it throws becomes an answer. Only "nothing could be stored" goes on, so that Teams asks again. */
  const guarded = async (incoming: Incoming, handler: () => Promise<Reply>): Promise<Reply> => {
    try {
      return await handler();
    } catch (error) {
      if (error instanceof ShipmateError && error.code === 'STORE_UNAVAILABLE') throw error;
      logger.error('a turn failed', { conversation: incoming.place.conversation, person: incoming.person.id, error });
      const known = error instanceof ShipmateError;
      return {
        kind: 'refusal',
        refusal: known
          ? refuse(error.code, error.message)
          : refuse('INTERNAL', 'Something went wrong here, and it is in my log.', {
              next: 'Try again; if it stays, tell whoever runs Shipmate.',
            }),
      };
    }
  };

  const click = async (incoming: Incoming, { activityId, data, verb }: Click): Promise<Reply> => {
    const { token, inputs } = readData(data);
    const verified = deps.signer.verify('action', token, deps.now());
    const bound = verified.ok ? verified.payload : {};
    const problem: ReasonCode | null = !verified.ok
      ? verified.code
      : bound.v !== verb || !(VERBS as readonly string[]).includes(verb)
        ? 'ACTION_FORGED'
        : null;
    const action = actions.get(verb);
    if (problem !== null || !action) return refusedClick(incoming, verb, problem ?? 'ACTION_UNKNOWN');
    const { n, v: _, ...bind } = bound;
    return noted(incoming, verb, await action(turnOf(incoming, `card:${n ?? ''}`, activityId), bind, inputs));
  };

  /** Refused attempts belong into the audit; who was refused where the attempt itself writes is there already. */
  const noted = async ({ person, place }: Incoming, action: string, reply: Reply): Promise<Reply> => {
    if (reply.kind !== 'refusal' || reply.refusal.audited || reply.refusal.code.startsWith('ARGUMENT_')) return reply;
    const { code } = reply.refusal;
    await store.transaction((tx) =>
      tx.audit.append(
        { actor: person, action, outcome: 'refused', code, conversation: place.conversation },
        deps.now(),
      ),
    );
    return reply;
  };

  const refusedClick = async ({ person, place }: Incoming, verb: string, code: ReasonCode): Promise<Reply> => {
    await store.transaction((tx) =>
      tx.audit.append(
        {
          actor: person,
          action: 'card.click',
          outcome: 'refused',
          code,
          conversation: place.conversation,
          details: { verb: verb.slice(0, 40) },
        },
        deps.now(),
      ),
    );
    const words: Partial<Record<ReasonCode, Refusal>> = {
      ACTION_EXPIRED: refuse('ACTION_EXPIRED', 'This card is too old to act on.', { next: 'Ask for a new one.' }),
      ACTION_UNKNOWN: refuse('ACTION_UNKNOWN', 'I do not know this button.', { next: 'Ask for a new card.' }),
    };
    return {
      kind: 'refusal',
      refusal:
        words[code] ??
        refuse('ACTION_FORGED', 'This button was not made by me, or its card was changed.', {
          next: 'Ask for a new card.',
        }),
    };
  };

  const action = async (incoming: Incoming, clicked: Click): Promise<InvokeAnswer> => {
    const reply = await guarded(incoming, () => click(incoming, clicked));
    if (reply.kind === 'refusal') return told(refusalLine(reply.refusal));
    if (reply.kind === 'living') return replaced(reply.card.content);
    if (reply.share) {
      const shared = await postTo(incoming, reply.share.conversation, { card: reply.share.card });
      return told(shared ? reply.share.said : "I couldn't post there. Is the bot in that channel?");
    }
    const elsewhere = reply.private === true && incoming.place.kind !== 'personal';
    if (!elsewhere && reply.fresh !== true) return replaced(reply.card.content);
    try {
      const conversation = elsewhere ? await personalChat(incoming) : incoming.place.conversation;
      await postTo(incoming, conversation, { card: reply.card });
    } catch (error) {
      if (!(error instanceof ShipmateError) || error.code === 'STORE_UNAVAILABLE') throw error;
      return told(error.message);
    }
    return told(elsewhere ? 'I answered in our personal chat.' : 'Posted below.');
  };

  const submit = async (incoming: Incoming, clicked: Click): Promise<void> => {
    const reply = await guarded(incoming, () => click(incoming, clicked));
    await deliver(incoming, reply);
  };

  const deliver = async (incoming: Incoming, reply: Reply, replyTo?: string): Promise<void> => {
    if (reply.kind === 'living') return; // the outbox posts it
    const card = reply.kind === 'card' ? reply.card : noticeOf(reply.refusal, reply.action);
    const elsewhere = incoming.place.kind !== 'personal' && (reply.private === true || incoming.targeted);
    if (!elsewhere) {
      await postTo(incoming, incoming.place.conversation, { card }, replyTo);
      return;
    }
    try {
      await postTo(incoming, await personalChat(incoming), { card });
      if (!incoming.targeted)
        await postTo(incoming, incoming.place.conversation, { text: 'I answered in our personal chat.' }, replyTo);
    } catch (error) {
      if (!(error instanceof ShipmateError) || error.code === 'STORE_UNAVAILABLE') throw error;
      if (!incoming.targeted)
        await postTo(incoming, incoming.place.conversation, { text: plain(error.message) }, replyTo);
    }
  };

  const noticeOf = (refusal: Refusal, helping?: Extract<Reply, { kind: 'refusal' }>['action']) =>
    cards.notice({
      tone: refusal.code === 'COMMAND_UNKNOWN' ? 'info' : refusal.code === 'INTERNAL' ? 'attention' : 'warning',
      title: titleOf(refusal.code),
      message: refusal.message,
      ...nextOf(refusal),
      ...(refusal.options === undefined ? {} : { options: refusal.options }),
      code: refusal.code,
      ...(helping ? { action: helping } : {}),
    });

  /** Sends an answer that nothing durable hangs on: a few tries when the channel certainly did not take it. */
  const postTo = async (
    incoming: Incoming,
    conversation: string,
    outgoing: Outgoing,
    replyTo?: string,
  ): Promise<boolean> => {
    const ref =
      baseOf(conversation) === incoming.place.base
        ? incoming.ref
        : ((await store.read((tx) => tx.references.get(conversation))) ?? incoming.ref);
    for (let attempt = 1; attempt <= POST_TRIES; attempt += 1) {
      const result = await connector.post(ref, conversation, outgoing, replyTo);
      if (result.kind === 'sent') return true;
      logger.warn('an answer was not taken by the channel', {
        conversation,
        result: result.kind,
        message: result.message,
      });
      if (result.kind !== 'retry' || result.afterMs > LONGEST_WAIT_MS) return false;
      await new Promise((resolve) => setTimeout(resolve, result.afterMs));
    }
    return false;
  };

  const search: Router['search'] = async (incoming, { dataset, text }) => {
    let results: Awaited<ReturnType<Commands['search']>> = null;
    try {
      results = await commands.search(turnOf(incoming, ''), dataset, text);
    } catch (error) {
      logger.error('a search failed', { dataset, error });
    }
    return {
      statusCode: 200,
      type: 'application/vnd.microsoft.search.searchResponse',
      value: { results: results ?? [] },
    };
  };

  const welcome = async (incoming: Incoming): Promise<void> => {
    await postTo(incoming, incoming.place.base, { card: cards.welcome() });
  };

  return { message, action, submit, search, welcome };
}

/** The token, and what a person typed: strings only, bounded. */
function readData(data: unknown): { token: string; inputs: Record<string, string> } {
  const inputs: Record<string, string> = {};
  if (typeof data !== 'object' || data === null) return { token: '', inputs };
  let token = '';
  for (const [key, value] of Object.entries(data).slice(0, 50)) {
    // Number inputs and toggles come as what they are.
    if (typeof value !== 'string' && typeof value !== 'number' && typeof value !== 'boolean') continue;
    const text = String(value);
    if (key === 'token') token = text.slice(0, 8_000);
    else if (key !== 'verb' && key !== '__proto__') inputs[key] = text.slice(0, MAX_INPUT);
  }
  return { token, inputs };
}

function titleOf(code: ReasonCode): string {
  if (code.startsWith('ACCESS_')) return 'You may not do this';
  if (code === 'COMMAND_UNKNOWN') return 'I did not understand that';
  if (code === 'FROZEN') return 'Not during the freeze';
  if (code === 'ENV_LOCKED') return 'It is locked';
  if (code === 'ARGUMENT_MISSING') return 'One thing is missing';
  if (code.startsWith('ARGUMENT_')) return 'That does not fit';
  if (code.endsWith('_UNKNOWN')) return 'I do not know that';
  if (code === 'INTERNAL') return 'That went wrong';
  return 'I did not do this';
}

/** What to do, and who could. */
function nextOf({ next, who }: Refusal): { next?: string } {
  const could = who && who.length > 0 && next?.includes(who[0] ?? '') !== true ? `Who could: ${who.join(', ')}.` : '';
  const all = [next ?? '', could].filter(Boolean).join(' ');
  return all === '' ? {} : { next: all };
}

function refusalLine({ code, message, next, options }: Refusal): string {
  const choices = options && options.length > 0 ? ` (${options.slice(0, 5).join(', ')})` : '';
  return `${message}${choices}${next ? ` ${next}` : ''} [${code}]`;
}

function replaced(content: Record<string, unknown>): InvokeAnswer {
  return { statusCode: 200, type: 'application/vnd.microsoft.card.adaptive', value: content };
}

/** Said beside the card, which stays as it is. */
function told(text: string): InvokeAnswer {
  return { statusCode: 200, type: 'application/vnd.microsoft.activity.message', value: text };
}
