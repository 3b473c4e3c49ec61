#!/usr/bin/env node
// Stops both environments' services.
//   node stop.mjs --dir <data folder>
import { ENVIRONMENTS, layout, Problem, readOptions, run } from './lib/layout.mjs';
import { stopService } from './lib/service.mjs';

await run(async () => {
  const options = readOptions(['dir']);
  if (!options.dir) throw new Problem('say where: node stop.mjs --dir <data folder>');
  const places = layout(options.dir);
  for (const environment of ENVIRONMENTS) {
    const stopped = await stopService(places.environment(environment));
    console.log(stopped ? `${environment}: stopped ${stopped.version}` : `${environment}: nothing ran`);
  }
});
