import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { PipelineError } from '../../src/errors.ts';
import { until } from './harness/deps.ts';
import { findHarnesses, uncoveredFolders } from './harness/find.ts';
import type { PipelineHarness } from './harness/types.ts';

const harnesses = await findHarnesses('pipeline');

it('every folder of src/pipelines has a harness', async () => {
  expect(harnesses.length).toBeGreaterThan(0);
  expect(await uncoveredFolders('pipelines', ['pipeline', 'versions'])).toEqual([]);
});

describe.each(harnesses)('pipeline $name', ({ name, harness }) => {
  let system: Awaited<ReturnType<PipelineHarness['open']>>;
  beforeEach(async () => {
    system = await harness.open();
  });
  afterEach(() => system.close());

  const over = (state: string) => state !== 'queued' && state !== 'running';

  it('is named after its folder and says what it can do', async () => {
    expect(system.pipeline.kind).toBe(name);
    expect(Object.values(system.pipeline.capabilities).every((can) => typeof can === 'boolean')).toBe(true);
    expect(system.pipeline.pollMs).toBeGreaterThanOrEqual(100);
    expect(await system.pipeline.check()).toEqual([]);
  });

  it('runs to its end and tells stages, output and commit', async () => {
    const request = system.request();
    const run = await system.pipeline.trigger(request);
    const status = await until(
      () => system.pipeline.status(run),
      ({ state }) => over(state),
    );
    expect(status.state).toBe('succeeded');
    expect(status.error).toBeUndefined();
    expect(status.stages.length).toBeGreaterThan(0);
    for (const stage of status.stages) expect(stage.state).toBe('succeeded');
    expect(status.tail.length).toBeLessThanOrEqual(20);
    expect(status.sha ?? request.sha).toBe(request.sha);
    const all = await system.pipeline.logs(run, { lines: 100 });
    expect(all.length).toBeGreaterThan(0);
    expect(await system.pipeline.logs(run, { lines: 1 })).toEqual(all.slice(-1));
  });

  it('tells why a run failed', async () => {
    system.behave('fail');
    const run = await system.pipeline.trigger(system.request());
    const status = await until(
      () => system.pipeline.status(run),
      ({ state }) => over(state),
    );
    expect(status.state).toBe('failed');
    expect(status.error).toMatch(/\S/);
    expect(status.error).not.toContain('\n');
  });

  it('starts one run for one key, also when asked twice at once and by another instance', async () => {
    const request = system.request();
    const [first, second] = await Promise.all([system.pipeline.trigger(request), system.pipeline.trigger(request)]);
    const third = await system.reopen().trigger(request);
    expect(second).toEqual(first);
    expect(third).toEqual(first);
    await until(
      () => system.pipeline.status(first),
      ({ state }) => over(state),
    );
    expect(await system.pipeline.trigger(request)).toEqual(first);
    expect(await system.started()).toBe(1);
  });

  it('is found by its key after a restart, and only then', async () => {
    const request = system.request();
    expect(await system.pipeline.findByKey(request.key)).toBeNull();
    const run = await system.pipeline.trigger(request);
    const later = system.reopen();
    expect(await later.findByKey(request.key)).toEqual(run);
    // What the store keeps is JSON.
    const stored = JSON.parse(JSON.stringify(run)) as typeof run;
    const status = await until(
      () => later.status(stored),
      ({ state }) => over(state),
    );
    expect(status.state).toBe('succeeded');
    expect(await later.findByKey(system.request().key)).toBeNull();
  });

  it('cancels a run, and leaves one that is over alone', async () => {
    if (!system.pipeline.capabilities.cancel) return;
    system.behave('hang');
    const run = await system.pipeline.trigger(system.request());
    await until(
      () => system.pipeline.status(run),
      ({ state, stages }) => state === 'running' && stages.length > 0,
    );
    await system.pipeline.cancel(run);
    const status = await until(
      () => system.pipeline.status(run),
      ({ state }) => over(state),
    );
    expect(status.state).toBe('cancelled');
    await system.pipeline.cancel(run);
    expect((await system.pipeline.status(run)).state).toBe('cancelled');
  });

  it('refuses values that a program could take for something else, before anything is sent', async () => {
    for (const hostile of [{ version: '--help' }, { version: '$(id)' }, { environment: '../x' }, { sha: '-n' }]) {
      const refused = system.pipeline.trigger({ ...system.request(), ...hostile });
      await expect(refused).rejects.toMatchObject({ code: 'PIPELINE_REJECTED', sent: 'no' });
      await expect(refused).rejects.toBeInstanceOf(PipelineError);
    }
    expect(await system.started()).toBe(0);
  });

  it('says that a run is lost when it never was', async () => {
    await expect(system.pipeline.status({ id: 'no-such-run-1' })).rejects.toMatchObject({ code: 'PIPELINE_LOST' });
    await expect(system.pipeline.status({ id: '../../etc' })).rejects.toBeInstanceOf(PipelineError);
  });
});
