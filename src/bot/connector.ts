import { Agent, request } from 'undici';
import type { Logger } from '../logger.ts';
import type { ConversationRef } from '../store/types.ts';
import { createThrottle } from './throttle.ts';
import type { Connector, Outgoing, SendResult } from './types.ts';
import { toActivity } from './wire.ts';

export interface ConnectorOptions {
  /** The bot's token for the connector; null in playground mode, where none is sent. `renew` asks for a new one. */
  token: ((options: { renew: boolean }) => Promise<string>) | null;
  /** Whether this URL may be called, with the bot's token. */
  mayCall: (url: string) => boolean;
  logger: Logger;
  now: () => number;
  onCall?: (what: 'post' | 'update' | 'open', result: SendResult['kind'] | 'opened') => void;
  /** Whole call, milliseconds. */
  timeoutMs?: number;
}

/** What came back of one call. `unsent`: the other side certainly did not get it. */
type Outcome =
  | { kind: 'answer'; status: number; retryAfterMs: number | null; body: unknown }
  | { kind: 'unsent'; message: string }
  | { kind: 'broken'; message: string };

type Failure = Exclude<SendResult, { kind: 'sent' }>;

const TIMEOUT_MS = 10_000;
const UPDATE_TRIES = 3;
/** Teams gives at least 50 at once, whatever is asked for. */
const MEMBERS_PAGE = 100;
const FIRST_BACKOFF_MS = 500;
const LONGEST_BACKOFF_MS = 30_000;
// The request was not written: nobody can have acted on it.
const UNSENT_CODES = new Set([
  'ECONNREFUSED',
  'ENOTFOUND',
  'EAI_AGAIN',
  'UND_ERR_CONNECT_TIMEOUT',
  'EHOSTUNREACH',
  'ENETUNREACH',
  'CERT_HAS_EXPIRED',
]);

/**
 * A small client of the Bot Connector API, over kept-alive connections. The SDK's own repeats a POST after an
 * ambiguous failure, which can post a card twice, and drops properties that it does not know.
 */
export function createConnector(options: ConnectorOptions): Connector {
  const { logger, mayCall, now, token } = options;
  const agent = new Agent({ keepAliveTimeout: 60_000, connections: 32, connect: { timeout: 5_000 } });
  const throttle = createThrottle(now);
  let failures = 0;

  const call = async (
    ref: ConversationRef,
    method: 'GET' | 'POST' | 'PUT',
    path: string,
    body?: unknown,
  ): Promise<Outcome> => {
    // A reference may be older than the configuration: the token goes to nobody else.
    if (!mayCall(ref.serviceUrl))
      return { kind: 'answer', status: 403, retryAfterMs: null, body: 'the service URL is not allowed' };
    const url = `${ref.serviceUrl.replace(/\/+$/, '')}${path}`;
    for (const renew of [false, true]) {
      let authorization: string | null = null;
      try {
        authorization = token === null ? null : `Bearer ${await token({ renew })}`;
      } catch (error) {
        logger.error('no token for the connector', { error });
        return { kind: 'unsent', message: 'The bot could not sign in.' };
      }
      const outcome = await send(method, url, body, authorization);
      // A token may be revoked before it expires; one new one is asked for.
      if (outcome.kind === 'answer' && outcome.status === 401 && token !== null && !renew) continue;
      return outcome;
    }
    return { kind: 'broken', message: 'unreachable' };
  };

  const send = async (
    method: 'GET' | 'POST' | 'PUT',
    url: string,
    body: unknown,
    authorization: string | null,
  ): Promise<Outcome> => {
    try {
      const answer = await request(url, {
        dispatcher: agent,
        method,
        signal: AbortSignal.timeout(options.timeoutMs ?? TIMEOUT_MS),
        headers: { 'content-type': 'application/json', ...(authorization === null ? {} : { authorization }) },
        ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      });
      const text = await answer.body.text();
      const seconds = Number(answer.headers['retry-after']);
      return {
        kind: 'answer',
        status: answer.statusCode,
        retryAfterMs: Number.isFinite(seconds) && seconds > 0 ? seconds * 1000 : null,
        body: parse(text),
      };
    } catch (error) {
      const code = codeOf(error);
      const message = `The connector did not answer (${code || 'no code'}).`;
      return UNSENT_CODES.has(code) ? { kind: 'unsent', message } : { kind: 'broken', message };
    }
  };

  const backoff = (): number =>
    Math.min(LONGEST_BACKOFF_MS, FIRST_BACKOFF_MS * 2 ** Math.min(failures, 6)) * (0.5 + Math.random() / 2);

  /** Sorts an outcome by what may be done next; null when it went through. */
  const failureOf = (outcome: Outcome): Failure | null => {
    if (outcome.kind === 'broken') return { kind: 'unknown', message: outcome.message };
    if (outcome.kind === 'unsent') {
      failures += 1;
      return { kind: 'retry', afterMs: backoff(), message: outcome.message };
    }
    const { body, retryAfterMs, status } = outcome;
    if (status < 300) {
      failures = 0;
      return null;
    }
    const message = `The connector answered ${status}: ${said(body)}`;
    if (status === 404 || status === 410) return { kind: 'gone', message };
    if (status === 403) return { kind: 'forbidden', message };
    // Throttled, or a precondition that holds a moment later (412), or not served at all (503): not taken.
    if (status === 429 || status === 412 || status === 503 || status === 401) {
      failures += 1;
      return { kind: 'retry', afterMs: retryAfterMs ?? backoff(), message };
    }
    // 500, 502, 504 and 408 may come after it was taken.
    if (status >= 500 || status === 408) return { kind: 'unknown', message };
    return { kind: 'invalid', message };
  };

  const report = <T extends SendResult>(what: 'post' | 'update', result: T): T => {
    options.onCall?.(what, result.kind);
    return result;
  };

  const post = async (
    ref: ConversationRef,
    conversationId: string,
    message: Outgoing,
    replyTo?: string,
  ): Promise<SendResult> => {
    const wait = throttle.take(conversationId);
    if (wait > 0) return { kind: 'retry', afterMs: wait, message: 'Kept back to stay under the limits of Teams.' };
    const activity = toActivity(ref, conversationId, message);
    const root = ref.kind === 'channel' && !conversationId.includes(';messageid=');
    const outcome = root
      ? await call(ref, 'POST', '/v3/conversations', {
          isGroup: true,
          bot: ref.bot,
          tenantId: ref.tenantId,
          channelData: { channel: { id: conversationId }, tenant: { id: ref.tenantId } },
          activity,
        })
      : await call(
          ref,
          'POST',
          `/v3/conversations/${encodeURIComponent(conversationId)}/activities${replyTo === undefined ? '' : `/${encodeURIComponent(replyTo)}`}`,
          {
            ...activity,
            ...(replyTo === undefined ? {} : { replyToId: replyTo }),
          },
        );
    const failure = failureOf(outcome);
    if (failure) return failure;
    const body = outcome.kind === 'answer' ? outcome.body : null;
    const activityId = root ? field(body, 'activityId') : field(body, 'id');
    // Taken, but without a name it can never be edited: as if its outcome were not known.
    if (activityId === null) return { kind: 'unknown', message: 'The connector gave no id.' };
    return { kind: 'sent', activityId, conversationId: (root ? field(body, 'id') : null) ?? conversationId };
  };

  const update = async (
    ref: ConversationRef,
    conversationId: string,
    activityId: string,
    message: Outgoing,
  ): Promise<SendResult> => {
    const wait = throttle.take(conversationId);
    if (wait > 0) return { kind: 'retry', afterMs: wait, message: 'Kept back to stay under the limits of Teams.' };
    const path = `/v3/conversations/${encodeURIComponent(conversationId)}/activities/${encodeURIComponent(activityId)}`;
    const body = { ...toActivity(ref, conversationId, message), id: activityId };
    for (let attempt = 1; ; attempt += 1) {
      const failure = failureOf(await call(ref, 'PUT', path, body));
      if (failure === null) return { kind: 'sent', activityId, conversationId };
      // An edit is safe to repeat, so an unknown outcome is no reason to stop.
      if (failure.kind !== 'unknown' || attempt >= UPDATE_TRIES) return failure;
      await new Promise((resolve) => setTimeout(resolve, 200 * attempt));
    }
  };

  return {
    post: async (...args) => report('post', await post(...args)),
    update: async (...args) => report('update', await update(...args)),
    async openPersonal(near, person) {
      const outcome = await call(near, 'POST', '/v3/conversations', {
        isGroup: false,
        bot: near.bot,
        members: [{ id: person.channelUserId ?? person.id }],
        tenantId: near.tenantId,
        channelData: { tenant: { id: near.tenantId } },
      });
      const failure = failureOf(outcome);
      const conversationId = failure === null && outcome.kind === 'answer' ? field(outcome.body, 'id') : null;
      const result =
        failure ??
        (conversationId === null
          ? ({ kind: 'unknown', message: 'The connector gave no id.' } as const)
          : ({ kind: 'opened', conversationId } as const));
      options.onCall?.('open', result.kind);
      return result;
    },
    async members(ref, most) {
      const path = `/v3/conversations/${encodeURIComponent(ref.conversationId)}/pagedmembers?pageSize=${MEMBERS_PAGE}`;
      const found: string[] = [];
      let token = '';
      do {
        const next = token === '' ? '' : `&continuationToken=${encodeURIComponent(token)}`;
        const outcome = await call(ref, 'GET', `${path}${next}`);
        if (outcome.kind !== 'answer' || outcome.status !== 200) return null;
        const page = pageOf(outcome.body);
        if (page === null) return null;
        found.push(...page.members);
        token = page.token;
      } while (token !== '' && found.length <= most);
      return found.length > most ? null : found;
    },
    close: () => agent.close(),
  };
}

/** Source: Bot Connector API, GetConversationPagedMembers. */
function pageOf(body: unknown): { members: string[]; token: string } | null {
  if (typeof body !== 'object' || body === null || !('members' in body) || !Array.isArray(body.members)) return null;
  const token = 'continuationToken' in body && typeof body.continuationToken === 'string' ? body.continuationToken : '';
  return { members: body.members.flatMap((member) => field(member, 'id') ?? []), token };
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return text.slice(0, 200);
  }
}

function field(body: unknown, name: 'id' | 'activityId'): string | null {
  const value = typeof body === 'object' && body !== null ? (body as Record<string, unknown>)[name] : undefined;
  return typeof value === 'string' && value !== '' ? value : null;
}

function said(body: unknown): string {
  return (typeof body === 'string' ? body : JSON.stringify(body ?? '')).slice(0, 200);
}

function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '';
  if ('code' in error && typeof error.code === 'string') return error.code;
  return 'cause' in error ? codeOf(error.cause) : '';
}
