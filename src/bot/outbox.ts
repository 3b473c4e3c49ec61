import type { Cards } from '../cards/index.ts';
import { baseOf } from '../conversations.ts';
import type { DeployView } from '../deploys/types.ts';
import type { Logger } from '../logger.ts';
import type { ConversationRef, OutboxRow, Store } from '../store/types.ts';
import { createRoster } from './roster.ts';
import { plain } from './text.ts';
import type { Connector, Outgoing, SendResult } from './types.ts';

export interface OutboxDeps {
  store: Store;
  connector: Connector;
  /** What a conversation shows of a deployment now; null when it is gone. */
  view: (id: string, audience: DeployView['audience']) => Promise<DeployView | null>;
  cards: Cards;
  logger: Logger;
  now: () => Date;
}

/** Waiting for a card that a message replies to. */
const THREAD_WAIT_MS = 300;
const UPDATE_AGAIN_MS = 2_000;
/** The connector gives up after ten seconds: whoever began a POST so long ago has its answer, or is gone. */
const OUTCOME_MS = 15_000;

/**
 * The job that makes the channel show what the store says: posts a card once, edits it from then on, newest state
 * only. A POST whose answer was lost is not repeated: rather no card than two, and the end is said by a message of its
 * own. A card whose poster was killed in the middle is posted anew: nobody else would ever see the request.
 */
export function createOutboxFlush(deps: OutboxDeps): (data: { key: string; recover?: true }) => Promise<void> {
  const { connector, logger, store } = deps;
  const roster = createRoster(connector, deps.now);
  const lanes = new Map<string, Promise<void>>();
  /** Cards whose answer was lost to this process: they may be there. */
  const unanswered = new Set<string>();

  const flush = async (key: string): Promise<void> => {
    const found = await store.read(async (tx) => {
      const row = await tx.outbox.get(key);
      if (!row || row.dead !== null || row.sentVersion >= row.version) return null;
      const ref = await tx.references.get(baseOf(row.conversation));
      const { payload } = row;
      const other = async (name: string | undefined) => (name === undefined ? null : tx.outbox.get(name));
      const thread = payload.kind === 'message' ? await other(payload.threadOf) : null;
      const before = payload.kind === 'message' ? await other(payload.after) : null;
      return { row, ref, thread, before };
    });
    if (!found) return;
    const { before, ref, row, thread } = found;
    if (!ref || ref.dead !== undefined) {
      await kill(row, ref?.dead ?? 'The bot does not know this conversation.');
      return;
    }
    if ([thread, before].some(isOnItsWay)) return again(key, THREAD_WAIT_MS);
    const message = await content(row, ref);
    if (!message) return kill(row, 'What it shows is gone.');
    if (row.activityId !== null) {
      // A message is said once; only cards are edited.
      if (row.payload.kind === 'message') return;
      return updated(row, await connector.update(ref, row.conversation, row.activityId, message));
    }
    const begun = await store.transaction(async (tx) => {
      if (!(await tx.outbox.beginPost(key))) return false;
      if (row.payload.kind === 'deployment')
        await tx.jobs.send(
          'outbox.flush',
          { key, recover: true },
          { delayMs: OUTCOME_MS, singletonKey: `${key}:recover` },
        );
      return true;
    });
    if (!begun) {
      logger.warn('card was begun before and its outcome is not known; it is not posted again', { key });
      return;
    }
    const conversation = ref.kind === 'channel' ? threadOf(row, thread) : row.conversation;
    await posted(row, await connector.post(ref, conversation, message));
  };

  /** Takes back the mark of a POST whose poster is gone. */
  const recover = async (key: string): Promise<void> => {
    if (unanswered.has(key)) return;
    const row = await store.read((tx) => tx.outbox.get(key));
    if (!row?.posting || row.activityId !== null || row.dead !== null) return;
    logger.warn('a card was begun by a process that is gone; it is posted anew', { key });
    await store.transaction((tx) => tx.outbox.abandonPost(key));
    await flush(key);
  };

  const updated = async (row: OutboxRow, result: SendResult): Promise<void> => {
    if (result.kind === 'sent') {
      const activityId = row.activityId ?? result.activityId;
      await store.transaction(async (tx) => {
        const now = await tx.outbox.get(row.key);
        await tx.outbox.sent(row.key, { version: row.version, activityId });
        // Another replica edited it meanwhile with something newer, and this edit may have arrived last: once more, then.
        if (now !== null && now.sentVersion > row.version)
          await tx.outbox.put({ key: now.key, conversation: now.conversation, payload: now.payload });
      });
    } else if (result.kind === 'retry') await again(row.key, result.afterMs);
    else if (result.kind === 'unknown') await again(row.key, UPDATE_AGAIN_MS);
    else if (result.kind === 'gone') {
      // The client forgot the card (or somebody deleted it): posted anew, once, so that it stays true somewhere.
      await store.transaction(async (tx) => {
        await tx.outbox.forget(row.key);
        await tx.jobs.send('outbox.flush', { key: row.key }, { singletonKey: row.key });
      });
    } else await failed(row, result);
  };

  const posted = async (row: OutboxRow, result: SendResult): Promise<void> => {
    if (result.kind === 'sent')
      await store.transaction((tx) => tx.outbox.sent(row.key, { version: row.version, activityId: result.activityId }));
    else if (result.kind === 'retry')
      await store.transaction(async (tx) => {
        await tx.outbox.abandonPost(row.key);
        await tx.jobs.send('outbox.flush', { key: row.key }, { delayMs: result.afterMs, singletonKey: row.key });
      });
    else if (result.kind === 'unknown') {
      unanswered.add(row.key);
      logger.error('it is not known whether a card was posted', { key: row.key, message: result.message });
    } else await failed(row, result);
  };

  const failed = async (row: OutboxRow, result: Exclude<SendResult, { kind: 'sent' }>): Promise<void> => {
    await kill(row, result.message);
    if (result.kind === 'forbidden' || result.kind === 'gone')
      await store.transaction((tx) => tx.references.kill(baseOf(row.conversation), result.message));
  };

  const kill = async (row: OutboxRow, why: string): Promise<void> => {
    logger.error('a card can no longer be shown', { key: row.key, conversation: row.conversation, why });
    await store.transaction((tx) => tx.outbox.kill(row.key, why));
  };

  const again = (key: string, delayMs: number): Promise<void> =>
    store.transaction((tx) => tx.jobs.send('outbox.flush', { key }, { delayMs, singletonKey: key }));

  const content = async (row: OutboxRow, ref: ConversationRef): Promise<Outgoing | null> => {
    const { payload } = row;
    if (payload.kind === 'message') return { text: plain(payload.text), summary: payload.text.slice(0, 200) };
    const view = await deps.view(payload.id, payload.audience);
    if (!view) return null;
    const viewers = payload.audience === 'approvals' ? await viewersOf(view, ref) : [];
    return {
      card: deps.cards.deployment({
        view,
        now: deps.now(),
        ...(viewers.length === 0 ? {} : { refreshUserIds: viewers }),
      }),
    };
  };

  /**
   * Who sees a view of their own in the approvals channel, without buttons that they may not press: everybody where they are
   * few enough, else the requester. Whatever a card shows, a click is decided anew.
   */
  const viewersOf = async ({ deployment }: DeployView, ref: ConversationRef): Promise<readonly string[]> => {
    const own = deployment.requestedBy.channelUserId;
    const everybody = deployment.state === 'awaiting_approval' ? await roster(ref) : null;
    return everybody ?? (own === undefined ? [] : [own]);
  };

  /** One at a time per card: two edits in flight could arrive in the wrong order. */
  return ({ key, recover: again }) => {
    const before = lanes.get(key) ?? Promise.resolve();
    const mine = before.catch(() => {}).then(() => (again ? recover(key) : flush(key)));
    lanes.set(key, mine);
    return mine.finally(() => {
      if (lanes.get(key) === mine) lanes.delete(key);
    });
  };
}

/** Not posted yet, but it will be: neither given up nor lost. */
function isOnItsWay(row: OutboxRow | null): boolean {
  return row !== null && row.activityId === null && row.dead === null && !row.posting;
}

/** Where a message about a card goes: the card's thread. */
function threadOf(row: OutboxRow, thread: OutboxRow | null): string {
  if (row.conversation.includes(';messageid=') || !thread?.activityId) return row.conversation;
  return `${baseOf(row.conversation)};messageid=${thread.activityId}`;
}
