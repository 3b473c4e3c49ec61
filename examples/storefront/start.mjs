#!/usr/bin/env node
// Starts what is deployed in both environments, where it does not run already.
//   node start.mjs --dir <data folder> [--staging-port 4101] [--production-port 4102]
import { ENVIRONMENTS, layout, Problem, readOptions, readPorts, run, savePorts } from './lib/layout.mjs';
import { askVersion, runningService, startService, stopService } from './lib/service.mjs';

await run(async () => {
  const options = readOptions(['dir', 'staging-port', 'production-port']);
  if (!options.dir) throw new Problem('say where: node start.mjs --dir <data folder>');
  const places = layout(options.dir);
  const ports = readPorts(places, options);
  savePorts(places, ports);
  for (const environment of ENVIRONMENTS) {
    const place = places.environment(environment);
    const port = ports[environment];
    const running = await runningService(place);
    const here = running?.port === port ? await askVersion(port) : null;
    if (!here) await stopService(place); // it hangs, or it runs on the port of an earlier start
    const { version } = here ?? (await startService(place, port));
    console.log(`${environment}: storefront ${version} on http://127.0.0.1:${port}`);
  }
});
