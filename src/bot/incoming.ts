import type { Person } from '../access/types.ts';
import type { Place } from '../commands/types.ts';
import { baseOf } from '../conversations.ts';
import type { Catalog } from '../deploys/types.ts';
import type { ConversationRef } from '../store/types.ts';

/** The fields of an activity that are used, all of them doubtful: the connector sends what it likes. */
export interface ActivityLike {
  type?: string;
  id?: string;
  name?: string;
  text?: unknown;
  value?: unknown;
  entities?: unknown;
  replyToId?: string;
  serviceUrl?: string;
  channelId?: string;
  from?: { id?: string; name?: string; aadObjectId?: string; userRole?: unknown; properties?: unknown };
  recipient?: { id?: string; name?: string; isTargeted?: unknown };
  conversation?: { id?: string; tenantId?: string; conversationType?: string; isGroup?: boolean };
  channelData?: unknown;
}

export interface Incoming {
  person: Person;
  place: Place;
  ref: ConversationRef;
  /** Only the sender may see the answer (Teams' targeted messages). */
  targeted: boolean;
}

function field(value: unknown, ...path: string[]): unknown {
  let current = value;
  for (const key of path) {
    if (typeof current !== 'object' || current === null || !Object.hasOwn(current, key)) return undefined;
    current = (current as Record<string, unknown>)[key];
  }
  return current;
}

/** The tenant as the authenticated connector states it. */
export function tenantOf(activity: ActivityLike): string {
  const stated = field(activity.channelData, 'tenant', 'id') ?? activity.conversation?.tenantId;
  // Ids are compared as Entra does: the case means nothing.
  return typeof stated === 'string' ? stated.toLowerCase() : '';
}

/**
 * Who speaks, where. Only `aadObjectId` and the tenant decide anything; they can be believed because a genuine
 * connector called (the token does not sign the body).
 */
export function readIncoming(activity: ActivityLike, catalog: Catalog): Incoming {
  const tenantId = tenantOf(activity);
  const conversation = activity.conversation?.id ?? '';
  const base = baseOf(conversation);
  const kind = kindOf(activity);
  const targeted = activity.recipient?.isTargeted === true;
  const person: Person = {
    // Object ids are compared as Entra does: another spelling is nobody else.
    id: (activity.from?.aadObjectId ?? '').toLowerCase(),
    tenantId,
    name: (activity.from?.name ?? 'Somebody').replace(/[\p{Cc}\p{Cf}]/gu, '').slice(0, 80),
    ...(activity.from?.id === undefined ? {} : { channelUserId: activity.from.id }),
    ...(isGuest(activity) ? { guest: true } : {}),
  };
  return {
    person,
    place: {
      conversation,
      base,
      kind,
      // What only the sender sees is not answered in public: nothing belongs here then.
      services: targeted
        ? []
        : [...catalog.services.values()].filter(({ channel }) => channel === base).map(({ name }) => name),
    },
    ref: {
      conversationId: base,
      kind,
      serviceUrl: activity.serviceUrl ?? '',
      channelId: activity.channelId ?? '',
      tenantId,
      bot: { id: activity.recipient?.id ?? '', name: activity.recipient?.name ?? 'Shipmate' },
      ...(kind === 'personal' && person.id !== '' ? { personId: person.id } : {}),
    },
    targeted,
  };
}

function kindOf(activity: ActivityLike): Place['kind'] {
  const type = activity.conversation?.conversationType;
  if (type === 'personal' || type === 'groupChat' || type === 'channel') return type;
  if (field(activity.channelData, 'team', 'id') !== undefined) return 'channel';
  // Unknown kinds count as shared, where less is shown.
  return activity.conversation?.isGroup === false ? 'personal' : 'groupChat';
}

/** Teams marks guests of the tenant by a role; an account of another tenant in a shared channel has its own tenant id. */
function isGuest(activity: ActivityLike): boolean {
  const role = field(activity.from, 'userRole') ?? field(activity.from, 'properties', 'userRole');
  if (typeof role === 'string' && role.toLowerCase() === 'guest') return true;
  const home = field(activity.from, 'tenantId') ?? field(activity.from, 'properties', 'tenantId');
  return typeof home === 'string' && home !== '' && home.toLowerCase() !== tenantOf(activity);
}
