import { type CryptoKey, importJWK, type JWK } from 'jose';
import { ShipmateError } from '../errors.ts';
import type { Http } from '../http.ts';

export interface SigningKey {
  key: CryptoKey | Uint8Array;
  /** Channels that this key speaks for. */
  endorsements: ReadonlySet<string>;
}

export interface SigningKeys {
  /** Null for a key that nobody published. @throws ShipmateError TRUST_KEYS_UNAVAILABLE */
  get(kid: string): Promise<SigningKey | null>;
  /** Grows with every change of the keys: what was verified with older ones is verified anew. */
  readonly generation: number;
}

const MAX_AGE_MS = 24 * 3_600_000;
const COOLDOWN_MS = 60_000;
const FAILURE_COOLDOWN_MS = 2_000;

/**
 * The keys that sign the Bot Connector's tokens, from its OpenID metadata. Fetched when first needed, once a day, and when
 * an unknown key shows up (at most once a minute, so that forged tokens don't make us fetch).
 */
export function createSigningKeys(options: { metadataUrl: string; http: Http; now: () => number }): SigningKeys {
  const { http, metadataUrl, now } = options;
  let keys = new Map<string, SigningKey>();
  let fetchedAt = Number.NEGATIVE_INFINITY;
  let failedAt = Number.NEGATIVE_INFINITY;
  let generation = 0;
  let fingerprint = '';
  let fetching: Promise<void> | null = null;

  const fetchKeys = async (): Promise<void> => {
    const metadata = await getJson(metadataUrl);
    const jwksUri = isRecord(metadata) && typeof metadata.jwks_uri === 'string' ? metadata.jwks_uri : null;
    if (jwksUri === null) throw new Error('the metadata has no jwks_uri');
    const set = await getJson(jwksUri);
    const published = isRecord(set) && Array.isArray(set.keys) ? set.keys : [];
    const next = new Map<string, SigningKey>();
    for (const jwk of published.filter(isRecord)) {
      if (typeof jwk.kid !== 'string' || jwk.kty !== 'RSA') continue;
      const endorsements = Array.isArray(jwk.endorsements)
        ? jwk.endorsements.filter((each) => typeof each === 'string')
        : [];
      next.set(jwk.kid, { key: await importJWK(jwk as JWK, 'RS256'), endorsements: new Set(endorsements) });
    }
    if (next.size === 0) throw new Error('no keys are published');
    const now_ = JSON.stringify(published);
    if (now_ !== fingerprint) generation += 1;
    fingerprint = now_;
    keys = next;
    fetchedAt = now();
  };

  const getJson = async (url: string): Promise<unknown> => {
    const answer = await http.request({ url, timeoutMs: 5_000, tries: 2 });
    if (answer.status !== 200) throw new Error(`the key server answered ${answer.status}`);
    return answer.json();
  };

  const refresh = async (): Promise<void> => {
    fetching ??= fetchKeys().finally(() => {
      fetching = null;
    });
    await fetching;
  };

  return {
    get generation() {
      return generation;
    },
    async get(kid) {
      const age = now() - fetchedAt;
      const known = keys.get(kid);
      if (known && age < MAX_AGE_MS) return known;
      if (!known && age < COOLDOWN_MS) return null;
      // Keys that are a little too old are still the connector's; none at all means no.
      const stillGood = known && age < 2 * MAX_AGE_MS ? known : null;
      if (now() - failedAt < FAILURE_COOLDOWN_MS) {
        if (stillGood) return stillGood;
        throw unavailable();
      }
      try {
        await refresh();
      } catch (error) {
        failedAt = now();
        if (stillGood) return stillGood;
        throw unavailable(error);
      }
      return keys.get(kid) ?? null;
    },
  };
}

function unavailable(cause?: unknown): ShipmateError {
  return new ShipmateError('TRUST_KEYS_UNAVAILABLE', "The connector's signing keys can not be fetched.", {
    cause,
    retryable: true,
  });
}

function isRecord(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}
