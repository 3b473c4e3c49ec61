import { createHash } from 'node:crypto';
import { compactVerify, decodeJwt, decodeProtectedHeader } from 'jose';
import { type ReasonCode, ShipmateError } from '../errors.ts';
import type { Http } from '../http.ts';
import type { Logger } from '../logger.ts';
import { type ActivityLike, tenantOf } from './incoming.ts';
import { createSigningKeys, type SigningKey } from './keys.ts';
import { createRateLimiter } from './rates.ts';

export interface TeamsTrust {
  mode: 'teams';
  appId: string;
  tenants: readonly string[];
  /** Who issues the connector's tokens. Default: https://api.botframework.com */
  issuers?: readonly string[];
  openIdMetadataUrl?: string;
  /** Hosts that a serviceUrl may have, over https. */
  serviceHosts?: readonly string[];
  /** Origins that a serviceUrl may have besides, for a connector on this machine (tests, benchmarks). */
  serviceOrigins?: readonly string[];
  /** Of one address, before anything is verified. Default 500, in bursts of twice as many. */
  requestsPerSecond?: number;
}
export interface PlaygroundTrust {
  mode: 'playground';
  tenants: readonly string[];
  /** Exactly the connectors' own origins. */
  serviceOrigins: readonly string[];
}
export type TrustConfig = TeamsTrust | PlaygroundTrust;

export interface IncomingRequest {
  authorization: string | undefined;
  contentType: string | undefined;
  remoteAddress: string | undefined;
  body: Buffer;
}

/** The caller as the token states it. */
export interface CallerIdentity {
  issuer: string;
  audience: string;
  serviceUrl: string;
}

export type TrustVerdict =
  | { ok: true; activity: ActivityLike; identity: CallerIdentity }
  | { ok: false; status: number; code: ReasonCode };

export interface TrustGate {
  /** Decides before anything else sees a request. Never throws. */
  check(request: IncomingRequest): Promise<TrustVerdict>;
  /** Whether an origin may be called with the bot's token. */
  mayCall(url: string): boolean;
}

/** Bot Framework's public cloud. Source: the Bot Connector authentication reference of Microsoft. */
const PUBLIC_CLOUD = {
  issuers: ['https://api.botframework.com'],
  openIdMetadataUrl: 'https://login.botframework.com/v1/.well-known/openidconfiguration',
  serviceHosts: ['smba.trafficmanager.net'],
} as const;

const SKEW_S = 300;
const REQUESTS_PER_SECOND = 500;
const VERIFIED_TOKENS = 500;
const MAX_TOKEN = 16_384;
const LONGEST_ID = 2_000;

interface VerifiedToken {
  claims: { serviceurl: string; exp: number };
  identity: CallerIdentity;
  endorsements: ReadonlySet<string>;
  generation: number;
}

/**
 * Everything about a request that has to be right before the Bot Framework sees it. The whole token is verified here,
 * not only its claims: the SDK accepts more than Teams sends (other issuers, any service URL, no token at all with a
 * misspelt app type) and prints keys to standard error on a bad signature. See docs/adr/004-trust-gate.md.
 */
export function createTrustGate(
  config: TrustConfig,
  deps: { http: Http; logger: Logger; now: () => number },
): TrustGate {
  const { http, logger, now } = deps;
  const perSecond = (config.mode === 'teams' ? config.requestsPerSecond : undefined) ?? REQUESTS_PER_SECOND;
  const perCaller = createRateLimiter({ perSecond, burst: 2 * perSecond, keys: 10_000, now });
  const verified = new Map<string, VerifiedToken>();
  const keys =
    config.mode === 'teams'
      ? createSigningKeys({ metadataUrl: config.openIdMetadataUrl ?? PUBLIC_CLOUD.openIdMetadataUrl, http, now })
      : null;

  const mayCall = (text: string): boolean => {
    if (!URL.canParse(text)) return false;
    const url = new URL(text);
    if (url.username !== '' || url.password !== '') return false;
    if (config.serviceOrigins?.includes(url.origin)) return true;
    if (config.mode === 'playground') return false;
    const hosts: readonly string[] = config.serviceHosts ?? PUBLIC_CLOUD.serviceHosts;
    return url.protocol === 'https:' && url.port === '' && hosts.includes(url.hostname);
  };

  const check = async (request: IncomingRequest): Promise<TrustVerdict> => {
    const { authorization, remoteAddress = '' } = request;
    // A flood of forged requests must not shut out Teams, which comes from few addresses: who is known has no limit here.
    if (!isKnown(authorization) && !perCaller.take(remoteAddress)) return no(429, 'REQUEST_RATE');
    if (!isJson(request.contentType)) return no(415, 'REQUEST_MEDIA_TYPE');
    if (config.mode === 'playground' && !isLoopback(remoteAddress)) return no(403, 'TRUST_NOT_LOOPBACK');
    // Without a token nothing of the body is even parsed.
    const token = config.mode === 'teams' ? bearer(authorization) : '';
    if (token === null) return no(401, 'TRUST_TOKEN_MISSING');
    const activity = parse(request.body);
    if (activity === null) return no(400, 'REQUEST_MALFORMED');
    const identity = config.mode === 'teams' ? await authenticate(config, token, activity) : anonymous(activity);
    if ('status' in identity) return identity;
    if (activity.channelId !== 'msteams') return no(403, 'TRUST_CHANNEL');
    if (!mayCall(activity.serviceUrl ?? '')) return no(403, 'TRUST_SERVICE_URL');
    if (!config.tenants.includes(tenantOf(activity))) return no(403, 'TRUST_TENANT');
    return { ok: true, activity, identity };
  };

  /** Its token was verified before, and may be so still; what it is worth now is decided where all are. */
  const isKnown = (authorization: string | undefined): boolean => {
    const token = config.mode === 'teams' ? bearer(authorization) : null;
    return token !== null && verified.has(idOf(token));
  };

  const authenticate = async (
    teams: TeamsTrust,
    token: string,
    activity: ActivityLike,
  ): Promise<CallerIdentity | Extract<TrustVerdict, { ok: false }>> => {
    try {
      const found = await verify(teams, token);
      if ('status' in found) return found;
      // Looked at on every request, also when the token itself was verified before.
      if (now() / 1000 > found.claims.exp + SKEW_S) return no(401, 'TRUST_TOKEN_EXPIRED');
      if (found.claims.serviceurl !== activity.serviceUrl) return no(403, 'TRUST_SERVICE_URL');
      if (!found.endorsements.has(activity.channelId ?? '')) return no(403, 'TRUST_CHANNEL');
      return found.identity;
    } catch (error) {
      if (error instanceof ShipmateError && error.code === 'TRUST_KEYS_UNAVAILABLE') {
        logger.error('signing keys are not available', { error });
        return no(503, 'TRUST_KEYS_UNAVAILABLE');
      }
      return no(401, 'TRUST_TOKEN_INVALID');
    }
  };

  const verify = async (
    teams: TeamsTrust,
    token: string,
  ): Promise<VerifiedToken | Extract<TrustVerdict, { ok: false }>> => {
    const id = idOf(token);
    const known = verified.get(id);
    if (known && known.generation === keys?.generation) return known;
    const header = decodeProtectedHeader(token);
    const claims = decodeJwt(token);
    if (header.alg !== 'RS256' || typeof header.kid !== 'string') return no(401, 'TRUST_TOKEN_INVALID');
    const issuers: readonly string[] = teams.issuers ?? PUBLIC_CLOUD.issuers;
    if (claims.iss === undefined || !issuers.includes(claims.iss)) return no(401, 'TRUST_ISSUER');
    if (claims.aud !== teams.appId) return no(401, 'TRUST_AUDIENCE');
    if (typeof claims.exp !== 'number') return no(401, 'TRUST_TOKEN_INVALID');
    if (now() / 1000 > claims.exp + SKEW_S) return no(401, 'TRUST_TOKEN_EXPIRED');
    if (typeof claims.nbf === 'number' && now() / 1000 < claims.nbf - SKEW_S) return no(401, 'TRUST_TOKEN_INVALID');
    // The claim has been spelt both ways by Microsoft.
    const serviceurl = claims.serviceurl ?? claims.serviceUrl;
    if (typeof serviceurl !== 'string') return no(403, 'TRUST_SERVICE_URL');
    const key: SigningKey | null = (await keys?.get(header.kid)) ?? null;
    if (key === null) return no(401, 'TRUST_TOKEN_INVALID');
    // The keys may change while this one is used: then what it verified is not remembered as the new ones' work.
    const generation = keys?.generation ?? 0;
    await compactVerify(token, key.key, { algorithms: ['RS256'] });
    const fresh: VerifiedToken = {
      claims: { serviceurl, exp: claims.exp },
      identity: { issuer: claims.iss, audience: claims.aud, serviceUrl: serviceurl },
      endorsements: key.endorsements,
      generation,
    };
    if (verified.size >= VERIFIED_TOKENS) {
      const oldest = verified.keys().next();
      if (!oldest.done) verified.delete(oldest.value);
    }
    verified.set(id, fresh);
    return fresh;
  };

  return {
    mayCall,
    check: (request) =>
      check(request).catch((error: unknown) => {
        logger.error('the trust gate failed', { error });
        return no(401, 'TRUST_TOKEN_INVALID');
      }),
  };
}

function idOf(token: string): string {
  return createHash('sha256').update(token).digest('base64');
}

function no(status: number, code: ReasonCode): Extract<TrustVerdict, { ok: false }> {
  return { ok: false, status, code };
}

function bearer(authorization: string | undefined): string | null {
  const token = /^Bearer ([\w-]+\.[\w-]+\.[\w-]+)$/i.exec(authorization ?? '')?.[1];
  return token !== undefined && token.length <= MAX_TOKEN ? token : null;
}

function isJson(contentType: string | undefined): boolean {
  return /^application\/json\s*(?:;|$)/i.test(contentType ?? '');
}

export function isLoopback(address: string): boolean {
  return address === '::1' || /^(?:::ffff:)?127\.\d{1,3}\.\d{1,3}\.\d{1,3}$/.test(address);
}

function anonymous(activity: ActivityLike): CallerIdentity {
  return { issuer: 'playground', audience: '', serviceUrl: activity.serviceUrl ?? '' };
}

/** The body as an activity with the fields that everything else relies on; null when it is none. */
function parse(body: Buffer): ActivityLike | null {
  let value: unknown;
  try {
    value = JSON.parse(body.toString('utf8'), (key, member: unknown) => (key === '__proto__' ? undefined : member));
  } catch {
    return null;
  }
  if (!isRecord(value) || !isRecord(value.conversation) || !isRecord(value.from) || !isRecord(value.recipient))
    return null;
  const texts: unknown[] = [
    value.type,
    value.serviceUrl,
    value.channelId,
    value.conversation.id,
    value.from.id,
    value.recipient.id,
  ];
  if (!texts.every((text) => isId(text) && text !== '')) return null;
  // Without an id a message sent twice could not be told from two.
  if (value.type === 'message' && (typeof value.id !== 'string' || value.id === '')) return null;
  const optional: unknown[] = [
    value.id,
    value.name,
    value.replyToId,
    value.from.aadObjectId,
    value.conversation.tenantId,
    value.conversation.conversationType,
  ];
  if (!optional.every((text) => text === undefined || text === null || isId(text))) return null;
  const names: unknown[] = [value.from.name, value.recipient.name];
  if (!names.every((text) => text === undefined || text === null || typeof text === 'string')) return null;
  // The SDK goes through these without looking.
  for (const list of ['membersAdded', 'membersRemoved', 'reactionsAdded', 'reactionsRemoved'])
    value[list] = Array.isArray(value[list]) ? value[list].filter(isRecord) : null;
  // null means the same as left out.
  for (const part of [value, value.from, value.conversation, value.recipient])
    for (const [key, member] of Object.entries(part)) if (member === null) delete part[key];
  return value as ActivityLike;
}

/** What is looked up and stored: bounded, and without what no database takes. */
function isId(value: unknown): value is string {
  return typeof value === 'string' && value.length <= LONGEST_ID && !value.includes('\0');
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
