import http from 'node:http';
import type { AddressInfo } from 'node:net';
import {
  answerCall,
  base,
  type ConnectorState,
  newConnectorState,
  type SentActivity,
  type Trouble,
} from './connector.ts';
import { createTokenMint, type TokenChanges, type TokenMint } from './tokens.ts';

/**
 * A Teams channel on this machine: it signs its requests with keys that it publishes, delivers what people say and
 * click, takes what the bot posts and edits, and fails like Teams when told to.
 */
export interface FakeTeams {
  origin: string;
  serviceUrl: string;
  openIdMetadataUrl: string;
  tokens: TokenMint;
  state: ConnectorState;
  /** Where the bot listens. Set it before anybody speaks. */
  botUrl: string;
  person(options: PersonOptions): Person;
  /** The next calls of the bot end so. */
  trouble(...troubles: Trouble[]): void;
  /** Newest last. `conversation` without a thread matches every thread of a channel. */
  cards(conversation: string): SentActivity[];
  texts(conversation: string): string[];
  /** Sends any body with any token. */
  raw(body: string | Buffer, headers?: Record<string, string>): Promise<{ status: number; text: string }>;
  close(): Promise<void>;
}

export interface PersonOptions {
  name: string;
  /** Entra object id. */
  id: string;
  tenant?: string;
  /** Fields of `from` besides, like userRole. */
  from?: Record<string, unknown>;
}

export type Place =
  | { kind: 'personal' }
  | { kind: 'groupChat'; id: string }
  | { kind: 'channel'; id: string; thread?: string };

export interface Delivered {
  status: number;
  body: unknown;
  activity: Record<string, unknown>;
}

export interface InvokeAnswer {
  statusCode: number;
  type: string;
  value: unknown;
}

export interface Person {
  name: string;
  id: string;
  personal: string;
  /** Says something; in a channel or group after a mention of the bot. */
  says(text: string, where?: Place): Promise<Delivered>;
  /** Types into a list of a form that asks for more: what is offered. */
  types(dataset: unknown, queryText: unknown): Promise<{ title: string; value: string }[]>;
  /** Presses a button by its verb or title, with what was typed. */
  clicks(
    card: SentActivity,
    button: string,
    inputs?: Record<string, unknown>,
    changes?: { verb?: string; token?: string },
  ): Promise<InvokeAnswer>;
  /** The card as this person sees it: their own view where the card asks for one. */
  views(card: SentActivity): Promise<InvokeAnswer>;
  installs(where?: Place): Promise<Delivered>;
  /** The very same request once more, or with a new id. */
  redelivers(delivered: Delivered, changes?: Record<string, unknown>): Promise<Delivered>;
  /** An activity of this person, to be sent in any way. */
  activity(fields: Record<string, unknown>, where?: Place): Record<string, unknown>;
}

export async function startFakeTeams(options: { tenant: string; appId: string }): Promise<FakeTeams> {
  const { appId, tenant } = options;
  const state = newConnectorState();
  let origin = '';
  const serviceUrl = () => `${origin}/emea/`;
  const tokens = await createTokenMint(appId, serviceUrl);
  let activityNumber = 0;

  const server = http.createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      const url = req.url ?? '';
      const send = (status: number, body: unknown, headers: Record<string, string> = {}) => {
        res.writeHead(status, { 'content-type': 'application/json', ...headers });
        res.end(JSON.stringify(body ?? {}));
      };
      if (url === '/metadata') return send(200, { issuer: 'https://api.botframework.com', jwks_uri: `${origin}/keys` });
      if (url === '/keys') return send(200, tokens.jwks());
      const record = (status: number) =>
        state.calls.push({ method: req.method ?? '', path: url, status, authorization: req.headers.authorization });
      if (req.headers.authorization !== 'Bearer outbound-token') {
        record(401);
        return send(401, { error: { code: 'Unauthorized' } });
      }
      const answer = answerCall(
        state,
        req.method ?? '',
        url.replace(/^\/emea/, ''),
        JSON.parse(Buffer.concat(chunks).toString('utf8') || '{}'),
      );
      if (answer === 'cut') {
        record(0);
        req.socket.destroy();
        return;
      }
      record(answer.status);
      send(answer.status, answer.body, answer.headers);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const teams: FakeTeams = {
    origin,
    serviceUrl: serviceUrl(),
    openIdMetadataUrl: `${origin}/metadata`,
    tokens,
    state,
    botUrl: '',
    person: (who) => makePerson(who),
    trouble: (...troubles) => state.troubles.push(...troubles),
    cards: (conversation) =>
      state.activities.filter(
        ({ activity, conversation: where }) =>
          (where === conversation || base(where) === conversation) && Array.isArray(activity.attachments),
      ),
    texts: (conversation) =>
      state.activities
        .filter(
          ({ activity, conversation: where }) =>
            (where === conversation || base(where) === conversation) && typeof activity.text === 'string',
        )
        .map(({ activity }) => String(activity.text)),
    raw: async (body, headers = {}) => {
      const answer = await fetch(`${teams.botUrl}/api/messages`, {
        method: 'POST',
        body,
        headers: { 'content-type': 'application/json', ...headers },
      });
      return { status: answer.status, text: await answer.text() };
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };

  const deliver = async (activity: Record<string, unknown>, changes: TokenChanges = {}): Promise<Delivered> => {
    const { status, text } = await teams.raw(JSON.stringify(activity), {
      authorization: `Bearer ${await tokens.mint(changes)}`,
    });
    return { status, activity, body: text === '' ? null : JSON.parse(text) };
  };

  function makePerson({ from = {}, id, name, tenant: home = tenant }: PersonOptions): Person {
    const channelUserId = `29:${id}`;
    const personal = `a:personal-${id}`;
    const bot = { id: `28:${appId}`, name: 'Shipmate' };
    const conversationOf = (where: Place) => {
      if (where.kind === 'personal') return { id: personal, conversationType: 'personal', tenantId: home };
      if (where.kind === 'groupChat')
        return { id: where.id, conversationType: 'groupChat', tenantId: home, isGroup: true };
      activityNumber += 1;
      return {
        id: `${where.id};messageid=${where.thread ?? 1_600_000_000_000 + activityNumber}`,
        conversationType: 'channel',
        tenantId: home,
        isGroup: true,
      };
    };
    const activity = (
      fields: Record<string, unknown>,
      where: Place = { kind: 'personal' },
    ): Record<string, unknown> => {
      activityNumber += 1;
      return {
        id: `f:${activityNumber}`,
        timestamp: new Date().toISOString(),
        channelId: 'msteams',
        serviceUrl: serviceUrl(),
        from: { id: channelUserId, name, aadObjectId: id, ...from },
        recipient: bot,
        conversation: conversationOf(where),
        channelData: {
          tenant: { id: home },
          ...(where.kind === 'channel' ? { team: { id: '19:team@thread.tacv2' }, channel: { id: where.id } } : {}),
        },
        locale: 'en-GB',
        ...fields,
      };
    };
    /** The place where a card is shown, in the card's own thread. */
    const placeOf = (card: SentActivity): Record<string, unknown> => {
      const personalChat = card.conversation.startsWith('a:');
      return {
        id: card.conversation,
        conversationType: personalChat
          ? 'personal'
          : card.conversation.includes('@thread.tacv2')
            ? 'channel'
            : 'groupChat',
        tenantId: home,
        isGroup: !personalChat,
      };
    };
    const invoke = async (
      card: SentActivity,
      action: Record<string, unknown>,
      trigger: string,
    ): Promise<InvokeAnswer> => {
      const value = { action: { type: 'Action.Execute', ...action }, trigger };
      const delivered = await deliver(
        activity({
          type: 'invoke',
          name: 'adaptiveCard/action',
          replyToId: card.id,
          conversation: placeOf(card),
          value,
        }),
      );
      if (delivered.status !== 200) throw new Error(`the invoke was answered ${delivered.status}`);
      return delivered.body as InvokeAnswer;
    };
    return {
      name,
      id,
      personal,
      activity,
      says: (text, where = { kind: 'personal' }) => {
        if (where.kind === 'personal') return deliver(activity({ type: 'message', text, textFormat: 'plain' }, where));
        const mention = '<at>Shipmate</at>';
        return deliver(
          activity(
            {
              type: 'message',
              textFormat: 'plain',
              text: `${mention}&nbsp;${text}`,
              entities: [
                { type: 'mention', text: mention, mentioned: bot },
                { type: 'clientInfo', locale: 'en-GB' },
              ],
            },
            where,
          ),
        );
      },
      async clicks(card, button, inputs = {}, changes = {}) {
        const found = findAction(cardContent(card), button);
        if (!found) throw new Error(`the card has no "${button}", only ${actionTitles(cardContent(card)).join(', ')}`);
        const data = {
          ...(found.data as object),
          ...inputs,
          ...(changes.token === undefined ? {} : { token: changes.token }),
        };
        return invoke(card, { verb: changes.verb ?? found.verb, data }, 'manual');
      },
      views: (card) => {
        const refresh = cardContent(card).refresh as
          | { action: Record<string, unknown>; userIds?: string[] }
          | undefined;
        if (!refresh) throw new Error('the card has no view of its own for anybody');
        return invoke(card, { verb: refresh.action.verb, data: refresh.action.data }, 'automatic');
      },
      types: async (dataset, queryText) => {
        const value = { queryText, queryOptions: { skip: 0, top: 15 }, dataset };
        const delivered = await deliver(activity({ type: 'invoke', name: 'application/search', value }));
        if (delivered.status !== 200) throw new Error(`the search was answered ${delivered.status}`);
        const answer = delivered.body as InvokeAnswer;
        // Teams shows nothing of an answer of another type.
        if (answer.type !== 'application/vnd.microsoft.search.searchResponse') throw new Error(answer.type);
        return (answer.value as { results: { title: string; value: string }[] }).results;
      },
      installs: (where) => deliver(activity({ type: 'installationUpdate', action: 'add' }, where)),
      redelivers: (delivered, changes = {}) => deliver({ ...delivered.activity, ...changes }),
    };
  }
  return teams;
}

export function cardContent(card: SentActivity): Record<string, unknown> {
  return (card.activity.attachments as { content: Record<string, unknown> }[])[0]?.content ?? {};
}

/** Everything that a person can read on a card. */
export function readCard(content: unknown): string {
  if (typeof content !== 'object' || content === null) return '';
  if (Array.isArray(content)) return content.map(readCard).join('\n');
  const { fallback: _fallback, speak: _speak, fallbackText: _text, ...shown } = content as Record<string, unknown>;
  return Object.entries(shown)
    .map(([key, value]) =>
      typeof value === 'string'
        ? ['text', 'title', 'label', 'value', 'placeholder'].includes(key)
          ? value
          : ''
        : readCard(value),
    )
    .filter((text) => text !== '')
    .join('\n');
}

type FoundAction = Record<string, unknown> & { verb?: string; title?: string };

export function actionsOf(content: unknown): FoundAction[] {
  if (typeof content !== 'object' || content === null) return [];
  if (Array.isArray(content)) return content.flatMap(actionsOf);
  const { fallback: _, refresh: __, ...rest } = content as Record<string, unknown>;
  const self = typeof rest.type === 'string' && rest.type.startsWith('Action.') ? [rest as FoundAction] : [];
  return [...self, ...Object.values(rest).flatMap(actionsOf)];
}

export function actionTitles(content: unknown): string[] {
  return actionsOf(content).map(({ title, verb }) => String(title ?? verb));
}

function findAction(content: unknown, button: string): FoundAction | undefined {
  const actions = actionsOf(content).filter(({ verb }) => verb !== undefined);
  return actions.find(({ title, verb }) => title === button || verb === button);
}
