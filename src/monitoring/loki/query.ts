import type { LogQuery } from '../types.ts';
import type { LokiLogsConfig } from './config.ts';
import { levelWords, named, wantedWords } from './lines.ts';

/** The label that a parser puts the level into: no label of the stream has this name. */
export const PARSED_LEVEL = 'shipmate_level';

/** The label of an answer that has a line's level. */
export function levelLabel({ level = 'detected_level', parser }: LokiLogsConfig): string {
  return parser === 'none' ? level : PARSED_LEVEL;
}

/**
 * A LogQL string literal in double quotes, as Go's strconv.Unquote reads it
 * (https://grafana.com/docs/loki/latest/query/#string-literals). Backticks know no escapes, so they are never used.
 */
export function literal(text: string): string {
  const escaped = text
    .toWellFormed()
    .replace(/[\\"]/g, '\\$&')
    .replace(/\n/g, '\\n')
    .replace(/\r/g, '\\r')
    .replace(/\t/g, '\\t')
    .replace(/[\p{Cc}\u2028\u2029]/gu, (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`);
  return `"${escaped}"`;
}

/** A text as an RE2 expression that matches only it: what regexp.QuoteMeta of Go escapes. */
export function quoteRegex(text: string): string {
  return text.replace(/[\\.+*?()|[\]{}^$]/g, '\\$&');
}

function anyOf(texts: readonly string[]): string {
  return `(?i)(?:${[...new Set(texts)].map(quoteRegex).join('|')})`;
}

/** In a line of JSON a quote and a backslash stand escaped. */
function searched(text: string, { parser }: LokiLogsConfig): string {
  const inJson = JSON.stringify(text).slice(1, -1);
  return parser === 'json' && inJson !== text ? anyOf([text, inJson]) : `(?i)${quoteRegex(text)}`;
}

/** `{app="storefront"}`: the labels, with the service and the environment filled in. */
export function selector(config: LokiLogsConfig, query: Pick<LogQuery, 'service' | 'environment'>): string {
  const names = named(config, query);
  const matchers = Object.entries(config.loki).map(([label, template]) => {
    const value = template.replace(
      /\{(service|environment)\}/g,
      (_match, name: 'service' | 'environment') => names[name],
    );
    return `${label}=${literal(value)}`;
  });
  return `{${matchers.join(', ')}}`;
}

/**
 * A query as LogQL. Names of labels and fields are the configuration's; what people gave stands in string literals.
 * @throws ShipmateError ARGUMENT_INVALID without a service or an environment
 */
export function compile(
  config: LokiLogsConfig,
  query: Pick<LogQuery, 'service' | 'environment' | 'level' | 'text'>,
): string {
  const wanted = wantedWords(levelWords(config.levels), query.level);
  const stages = [
    query.text ? `|~ ${literal(searched(query.text, config))}` : '',
    config.parser === 'none' ? '' : `| ${config.parser} ${PARSED_LEVEL}=${literal(config.level ?? 'level')}`,
    wanted === null ? '' : `| ${levelLabel(config)}=~${literal(anyOf(wanted))}`,
  ];
  return [selector(config, query), ...stages.filter((stage) => stage !== '')].join(' ');
}

/** Any lines of what the entry is about, with their level, to see whether there is one. */
export function sample(config: LokiLogsConfig): string {
  const [label = ''] = Object.keys(config.loki);
  const parse =
    config.parser === 'none' ? '' : ` | ${config.parser} ${PARSED_LEVEL}=${literal(config.level ?? 'level')}`;
  return `{${label}=~".+"}${parse}`;
}
