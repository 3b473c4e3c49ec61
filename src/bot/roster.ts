import type { ConversationRef } from '../store/types.ts';
import type { Connector } from './types.ts';

/** Views of their own for at most so many people (Microsoft's page on user-specific views); the others get the plain card. */
export const MOST_VIEWS = 60;
const REMEMBERED_MS = 10 * 60_000;
/** After a failure it is asked again sooner. */
const AGAIN_MS = 60_000;

/** Who is in a conversation, remembered for some minutes; null when they are too many, or nobody can say. */
export function createRoster(connector: Pick<Connector, 'members'>, now: () => Date) {
  const known = new Map<string, { until: number; people: Promise<readonly string[] | null> }>();
  return (ref: ConversationRef): Promise<readonly string[] | null> => {
    const at = now().getTime();
    const before = known.get(ref.conversationId);
    if (before && before.until > at) return before.people;
    const entry = { until: at + REMEMBERED_MS, people: connector.members(ref, MOST_VIEWS) };
    void entry.people.then((people) => {
      if (people === null) entry.until = at + AGAIN_MS;
    });
    known.set(ref.conversationId, entry);
    return entry.people;
  };
}
