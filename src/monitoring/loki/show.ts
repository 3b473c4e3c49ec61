import type { LogLine } from '../types.ts';
import type { LokiLogsConfig } from './config.ts';
import { cleanText, type LevelWords, levelOf, show } from './lines.ts';

const TIMES = ['time', 'timestamp', '@timestamp', 'ts'];
const MESSAGES = ['msg', 'message'];

function fieldsOf(raw: string): Record<string, unknown> | null {
  if (!raw.startsWith('{')) return null;
  try {
    return JSON.parse(raw) as Record<string, unknown>;
  } catch {
    return null;
  }
}

/**
 * A line as people read it. With the parser json, one that is a JSON object shows as its message, followed by the other
 * fields as `name=value`; any other line shows as it is.
 */
export function createShow(config: LokiLogsConfig, spelled: LevelWords) {
  const messages = config.message === undefined ? MESSAGES : [config.message];
  const left = new Set([...TIMES, (config.level ?? 'level').replace(/^\["(.*)"\]$/, '$1')]);
  return (time: string, raw: string, level: string | undefined): LogLine => {
    const known = levelOf(spelled, level);
    const fields = config.parser === 'json' ? fieldsOf(raw) : null;
    const message = fields && messages.find((name) => fields[name] !== undefined);
    const text =
      fields === null
        ? raw
        : [
            ...(message ? [show(fields[message])] : []),
            ...Object.entries(fields)
              .filter(([name]) => name !== message && !left.has(name))
              .map(([name, value]) => `${name}=${show(value)}`),
          ].join(' ');
    return { time, ...(known ? { level: known } : {}), text: cleanText(text) };
  };
}
