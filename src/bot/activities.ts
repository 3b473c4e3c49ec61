import { type InvokeResponse, TeamsActivityHandler, type TurnContext } from 'botbuilder';
import type { Catalog } from '../deploys/types.ts';
import type { Logger } from '../logger.ts';
import type { ConversationRef, Store } from '../store/types.ts';
import { type ActivityLike, type Incoming, readIncoming } from './incoming.ts';
import type { Router } from './router.ts';
import { commandText } from './text.ts';

export interface ActivitiesDeps {
  router: Router;
  catalog: () => Catalog;
  store: Store;
  logger: Logger;
}

/** Activities remembered to answer a redelivered one only once. What has an effect is guarded by the store itself. */
const REMEMBERED = 10_000;
const LONGEST_QUERY = 200;

/**
 * The Bot Framework activity handler: sorts what comes in and hands it to the router. Edited messages, reactions and
 * whatever is unknown are acknowledged and ignored: a command never runs from an edit.
 */
export class ShipmateActivityHandler extends TeamsActivityHandler {
  readonly #deps: ActivitiesDeps;
  readonly #seen = new Set<string>();
  /** The last saved form of each reference: a turn without an effect writes nothing. */
  readonly #saved = new Map<string, string>();
  /** Conversations that were welcomed since the start; clients repeat their install events. */
  readonly #welcomed = new Set<string>();

  constructor(deps: ActivitiesDeps) {
    super();
    this.#deps = deps;
    this.onMessage(async (context, next) => {
      await this.#once(context.activity, () => this.#onMessage(context.activity));
      await next();
    });
    this.onInstallationUpdateAdd(async (context, next) => {
      await this.#welcome(context.activity);
      await next();
    });
    this.onMembersAdded(async (context, next) => {
      const { membersAdded, recipient } = context.activity;
      if (membersAdded?.some((member) => member.id === recipient?.id)) await this.#welcome(context.activity);
      await next();
    });
    this.onInstallationUpdateRemove(async (context, next) => {
      const { ref } = this.#read(context.activity);
      this.#saved.delete(ref.conversationId);
      await this.#deps.store.transaction((tx) =>
        tx.references.kill(ref.conversationId, 'The bot was removed from here.'),
      );
      await next();
    });
  }

  protected override async onInvokeActivity(context: TurnContext): Promise<InvokeResponse> {
    const activity: ActivityLike = context.activity;
    // The SDK's own handlers of other invokes take their values for granted and fail on odd ones.
    if (activity.name === 'application/search') return this.#search(activity);
    if (activity.name !== 'adaptiveCard/action') return { status: 501 };
    const incoming = this.#read(activity);
    await this.#remember(incoming.ref);
    const action = object(object(activity.value)?.action);
    const verb = typeof action?.verb === 'string' ? action.verb : '';
    const answer = await this.#deps.router.action(incoming, {
      verb,
      data: action?.data,
      ...(activity.replyToId === undefined ? {} : { activityId: activity.replyToId }),
    });
    return { status: 200, body: answer };
  }

  /** Somebody types into a list of a form. The dataset is read by name only; what may be seen is decided anew. */
  async #search(activity: ActivityLike): Promise<InvokeResponse> {
    const { dataset, queryText } = object(activity.value) ?? {};
    const query = {
      dataset: typeof dataset === 'string' ? dataset.slice(0, LONGEST_QUERY) : '',
      text: typeof queryText === 'string' ? queryText.slice(0, LONGEST_QUERY) : '',
    };
    return { status: 200, body: await this.#deps.router.search(this.#read(activity), query) };
  }

  async #onMessage(activity: ActivityLike): Promise<void> {
    const incoming = this.#read(activity);
    await this.#remember(incoming.ref);
    const submitted = object(activity.value);
    if (typeof submitted?.verb === 'string' && typeof submitted.token === 'string') {
      await this.#deps.router.submit(incoming, {
        verb: submitted.verb,
        data: submitted,
        ...(activity.replyToId === undefined ? {} : { activityId: activity.replyToId }),
      });
      return;
    }
    await this.#deps.router.message(incoming, commandText(activity), activity.id ?? '');
  }

  async #welcome(activity: ActivityLike): Promise<void> {
    const incoming = this.#read(activity);
    const known = await this.#deps.store.read((tx) => tx.references.get(incoming.ref.conversationId));
    await this.#remember(incoming.ref);
    if (this.#welcomed.has(incoming.ref.conversationId)) return;
    if (this.#welcomed.size >= REMEMBERED) this.#welcomed.clear();
    this.#welcomed.add(incoming.ref.conversationId);
    // Once per conversation, not once per start. A seeded reference has no welcome yet; it is a channel of the configuration.
    if (known && known.dead === undefined && incoming.place.kind !== 'personal') return;
    if (
      known &&
      known.dead === undefined &&
      this.#saved.has(known.conversationId) &&
      known.serviceUrl === incoming.ref.serviceUrl
    )
      return;
    await this.#deps.router.welcome(incoming);
  }

  #read(activity: ActivityLike): Incoming {
    return readIncoming(activity, this.#deps.catalog());
  }

  /** Keeps the conversation's reference, when it is new or changed. */
  async #remember(ref: ConversationRef): Promise<void> {
    const form = JSON.stringify(ref);
    if (ref.conversationId === '' || this.#saved.get(ref.conversationId) === form) return;
    await this.#deps.store.transaction((tx) => tx.references.save(ref));
    if (this.#saved.size >= REMEMBERED) this.#saved.clear();
    this.#saved.set(ref.conversationId, form);
  }

  /** Teams sends an activity again when an answer takes too long; the second one finds the first at work. */
  async #once(activity: ActivityLike, work: () => Promise<void>): Promise<void> {
    const key = `${activity.conversation?.id ?? ''} ${activity.id ?? ''}`;
    if (activity.id !== undefined && this.#seen.has(key)) return;
    this.#seen.add(key);
    if (this.#seen.size > REMEMBERED) {
      const oldest = this.#seen.values().next();
      if (!oldest.done) this.#seen.delete(oldest.value);
    }
    try {
      await work();
    } catch (error) {
      this.#seen.delete(key); // not answered: the next delivery may try
      throw error;
    }
  }
}

function object(value: unknown): Record<string, unknown> | undefined {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : undefined;
}
