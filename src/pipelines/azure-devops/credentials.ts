import { PipelineError } from '../../errors.ts';
import { createRedactor, type Redactor } from '../../logger.ts';
import type { ConnectionDeps } from '../types.ts';
import { type AzureConnectionConfig, azureSecrets, basic } from './config.ts';

/** Azure DevOps as a resource of Entra. Source: Azure DevOps docs, "Use service principals and managed identities". */
const SCOPE = '499b84ac-1321-427f-aa17-267ca6975798/.default';
const EARLY_MS = 5 * 60_000;
const KEPT_TOKENS = 4;

export interface Credentials {
  /** Of the header Authorization; `renew` after it was refused. @throws PipelineError */
  header(renew: boolean): Promise<string>;
  /** Whether a refused one may be replaced by a new one. */
  readonly renewable: boolean;
  /** What to tell when it is refused for good. */
  refused(host: string): string;
  /** Removes every credential that is or was in use. */
  readonly redact: Redactor;
}

/** A personal access token where one is configured, else the bot's own Entra identity. */
export function createCredentials(
  config: AzureConnectionConfig,
  deps: Pick<ConnectionDeps, 'entraToken' | 'now'>,
): Credentials {
  const fixed = azureSecrets(config);
  // Rebuilt with each token, so that it does not grow for as long as the bot runs.
  let redactor = createRedactor(fixed);
  let tokens: string[] = [];
  let held: { token: string; expiresAt: Date } | null = null;
  let asking: Promise<string> | null = null;

  const redact: Redactor = Object.assign((text: string) => redactor(text), {
    secret(value: string) {
      fixed.push(value);
      redactor.secret(value);
    },
  });

  async function renewed(): Promise<string> {
    if (deps.entraToken === null)
      throw new PipelineError(
        'PIPELINE_REJECTED',
        'The bot has no Entra identity here (playground mode), and no token is configured for Azure DevOps. Set `token` of the connection.',
      );
    try {
      held = await deps.entraToken(SCOPE);
    } catch (cause) {
      throw new PipelineError(
        'PIPELINE_UNAVAILABLE',
        'The bot’s Entra identity got no token for Azure DevOps. Check the bot’s credentials, and that Entra can be reached.',
        { cause, retryable: true },
      );
    }
    const { token } = held;
    if (!tokens.includes(token)) {
      tokens = [...tokens, token].slice(-KEPT_TOKENS);
      redactor = createRedactor([...fixed, ...tokens]);
    }
    return token;
  }

  async function entra(renew: boolean): Promise<string> {
    if (!renew && held !== null && held.expiresAt.getTime() - EARLY_MS > deps.now().getTime()) return held.token;
    // Everybody who comes meanwhile waits for the same one.
    asking ??= renewed().finally(() => {
      asking = null;
    });
    return asking;
  }

  const { token } = config;
  if (token !== undefined)
    return {
      header: async () => `Basic ${basic('', token)}`,
      renewable: false,
      refused: (host) =>
        `Azure DevOps (${host}) refuses the personal access token: it is wrong, has expired, or its scopes don't cover this. Make a new one and set it as \`token\` of the connection.`,
      redact,
    };
  return {
    header: async (renew) => `Bearer ${await entra(renew)}`,
    renewable: true,
    refused: (host) =>
      `Azure DevOps (${host}) does not take the bot's Entra identity. Add it there under Organization settings, Users, with access level Basic, and connect the organization to the same tenant.`,
    redact,
  };
}
