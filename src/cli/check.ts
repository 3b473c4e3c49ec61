import path from 'node:path';
import { ConfigError, formatProblem, type LoadedConfig, loadConfig } from '../config.ts';
import { readOptions } from './options.ts';
import type { CliCommand } from './types.ts';

export const checkCommand: CliCommand = {
  summary: 'Say what is wrong with a configuration, by file, line and column.',
  usage: `
shipmate check [file] [--online]

  file      default: shipmate.yaml; --config FILE is the same
  --online  also try the store, the credentials, Microsoft Graph and every connection, one finding each

The environment has to be set as for the bot. Exits with 1 when something is wrong.`,
  async run(args, io) {
    const { positionals, values } = readOptions(
      args,
      { online: { type: 'boolean', default: false }, config: { type: 'string' } },
      1,
    );
    const file = positionals[0] ?? values.config ?? 'shipmate.yaml';
    let config: LoadedConfig;
    try {
      config = loadConfig(path.resolve(io.cwd, file), io.env);
    } catch (error) {
      if (!(error instanceof ConfigError)) throw error;
      for (const problem of error.problems) io.err(`${formatProblem(problem)}\n`);
      io.err(`${count(error.problems.length, 'problem')}.\n`);
      return 1;
    }
    await io.out(`${file} is right: ${summaryOf(config)}.\n`);
    if (!values.online) return 0;
    // Loads the whole bot, which takes a second: only when it is asked for.
    const { lookOnline } = await import('./online.ts');
    let errors = 0;
    for await (const { level, message, subject } of lookOnline(config, io)) {
      if (level === 'error') errors += 1;
      await io.out(`${level.padEnd(7)} ${subject}: ${message}\n`);
    }
    await io.out(errors === 0 ? 'Everything answers.\n' : `${count(errors, 'error')}.\n`);
    return errors === 0 ? 0 : 1;
  },
};

function summaryOf({ mode, services, store }: LoadedConfig): string {
  const environments = services[0]?.environments.length;
  return [
    count(services.length, 'service'),
    ...(environments === undefined ? [] : [count(environments, 'environment')]),
    store === null ? 'embedded store' : 'PostgreSQL',
    `${mode} mode`,
  ].join(', ');
}

function count(number: number, what: string): string {
  return `${number} ${what}${number === 1 ? '' : 's'}`;
}
