/** The Bot Connector's side: strict about what Teams is strict about, and able to fail in Teams' ways. */

export interface SentActivity {
  id: string;
  /** With ";messageid=" for a message in a thread. */
  conversation: string;
  activity: Record<string, unknown>;
  /** How often it was edited. */
  edits: number;
}

/** How the next calls end. `cut` takes the call and closes the connection without an answer. */
export type Trouble =
  | { status: number; retryAfter?: number; method?: 'POST' | 'PUT' }
  | { cut: true; method?: 'POST' | 'PUT' };

export interface ConnectorState {
  activities: SentActivity[];
  /** Every call, in order, also those that failed. */
  calls: { method: string; path: string; status: number; authorization: string | undefined }[];
  troubles: Trouble[];
  /** Conversations that answer 403. */
  forbidden: Set<string>;
  /** What a call was refused for: a bug of the bot. */
  complaints: string[];
  opened: Map<string, string>;
  /** Who is in a channel, by its id. */
  rosters: Map<string, readonly string[]>;
}

export interface Answer {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
}

const MAX_CARD = 100 * 1024;
const ACTIVITY_FIELDS = new Set([
  'type',
  'id',
  'from',
  'conversation',
  'text',
  'textFormat',
  'summary',
  'attachments',
  'entities',
  'replyToId',
]);

export function newConnectorState(): ConnectorState {
  return {
    activities: [],
    calls: [],
    troubles: [],
    forbidden: new Set(),
    complaints: [],
    opened: new Map(),
    rosters: new Map(),
  };
}

/** Answers one call. Takes it before trouble strikes when the trouble is `cut`. */
export function answerCall(state: ConnectorState, method: string, path: string, body: unknown): Answer | 'cut' {
  const index = state.troubles.findIndex((trouble) => trouble.method === undefined || trouble.method === method);
  const [trouble] = index >= 0 ? state.troubles.splice(index, 1) : [];
  if (trouble && 'status' in trouble)
    return {
      status: trouble.status,
      body: { error: { code: 'Trouble' } },
      ...(trouble.retryAfter === undefined ? {} : { headers: { 'retry-after': String(trouble.retryAfter) } }),
    };
  const answer = take(state, method, path, body);
  return trouble ? 'cut' : answer;
}

function take(state: ConnectorState, method: string, path: string, body: unknown): Answer {
  const parts = path.split('/').filter(Boolean).map(decodeURIComponent);
  const [version, conversations, conversation = '', activities, activityId] = parts;
  if (version === 'v3' && conversations === 'conversations' && method === 'GET')
    return parts[3]?.startsWith('pagedmembers') === true
      ? membersOf(state, conversation, path)
      : complain(state, 404, `no such call: ${method} ${path}`);
  if (version !== 'v3' || conversations !== 'conversations' || !isRecord(body))
    return complain(state, 404, `no such call: ${method} ${path}`);
  if (conversation === '' && method === 'POST') return open(state, body);
  if (activities !== 'activities') return complain(state, 404, `no such call: ${method} ${path}`);
  if (state.forbidden.has(base(conversation)))
    return { status: 403, body: { error: { code: 'BotNotInConversationRoster' } } };
  const problem = checkActivity(body);
  if (problem) return problem.status === 413 ? problem : complain(state, problem.status, String(problem.body));
  if (method === 'PUT') {
    const found = state.activities.find(({ id }) => id === activityId);
    if (!found) return { status: 404, body: { error: { code: 'ActivityNotFoundInConversation' } } };
    found.activity = body;
    found.edits += 1;
    return { status: 200, body: { id: found.id } };
  }
  const id = nextId(state);
  state.activities.push({ id, conversation, activity: body, edits: 0 });
  return { status: 201, body: { id } };
}

/** Pages of 50, as Teams gives them at least. */
function membersOf(state: ConnectorState, conversation: string, path: string): Answer {
  const people = state.rosters.get(conversation);
  if (!people) return { status: 403, body: { error: { code: 'BotNotInConversationRoster' } } };
  const from = Number(new URL(path, 'http://teams').searchParams.get('continuationToken') ?? 0);
  const members = people.slice(from, from + 50).map((id) => ({ id, name: id, userPrincipalName: `${id}@corp` }));
  const more = from + 50 < people.length;
  return { status: 200, body: { members, ...(more ? { continuationToken: String(from + 50) } : {}) } };
}

function open(state: ConnectorState, body: Record<string, unknown>): Answer {
  if (!isRecord(body.bot) || typeof body.tenantId !== 'string')
    return complain(state, 400, 'a new conversation needs bot and tenantId');
  if (body.isGroup === false) {
    const [member] = Array.isArray(body.members) ? (body.members as { id?: string }[]) : [];
    if (!member?.id) return complain(state, 400, 'a personal chat needs one member');
    const id = state.opened.get(member.id) ?? `a:opened-${member.id}`;
    state.opened.set(member.id, id);
    return { status: 201, body: { id } };
  }
  const channel =
    isRecord(body.channelData) && isRecord(body.channelData.channel) ? body.channelData.channel.id : undefined;
  if (typeof channel !== 'string' || !isRecord(body.activity))
    return complain(state, 400, 'a new post needs channelData.channel.id and an activity');
  if (state.forbidden.has(channel)) return { status: 403, body: {} };
  const problem = checkActivity(body.activity);
  if (problem) return problem.status === 413 ? problem : complain(state, problem.status, String(problem.body));
  const id = nextId(state);
  const conversation = `${channel};messageid=${id}`;
  state.activities.push({ id, conversation, activity: body.activity, edits: 0 });
  return { status: 201, body: { id: conversation, activityId: id } };
}

function checkActivity(activity: Record<string, unknown>): Answer | null {
  if (activity.type !== 'message') return { status: 400, body: `type ${String(activity.type)}` };
  for (const key of Object.keys(activity))
    if (!ACTIVITY_FIELDS.has(key)) return { status: 400, body: `unknown field ${key}` };
  const attachments = Array.isArray(activity.attachments) ? (activity.attachments as Record<string, unknown>[]) : [];
  if (attachments.length === 0 && typeof activity.text !== 'string')
    return { status: 400, body: 'neither text nor card' };
  for (const { content, contentType } of attachments) {
    if (
      contentType !== 'application/vnd.microsoft.card.adaptive' ||
      !isRecord(content) ||
      content.type !== 'AdaptiveCard'
    )
      return { status: 400, body: 'no adaptive card' };
    if (Buffer.byteLength(JSON.stringify(content), 'utf16le') > MAX_CARD)
      return { status: 413, body: '<html>too large</html>' };
  }
  return null;
}

function complain(state: ConnectorState, status: number, why: string): Answer {
  state.complaints.push(why);
  return { status, body: { error: { message: why } } };
}

function nextId(state: ConnectorState): string {
  return String(1_700_000_000_000 + state.activities.length + 1);
}

export function base(conversation: string): string {
  return conversation.split(';messageid=')[0] ?? conversation;
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
