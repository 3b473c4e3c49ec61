import { existsSync, mkdirSync, readFileSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { basename, join, resolve } from 'node:path';
import { parseArgs } from 'node:util';

export const ENVIRONMENTS = ['staging', 'production'];
const DEFAULT_PORTS = { staging: 4101, production: 4102 };

/** A mistake whose message is for the person who started the program; no stack is printed. */
export class Problem extends Error {}

/** Where things lie in the example's data folder. */
export function layout(dir) {
  const root = resolve(dir);
  return {
    root,
    repo: join(root, 'repo'),
    portsFile: join(root, 'ports.json'),
    environment(name) {
      const base = join(root, 'env', name);
      return {
        name,
        base,
        releases: join(base, 'releases'),
        current: join(base, 'current'),
        logs: join(base, 'logs'),
        logFile: join(base, 'logs', 'storefront.jsonl'),
        consoleFile: join(base, 'logs', 'console.log'),
        pidFile: join(base, 'storefront.pid'),
        lockFile: join(base, 'deploy.lock'),
      };
    },
  };
}

/**
 * The port of each environment: option, then environment variable, then what setup remembered, then the default. A
 * deploy runs with a clean environment, which is why setup writes them down.
 */
export function readPorts(places, options = {}) {
  const saved = existsSync(places.portsFile) ? JSON.parse(readFileSync(places.portsFile, 'utf8')) : {};
  return Object.fromEntries(
    ENVIRONMENTS.map((name) => {
      const given =
        options[`${name}-port`] ?? process.env[`${name.toUpperCase()}_PORT`] ?? saved[name] ?? DEFAULT_PORTS[name];
      const port = Number(given);
      if (!Number.isInteger(port) || port < 1 || port > 65535)
        throw new Problem(`"${given}" is not a port for ${name}: give a number from 1 to 65535`);
      return [name, port];
    }),
  );
}

export function savePorts(places, ports) {
  writeAtomically(places.portsFile, `${JSON.stringify(ports)}\n`);
}

export function writeAtomically(file, text) {
  const temporary = `${file}.${process.pid}.tmp`;
  writeFileSync(temporary, text);
  renameSync(temporary, file);
}

/** Points the link `current` to a release in one step: nobody ever sees it missing. */
export function switchCurrent(place, release) {
  const temporary = `${place.current}.${process.pid}.tmp`;
  symlinkSync(join('releases', basename(release)), temporary);
  renameSync(temporary, place.current);
}

export function makeFolders(places) {
  for (const name of ENVIRONMENTS) {
    const place = places.environment(name);
    mkdirSync(place.releases, { recursive: true });
    mkdirSync(place.logs, { recursive: true });
  }
}

/** Command line options, all of them strings. */
export function readOptions(names) {
  try {
    const options = Object.fromEntries(names.map((name) => [name, { type: 'string' }]));
    return parseArgs({ options, strict: true }).values;
  } catch (error) {
    throw new Problem(error.message);
  }
}

/** Runs a program's main function; a Problem becomes one line and exit code 1. */
export async function run(main) {
  try {
    await main();
  } catch (error) {
    console.error(error instanceof Problem ? error.message : error);
    process.exitCode = 1;
  }
}
