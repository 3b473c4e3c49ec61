import { z } from 'zod';
import type { Person } from '../../access/types.ts';
import { DirectoryError } from '../../errors.ts';
import { type Http, type HttpAnswer, HttpError } from '../../http.ts';
import type { Logger } from '../../logger.ts';
import type { Directory } from '../types.ts';

export interface GraphOptions {
  credential: { getToken(scope: string): Promise<{ token: string; expiresOnTimestamp: number } | null> };
  http: Http;
  logger: Logger;
  /** Default https://graph.microsoft.com */
  baseUrl?: string;
  now?: () => number;
  /** How old an answer may be that is not asked fresh. At most, and by default, five minutes. */
  cacheMs?: number;
  /** For one question in all, with signing in and repeating. Default 3 seconds. */
  timeoutMs?: number;
}

const SCOPE = 'https://graph.microsoft.com/.default';
/** Most ids in one checkMemberGroups call. Source: Microsoft Graph reference, directoryObject: checkMemberGroups. */
const IDS_PER_CALL = 20;
const CACHE_MS = 5 * 60_000;
const CACHED_PEOPLE = 5_000;
const TIMEOUT_MS = 3_000;
const TRIES = 3;
const GUID = /^[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12}$/i;

const memberGroups = z.object({ value: z.array(z.string()) });
const user = z.object({ userType: z.string().nullish() });

/**
 * Asks Microsoft Graph, transitively. Needs the application permissions GroupMember.Read.All and User.Read.All. A
 * person Graph does not know belongs to no group; so does one whose id is no GUID.
 */
export function createGraphDirectory(options: GraphOptions): Directory {
  const { credential, http, logger } = options;
  const base = options.baseUrl ?? 'https://graph.microsoft.com';
  const now = options.now ?? Date.now;
  const { timeoutMs = TIMEOUT_MS } = options;
  const cacheMs = Math.min(options.cacheMs ?? CACHE_MS, CACHE_MS);
  const memberships = new Map<string, { at: number; member: Map<string, boolean> }>();
  const guests = new Map<string, { at: number; guest: boolean }>();
  const asking = new Map<string, Promise<unknown>>();
  let token: { token: string; expiresOnTimestamp: number } | null = null;
  let signingIn: Promise<string> | null = null;

  const signIn = async (): Promise<string> => {
    token = await credential.getToken(SCOPE);
    if (token === null) throw new DirectoryError('The bot could not sign in to Microsoft Graph.');
    return token.token;
  };

  const bearer = (): Promise<string> => {
    if (token !== null && token.expiresOnTimestamp - 60_000 > now()) return Promise.resolve(token.token);
    signingIn ??= signIn().finally(() => {
      signingIn = null;
    });
    return signingIn;
  };

  /** One answer of Graph, within the deadline also when the identity's own endpoint hangs. */
  const call = async (path: string, json?: unknown, more: Record<string, string> = {}): Promise<HttpAnswer> => {
    const deadline = performance.now() + timeoutMs;
    try {
      const headers = { ...more, authorization: `Bearer ${await within(timeoutMs, bearer())}` };
      const answer = await http.request({
        // checkMemberGroups is a read in the dress of a POST: repeating it is safe.
        ...(json === undefined ? {} : { method: 'POST', json }),
        url: `${base}${path}`,
        headers,
        timeoutMs: Math.max(1, Math.round(deadline - performance.now())),
        tries: TRIES,
      });
      if (answer.status === 401) token = null;
      return answer;
    } catch (error) {
      if (error instanceof DirectoryError) throw error;
      const why = error instanceof HttpError ? error.message : 'The bot could not sign in.';
      throw new DirectoryError(`Microsoft Graph did not answer. ${why}`, { cause: error, retryable: true });
    }
  };

  const refused = (what: string, answer: HttpAnswer): DirectoryError => {
    logger.error('Graph refused', { what, status: answer.status, answer: answer.text.slice(0, 500) });
    return new DirectoryError(explain(answer.status), { retryable: answer.status >= 429 });
  };

  /** Which of these groups, straight from Graph. */
  const fetchGroups = async (id: string, groups: readonly string[]): Promise<ReadonlySet<string>> => {
    const chunks: string[][] = [];
    for (let start = 0; start < groups.length; start += IDS_PER_CALL)
      chunks.push(groups.slice(start, start + IDS_PER_CALL));
    const answers = await Promise.all(
      chunks.map(async (groupIds) => {
        const answer = await call(`/v1.0/users/${encodeURIComponent(id)}/checkMemberGroups`, { groupIds });
        if (answer.status === 404) return [];
        const parsed = answer.status === 200 ? memberGroups.safeParse(answer.json()) : null;
        if (!parsed?.success) throw refused('groups', answer);
        return parsed.data.value;
      }),
    );
    return new Set(answers.flat().map((group) => group.toLowerCase()));
  };

  /** Whether the tenant has this person as a guest. Source: Microsoft Graph reference, user resource: userType. */
  const fetchGuest = async (id: string): Promise<boolean> => {
    const answer = await call(`/v1.0/users/${encodeURIComponent(id)}?$select=userType`);
    // Nobody the tenant knows: such a person is in no group either.
    if (answer.status === 404) return false;
    const parsed = answer.status === 200 ? user.safeParse(answer.json()) : null;
    if (!parsed?.success) throw refused('userType', answer);
    return parsed.data.userType?.toLowerCase() === 'guest';
  };

  /** One question at a time of the same kind. A fresh one never joins a question asked before it. */
  const once = <T>(key: string, fresh: boolean, ask: () => Promise<T>): Promise<T> => {
    if (fresh) return ask();
    const running = asking.get(key) as Promise<T> | undefined;
    if (running) return running;
    const question = ask().finally(() => asking.delete(key));
    asking.set(key, question);
    return question;
  };

  /** The time of the question counts, not the answer's: an answer is never used for longer than it may be old. */
  const remember = (id: string, at: number, groups: readonly string[], member: ReadonlySet<string>): void => {
    const before = memberships.get(id);
    const known = before && now() - before.at < cacheMs ? before : { at, member: new Map<string, boolean>() };
    for (const group of groups) known.member.set(group, member.has(group));
    keep(memberships, id, known);
  };

  return {
    kind: 'graph',
    async memberOf(person: Person, wanted, { fresh = false } = {}) {
      // One malformed id fails Graph's whole request, so none is sent.
      const asked = [...new Set(wanted.filter((group) => GUID.test(group)).map((group) => group.toLowerCase()))].sort();
      if (!GUID.test(person.id) || asked.length === 0) return new Set();
      const id = person.id.toLowerCase();
      const known = memberships.get(id);
      const usable = !fresh && known && now() - known.at < cacheMs ? known.member : new Map<string, boolean>();
      const missing = asked.filter((group) => !usable.has(group));
      // Looked at now: the cache may change while Graph is asked.
      const member = new Set(asked.filter((group) => usable.get(group)));
      if (missing.length > 0) {
        const at = now();
        const found = await once(`groups ${id} ${missing.join(' ')}`, fresh, () => fetchGroups(id, missing));
        remember(id, at, missing, found);
        for (const group of found) member.add(group);
      }
      return new Set(wanted.filter((group) => member.has(group.toLowerCase())));
    },
    async isGuest(person: Person, { fresh = false } = {}) {
      if (!GUID.test(person.id)) return false;
      const id = person.id.toLowerCase();
      const known = guests.get(id);
      if (!fresh && known && now() - known.at < cacheMs) return known.guest;
      const at = now();
      const guest = await once(`guest ${id}`, fresh, () => fetchGuest(id));
      keep(guests, id, { at, guest });
      return guest;
    },
    async size(group) {
      if (!GUID.test(group)) return null;
      // A count is an advanced query: it needs this header. Source: Microsoft Graph, "Advanced query capabilities".
      const answer = await call(`/v1.0/groups/${group}/transitiveMembers/microsoft.graph.user/$count`, undefined, {
        consistencylevel: 'eventual',
        accept: 'text/plain',
      });
      if (answer.status === 404) return null;
      // Some answers begin with a byte order mark.
      const count =
        answer.status === 200 ? Number(answer.text.replace(/^\uFEFF/, '').trim() || Number.NaN) : Number.NaN;
      if (!Number.isInteger(count)) throw refused('count', answer);
      return count;
    },
    async check() {
      // Nobody has this id: the right answer is 404, and 403 names the missing right.
      const nobody = '00000000-0000-0000-0000-000000000000';
      const questions = [
        () => call(`/v1.0/users/${nobody}/checkMemberGroups`, { groupIds: [nobody] }),
        () => call(`/v1.0/users/${nobody}?$select=userType`),
      ];
      const problems = await Promise.all(
        questions.map(async (ask) => {
          try {
            const { status } = await ask();
            return status === 404 || status === 200 ? null : explain(status);
          } catch (error) {
            return error instanceof DirectoryError ? error.message : 'Microsoft Graph did not answer.';
          }
        }),
      );
      const told = new Set(problems.filter((problem) => problem !== null));
      return [...told].map((message) => ({ level: 'error', message }) as const);
    },
  };
}

/** Newest last; the oldest person makes room. */
function keep<T>(cache: Map<string, T>, id: string, value: T): void {
  cache.delete(id);
  cache.set(id, value);
  const oldest = cache.size > CACHED_PEOPLE ? cache.keys().next() : null;
  if (oldest && !oldest.done) cache.delete(oldest.value);
}

function within<T>(ms: number, work: Promise<T>): Promise<T> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<never>((_resolve, reject) => {
    timer = setTimeout(() => reject(new DirectoryError('The bot could not sign in to Microsoft Graph in time.')), ms);
  });
  return Promise.race([work, late]).finally(() => clearTimeout(timer));
}

function explain(status: number): string {
  if (status === 401)
    return 'Microsoft Graph did not accept the credentials of the bot. Check tenant, application id and credential.';
  if (status === 403)
    return 'Microsoft Graph refused: the bot lacks GroupMember.Read.All or User.Read.All (application permissions, with admin consent).';
  if (status === 429) return 'Microsoft Graph is throttling the bot. Try again in a minute.';
  return `Microsoft Graph answered ${status}.`;
}
