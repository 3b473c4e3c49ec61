import {
  ActivityHandler,
  CloudAdapter,
  ConfigurationBotFrameworkAuthentication,
  ConfigurationServiceClientCredentialFactory,
} from 'botbuilder';
import { AppCredentials, type ServiceClientCredentialsFactory } from 'botframework-connector';
import restify from 'restify';
import { APP } from './teams.ts';

/** Real authentication of what comes in; a token for what goes out that costs nothing to get. */
class FreeCredentials extends AppCredentials {
  protected override async refreshToken() {
    return { accessToken: 'bench', expiresOn: new Date(Date.now() + 3_600_000) } as never;
  }
}

/** A bot as the samples have it: botbuilder, restify, JWT authentication, and a reply with the same text. */
export async function startEcho(metadataUrl: string): Promise<number> {
  const factory = new ConfigurationServiceClientCredentialFactory({
    MicrosoftAppId: APP,
    MicrosoftAppPassword: 'bench',
    MicrosoftAppType: 'MultiTenant',
  });
  const credentials = new FreeCredentials(APP, undefined, 'https://api.botframework.com');
  const free: ServiceClientCredentialsFactory = Object.assign(factory, { createCredentials: async () => credentials });
  const auth = new ConfigurationBotFrameworkAuthentication(
    {
      MicrosoftAppId: APP,
      MicrosoftAppType: 'MultiTenant',
      ValidateAuthority: true,
      ToChannelFromBotLoginUrl: 'https://login.microsoftonline.com/botframework.com',
      ToChannelFromBotOAuthScope: 'https://api.botframework.com',
      ToBotFromChannelTokenIssuer: 'https://api.botframework.com',
      OAuthUrl: 'https://token.botframework.com',
      CallerId: 'urn:botframework:azure',
      ToBotFromChannelOpenIdMetadataUrl: metadataUrl,
      ToBotFromEmulatorOpenIdMetadataUrl: metadataUrl,
    } as never,
    free,
  );
  const adapter = new CloudAdapter(auth);
  const bot = new ActivityHandler();
  bot.onMessage(async (context, next) => {
    await context.sendActivity(context.activity.text);
    await next();
  });
  const invoke = {
    status: 200,
    body: { statusCode: 200, type: 'application/vnd.microsoft.activity.message', value: 'echo' },
  };
  const server = restify.createServer();
  server.use(restify.plugins.bodyParser());
  server.post('/api/messages', async (req, res) => {
    await adapter.process(req as never, res as never, async (context) => {
      if (context.activity.type === 'invoke') await context.sendActivity({ type: 'invokeResponse', value: invoke });
      else await bot.run(context);
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', () => resolve()));
  return (server.address() as { port: number }).port;
}
