import { type Activity, type ActivityHandler, CloudAdapter } from 'botbuilder';
import {
  type AuthenticateRequestResult,
  BotFrameworkAuthentication,
  ClaimsIdentity,
  type ConnectorFactory,
  type UserTokenClient,
} from 'botframework-connector';
import { ShipmateError } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { ActivityLike } from './incoming.ts';
import type { CallerIdentity } from './trust.ts';

export interface BotAnswer {
  status: number;
  body?: unknown;
}

/**
 * The Bot Framework adapter behind the trust gate. It authenticates nothing itself and sends nothing itself: requests
 * are verified before they come here, and what the bot says goes through bot/connector.ts. So no credential, connector
 * client or token client is built per turn, which is where most of the SDK's time goes.
 */
export class BotAdapter extends CloudAdapter {
  readonly #auth: TrustedAuthentication;

  constructor(appId: string, logger: Logger) {
    const auth = new TrustedAuthentication(appId);
    super(auth);
    this.#auth = auth;
    this.onTurnError = async (_context, error) => {
      logger.debug('a turn ended with an error', { error });
      throw error;
    };
  }

  /** Runs one verified activity through the handler. @throws whatever the handler throws */
  async run(activity: ActivityLike, identity: CallerIdentity, handler: ActivityHandler): Promise<BotAnswer> {
    const answer = await this.processActivity(this.#auth.resultFor(identity), activity as Activity, (context) =>
      handler.run(context),
    );
    return answer ? { status: answer.status, body: answer.body } : { status: 200 };
  }
}

class TrustedAuthentication extends BotFrameworkAuthentication {
  readonly #appId: string;
  readonly #factory: ConnectorFactory = { create: async () => sendsElsewhere('connector client') } as ConnectorFactory;

  constructor(appId: string) {
    super();
    this.#appId = appId;
  }

  resultFor(identity: CallerIdentity): AuthenticateRequestResult {
    const claims = [
      { type: 'iss', value: identity.issuer },
      { type: 'aud', value: identity.audience || this.#appId },
      { type: 'serviceurl', value: identity.serviceUrl },
    ];
    return {
      audience: 'https://api.botframework.com',
      callerId: 'urn:botframework:azure',
      claimsIdentity: new ClaimsIdentity(claims, 'trusted'),
      connectorFactory: this.#factory,
    };
  }

  authenticateRequest(): Promise<AuthenticateRequestResult> {
    return Promise.reject(new ShipmateError('TRUST_TOKEN_INVALID', 'Requests are authenticated by the trust gate.'));
  }

  authenticateStreamingRequest(): Promise<AuthenticateRequestResult> {
    return Promise.reject(new ShipmateError('TRUST_TOKEN_INVALID', 'Streaming connections are not accepted.'));
  }

  createConnectorFactory(): ConnectorFactory {
    return this.#factory;
  }

  createUserTokenClient(): Promise<UserTokenClient> {
    return Promise.resolve(sendsElsewhere('user token client') as UserTokenClient);
  }
}

/** Stands where the SDK wants a client; anybody who uses it learns where to go instead. */
function sendsElsewhere(what: string): never {
  return new Proxy(
    {},
    {
      get(_target, name) {
        // Awaiting the object must not look like using it.
        if (name === 'then' || typeof name === 'symbol') return undefined;
        throw new Error(`there is no ${what} here: send through bot/connector.ts`);
      },
    },
  ) as never;
}
