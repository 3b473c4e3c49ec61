#!/usr/bin/env node
// Makes the example: its git repository, its two environments, and a first release running in each. Safe to repeat.
//   node setup.mjs --dir <data folder> [--staging-port 4101] [--production-port 4102]
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { git } from './lib/git.mjs';
import { createRepository } from './lib/history.mjs';
import { layout, makeFolders, Problem, readOptions, readPorts, run, savePorts } from './lib/layout.mjs';

const FIRST_RELEASES = { staging: '1.1.0', production: '1.0.0' };

await run(async () => {
  const options = readOptions(['dir', 'staging-port', 'production-port']);
  if (!options.dir) throw new Problem('say where: node setup.mjs --dir <data folder>');
  const places = layout(options.dir);
  mkdirSync(places.root, { recursive: true });
  savePorts(places, readPorts(places, options));
  if (!existsSync(places.repo)) {
    createRepository(places.repo);
    console.log(`repository made in ${places.repo}`);
  }
  makeFolders(places);
  for (const [environment, version] of Object.entries(FIRST_RELEASES)) {
    if (existsSync(places.environment(environment).current)) continue;
    const sha = git(places.repo, ['rev-parse', '--verify', `refs/tags/${version}^{commit}`]);
    const deploy = fileURLToPath(new URL('deploy.mjs', import.meta.url));
    const target = ['--environment', environment, '--version', version, '--sha', sha];
    execFileSync(process.execPath, [deploy, '--dir', places.root, ...target], {
      stdio: ['ignore', 'ignore', 'inherit'],
    });
    console.log(`${version} runs on ${environment}`);
  }
});
