#!/usr/bin/env node
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { createApp } from './app.ts';
import { loadConfig } from './config.ts';
import { ShipmateError } from './errors.ts';
import { watchFiles } from './reload.ts';

const USAGE = `shipmate [--config shipmate.yaml]

Starts the bot. Settings are in the configuration file; PORT, SHIPMATE_DATA and LOG_LEVEL may come from the environment.
"shipmate check" (npm run shipmate -- check) says what is wrong with a configuration.
`;

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      config: { type: 'string', default: 'shipmate.yaml' },
      'seed-references': { type: 'string' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(USAGE);
    return;
  }
  const config = loadConfig(values.config, process.env);
  const seeds = values['seed-references'];
  const app = await createApp(
    config,
    seeds === undefined ? {} : { references: JSON.parse(readFileSync(seeds, 'utf8')) },
  );
  let stopping = false;
  const stop = (signal: string) => {
    if (stopping) return;
    stopping = true;
    app.logger.info('stopping', { signal });
    app.stop().then(
      () => process.exit(0),
      (error: unknown) => {
        app.logger.error('stopped uncleanly', { error });
        process.exit(1);
      },
    );
  };
  const reload = () =>
    void app
      .reload(() => loadConfig(values.config, process.env))
      .catch((error: unknown) => app.logger.error('the configuration could not be read again', { error }));
  process.on('SIGHUP', reload);
  watchFiles(() => config.files, reload, app.logger);
  process.once('SIGTERM', () => stop('SIGTERM'));
  process.once('SIGINT', () => stop('SIGINT'));
  await app.start();
}

main().catch((error: unknown) => {
  const known = error instanceof ShipmateError;
  process.stderr.write(
    known ? `${error.message}\n[${error.code}]\n` : `${error instanceof Error ? error.stack : String(error)}\n`,
  );
  process.exit(1);
});
