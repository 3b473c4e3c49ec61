import { readFileSync } from 'node:fs';
import { ShipmateError } from '../errors.ts';
import { auditCommand } from './audit.ts';
import { checkCommand } from './check.ts';
import { initCommand } from './init.ts';
import { schemaCommand } from './schema.ts';
import { type CliCommand, type ExitCode, type Io, UsageError } from './types.ts';

/** To add one: a file beside this one, a line here. */
const COMMANDS: Readonly<Record<string, CliCommand>> = {
  init: initCommand,
  check: checkCommand,
  schema: schemaCommand,
  audit: auditCommand,
};

/**
 * Runs one command of `shipmate`. Never throws for what a person did: mistakes are told on standard error, and show in
 * the exit code.
 */
export async function main(argv: readonly string[], io: Io): Promise<ExitCode> {
  const [name, ...args] = argv;
  try {
    if (name === undefined || name === 'help' || name === '--help' || name === '-h') return await help(args[0], io);
    if (name === '--version' || name === '-v') {
      await io.out(`${version()}\n`);
      return 0;
    }
    const command = commandOf(name);
    if (args.includes('--help') || args.includes('-h')) return await help(name, io);
    return await command.run(args, io);
  } catch (error) {
    if (error instanceof UsageError) {
      const known = name !== undefined && Object.hasOwn(COMMANDS, name);
      io.err(`${error.message}\nSee: shipmate help${known ? ` ${name}` : ''}\n`);
      return 2;
    }
    if (error instanceof ShipmateError) {
      io.err(`${error.message}\n[${error.code}]\n`);
      return 1;
    }
    throw error;
  }
}

function commandOf(name: string): CliCommand {
  const command = Object.hasOwn(COMMANDS, name) ? COMMANDS[name] : undefined;
  if (!command) throw new UsageError(`There is no command "${name}"; there are ${Object.keys(COMMANDS).join(', ')}.`);
  return command;
}

async function help(name: string | undefined, io: Io): Promise<ExitCode> {
  if (name === undefined) {
    const lines = Object.entries(COMMANDS).map(([each, { summary }]) => `  ${each.padEnd(8)} ${summary}`);
    await io.out(
      `shipmate <command>\n\n${lines.join('\n')}\n  ${'help'.padEnd(8)} More about a command: shipmate help check\n  --version\n\nThe bot itself is started by: npm start\n`,
    );
    return 0;
  }
  const { summary, usage } = commandOf(name);
  await io.out(`${summary}\n\n${usage.trim()}\n`);
  return 0;
}

function version(): string {
  const file = new URL('../../package.json', import.meta.url);
  return (JSON.parse(readFileSync(file, 'utf8')) as { version: string }).version;
}
