import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { PipelineError } from '../../src/errors.ts';
import type { Pipeline } from '../../src/pipelines/types.ts';
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

  describe('gates, where it has them', () => {
    async function ask() {
      system.behave('ask');
      const run = await system.pipeline.trigger(system.request());
      const { gate } = await until(
        () => system.pipeline.status(run),
        (status) => status.gate !== undefined || over(status.state),
      );
      if (gate === undefined) throw new Error('it asked nothing');
      const answerFrom = (pipeline: Pipeline) => (id: string, approved: boolean, by: string) => {
        if (pipeline.answer === undefined) throw new Error('it can’t be answered');
        return pipeline.answer(run, id, { approved, by });
      };
      const end = () =>
        until(
          () => system.pipeline.status(run),
          ({ state }) => over(state),
        );
      return { run, gate, answer: answerFrom(system.pipeline), answerLater: answerFrom(system.reopen()), end };
    }
    const can = () => system.pipeline.capabilities.gates;
    const rejected = { code: 'PIPELINE_REJECTED' };

    it('can be answered exactly where it says so', () => {
      expect(typeof system.pipeline.answer).toBe(can() ? 'function' : 'undefined');
    });

    it('ask a person, also after a restart, and go on when approved', async () => {
      if (!can()) return;
      const { run, gate, answer, answerLater, end } = await ask();
      expect(gate.id).toMatch(/^[A-Za-z0-9._-]{1,60}$/);
      expect(gate.question).toMatch(/^\S.*$/);
      expect(await system.reopen().status(run)).toMatchObject({ state: 'running', gate });
      await answerLater(gate.id, true, 'Ana Ruiz');
      expect((await system.pipeline.status(run)).gate).toBeUndefined();
      await answer(gate.id, true, 'Ana Ruiz');
      await expect(answer(gate.id, false, 'Ana Ruiz')).rejects.toMatchObject(rejected);
      const status = await end();
      expect(status.state).toBe('succeeded');
      expect(status.gate).toBeUndefined();
      expect(status.tail.join('\n')).not.toContain(gate.question);
      // A bot that died before it wrote the answer down repeats it, perhaps when all is over.
      await system.reopen().answer?.(run, gate.id, { approved: true, by: 'Ana Ruiz' });
      await expect(answerLater(gate.id, false, 'Ana Ruiz')).rejects.toMatchObject(rejected);
    });

    it('stop the run when rejected', async () => {
      if (!can()) return;
      const { gate, answer, end } = await ask();
      await answer(gate.id, false, 'Ben Okafor');
      expect((await end()).state).toBe('failed');
    });

    it('take one of two answers that come at once', async () => {
      if (!can()) return;
      const { gate, answer, answerLater, end } = await ask();
      const [yes, no] = await Promise.allSettled([
        answer(gate.id, true, 'Ana Ruiz'),
        answerLater(gate.id, false, 'Ben Okafor'),
      ]);
      expect([yes.status, no.status].sort()).toEqual(['fulfilled', 'rejected']);
      const lost = yes.status === 'rejected' ? yes : no.status === 'rejected' ? no : null;
      expect(lost?.reason).toMatchObject(rejected);
      expect(lost?.reason).toBeInstanceOf(PipelineError);
      expect((await end()).state).toBe(yes.status === 'fulfilled' ? 'succeeded' : 'failed');
    });

    it('take the same answer twice at once', async () => {
      if (!can()) return;
      const { gate, answer, answerLater, end } = await ask();
      await Promise.all([answer(gate.id, true, 'Ana Ruiz'), answerLater(gate.id, true, 'Ana Ruiz')]);
      expect((await end()).state).toBe('succeeded');
    });

    it('are not there under another id', async () => {
      if (!can()) return;
      const { run, gate, answer, end } = await ask();
      for (const id of [`${gate.id}-2`, '', '.', '..', `../${gate.id}`, `./${gate.id}`, 'a/b', `${gate.id}\n`, '\0'])
        await expect(answer(id, true, 'Ana Ruiz')).rejects.toMatchObject(rejected);
      expect((await system.pipeline.status(run)).gate).toEqual(gate);
      await answer(gate.id, false, 'Ana Ruiz');
      await end();
    });

    it('are gone when the run was cancelled', async () => {
      if (!can() || !system.pipeline.capabilities.cancel) return;
      const { run, gate, answer, end } = await ask();
      await system.pipeline.cancel(run);
      const status = await end();
      expect(status.state).toBe('cancelled');
      expect(status.gate).toBeUndefined();
      await expect(answer(gate.id, true, 'Ana Ruiz')).rejects.toMatchObject(rejected);
    });
  });

  it('refuses inputs with odd names or values, before anything is sent', async () => {
    const odd: Record<string, string>[] = [
      { Note: 'x' },
      { a_b: 'x' },
      { '1st': 'x' },
      { '': 'x' },
      { 'a b': 'x' },
      { 'a\n': 'x' },
      { note: 'two\nlines' },
      { note: 'x\0' },
      { note: '\u009b31m' },
      { note: 'x'.repeat(201) },
    ];
    for (const inputs of odd)
      await expect(system.pipeline.trigger({ ...system.request(), inputs })).rejects.toMatchObject({
        code: 'PIPELINE_REJECTED',
        sent: 'no',
      });
    expect(await system.started()).toBe(0);
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
