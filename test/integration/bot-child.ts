/** The bot as a process of its own, to be killed: `bot-child.ts <config> <metadata URL> <connector origin> <references>`. */
import { createApp } from '../../src/app.ts';
import { loadConfig } from '../../src/config.ts';

const [, , config = '', openIdMetadataUrl = '', origin = '', references = '[]'] = process.argv;
const app = await createApp(loadConfig(config, process.env), {
  trust: { openIdMetadataUrl, serviceOrigins: [origin] },
  credential: {
    getToken: async (scope) => ({
      token: String(scope).startsWith('https://api.botframework.com')
        ? 'outbound-token'
        : `entra-token-for-${String(scope)}`,
      expiresOnTimestamp: Date.now() + 3_600_000,
    }),
  },
  references: JSON.parse(references),
});
const { port } = await app.start();
process.send?.({ port });
