import { spawn } from 'node:child_process';
import { existsSync, openSync, readFileSync, realpathSync, rmSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { Problem, writeAtomically } from './layout.mjs';

const TRAFFIC_MS = 2000;

/** What answers on a port of this machine, or null. */
async function ask(port, path) {
  try {
    const response = await fetch(`http://127.0.0.1:${port}${path}`, { signal: AbortSignal.timeout(1000) });
    return response.ok ? await response.json() : null;
  } catch {
    return null;
  }
}

export const askVersion = (port) => ask(port, '/version');

export function alive(pid) {
  try {
    process.kill(pid, 0);
  } catch (error) {
    return error.code === 'EPERM';
  }
  return !isZombie(pid);
}

/** A process that is over but that its parent has not collected yet; systems without /proc don't tell. */
function isZombie(pid) {
  try {
    const stat = readFileSync(`/proc/${pid}/stat`, 'latin1');
    return stat.slice(stat.lastIndexOf(')') + 2).startsWith('Z');
  } catch {
    return false;
  }
}

/** Whether the process is still our service: a pid may have been given to somebody else since. */
async function isOurs({ pid, port }) {
  if (!alive(pid)) return false;
  if ((await ask(port, '/healthz'))?.pid === pid) return true;
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('server.mjs');
  } catch {
    return false;
  }
}

function readPidFile(place) {
  try {
    return JSON.parse(readFileSync(place.pidFile, 'utf8'));
  } catch {
    return null;
  }
}

/** The running service of an environment, as its pid file says and as the process confirms, or null. */
export async function runningService(place) {
  const record = readPidFile(place);
  return record && (await isOurs(record)) ? record : null;
}

/** Stops the environment's service: politely, and after five seconds by force. */
export async function stopService(place) {
  const record = await runningService(place);
  if (record) {
    process.kill(record.pid, 'SIGTERM');
    for (let waited = 0; waited < 5000 && alive(record.pid); waited += 25) await wait(25);
    if (alive(record.pid)) process.kill(record.pid, 'SIGKILL');
  }
  rmSync(place.pidFile, { force: true });
  return record;
}

/** Starts the release that `current` points to, detached, and waits until it answers as itself. */
export async function startService(place, port) {
  if (!existsSync(place.current)) throw new Problem(`nothing is deployed to ${place.name} yet: run setup.mjs`);
  const release = JSON.parse(readFileSync(join(place.current, 'release.json'), 'utf8'));
  const other = await askVersion(port);
  if (other || (await isTaken(port)))
    throw new Problem(`port ${port} of ${place.name} is taken by another program: stop it or choose another port`);

  const output = openSync(place.consoleFile, 'a');
  // The real path, so that a release keeps reading its own files after `current` has moved on.
  const child = spawn(process.execPath, ['server.mjs'], {
    cwd: realpathSync(place.current),
    detached: true,
    stdio: ['ignore', output, output],
    env: {
      PATH: process.env.PATH,
      PORT: String(port),
      ENVIRONMENT: place.name,
      RELEASE_SHA: release.sha,
      LOG_FILE: place.logFile,
      TRAFFIC_MS: String(TRAFFIC_MS),
    },
  });
  child.unref();
  writeAtomically(place.pidFile, `${JSON.stringify({ pid: child.pid, port, ...release })}\n`);
  for (let waited = 0; waited < 5000; waited += 50) {
    const version = await askVersion(port);
    if (version?.sha === release.sha && version.environment === place.name) return version;
    if (child.exitCode !== null) break;
    await wait(50);
  }
  throw new Problem(`${release.version} did not answer on port ${port}: see ${place.consoleFile}`);
}

function isTaken(port) {
  const probe = createServer();
  return new Promise((resolve) => {
    probe.once('error', () => resolve(true));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(false)));
  });
}
