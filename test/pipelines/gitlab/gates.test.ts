import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { pendingOf } from '../../../src/pipelines/gitlab/gates.ts';
import { until } from '../../contract/harness/deps.ts';
import { end, gateOf, type Opened, openGitlab, waiting } from './helpers.ts';

let system: Opened;
beforeEach(async () => {
  system = await openGitlab();
  system.fake.behave('ask');
});
afterEach(() => system.close());

const refused = (message: RegExp) =>
  expect.objectContaining({ code: 'PIPELINE_REJECTED', message: expect.stringMatching(message) });
const robin = { approved: true, by: 'Robin Ek' };

describe('a protected environment', () => {
  it('is told by our name, and answered by the other token with the name of a person', async () => {
    const pipeline = system.pipeline();
    const run = await pipeline.trigger(system.request());
    const gate = await gateOf(pipeline, run);
    expect(gate).toEqual({
      id: expect.stringMatching(/^d\d+$/),
      question: 'GitLab asks for approval of the deployment to prod.',
      environment: 'production',
    });
    await pipeline.answer?.(run, gate.id, { approved: true, by: 'Robin\n\u202eEk' });
    expect(system.fake.answers()).toEqual([{ run: run.id, approved: true, comment: 'Approved in Teams by Robin Ek' }]);
    expect(system.fake.world.deployments[0]?.approvals[0]?.user).toEqual(system.fake.world.approver);
    expect((await end(pipeline, run)).state).toBe('succeeded');
  });

  it('is answered by the one token, when there is no other', async () => {
    const { approver: _, ...one } = system.fake.config.connection;
    system.fake.config.connection = one;
    const pipeline = system.pipeline();
    const run = await pipeline.trigger(system.request());
    const gate = await gateOf(pipeline, run);
    system.fake.knobs.selfApproval = false;
    await expect(pipeline.answer?.(run, gate.id, robin)).rejects.toEqual(
      refused(/Allow pipeline triggerer.*`approver`/),
    );
    expect((await pipeline.status(run)).gate).toEqual(gate);
    system.fake.knobs.selfApproval = true;
    await pipeline.answer?.(run, gate.id, robin);
    expect((await end(pipeline, run)).state).toBe('succeeded');
  });

  it('goes on when the bot died between the approval and the start of the job', async () => {
    const pipeline = system.pipeline();
    const run = await pipeline.trigger(system.request());
    const gate = await gateOf(pipeline, run);
    const [deployment] = system.fake.world.deployments;
    const { approver } = system.fake.world;
    const comment = 'Approved in Teams by Robin Ek';
    deployment?.approvals.push({ user: approver, status: 'approved', comment, created_at: new Date().toISOString() });
    expect((await pipeline.status(run)).gate).toBeUndefined();
    await system.pipeline().answer?.(run, gate.id, robin);
    expect((await end(pipeline, run)).state).toBe('succeeded');
    expect(system.fake.answers()).toEqual([]);
  });

  it('that needs more approvals than ours asks us once, and is not started by us', async () => {
    system.fake.knobs.approvals = 2;
    const pipeline = system.pipeline();
    const run = await pipeline.trigger(system.request());
    const gate = await gateOf(pipeline, run);
    await pipeline.answer?.(run, gate.id, robin);
    await pipeline.answer?.(run, gate.id, robin);
    const status = await pipeline.status(run);
    expect(status).toMatchObject({ state: 'running' });
    expect(status.gate).toBeUndefined();
    expect(system.fake.world.runs[0]?.jobs[1]?.status).toBe('manual');
    // It is the other person's turn, in GitLab.
    await pipeline.cancel(run);
    expect((await end(pipeline, run)).state).toBe('cancelled');
  });

  it('says which right is missing', async () => {
    const pipeline = system.pipeline();
    const run = await pipeline.trigger(system.request());
    const gate = await gateOf(pipeline, run);
    system.fake.trouble('no-right');
    await expect(pipeline.answer?.(run, gate.id, robin)).rejects.toEqual(
      refused(/no right to approve deployments to prod/),
    );
    system.fake.trouble(null);
  });

  it('of one run can not be answered through another one', async () => {
    const pipeline = system.pipeline();
    const run = await pipeline.trigger(system.request());
    const gate = await gateOf(pipeline, run);
    const other = await pipeline.trigger(system.request());
    await expect(pipeline.answer?.(other, gate.id, robin)).rejects.toEqual(refused(/Nothing waits/));
    await expect(pipeline.answer?.(run, 'd999999', robin)).rejects.toEqual(refused(/Nothing waits/));
    await expect(pipeline.answer?.(run, 'j999999', robin)).rejects.toEqual(refused(/Nothing waits/));
    expect(system.fake.answers()).toEqual([]);
  });

  it('that was rejected can not be repeated, and that was cancelled in chat is no failure', async () => {
    const pipeline = system.pipeline();
    const run = await pipeline.trigger(system.request());
    const gate = await gateOf(pipeline, run);
    await pipeline.answer?.(run, gate.id, { approved: false, by: 'Robin Ek' });
    expect(await end(pipeline, run)).toMatchObject({
      state: 'failed',
      error: 'The job deploy failed: the deployment was rejected.',
    });
    await expect(pipeline.rerun?.(run)).rejects.toEqual(refused(/rejected/));
    const second = await pipeline.trigger(system.request());
    await gateOf(pipeline, second);
    await pipeline.cancel(second);
    // Another bot, which does not know who ended it.
    expect((await system.pipeline().status(second)).state).toBe('cancelled');
    expect(system.fake.answers().at(-1)).toMatchObject({ approved: false, comment: 'Cancelled in Teams' });
    await pipeline.cancel(second);
    expect(system.fake.answers()).toHaveLength(2);
  });

  it('asks few questions of GitLab while it waits', async () => {
    const pipeline = system.pipeline();
    const run = await pipeline.trigger(system.request());
    await gateOf(pipeline, run);
    await pipeline.status(run);
    const before = system.fake.requests().length;
    await pipeline.status(run);
    expect(system.fake.requests().slice(before)).toEqual([
      expect.stringMatching(/\/pipelines\/\d+$/),
      expect.stringMatching(/\/jobs$/),
      expect.stringMatching(/\/deployments\/\d+$/),
    ]);
  });
});

describe('a manual job', () => {
  beforeEach(() => {
    system.fake.knobs.guard = 'manual';
    system.fake.knobs.lastJob = true;
  });

  it('is no gate unless the entry names it', async () => {
    const pipeline = system.pipeline();
    const run = await pipeline.trigger(system.request());
    await waiting(system.fake);
    const status = await pipeline.status(run);
    expect(status.state).toBe('running');
    expect(status.gate).toBeUndefined();
    await pipeline.cancel(run);
    expect((await pipeline.status(run)).state).toBe('cancelled');
  });

  it('is started by an approval, once', async () => {
    const pipeline = system.pipeline({ gate: 'deploy' });
    const run = await pipeline.trigger(system.request());
    const gate = await gateOf(pipeline, run);
    expect(gate).toEqual({
      id: expect.stringMatching(/^j\d+$/),
      question: 'GitLab waits for somebody to start the job deploy.',
      environment: 'production',
    });
    const later = system.pipeline({ gate: 'deploy' });
    await Promise.all([pipeline.answer?.(run, gate.id, robin), later.answer?.(run, gate.id, robin)]);
    await expect(later.answer?.(run, gate.id, { approved: false, by: 'Ana' })).rejects.toEqual(
      refused(/approved already/),
    );
    expect((await end(pipeline, run)).state).toBe('succeeded');
    await later.answer?.(run, gate.id, robin);
    expect(system.fake.answers()).toEqual([]);
  });

  it('is left, and the rest cancelled, by a rejection', async () => {
    const pipeline = system.pipeline({ gate: 'deploy' });
    const run = await pipeline.trigger(system.request());
    const gate = await gateOf(pipeline, run);
    await pipeline.answer?.(run, gate.id, { approved: false, by: 'Robin Ek' });
    const status = await end(pipeline, run);
    expect(status.state).toBe('cancelled');
    expect(status.gate).toBeUndefined();
    await pipeline.answer?.(run, gate.id, { approved: false, by: 'Robin Ek' });
    await expect(pipeline.answer?.(run, gate.id, robin)).rejects.toEqual(refused(/rejected already/));
  });

  it('that is the last one can not be cancelled, and that is said', async () => {
    system.fake.knobs.lastJob = false;
    const pipeline = system.pipeline({ gate: 'deploy' });
    const run = await pipeline.trigger(system.request());
    const gate = await gateOf(pipeline, run);
    const words = refused(/only a manual job is left/);
    await expect(pipeline.answer?.(run, gate.id, { approved: false, by: 'Robin Ek' })).rejects.toEqual(words);
    await expect(pipeline.cancel(run)).rejects.toEqual(words);
    await pipeline.answer?.(run, gate.id, robin);
    await until(
      () => pipeline.status(run),
      ({ state }) => state === 'succeeded',
    );
  });

  it('of another name is not started by anybody’s answer', async () => {
    const run = await system.pipeline().trigger(system.request());
    await waiting(system.fake);
    const job = system.fake.world.runs[0]?.jobs[1]?.id;
    const pipeline = system.pipeline({ gate: 'release' });
    await expect(pipeline.answer?.(run, `j${job}`, robin)).rejects.toEqual(refused(/Nothing waits/));
    await pipeline.cancel(run);
  });
});

it('counts missing approvals by the rules, where there is no count', () => {
  const approved = { status: 'approved' };
  const of = (more: Partial<Parameters<typeof pendingOf>[0]>) =>
    pendingOf({ id: 1, status: 'blocked', environment: { name: 'prod' }, ...more });
  const rules = (...each: [number, number][]) => ({
    rules: each.map(([required_approvals, given]) => ({
      required_approvals,
      deployment_approvals: Array.from({ length: given }, () => approved),
    })),
  });
  expect(of({})).toBe(0);
  expect(of({ pending_approval_count: 2, approval_summary: rules([1, 1]) })).toBe(2);
  expect(of({ approval_summary: rules([1, 1], [2, 1]) })).toBe(1);
  expect(of({ approval_summary: rules([1, 3]) })).toBe(0);
});
