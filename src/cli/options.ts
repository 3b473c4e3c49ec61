import { type ParseArgsConfig, parseArgs } from 'node:util';
import { UsageError } from './types.ts';

type Options = NonNullable<ParseArgsConfig['options']>;

/** node:util's parser, with its complaints as UsageError and a limit on words that are no options. */
export function readOptions<const O extends Options>(args: readonly string[], options: O, words = 0) {
  try {
    const parsed = parseArgs({ args: [...args], options, allowPositionals: true, strict: true });
    if (parsed.positionals.length > words)
      throw new UsageError(`"${parsed.positionals[words]}" is one word too many here.`);
    return parsed;
  } catch (error) {
    const { code, message } = error as { code?: unknown; message?: unknown };
    if (String(code).startsWith('ERR_PARSE_ARGS')) throw new UsageError(`${String(message).split('. ')[0]}.`);
    throw error;
  }
}
