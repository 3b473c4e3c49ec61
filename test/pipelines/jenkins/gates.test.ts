import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { gateId, gateIn, isGateId } from '../../../src/pipelines/jenkins/gates.ts';
import { until } from '../../contract/harness/deps.ts';
import { type FakeBuild, USER } from '../../fakes/jenkins/model.ts';
import { type Opened, open } from './harness.ts';

describe('an input as a gate', () => {
  const input = (id: string, message = 'Go on?', inputs: unknown[] = []) => ({ id, message, inputs });
  it('is the guard of the environment by its id only', () => {
    expect(gateIn([input('Shipmate')], 'Shipmate', 'production')).toEqual({
      id: 'Shipmate',
      question: 'Go on?',
      environment: 'production',
    });
    // Jenkins makes the first letter a capital one.
    expect(gateIn([input('Release')], 'release', 'staging')).toMatchObject({ environment: 'staging' });
    expect(gateIn([input('Smoke')], 'Shipmate', 'production')).toEqual({ id: 'Smoke', question: 'Go on?' });
    expect(gateIn([input('Shipmate')], 'Shipmate', null)).toEqual({ id: 'Shipmate', question: 'Go on?' });
    expect(gateIn([], 'Shipmate', 'production')).toBeUndefined();
  });
  it('is shown before questions of the run’s own', () => {
    const inputs = [input('Smoke'), input('Shipmate'), input('Other')];
    expect(gateIn(inputs, 'Shipmate', 'production')?.id).toBe('Shipmate');
    expect(gateIn(inputs, 'None', 'production')?.id).toBe('Smoke');
  });
  it('says that it can’t be answered in chat when it asks for values', () => {
    expect(gateIn([input('Smoke', 'Which?', [{}])], 'x', null)?.question).toBe(
      'Which? (it asks for values: answer it in Jenkins)',
    );
  });
  it('has an id of its own kind, whatever Jenkins has', () => {
    fc.assert(
      fc.property(fc.string({ unit: 'binary', minLength: 1 }), fc.string({ minLength: 1 }), (one, other) => {
        expect(isGateId(gateId(one))).toBe(true);
        expect(gateId(one)).not.toMatch(/^\.+$/);
        if (one !== other) expect(gateId(one)).not.toBe(gateId(other));
        const gate = gateIn([{ id: one, message: other }], 'x', null);
        expect(gate?.question).toMatch(/^\S[^\n\r]*$/u);
      }),
    );
  });
});

describe('an answer', () => {
  let system: Opened;
  beforeEach(async () => {
    system = await open();
    system.fake.behave('ask');
  });
  afterEach(() => system.close());

  async function ask() {
    const run = await system.pipeline.trigger(system.request());
    const gate = await system.gate(run);
    const build = system.fake.model.builds[0] as FakeBuild;
    const answer = (approved: boolean, by = 'Robin Ek', pipeline = system.pipeline) =>
      pipeline.answer?.(run, gate.id, { approved, by }) ?? Promise.reject(new Error('it has no gates'));
    return { answer, build, gate, run };
  }

  it('is written into the description, beside what is there', async () => {
    const { answer, build, gate, run } = await ask();
    expect(gate.environment).toBe('staging');
    await answer(true);
    expect(build.description).toBe(
      `shipmate-sha: ${system.fake.shas['1.1.0']}\nApproved in Teams by Robin Ek (gate Shipmate)`,
    );
    expect(await system.end(run)).toMatchObject({ state: 'succeeded', sha: system.fake.shas['1.1.0'] });
  });

  it.each([
    'Robin (gate Other)',
    '<img src=x onerror=alert(1)>',
    'Robin\nRejected in Teams by Eve (gate Shipmate)',
    'shipmate-sha: ffffffffff',
    '   ',
    '\u202egnorw',
  ])('shows a name as a name: %j', async (by) => {
    const { answer, build, run } = await ask();
    await answer(true, by);
    await answer(true, 'Ana');
    await expect(answer(false)).rejects.toMatchObject({ code: 'PIPELINE_REJECTED' });
    expect(build.description?.split('\n')).toHaveLength(2);
    expect(build.description).not.toMatch(/[<>]/);
    expect((await system.pipeline.status(run)).sha).toBe(system.fake.shas['1.1.0']);
  });

  it('is the first that stands there', async () => {
    const { answer, build } = await ask();
    await answer(true);
    build.description += '\nRejected in Teams by Eve (gate Shipmate)';
    await answer(true);
    await expect(answer(false)).rejects.toMatchObject({ code: 'PIPELINE_REJECTED' });
  });

  it('names no commit, whoever gave it', async () => {
    const { answer, build, run } = await ask();
    build.description = null;
    await answer(true, `shipmate-sha: ${'f'.repeat(40)}`);
    expect(build.description).toContain('shipmate-sha: ffff');
    expect((await system.end(run)).sha).toBeUndefined();
  });

  it('is known when the bot died before it wrote it down', async () => {
    const { answer, build, run } = await ask();
    system.fake.model.proceed(build);
    build.description = null;
    await expect(answer(false)).rejects.toMatchObject({
      code: 'PIPELINE_REJECTED',
      message: expect.stringContaining('otherwise'),
    });
    await answer(true);
    expect(build.description).toBe('Approved in Teams by Robin Ek (gate Shipmate)');
    expect((await system.end(run)).state).toBe('succeeded');
  });

  it('is known when Jenkins says who rejected it', async () => {
    const { answer, build, run } = await ask();
    system.fake.model.abort(build);
    expect(await system.end(run)).toMatchObject({ state: 'failed', error: `Rejected by ${USER}` });
    await expect(answer(true)).rejects.toMatchObject({ code: 'PIPELINE_REJECTED' });
    await answer(false);
    expect(build.description).toContain('Rejected in Teams by Robin Ek (gate Shipmate)');
  });

  it('is not taken for one of another gate, nor for one of another person', async () => {
    const { answer, build, run } = await ask();
    await answer(true);
    await system.end(run);
    const other = system.pipeline.answer?.(run, 'Smoke', { approved: true, by: 'Robin Ek' });
    await expect(other).rejects.toMatchObject({ code: 'PIPELINE_REJECTED' });
    build.description = null;
    build.approvals = ['octo-ana'];
    await expect(answer(true)).rejects.toMatchObject({ code: 'PIPELINE_REJECTED' });
  });

  it('stays an answer when the name can’t be written', async () => {
    const { answer, build, run } = await ask();
    system.fake.model.mayDescribe = false;
    await answer(true);
    expect(build.description).not.toContain('Robin');
    await answer(true);
    expect((await system.end(run)).state).toBe('succeeded');
  });

  it('is refused by Jenkins for somebody else’s input, and says what to change', async () => {
    const { answer, run } = await ask();
    system.fake.model.submitter = 'release-managers';
    const refused = answer(true);
    await expect(refused).rejects.toMatchObject({ code: 'PIPELINE_REJECTED', retryable: false });
    await expect(refused).rejects.toThrow(/"submitter" of the input step must name shipmate/);
    expect((await system.pipeline.status(run)).gate?.id).toBe('Shipmate');
  });

  it('needs a right', async () => {
    const { answer } = await ask();
    system.fake.trouble('no-right');
    await expect(answer(true)).rejects.toThrow(/no right Job\/Build/);
  });

  it('can not be given in chat when values are asked for, but for a no', async () => {
    system.fake.model.input = { id: 'Which', message: 'Which region?', inputs: [{ name: 'REGION' }] };
    const { answer, gate, run } = await ask();
    expect(gate).toEqual({ id: 'Which', question: expect.stringContaining('answer it in Jenkins') });
    await expect(answer(true)).rejects.toThrow(/asks for values/);
    await answer(false);
    expect((await system.end(run)).state).toBe('failed');
  });

  it('goes to the input that was meant, whatever its id', async () => {
    const id = 'Really/ship it? ../x';
    system.fake.model.input = { id, message: 'Ship?', inputs: [] };
    const { answer, gate, run } = await ask();
    expect(gate.id).toMatch(/^input-[0-9a-f]{24}$/);
    await answer(true);
    expect((await system.end(run)).state).toBe('succeeded');
    expect(system.fake.unknown()).toEqual([]);
  });

  it('is of no use before the run has begun', async () => {
    system.fake.model.quietMs = 5_000;
    const run = await system.pipeline.trigger(system.request());
    const early = system.pipeline.answer?.(run, 'Shipmate', { approved: true, by: 'Robin Ek' });
    await expect(early).rejects.toMatchObject({ code: 'PIPELINE_REJECTED' });
    const nowhere = system.pipeline.answer?.({ id: 'key:never-was-a-key' }, 'Shipmate', { approved: true, by: 'x' });
    await expect(nowhere).rejects.toMatchObject({ code: 'PIPELINE_LOST' });
  });

  it('of two rejections at once is one', async () => {
    const { answer, run } = await ask();
    await Promise.all([answer(false), answer(false, 'Ana', system.another())]);
    expect((await system.end(run)).state).toBe('failed');
    expect(system.fake.answers()).toHaveLength(1);
  });

  it('is out of the output that people see', async () => {
    const { answer, gate, run } = await ask();
    expect((await system.pipeline.status(run)).tail.join('\n')).not.toContain(gate.question);
    await answer(true);
    await until(
      () => system.pipeline.status(run),
      ({ gate: open }) => open === undefined,
    );
    expect((await system.pipeline.logs(run, { lines: 100 })).join('\n')).toContain(gate.question);
  });
});
