import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { until } from '../../contract/harness/deps.ts';
import type { FakeBuild } from '../../fakes/jenkins/model.ts';
import { type Opened, open } from './harness.ts';

let system: Opened;
beforeEach(async () => {
  system = await open();
});
afterEach(() => system.close());

const since = new Date(Date.now() - 3_600_000);
const recent = () => system.pipeline.recent?.({ since }) ?? Promise.resolve([]);
const newest = () => system.fake.model.builds[0] as FakeBuild;

it('tells environment, version, commit and who began it', async () => {
  const id = system.fake.foreign({ environment: 'production', version: '1.10.0', by: 'octo-ana' });
  expect(await recent()).toEqual([
    {
      run: { id, url: `${system.fake.url}/jenkins/job/deploy/job/storefront/8/` },
      environment: 'production',
      version: '1.10.0',
      // What was asked for, until the Jenkinsfile says what it took.
      sha: system.fake.shas['1.10.0'],
      startedBy: 'octo-ana',
      startedAt: expect.stringMatching(/^\d{4}-.*Z$/),
      state: 'running',
    },
  ]);
  await until(recent, ([run]) => run?.state === 'succeeded');
  newest().description = `shipmate-sha: ${'c'.repeat(40)}`;
  expect(await recent()).toMatchObject([{ sha: 'c'.repeat(40) }]);
});

it('lists twenty at most, newest first, in one request when none runs', async () => {
  system.fake.foreign({ environment: 'staging', version: '1.1.0', by: 'octo-ana' });
  const first = { ...newest(), building: false, result: 'SUCCESS' as const };
  system.fake.model.builds = Array.from({ length: 40 }, (_, index) => ({ ...first, number: 100 - index }));
  const before = system.fake.requests().length;
  const numbers = (await recent()).map(({ run }) => run.id);
  expect(numbers).toEqual(Array.from({ length: 20 }, (_, index) => `deploy/storefront#${100 - index}`));
  expect(system.fake.requests().length - before).toBe(1);
});

it('asks for the inputs of a few that run, not of all', async () => {
  system.fake.foreign({ environment: 'staging', version: '1.1.0', by: 'octo-ana' });
  const first = newest();
  system.fake.model.builds = Array.from({ length: 15 }, (_, index) => ({ ...first, number: 100 - index }));
  const before = system.fake.requests().length;
  await recent();
  expect(system.fake.requests().length - before).toBe(6);
});

it('leaves out what goes to a place that is not known', async () => {
  system.fake.foreign({ environment: 'production', version: '1.10.0', by: 'octo-ana' });
  const build = newest();
  for (const ENVIRONMENT of ['production', 'staging', '../x', '']) {
    // "production" is called "prod" there: its own name stands for nothing.
    build.parameters = { ...build.parameters, ENVIRONMENT };
    expect(await recent()).toEqual([]);
  }
  build.parameters = { ...build.parameters, ENVIRONMENT: 'canary' };
  expect(await recent()).toMatchObject([{ environment: 'canary' }]);
  build.parameters = {};
  expect(await recent()).toEqual([]);
});

it('names one of ours by its key, and one that a person repeated by its number', async () => {
  const run = await system.pipeline.trigger(system.request());
  await system.end(run);
  const ours = newest();
  system.fake.model.begin(ours.parameters, 99, 'octo-ana', true);
  const ids = (await recent()).map(({ run: { id }, startedBy }) => [id, startedBy]);
  expect(ids).toEqual([
    [`deploy/storefront#${ours.number + 1}`, 'octo-ana'],
    [run.id, 'shipmate'],
  ]);
  // By its number also when it was the bot's user who repeated it.
  system.fake.model.begin(ours.parameters, 100, 'shipmate', true);
  expect((await recent()).map(({ run: { id } }) => id)[0]).toBe(`deploy/storefront#${ours.number + 2}`);
  system.fake.model.builds.shift();
  // Also when the first one is not listed any more.
  system.fake.model.builds.pop();
  expect((await recent()).map(({ run: { id } }) => id)).toEqual([`deploy/storefront#${ours.number + 1}`]);
});

it('says nothing that is not known, and nothing that it should not', async () => {
  system.fake.foreign({ environment: 'production', version: '1.10.0', by: 'octo-ana' });
  const build = newest();
  build.causes = [{ _class: 'hudson.triggers.TimerTrigger$TimerTriggerCause', shortDescription: 'Started by timer' }];
  build.parameters = { ENVIRONMENT: 'prod', SHA: 'HEAD' };
  expect(await recent()).toMatchObject([{ startedBy: null, sha: null, version: `#${build.number}` }]);
  build.parameters = { ENVIRONMENT: 'prod', VERSION: `a\n${system.fake.secrets()[0]}` };
  expect(await recent()).toMatchObject([{ version: 'a [redacted]' }]);
});

it('shows the guard only, and of a question of the run’s own nothing', async () => {
  system.fake.model.input = { id: 'Smoke', message: 'Good?', inputs: [] };
  system.fake.foreign({ environment: 'production', version: '1.10.0', by: 'octo-ana', ask: true });
  await until(
    async () => newest().input,
    (input) => input !== null,
  );
  const [run] = await recent();
  expect(run?.state).toBe('running');
  expect(run?.gate).toBeUndefined();
  // Its own question is in its status, where somebody looks at it.
  if (!run) throw new Error('no run');
  expect((await system.pipeline.status(run.run)).gate).toEqual({ id: 'Smoke', question: 'Good?' });
});

describe('a job without the plugin for inputs', () => {
  it('is listed all the same', async () => {
    system.fake.model.hasRestApi = false;
    const id = system.fake.foreign({ environment: 'production', version: '1.10.0', by: 'octo-ana', ask: true });
    expect(await recent()).toMatchObject([{ run: { id }, state: 'running' }]);
  });
});
