import { createHmac, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { exportJWK, SignJWT } from 'jose';

export interface TokenChanges {
  issuer?: string;
  audience?: string;
  /** null: no such claim. */
  serviceUrl?: string | null;
  expiresIn?: number;
  kid?: string;
  /** A key that nobody published. */
  wrongKey?: boolean;
  algorithm?: 'none' | 'HS256';
}

/** The connector's signing keys, and tokens made with them, right and wrong. */
export interface TokenMint {
  mint(changes?: TokenChanges): Promise<string>;
  jwks(): unknown;
  /** New keys, as Microsoft does now and then. */
  rotate(): Promise<void>;
  endorsements: string[];
}

export async function createTokenMint(audience: string, serviceUrl: () => string): Promise<TokenMint> {
  const pair = () => generateKeyPairSync('rsa', { modulusLength: 2048 });
  let current = pair();
  let kid = 'key-1';
  let generation = 1;
  const stranger = pair();
  const endorsements = ['msteams'];
  let published = await jwkOf(current.publicKey, kid);
  return {
    endorsements,
    jwks: () => ({ keys: [{ ...published, endorsements }] }),
    async rotate() {
      generation += 1;
      kid = `key-${generation}`;
      current = pair();
      published = await jwkOf(current.publicKey, kid);
    },
    async mint(changes = {}) {
      const url = changes.serviceUrl === undefined ? serviceUrl() : changes.serviceUrl;
      const now = Math.floor(Date.now() / 1000);
      const claims = {
        ...(url === null ? {} : { serviceurl: url }),
        iss: changes.issuer ?? 'https://api.botframework.com',
        aud: changes.audience ?? audience,
        nbf: now - 300,
        exp: now + (changes.expiresIn ?? 3_600),
      };
      if (changes.algorithm === 'none') return `${encode({ alg: 'none', kid })}.${encode(claims)}.x`;
      if (changes.algorithm === 'HS256') {
        // The public key as a shared secret: the classic confusion.
        const body = `${encode({ alg: 'HS256', kid })}.${encode(claims)}`;
        const secret = current.publicKey.export({ type: 'spki', format: 'pem' });
        return `${body}.${createHmac('sha256', secret).update(body).digest('base64url')}`;
      }
      const key = changes.wrongKey ? stranger.privateKey : current.privateKey;
      return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', kid: changes.kid ?? kid }).sign(key);
    },
  };
}

async function jwkOf(key: KeyObject, kid: string) {
  return { ...(await exportJWK(key)), kid, use: 'sig', alg: 'RS256' };
}

function encode(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
