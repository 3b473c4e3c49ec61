import { generateKeyPairSync, type KeyObject } from 'node:crypto';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { exportJWK, SignJWT } from 'jose';

export const TENANT = '7e7a7000-0000-4000-8000-0000000000be';
export const APP = 'a9900000-0000-4000-8000-0000000000be';
export const DANA = 'd0000000-0000-4000-8000-0000000000be';
export const ALEX = 'd0000000-0000-4000-8000-0000000000ae';

/** Chats that people write in, in turns. */
export const CHATS = 2_000;

/** The far side of a bot, as cheap as it can be: keys, a connector that takes everything, and requests with real tokens. */
export interface BenchTeams {
  metadataUrl: string;
  serviceUrl: string;
  origin: string;
  /** Activities that the bot posted or edited so far. */
  posts(): number;
  /** Looks into what is posted; costs time, so only when asked. */
  watch(on: boolean): void;
  lastCard(): Record<string, unknown> | null;
  message(text: string, number: number): Promise<BenchRequest>;
  invoke(action: { verb: string; data: unknown }, number: number): Promise<BenchRequest>;
  close(): Promise<void>;
}

export interface BenchRequest {
  body: string;
  headers: Record<string, string>;
}

export async function startBenchTeams(): Promise<BenchTeams> {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const jwk = { ...(await exportJWK(publicKey)), kid: 'bench', alg: 'RS256', use: 'sig', endorsements: ['msteams'] };
  let posts = 0;
  let lastCard: Record<string, unknown> | null = null;
  let watching = false;
  const server = http.createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      res.setHeader('content-type', 'application/json');
      if (req.url === '/metadata')
        return res.end(
          JSON.stringify({
            issuer: 'https://api.botframework.com',
            jwks_uri: `${origin}/keys`,
            id_token_signing_alg_values_supported: ['RS256'],
          }),
        );
      if (req.url === '/keys') return res.end(JSON.stringify({ keys: [jwk] }));
      posts += 1;
      if (watching) {
        const activity = JSON.parse(Buffer.concat(chunks).toString('utf8')) as {
          attachments?: { content: Record<string, unknown> }[];
        };
        lastCard = activity.attachments?.[0]?.content ?? lastCard;
      }
      res.statusCode = req.method === 'POST' ? 201 : 200;
      res.end(JSON.stringify({ id: `activity-${posts}`, activityId: `activity-${posts}` }));
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const serviceUrl = `${origin}/emea/`;
  const token = await mint(privateKey, serviceUrl);
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${token}` };
  const base = (number: number, person: string) => ({
    id: `in-${number}`,
    channelId: 'msteams',
    serviceUrl,
    from: { id: `29:${person}`, name: 'Dana', aadObjectId: person },
    recipient: { id: `28:${APP}`, name: 'Shipmate' },
    // Many chats: in one alone the bot would keep to Teams' limit of seven messages a second.
    conversation: { id: `a:bench-${number % CHATS}`, conversationType: 'personal', tenantId: TENANT },
    channelData: { tenant: { id: TENANT } },
  });
  return {
    metadataUrl: `${origin}/metadata`,
    serviceUrl,
    origin,
    posts: () => posts,
    watch: (on) => {
      watching = on;
    },
    lastCard: () => lastCard,
    async message(text, number) {
      return { headers, body: JSON.stringify({ ...base(number, DANA), type: 'message', text }) };
    },
    async invoke(action, number) {
      const value = { action: { type: 'Action.Execute', ...action }, trigger: 'manual' };
      return {
        headers,
        body: JSON.stringify({
          ...base(number, DANA),
          type: 'invoke',
          name: 'adaptiveCard/action',
          replyToId: 'activity-1',
          value,
        }),
      };
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

function mint(key: KeyObject, serviceUrl: string): Promise<string> {
  return new SignJWT({ serviceurl: serviceUrl })
    .setProtectedHeader({ alg: 'RS256', kid: 'bench' })
    .setIssuer('https://api.botframework.com')
    .setAudience(APP)
    .setIssuedAt()
    .setExpirationTime('1h')
    .sign(key);
}
