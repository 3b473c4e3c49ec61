import type { z } from 'zod';
import type { Http } from '../../../src/http.ts';
import { elasticConnectionConfig, elasticLogsConfig } from '../../../src/monitoring/elasticsearch/config.ts';
import { createElasticConnection, createElasticLogs } from '../../../src/monitoring/elasticsearch/index.ts';
import type { LogPage, LogQuery, LogSource } from '../../../src/monitoring/types.ts';
import { silentLogger } from '../../contract/harness/deps.ts';
import type { FakeElastic } from '../../fakes/elasticsearch/index.ts';

const START = Date.now() - 600_000;
export const at = (ms: number) => new Date(START + ms).toISOString();

export function connectTo(fake: FakeElastic, http: Http, more: Record<string, unknown> = {}) {
  const config = elasticConnectionConfig.parse({ ...fake.connection, ...more });
  return createElasticConnection(config, {
    logger: silentLogger,
    baseDir: process.cwd(),
    http: () => http,
    entraToken: null,
    now: () => new Date(),
  });
}

export function openOn(
  fake: FakeElastic,
  http: Http,
  entry: Partial<z.input<typeof elasticLogsConfig>> = {},
  more: Record<string, unknown> = {},
): LogSource {
  const config = elasticLogsConfig.parse({ elasticsearch: 'logs-*', ...entry });
  return createElasticLogs(config, {
    logger: silentLogger,
    baseDir: process.cwd(),
    connection: connectTo(fake, http, more),
  });
}

export const query = (more: Partial<LogQuery> = {}): LogQuery => ({
  service: 'storefront',
  environment: 'staging',
  since: at(0),
  until: at(300_000),
  limit: 10,
  ...more,
});

export const texts = (page: Pick<LogPage, 'lines'>) => page.lines.map(({ text }) => text);

export const doc = (time: string, message: string | undefined, more: Record<string, unknown> = {}) => ({
  source: {
    '@timestamp': time,
    'service.name': 'storefront',
    'service.environment': 'staging',
    ...(message === undefined ? {} : { message }),
    ...more,
  },
});

export async function all(source: LogSource, more: Partial<LogQuery> = {}, maxLines = 100_000) {
  const found = [];
  for await (const line of source.stream(query(more), { maxLines })) found.push(line.text);
  return found;
}
