import { describe, expect, it } from '@jest/globals';
import { azureDeployConfig } from '../../../src/pipelines/azure-devops/config.ts';
import { gateOf } from '../../../src/pipelines/azure-devops/gates.ts';
import { createParameters } from '../../../src/pipelines/azure-devops/parameters.ts';
import { build, type TimelineRecord, timelineRecord } from '../../../src/pipelines/azure-devops/schema.ts';
import {
  failedStages,
  failureOf,
  hasApproval,
  isoTime,
  logIds,
  stagesOf,
  stateOf,
  ungranted,
  waitingApprovals,
} from '../../../src/pipelines/azure-devops/timeline.ts';

const run = (more: object = {}) => build.parse({ id: 7, status: 'completed', result: 'succeeded', ...more });
const record = (more: Partial<TimelineRecord> & { id: string; type: string }): TimelineRecord =>
  timelineRecord.parse({ state: 'completed', result: 'succeeded', order: 1, ...more });
const APPROVAL = 'f5f5f5f5-aaaa-bbbb-cccc-d6d6d6d6d6d6';
const guard = (state: string, result: string | null, stage = 's2') => [
  record({ id: 'c', type: 'Checkpoint', parentId: stage, state, result }),
  record({ id: APPROVAL, type: 'Checkpoint.Approval', parentId: 'c', state, result }),
];

describe('the state of a run', () => {
  it.each([
    ['notStarted', null, 'queued'],
    ['postponed', null, 'queued'],
    ['none', null, 'queued'],
    ['inProgress', null, 'running'],
    ['cancelling', null, 'running'],
    ['completed', 'succeeded', 'succeeded'],
    ['completed', 'partiallySucceeded', 'succeeded'],
    ['completed', 'failed', 'failed'],
    ['completed', 'canceled', 'cancelled'],
    ['completed', 'none', 'failed'],
    ['completed', null, 'failed'],
  ])('%s, %s is %s', (status, result, state) => expect(stateOf(run({ status, result }), [])).toBe(state));

  it('is running while somebody has to let it in, whatever the run says', () => {
    expect(stateOf(run({ status: 'notStarted', result: null }), guard('inProgress', null))).toBe('running');
  });

  it.each(['failed', 'skipped', 'canceled', 'abandoned'])(
    'is failed when the approval ended as %s, though the run says it succeeded',
    (result) => {
      const records = [
        record({ id: 's2', type: 'Stage', name: 'Prod', result: 'skipped' }),
        ...guard('completed', result),
      ];
      expect(stateOf(run(), records)).toBe('failed');
      expect(failureOf(run(), records)).toBe('The approval or check of Prod was rejected, or ran out of time.');
      expect(failedStages(records)).toEqual(['Prod']);
    },
  );

  it('is succeeded when a stage was left out by its condition, without a guard', () => {
    const records = [
      record({ id: 's', type: 'Stage', name: 'Hotfix', result: 'skipped' }),
      ...guard('completed', 'succeeded'),
    ];
    expect(stateOf(run(), records)).toBe('succeeded');
    expect(ungranted(records)).toBeNull();
  });
});

describe('stages', () => {
  it('stand in their order, by the names that people gave them', () => {
    const records = [
      record({
        id: 'b',
        type: 'Stage',
        name: 'Deploy',
        order: 2,
        state: 'inProgress',
        result: null,
        startTime: '2026-09-01T00:00:00.1234567Z',
      }),
      record({ id: 'a', type: 'Stage', name: '', identifier: 'prepare', order: 1, result: 'succeededWithIssues' }),
      record({ id: 'c', type: 'Stage', name: 'Clean', order: 3, state: 'pending', result: null }),
      record({ id: 'd', type: 'Stage', name: 'Never', order: 4, result: 'skipped' }),
      record({ id: 'e', type: 'Stage', name: 'Stopped', order: 5, result: 'canceled' }),
      record({ id: 'j', type: 'Job', name: 'Job', parentId: 'b' }),
    ];
    expect(stagesOf(records)).toEqual([
      { name: 'prepare', state: 'succeeded' },
      { name: 'Deploy', state: 'running', startedAt: '2026-09-01T00:00:00.123Z' },
      { name: 'Clean', state: 'waiting' },
      { name: 'Never', state: 'skipped' },
      { name: 'Stopped', state: 'failed' },
    ]);
  });

  it('are the jobs of a file that names no stage', () => {
    const records = [
      record({ id: 's', type: 'Stage', name: '__default' }),
      record({ id: 'p', type: 'Phase', name: '__default', parentId: 's' }),
      record({ id: 'j', type: 'Job', name: 'Deploy', parentId: 'p' }),
    ];
    expect(stagesOf(records)).toEqual([{ name: 'Deploy', state: 'succeeded' }]);
  });

  it('has no time where there is none', () => {
    for (const text of [null, undefined, '', 'yesterday']) expect(isoTime(text)).toBeUndefined();
  });
});

describe('what failed', () => {
  const failed = (id: string, type: string, more: Partial<TimelineRecord> = {}) =>
    record({ id, type, result: 'failed', ...more });

  it('is the last error of the last step that failed', () => {
    const records = [
      failed('t1', 'Task', {
        name: 'Early',
        finishTime: '2026-09-01T00:00:01Z',
        issues: [{ type: 'error', message: 'first' }],
      }),
      failed('t2', 'Task', {
        name: 'Deploy',
        finishTime: '2026-09-01T00:00:02Z',
        issues: [
          { type: 'error', message: 'no' },
          { type: 'error', message: 'the last' },
          { type: 'warning', message: 'beside it' },
        ],
      }),
      failed('j', 'Job', { name: 'Job', issues: [{ type: 'error', message: 'the job' }] }),
    ];
    expect(failureOf(run({ result: 'failed' }), records)).toBe('Deploy: the last');
  });

  it('is the job, the YAML or the stage where no step says it', () => {
    const result = { result: 'failed' };
    const job = failed('j', 'Job', { name: 'Job', issues: [{ type: 'error', message: 'lost the agent' }] });
    expect(failureOf(run(result), [job])).toBe('Job: lost the agent');
    const invalid = run({ ...result, validationResults: [{ result: 'error', message: 'bad YAML' }] });
    expect(failureOf(invalid, [])).toBe('bad YAML');
    expect(failureOf(run(result), [failed('s', 'Stage', { name: 'Deploy' })])).toBe('The stage Deploy failed.');
    expect(failureOf(run(result), [])).toBe('The run ended as "failed".');
  });

  it('comes last among the logs, and what the vendor adds to a job is left out', () => {
    const step = (id: number, name: string, more: Partial<TimelineRecord> = {}) =>
      record({
        id: `t${id}`,
        type: 'Task',
        name,
        log: { id },
        order: id,
        finishTime: `2026-09-01T00:00:0${id}Z`,
        ...more,
      });
    const records = [
      step(1, 'Initialize job'),
      step(2, 'Checkout web@main to s'),
      step(3, 'Build'),
      step(4, 'Deploy', { result: 'failed' }),
      step(5, 'Tell'),
      step(6, 'Post-job: Checkout web'),
      step(7, 'Finalize Job', { state: 'inProgress' }),
    ];
    expect(logIds(records)).toEqual([3, 5, 4]);
    expect(logIds([step(1, 'Initialize job', { result: 'failed' })])).toEqual([1]);
    expect(logIds([record({ id: 't', type: 'Task', name: 'No log' })])).toEqual([]);
  });
});

describe('gates', () => {
  const parameters = (more: object = {}) =>
    createParameters(
      azureDeployConfig.parse({
        'azure-devops': 'P',
        pipeline: 1,
        environments: { staging: 'Staging', production: 'Prod-EU' },
        ...more,
      }),
      'storefront',
    );
  const waiting = (name: string, identifier = 's') => [
    record({ id: 's2', type: 'Stage', name, identifier, state: 'pending', result: null }),
    ...guard('inProgress', null),
  ];
  const gate = (stage: string, environment: string | null, identifier?: string) =>
    gateOf(
      run({
        status: 'inProgress',
        result: null,
        buildNumber: '5',
        templateParameters: environment === null ? {} : { environment },
      }),
      waiting(stage, identifier),
      parameters(),
    );

  it('ask for the stage, and stand before the environment of the run', () => {
    expect(gate('Deploy', 'Staging')).toEqual({
      id: APPROVAL,
      question: 'The stage Deploy of run 5 waits for an approval.',
      environment: 'staging',
    });
  });

  it.each([
    ['Deploy to Prod-EU', 'Staging', undefined, 'production'],
    ['Deploy', 'Staging', 'deploy_production', 'production'],
    ['Production', 'Staging', undefined, 'production'],
    ['Staging', 'Prod-EU', undefined, 'staging'],
    ['Reproduction', 'Staging', undefined, 'staging'],
    ['Staging, then Production', 'Staging', undefined, undefined],
    ['Release', null, undefined, undefined],
    ['Production', null, undefined, 'production'],
    ['Deploy', 'qa', undefined, 'qa'],
    ['Deploy qa', 'Staging', undefined, undefined],
    ['Deploy qa', 'qa', undefined, 'qa'],
    ['Live', 'Prod-EU', undefined, undefined],
  ])('of the stage %s in a run for %s (%s) is that of %s', (stage, environment, identifier, expected) => {
    expect(gate(stage, environment, identifier)?.environment).toBe(expected);
  });

  it('are one at a time, in the order of the stages, and none once the run is being stopped', () => {
    const other = 'a0a0a0a0-bbbb-cccc-dddd-e1e1e1e1e1e1';
    const records = [
      ...waiting('Second').map((each) => (each.id === 's2' ? { ...each, order: 2 } : each)),
      record({ id: 's1', type: 'Stage', name: 'First', order: 1, state: 'pending', result: null }),
      record({ id: 'c1', type: 'Checkpoint', parentId: 's1', state: 'inProgress', result: null }),
      record({ id: other, type: 'Checkpoint.Approval', parentId: 'c1', state: 'inProgress', result: null }),
    ];
    const state = (status: string) => run({ status, result: null });
    expect(gateOf(state('inProgress'), records, parameters())?.id).toBe(other);
    expect(gateOf(state('cancelling'), records, parameters())).toBeNull();
    expect(gateOf(run(), records, parameters())).toBeNull();
  });

  it('are approvals and nothing else of the timeline', () => {
    const records = waiting('Deploy');
    expect(records.map(({ id }) => hasApproval(records, id))).toEqual([false, false, true]);
  });

  it('of a tree that goes in circles belong to no stage', () => {
    const records = [
      record({ id: 'x', type: 'Checkpoint', parentId: APPROVAL, state: 'inProgress', result: null }),
      record({ id: APPROVAL, type: 'Checkpoint.Approval', parentId: 'x', state: 'inProgress', result: null }),
    ];
    expect(waitingApprovals(records)).toEqual([{ id: APPROVAL }]);
  });
});
