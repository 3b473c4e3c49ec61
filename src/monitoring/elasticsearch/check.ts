import type { ElasticClient } from './client.ts';
import type { ElasticLogsConfig } from './config.ts';
import { levelWords } from './lines.ts';

type Finding = { level: 'error' | 'warning'; message: string };

const DATES = ['date', 'date_nanos'];
const EXACT = ['keyword', 'constant_keyword', 'wildcard', 'flattened', 'ip', 'boolean'];
const WHOLE = ['long', 'integer', 'short', 'byte', 'unsigned_long'];
const WORDS = ['text', 'match_only_text', 'annotated_text', 'search_as_you_type'];

/**
 * What is wrong with the fields of an entry, by their types in the indices.
 * @throws ShipmateError LOGS_UNAVAILABLE
 */
export async function fieldFindings(config: ElasticLogsConfig, client: ElasticClient): Promise<Finding[]> {
  const { elasticsearch, environment, level, message, service, time } = config;
  const exact = (name: string) => [name, `${name}.keyword`];
  const names = [time, ...exact(service), ...exact(environment), ...exact(level), message, ...config.show];
  const { indices, types } = await client.fields(elasticsearch, [...new Set(names)]);
  if (indices === 0)
    return [
      {
        level: 'error',
        message: `No index matches ${elasticsearch}. Correct "elasticsearch", or grant the bot "read" on them.`,
      },
    ];
  const found: Finding[] = [];
  const error = (text: string) => found.push({ level: 'error', message: text });
  const warning = (text: string) => found.push({ level: 'warning', message: text });
  const typesOf = (name: string) => (types.get(name) ?? []).filter((type) => type !== 'unmapped');
  const odd = (name: string, right: readonly string[]) => typesOf(name).find((type) => !right.includes(type));
  const missing = (name: string) => typesOf(name).length === 0;

  if (missing(time)) error(`No index of ${elasticsearch} has the field ${time}. Correct "time".`);
  else if (odd(time, DATES)) error(`The field ${time} is ${odd(time, DATES)}, and no date. Correct "time".`);
  for (const [key, name] of [
    ['service', service],
    ['environment', environment],
  ] as const) {
    const type = odd(name, EXACT);
    if (missing(name)) error(`No index of ${elasticsearch} has the field ${name}: nothing is found. Correct "${key}".`);
    else if (type !== undefined)
      error(
        `The field ${name} is ${type}, of which whole values are not found. Set ${key}: ${typesOf(`${name}.keyword`).length > 0 ? `${name}.keyword` : 'a field of the type keyword'}.`,
      );
  }
  if (missing(message)) error(`No index of ${elasticsearch} has the field ${message}. Correct "message".`);
  else if (odd(message, WORDS))
    warning(`The field ${message} is ${odd(message, WORDS)}: text=… can not look into it. Name one of the type text.`);
  if (missing(level))
    warning(`No index of ${elasticsearch} has the field ${level}: level=error finds nothing. Correct "level".`);
  else if (typesOf(level).some((type) => WHOLE.includes(type))) {
    const numbers = Object.values(levelWords(config.levels)).every((words) =>
      words.every((word) => /^\d+$/.test(word)),
    );
    if (!numbers)
      error(
        `The field ${level} is a number. Say in "levels" which are which: { debug: [10, 20], info: [30], warn: [40], error: [50, 60] }.`,
      );
  }
  return found;
}
