import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

const GUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;
/** Source: Microsoft Graph reference, directoryObject: checkMemberGroups. */
const MOST_IDS = 20;

export interface FakeUser {
  id: string;
  groups: readonly string[];
  /** Graph's own words; null for accounts that were synchronised long ago. */
  userType?: 'Member' | 'Guest' | null;
}

/** What the next answers are instead of the right ones, one per request. */
export type Fault = { status: number; headers?: Record<string, string>; body?: string } | 'hang' | 'drop';

export interface FakeGraph {
  url: string;
  /** Hands out a token that the fake accepts; `refuse` makes it fail, `hang` never answer. */
  credential: {
    getToken(scope: string): Promise<{ token: string; expiresOnTimestamp: number } | null>;
    calls: number;
    refuse: boolean;
    hang: boolean;
  };
  /** What was asked, in order: path and the number of ids. */
  requests: { path: string; ids: number }[];
  faults: Fault[];
  /** Every answer from now on. */
  always: Fault | null;
  /** Waits for this before each answer. */
  gate: Promise<void> | null;
  /** Groups that are there without members. */
  emptyGroups: Set<string>;
  /** Takes the current token back: 401 until a new one is asked for. */
  revoke(): void;
  set(user: FakeUser): void;
  close(): Promise<void>;
}

/** A strict Microsoft Graph on loopback: what the real one refuses, it refuses too. */
export async function startFakeGraph(users: readonly FakeUser[]): Promise<FakeGraph> {
  const people = new Map(users.map((user) => [user.id.toLowerCase(), user]));
  const requests: FakeGraph['requests'] = [];
  let generation = 1;
  const token = () => `graph-token-${generation}`;

  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    const url = new URL(request.url ?? '/', 'http://graph');
    let text = '';
    for await (const chunk of request) text += String(chunk);
    const json = parse(text) as { groupIds?: unknown } | undefined;
    const groupIds = Array.isArray(json?.groupIds) ? json.groupIds.map(String) : [];
    requests.push({ path: url.pathname + url.search, ids: groupIds.length });
    if (fake.gate) await fake.gate;
    const fault = fake.faults.shift() ?? fake.always;
    if (fault === 'hang') return;
    if (fault === 'drop') {
      request.socket.destroy();
      return;
    }
    const send = (status: number, body: unknown, headers: Record<string, string> = {}) => {
      response.writeHead(status, { 'content-type': 'application/json', ...headers });
      response.end(typeof body === 'string' ? body : JSON.stringify(body));
    };
    const refuse = (status: number, code: string) => send(status, { error: { code, message: code } });
    if (fault) return send(fault.status, fault.body ?? { error: { code: 'fault' } }, fault.headers);
    if (request.headers.authorization !== `Bearer ${token()}`) return refuse(401, 'InvalidAuthenticationToken');
    const [, group] =
      /^\/v1\.0\/groups\/([^/]+)\/transitiveMembers\/microsoft\.graph\.user\/\$count$/.exec(url.pathname) ?? [];
    if (group !== undefined) {
      if (request.method !== 'GET') return refuse(405, 'MethodNotAllowed');
      if (request.headers.consistencylevel !== 'eventual') return refuse(400, 'Request_UnsupportedQuery');
      if (!String(request.headers.accept).includes('text/plain')) return refuse(415, 'UnsupportedMediaType');
      const members = [...people.values()].filter(({ groups }) => groups.some((each) => each.toLowerCase() === group));
      if (members.length === 0 && !fake.emptyGroups.has(group)) return refuse(404, 'Request_ResourceNotFound');
      return send(200, `\uFEFF${members.length}`, { 'content-type': 'text/plain' });
    }
    const [, id = '', method = ''] = /^\/v1\.0\/users\/([^/]+)(\/checkMemberGroups)?$/.exec(url.pathname) ?? [];
    if (id === '') return refuse(400, 'BadRequest');
    if (!GUID.test(id)) return refuse(400, 'Request_BadRequest');
    const user = people.get(id.toLowerCase());
    if (method === '') {
      if (request.method !== 'GET') return refuse(405, 'MethodNotAllowed');
      if (!user) return refuse(404, 'Request_ResourceNotFound');
      // Without $select, Graph leaves userType out.
      const asked = url.searchParams.get('$select') === 'userType';
      return send(200, asked ? { userType: user.userType === undefined ? 'Member' : user.userType } : { id: user.id });
    }
    if (request.method !== 'POST') return refuse(405, 'MethodNotAllowed');
    if (!request.headers['content-type']?.startsWith('application/json')) return refuse(415, 'UnsupportedMediaType');
    if (groupIds.length === 0 || groupIds.length > MOST_IDS) return refuse(400, 'Request_BadRequest');
    if (!groupIds.every((each) => GUID.test(each))) return refuse(400, 'Request_BadRequest');
    if (!user) return refuse(404, 'Request_ResourceNotFound');
    const mine = new Set(user.groups.map((each) => each.toLowerCase()));
    return send(200, { value: groupIds.map((each) => each.toLowerCase()).filter((each) => mine.has(each)) });
  };

  const server = createServer((request, response) => {
    answer(request, response).catch(() => response.destroy());
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const credential: FakeGraph['credential'] = {
    calls: 0,
    refuse: false,
    hang: false,
    async getToken(scope) {
      credential.calls += 1;
      if (scope !== 'https://graph.microsoft.com/.default') throw new Error(`wrong scope ${scope}`);
      if (credential.hang) return new Promise(() => undefined);
      if (credential.refuse) throw new Error('AADSTS700016: no such application');
      return { token: token(), expiresOnTimestamp: Date.now() + 3_600_000 };
    },
  };
  const fake: FakeGraph = {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    credential,
    requests,
    faults: [],
    always: null,
    gate: null,
    emptyGroups: new Set(),
    revoke: () => {
      generation += 1;
    },
    set: (user) => {
      people.set(user.id.toLowerCase(), user);
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
  return fake;
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
