/** What a credential of @azure/identity looks like from here. */
export interface TokenCredentialLike {
  getToken(scope: string): Promise<{ token: string; expiresOnTimestamp: number } | null>;
}

const RENEW_BEFORE_MS = 5 * 60_000;

/** The bot's own token for the connector: one request at a time, kept until shortly before it expires. */
export function createTokenSource(
  credential: TokenCredentialLike,
  scope: string,
  now: () => number,
): (options: { renew: boolean }) => Promise<string> {
  let held: { token: string; expiresOnTimestamp: number } | null = null;
  let asking: Promise<string> | null = null;
  const ask = async (): Promise<string> => {
    const token = await credential.getToken(scope);
    if (token === null) throw new Error('the credential gave no token');
    held = token;
    return token.token;
  };
  return async ({ renew }) => {
    if (!renew && held && held.expiresOnTimestamp - RENEW_BEFORE_MS > now()) return held.token;
    asking ??= ask().finally(() => {
      asking = null;
    });
    return asking;
  };
}
