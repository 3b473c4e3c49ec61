import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { until } from '../../contract/harness/deps.ts';
import { end, type Opened, openGitlab, waiting } from './helpers.ts';

let system: Opened;
beforeEach(async () => {
  system = await openGitlab();
});
afterEach(() => system.close());
const since = new Date(Date.now() - 3_600_000);

it('maps environments back, and leaves out places without a name', async () => {
  const { fake } = system;
  fake.foreign({ environment: 'production', version: '1.10.0', by: 'octo-ana' });
  fake.foreign({ environment: 'staging', version: '1.1.0', by: 'octo-ben' });
  const review = fake.foreign({ environment: 'staging', version: '1.1.0', by: 'octo-ben' });
  const [, , third] = fake.world.runs;
  // A review app, and one that is called as ours but is another one.
  if (third) third.values.environment = 'review/x';
  for (const deployment of fake.world.deployments)
    if (String(deployment.run) === review) deployment.environment = 'review/x';
  const alien = fake.foreign({ environment: 'staging', version: '1.1.0', by: 'octo-ben' });
  for (const deployment of fake.world.deployments)
    if (String(deployment.run) === alien) deployment.environment = 'production';
  const pipeline = system.pipeline();
  const found = await until(
    async () => (await pipeline.recent?.({ since })) ?? [],
    (all) => all.length === 2 && all.every(({ state }) => state === 'succeeded'),
  );
  expect(found.map(({ environment, startedBy, version }) => [environment, version, startedBy])).toEqual([
    ['staging', '1.1.0', 'octo-ben'],
    ['production', '1.10.0', 'octo-ana'],
  ]);
  expect(found.map(({ sha }) => sha)).toEqual([fake.shas['1.1.0'], fake.shas['1.10.0']]);
});

it('does not take the commit of the configuration for what was deployed', async () => {
  const pipeline = system.pipeline();
  const run = await pipeline.trigger(system.request());
  await end(pipeline, run);
  expect(await pipeline.recent?.({ since })).toMatchObject([
    { run, sha: null, version: 'main', environment: 'production' },
  ]);
  const [made] = system.fake.world.runs;
  if (made) made.source = 'push';
  expect(await pipeline.recent?.({ since })).toMatchObject([{ sha: system.fake.world.main }]);
});

it('leaves out manual jobs that nobody has to start, but not the one that is a gate', async () => {
  system.fake.knobs.guard = 'manual';
  const id = system.fake.foreign({ environment: 'production', version: '1.10.0', by: 'octo-ana', ask: true });
  await waiting(system.fake);
  expect(await system.pipeline().recent?.({ since })).toEqual([]);
  expect(await system.pipeline({ gate: 'deploy' }).recent?.({ since })).toMatchObject([
    { run: { id }, state: 'running', gate: { id: expect.stringMatching(/^j/), environment: 'production' } },
  ]);
});

it('asks once for the details of what waits, and lists at most twenty', async () => {
  const { fake } = system;
  fake.foreign({ environment: 'production', version: '1.10.0', by: 'octo-ana', ask: true });
  await waiting(fake);
  const pipeline = system.pipeline();
  const [first] = (await pipeline.recent?.({ since })) ?? [];
  expect(first?.gate).toBeDefined();
  const before = fake.requests().length;
  expect(await pipeline.recent?.({ since })).toEqual([first]);
  expect(fake.requests().length - before).toBe(1);
  for (let count = 0; count < 25; count += 1)
    fake.foreign({ environment: 'staging', version: '1.1.0', by: 'octo-ben' });
  const all = await until(
    async () => (await pipeline.recent?.({ since })) ?? [],
    (runs) => runs.length === 20,
  );
  const times = all.map(({ startedAt }) => Date.parse(startedAt));
  expect(times).toEqual([...times].sort((a, b) => b - a));
});
