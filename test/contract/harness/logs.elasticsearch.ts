import { createHttp } from '../../../src/http.ts';
import { connections, logSources } from '../../../src/monitoring/index.ts';
import { createFakeElastic } from '../../fakes/elasticsearch/index.ts';
import { silentLogger } from './deps.ts';
import type { LogsHarness } from './types.ts';

export const harness: LogsHarness = {
  family: 'logs',
  async open() {
    const fake = await createFakeElastic();
    const [connector, adapter] = [connections.elasticsearch, logSources.elasticsearch];
    if (!connector || !adapter) throw new Error('elasticsearch is not registered');
    const http = createHttp();
    const connection = connector.create(connector.config.parse(fake.connection), {
      logger: silentLogger,
      baseDir: process.cwd(),
      http: () => http,
      entraToken: null,
      now: () => new Date(),
    });
    const config = adapter.config.parse({ elasticsearch: 'logs-*' });
    return {
      source: adapter.create(config, { logger: silentLogger, baseDir: process.cwd(), connection }),
      async write(lines) {
        fake.add(
          lines.map(({ level, text, time }) => ({
            source: {
              '@timestamp': time,
              'service.name': 'storefront',
              'service.environment': 'staging',
              'log.level': level,
              message: text,
            },
          })),
        );
      },
      async breakIt() {
        fake.trouble({ how: 'status', status: 503, body: { error: 'all shards failed', status: 503 } });
      },
      async close() {
        await fake.close();
        await http.close();
      },
    };
  },
};
