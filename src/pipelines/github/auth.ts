import { createPrivateKey, type KeyObject } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { SignJWT } from 'jose';
import { PipelineError } from '../../errors.ts';
import { type GitHubConnectionConfig, splitRepository } from './config.ts';

/**
 * A GitHub App's credentials: a JWT for the App itself, and a token per repository, made from it
 * (docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app). Not by \@octokit/auth-app: what it is
 * asking for is kept in one place for the whole process, by installation and repository, so that one server could be
 * handed another one's token.
 */

/** "The time must be no more than 10 minutes into the future"; a minute less, for clocks that differ. */
const JWT_SECONDS = 540;
/** "We recommend that you set this 60 seconds in the past to protect against clock drift". */
const DRIFT_SECONDS = 60;
const RENEW_BEFORE_MS = 5 * 60_000;
const MOST_GIVEN = 100;

export interface Auth {
  /** @throws PipelineError PIPELINE_REJECTED when the key is not readable or none */
  appToken(): Promise<string>;
  /** A token that can do nothing but to this repository; renewed in time, asked for once at a time. */
  repositoryToken(repository: string): Promise<string>;
  /** The token was refused: the next one is new. */
  forget(repository: string, refused: string): void;
  installation(repository: string): Promise<number>;
  /** What must not be shown of what GitHub handed out, and of a key that was read from a file. */
  secrets(): readonly string[];
}

/** What is asked of GitHub with the App's own token. */
export interface AuthRequests {
  installation(repository: { owner: string; repo: string }): Promise<number>;
  token(installation: number, repository: string): Promise<{ token: string; expires_at: string }>;
}

export function createAuth(
  config: GitHubConnectionConfig,
  deps: { baseDir: string; now: () => Date; requests: AuthRequests },
): Auth {
  const { baseDir, now, requests } = deps;
  let key: { object: KeyObject; secrets: readonly string[] } | null = null;
  /** The newest ones; an older one has expired. */
  let given: string[] = [];
  const installations = new Map<string, number>();
  const tokens = new Map<string, { token: string; expiresAt: number }>();
  const asked = new Map<string, Promise<string>>();

  async function privateKey(): Promise<KeyObject> {
    if (key === null) {
      const pem = await pemOf(config.key, baseDir);
      key = { object: createKey(pem), secrets: keySecrets(pem) };
    }
    return key.object;
  }

  async function installation(repository: string): Promise<number> {
    const known = config.installation ?? installations.get(repository);
    if (known !== undefined) return known;
    const found = await requests.installation(splitRepository(repository));
    installations.set(repository, found);
    return found;
  }

  async function renew(repository: string): Promise<string> {
    const answer = await requests.token(await installation(repository), splitRepository(repository).repo);
    given = [...given, answer.token].slice(-MOST_GIVEN);
    tokens.set(repository, { token: answer.token, expiresAt: Date.parse(answer.expires_at) });
    return answer.token;
  }

  return {
    installation,
    secrets: () => [...given, ...(key?.secrets ?? [])],

    async appToken() {
      const seconds = Math.floor(now().getTime() / 1000);
      return new SignJWT()
        .setProtectedHeader({ alg: 'RS256', typ: 'JWT' })
        .setIssuer(config.app)
        .setIssuedAt(seconds - DRIFT_SECONDS)
        .setExpirationTime(seconds + JWT_SECONDS)
        .sign(await privateKey());
    },

    async repositoryToken(repository) {
      const known = tokens.get(repository);
      if (known !== undefined && known.expiresAt - now().getTime() > RENEW_BEFORE_MS) return known.token;
      const running = asked.get(repository);
      if (running !== undefined) return running;
      const own = renew(repository).finally(() => asked.delete(repository));
      asked.set(repository, own);
      return own;
    },

    forget(repository, refused) {
      // Somebody else may have renewed it in the meantime.
      if (tokens.get(repository)?.token === refused) tokens.delete(repository);
      // The App may have been installed anew.
      installations.delete(repository);
    },
  };
}

function isPem(key: string): boolean {
  return key.trimStart().startsWith('-----BEGIN');
}

/** What of a key must not be printed: nothing, when it is a path. */
export function keySecrets(key: string): string[] {
  if (!isPem(key)) return [];
  // A log may break it into its lines.
  return [key, ...key.split(/\\n|\s+/).filter((line) => /^[\w+/=]{32,}$/.test(line))];
}

async function pemOf(key: string, baseDir: string): Promise<string> {
  // In the environment it often stands on one line.
  if (isPem(key)) return key.replaceAll('\\n', '\n');
  try {
    return await readFile(resolve(baseDir, key), 'utf8');
  } catch (cause) {
    throw new PipelineError(
      'PIPELINE_REJECTED',
      `The private key of the GitHub App can't be read from ${JSON.stringify(key.slice(0, 200))}. Correct "key" of the connection, or let the bot's user read the file.`,
      { cause: new Error(cause instanceof Error && 'code' in cause ? String(cause.code) : 'not readable') },
    );
  }
}

function createKey(pem: string): KeyObject {
  try {
    const made = createPrivateKey(pem);
    if (made.asymmetricKeyType === 'rsa') return made;
  } catch {
    // What OpenSSL says about it is of no use to anybody, and may hold a part of it.
  }
  throw new PipelineError(
    'PIPELINE_REJECTED',
    'The key of the GitHub App is not an RSA private key in PEM form. Make a new one in the settings of the App, and correct "key" of the connection.',
  );
}
