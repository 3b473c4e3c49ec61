import { createHmac, randomUUID, timingSafeEqual } from 'node:crypto';

export type Purpose = 'action' | 'link';

export type Verified =
  | { ok: true; payload: Readonly<Record<string, string>> }
  | { ok: false; code: 'ACTION_FORGED' | 'ACTION_EXPIRED' };

export interface Signer {
  /** A URL-safe token: the payload, readable, under an HMAC. A token of one purpose is none of another. */
  sign(purpose: Purpose, payload: Readonly<Record<string, string>>, options?: { expiresAt?: Date }): string;
  /** Constant time; never throws, whatever the token is. */
  verify(purpose: Purpose, token: string, now: Date): Verified;
}

const MAX_TOKEN = 8_000;
const EXPIRY = 'exp';

/** Tokens under HMAC-SHA256 with a key per purpose, derived from `secret`. Every token gets a one-time number `n`. */
export function createSigner(secret: string): Signer {
  const keys: Record<Purpose, Buffer> = {
    action: createHmac('sha256', secret).update('shipmate action').digest(),
    link: createHmac('sha256', secret).update('shipmate link').digest(),
  };
  const mac = (purpose: Purpose, body: string) => createHmac('sha256', keys[purpose]).update(body).digest();
  return {
    sign(purpose, payload, { expiresAt } = {}) {
      const full = { n: randomUUID(), ...payload, ...(expiresAt ? { [EXPIRY]: String(expiresAt.getTime()) } : {}) };
      const body = Buffer.from(JSON.stringify(full)).toString('base64url');
      return `${body}.${mac(purpose, body).toString('base64url')}`;
    },
    verify(purpose, token, now) {
      const forged = { ok: false, code: 'ACTION_FORGED' } as const;
      if (token.length > MAX_TOKEN) return forged;
      const [body = '', signature = '', ...more] = token.split('.');
      const given = Buffer.from(signature, 'base64url');
      const right = mac(purpose, body);
      // base64url has several spellings of the same bytes; only ours is accepted.
      if (more.length > 0 || given.length !== right.length || given.toString('base64url') !== signature) return forged;
      if (!timingSafeEqual(given, right)) return forged;
      const content = read(body);
      if (content === null) return forged;
      const { [EXPIRY]: expiry, ...payload } = content;
      if (expiry !== undefined && Number(expiry) <= now.getTime()) return { ok: false, code: 'ACTION_EXPIRED' };
      return { ok: true, payload };
    },
  };
}

function read(body: string): Record<string, string> | null {
  try {
    const content: unknown = JSON.parse(Buffer.from(body, 'base64url').toString('utf8'));
    return typeof content === 'object' && content !== null && !Array.isArray(content)
      ? (content as Record<string, string>)
      : null;
  } catch {
    return null;
  }
}
