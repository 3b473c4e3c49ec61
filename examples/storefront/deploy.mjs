#!/usr/bin/env node
// Deploys one version to one environment: checkout, build, smoke test, switch, restart, verify.
//   node deploy.mjs --dir <data folder> --environment staging --version 1.2.3 --sha <commit>
// Lines `::stage <name>` and `::sha <commit>` are for Shipmate's command pipeline; the rest is for people.
import { execFileSync } from 'node:child_process';
import {
  existsSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { git } from './lib/git.mjs';
import { ENVIRONMENTS, layout, Problem, readOptions, readPorts, run, switchCurrent } from './lib/layout.mjs';
import { alive, askVersion, startService, stopService } from './lib/service.mjs';

const KEPT_RELEASES = 6;
const SHORTEST_STAGE_MS = 300; // long enough to be seen on a card

async function stage(name, work) {
  console.log(`::stage ${name}`);
  const started = performance.now();
  const result = await work();
  const rest = SHORTEST_STAGE_MS - (performance.now() - started);
  if (rest > 0) await wait(rest);
  return result;
}

/** The approved commit, which must exist and must still be what the version's tag names. */
function checkCommit(repo, version, sha) {
  if (!/^[0-9a-f]{40}$/.test(sha ?? '')) throw new Problem('--sha must be a full commit id of 40 hex digits');
  if (!/^[0-9A-Za-z][\w.+-]{0,63}$/.test(version ?? '')) throw new Problem('--version is not a version name');
  let tagged;
  try {
    git(repo, ['cat-file', '-e', `${sha}^{commit}`]);
    tagged = git(repo, ['rev-parse', '--verify', '--quiet', `refs/tags/${version}^{commit}`]);
  } catch {
    throw new Problem(`the repository has no version ${version} with commit ${sha.slice(0, 7)}`);
  }
  if (tagged !== sha) throw new Problem(`tag ${version} names ${tagged.slice(0, 7)}, not the asked ${sha.slice(0, 7)}`);
}

/** Puts the commit's files into a new folder under releases/, by way of a temporary one. */
function checkout(repo, place, version, sha) {
  const release = join(place.releases, `${version}-${sha.slice(0, 7)}`);
  if (existsSync(release)) {
    console.log(`${basename(release)} is there already`);
    return release;
  }
  const unfinished = `${release}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  const index = { GIT_INDEX_FILE: `${unfinished}.index` };
  git(repo, ['read-tree', sha], index);
  git(repo, ['checkout-index', '--all', `--prefix=${unfinished}/`], index);
  rmSync(index.GIT_INDEX_FILE, { force: true });
  const record = { service: 'storefront', version, sha };
  writeFileSync(join(unfinished, 'release.json'), `${JSON.stringify(record)}\n`);
  renameSync(unfinished, release);
  console.log(`checked ${sha.slice(0, 7)} out into ${basename(release)}`);
  return release;
}

function runScript(release, script, problem) {
  try {
    execFileSync(process.execPath, [script], { cwd: release, stdio: 'inherit', timeout: 30_000 });
  } catch {
    throw new Problem(problem);
  }
}

function currentRelease(place) {
  return existsSync(place.current) ? join(place.base, readlinkSync(place.current)) : null;
}

async function goBack(place, port, previous) {
  if (!previous) return;
  console.log(`going back to ${basename(previous)}`);
  await stopService(place);
  switchCurrent(place, previous);
  await startService(place, port);
}

function removeOldReleases(place, keep) {
  const old = readdirSync(place.releases)
    .map((name) => join(place.releases, name))
    .filter((path) => !keep.includes(path))
    .sort((a, b) => statSync(b).mtimeMs - statSync(a).mtimeMs)
    .slice(KEPT_RELEASES);
  for (const path of old) rmSync(path, { recursive: true, force: true });
}

/** One deploy at a time per environment; a lock whose process is gone is taken over. */
function lock(place) {
  for (let attempt = 0; attempt < 2; attempt += 1) {
    try {
      writeFileSync(place.lockFile, String(process.pid), { flag: 'wx' });
      return () => rmSync(place.lockFile, { force: true });
    } catch {
      const pid = Number(readFileSync(place.lockFile, 'utf8'));
      if (pid > 0 && alive(pid)) break;
      rmSync(place.lockFile, { force: true });
    }
  }
  throw new Problem(`another deploy to ${place.name} is running: wait for it`);
}

await run(async () => {
  const options = readOptions(['dir', 'environment', 'version', 'sha', 'staging-port', 'production-port']);
  const { environment, version, sha } = options;
  if (!options.dir) throw new Problem('say where: --dir <data folder>');
  if (!ENVIRONMENTS.includes(environment)) throw new Problem(`--environment must be ${ENVIRONMENTS.join(' or ')}`);
  const places = layout(options.dir);
  const place = places.environment(environment);
  const port = readPorts(places, options)[environment];
  const unlock = lock(place);
  try {
    checkCommit(places.repo, version, sha);
    const release = await stage('checkout', () => checkout(places.repo, place, version, sha));
    await stage('build', () => runScript(release, 'build.mjs', `the build of ${version} failed`));
    await stage('smoke test', () =>
      runScript(release, 'smoke.mjs', `${version} failed its smoke test; ${environment} was not changed`),
    );
    const previous = currentRelease(place);
    await stage('switch', () => {
      switchCurrent(place, release);
      console.log(`current is ${basename(release)}${previous ? `, was ${basename(previous)}` : ''}`);
    });
    try {
      await stage('restart', async () => {
        const stopped = await stopService(place);
        if (stopped) console.log(`stopped ${stopped.version} (process ${stopped.pid})`);
        await startService(place, port);
      });
      await stage('verify', async () => {
        const answer = await askVersion(port);
        if (answer?.version !== version || answer.sha !== sha)
          throw new Problem(`port ${port} answers ${answer?.version ?? 'nothing'}, not ${version}`);
        console.log(`http://127.0.0.1:${port}/version answers ${version}`);
      });
    } catch (error) {
      await goBack(place, port, previous);
      throw error;
    }
    removeOldReleases(place, [release, previous]);
    console.log(`::sha ${sha}`);
  } finally {
    unlock();
  }
});
