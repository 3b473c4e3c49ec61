import { createHttp } from '../../../src/http.ts';
import { connections, logSources } from '../../../src/monitoring/index.ts';
import { createFakeLoki } from '../../fakes/loki/index.ts';
import { silentLogger } from './deps.ts';
import type { LogsHarness } from './types.ts';

export const harness: LogsHarness = {
  family: 'logs',
  async open() {
    const fake = await createFakeLoki();
    const [connector, adapter] = [connections.loki, logSources.loki];
    if (!connector || !adapter) throw new Error('loki is not registered');
    const http = createHttp();
    const connection = connector.create(connector.config.parse(fake.connection), {
      logger: silentLogger,
      baseDir: process.cwd(),
      http: () => http,
      entraToken: null,
      now: () => new Date(),
    });
    const config = adapter.config.parse({ loki: { app: '{service}', env: '{environment}' } });
    return {
      source: adapter.create(config, { logger: silentLogger, baseDir: process.cwd(), connection }),
      async write(lines) {
        for (const { level, text, time } of lines)
          fake.push({ app: 'storefront', env: 'staging' }, [
            { ns: BigInt(Date.parse(time)) * 1_000_000n, line: text, metadata: { detected_level: level } },
          ]);
      },
      async breakIt() {
        fake.trouble({ how: 'status', status: 502, text: '<html>502 Bad Gateway</html>' });
      },
      async close() {
        await fake.close();
        await http.close();
      },
    };
  },
};
