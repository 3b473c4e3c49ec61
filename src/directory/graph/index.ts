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

/**
 * Asks Microsoft Graph, transitively. Needs the application permissions GroupMember.Read.All and User.Read.All. A
 * person Graph does not know belongs to no group; so does one whose id is no GUID.
 */
export function createGraphDirectory(options: GraphOptions): Directory {
  const { credential, http, logger } = options;
  const base = options.baseUrl ?? 'https://graph.microsoft.com';
  const now = options.now ?? Date.now;
  const cacheMs = Math.min(options.cacheMs ?? CACHE_MS, CACHE_MS);
  const cache = new Map<string, { at: number; member: Map<string, boolean> }>();
  const asking = new Map<string, Promise<ReadonlySet<string>>>();
  let token: { token: string; expiresOnTimestamp: number } | null = null;

  const bearer = async (): Promise<string> => {
    if (token === null || token.expiresOnTimestamp - 60_000 < now()) token = await credential.getToken(SCOPE);
    if (token === null) throw new DirectoryError('The bot could not sign in to Microsoft Graph.');
    return token.token;
  };

  const post = async (path: string, json: unknown): Promise<HttpAnswer> => {
    try {
      const headers = { authorization: `Bearer ${await bearer()}` };
      // A read in the dress of a POST: repeating it is safe.
      return await http.request({
        method: 'POST',
        url: `${base}${path}`,
        json,
        headers,
        timeoutMs: TIMEOUT_MS,
        tries: TRIES,
      });
    } catch (error) {
      if (error instanceof DirectoryError) throw error;
      const why = error instanceof HttpError ? error.message : 'The bot could not sign in.';
      throw new DirectoryError(`Microsoft Graph did not answer. ${why}`, { cause: error, retryable: true });
    }
  };

  /** Which of these groups, straight from Graph. */
  const fetchGroups = async (id: string, groups: readonly string[]): Promise<ReadonlySet<string>> => {
    const found = new Set<string>();
    for (let start = 0; start < groups.length; start += IDS_PER_CALL) {
      const answer = await post(`/v1.0/users/${encodeURIComponent(id)}/checkMemberGroups`, {
        groupIds: groups.slice(start, start + IDS_PER_CALL),
      });
      if (answer.status === 404) return new Set();
      if (answer.status === 401) token = null;
      const parsed = answer.status === 200 ? memberGroups.safeParse(answer.json()) : null;
      if (!parsed?.success) {
        logger.error('Graph refused to say who is in which group', {
          status: answer.status,
          answer: answer.text.slice(0, 500),
        });
        throw new DirectoryError(explain(answer.status), { retryable: answer.status >= 429 });
      }
      for (const group of parsed.data.value) found.add(group.toLowerCase());
    }
    return found;
  };

  /** One question at a time for the same person and groups. A fresh one never joins a question asked before it. */
  const fetchOnce = (id: string, groups: readonly string[], fresh: boolean): Promise<ReadonlySet<string>> => {
    if (fresh) return fetchGroups(id, groups);
    const key = `${id} ${groups.join(' ')}`;
    const running = asking.get(key);
    if (running) return running;
    const question = fetchGroups(id, groups).finally(() => asking.delete(key));
    asking.set(key, question);
    return question;
  };

  const remember = (id: string, groups: readonly string[], member: ReadonlySet<string>): void => {
    const before = cache.get(id);
    const known = before && now() - before.at < cacheMs ? before : { at: now(), member: new Map<string, boolean>() };
    for (const group of groups) known.member.set(group, member.has(group));
    cache.delete(id);
    cache.set(id, known);
    if (cache.size > CACHED_PEOPLE) {
      const oldest = cache.keys().next();
      if (!oldest.done) cache.delete(oldest.value);
    }
  };

  return {
    kind: 'graph',
    async memberOf(person: Person, wanted, { fresh = false } = {}) {
      // One malformed id fails Graph's whole request, so none is sent.
      const asked = [...new Set(wanted.filter((group) => GUID.test(group)).map((group) => group.toLowerCase()))].sort();
      if (!GUID.test(person.id) || asked.length === 0) return new Set();
      const id = person.id.toLowerCase();
      const known = cache.get(id);
      const usable = !fresh && known && now() - known.at < cacheMs ? known.member : new Map<string, boolean>();
      const missing = asked.filter((group) => !usable.has(group));
      const found = missing.length === 0 ? new Set<string>() : await fetchOnce(id, missing, fresh);
      if (missing.length > 0) remember(id, missing, found);
      return new Set(
        wanted.filter((group) => usable.get(group.toLowerCase()) === true || found.has(group.toLowerCase())),
      );
    },
    async check() {
      const findings: { level: 'error' | 'warning'; message: string }[] = [];
      try {
        // Nobody has this id: the right answer is 404, and 403 names the missing right.
        const nobody = '00000000-0000-0000-0000-000000000000';
        const answer = await post(`/v1.0/users/${nobody}/checkMemberGroups`, { groupIds: [nobody] });
        if (answer.status !== 404 && answer.status !== 200)
          findings.push({ level: 'error', message: explain(answer.status) });
      } catch (error) {
        findings.push({
          level: 'error',
          message: error instanceof DirectoryError ? error.message : 'Microsoft Graph did not answer.',
        });
      }
      return findings;
    },
  };
}

function explain(status: number): string {
  if (status === 401)
    return 'Microsoft Graph did not accept the credentials of the bot. Check tenant, application id and credential.';
  if (status === 403)
    return 'Microsoft Graph refused: the bot lacks GroupMember.Read.All or User.Read.All (application permissions, with admin consent).';
  if (status === 429) return 'Microsoft Graph is throttling the bot. Try again in a minute.';
  return `Microsoft Graph answered ${status}.`;
}
