import type { FakeApproval, FakeRun } from './runs.ts';

/** Runs in the shapes of the API. */

const PLACE = { Prepare: 1, Deploy: 2 } as Record<string, number>;

export function buildOf(run: FakeRun, base: string, withParameters = true) {
  return {
    _links: { web: { href: `${base}/_build/results?buildId=${run.id}` } },
    properties: {},
    tags: run.tags,
    validationResults: [],
    plans: [{ planId: run.checkpoint }],
    triggerInfo: {},
    ...(withParameters ? { templateParameters: run.parameters } : {}),
    id: run.id,
    buildNumber: run.number,
    status: run.status,
    ...(run.result === null ? {} : { result: run.result }),
    queueTime: run.queueTime,
    ...(run.startTime === null ? {} : { startTime: run.startTime }),
    ...(run.finishTime === null ? {} : { finishTime: run.finishTime }),
    definition: { id: run.definition, name: run.definition === 42 ? 'deploy-storefront' : 'build-storefront' },
    sourceBranch: run.sourceBranch,
    sourceVersion: run.sourceVersion,
    reason: run.reason,
    requestedFor: { displayName: 'Somebody', uniqueName: run.by },
    requestedBy: { displayName: 'Microsoft.VisualStudio.Services.TFS', uniqueName: '' },
    priority: 'normal',
    retainedByRelease: false,
  };
}

/** Nothing, before the run was expanded. */
export function timelineOf(run: FakeRun) {
  if (run.status === 'notStarted') return null;
  const { approval } = run;
  const records = run.stages.flatMap((stage) => {
    const order = PLACE[stage.name] ?? 9;
    const common = { startTime: stage.startTime, finishTime: stage.finishTime, attempt: stage.attempt, log: null };
    const own = {
      ...common,
      id: stage.id,
      parentId: null,
      type: 'Stage',
      name: stage.name,
      identifier: stage.name,
      order,
      state: stage.state,
      result: stage.result,
      issues: [],
    };
    const job = {
      ...own,
      id: `${stage.id}-job`,
      parentId: stage.id,
      type: 'Job',
      name: 'Job',
      identifier: `${stage.name}.Job`,
    };
    const tasks = stage.steps.map((step, index) => {
      const failed = stage.result === 'failed' && step.name === 'Deploy';
      return {
        ...common,
        id: step.id,
        parentId: job.id,
        type: 'Task',
        name: step.name,
        identifier: null,
        order: index + 1,
        state: stage.state,
        result: failed ? 'failed' : stage.state === 'completed' && stage.result !== 'canceled' ? 'succeeded' : null,
        log: run.logs.has(step.log) ? { id: step.log, type: 'Container', url: `logs/${step.log}` } : null,
        issues: failed && run.issue ? [{ type: 'error', category: 'General', message: run.issue }] : [],
      };
    });
    const guarded = stage.name === 'Deploy' && approval !== null;
    // In no order that means anything, as the vendor has it.
    return [
      ...tasks.reverse(),
      ...(stage.state === 'pending' ? [] : [job]),
      own,
      ...(guarded ? checkpoint(run, approval, stage.id) : []),
    ];
  });
  return { id: run.checkpoint, changeId: 1, lastChangedBy: null, records: records.reverse() };
}

function checkpoint(run: FakeRun, approval: FakeApproval, stage: string) {
  const results = {
    approved: 'succeeded',
    rejected: 'failed',
    canceled: 'canceled',
    timedOut: 'skipped',
    pending: null,
  };
  const result = results[approval.status];
  const state = result === null ? 'inProgress' : 'completed';
  const common = { state, result, order: 1, attempt: 1, startTime: null, finishTime: null, log: null, issues: [] };
  return [
    {
      ...common,
      id: run.checkpoint,
      parentId: stage,
      type: 'Checkpoint',
      name: 'Checkpoint',
      identifier: 'Checkpoint',
    },
    {
      ...common,
      id: approval.id,
      parentId: run.checkpoint,
      type: 'Checkpoint.Approval',
      name: 'Checkpoint.Approval',
      identifier: null,
    },
  ];
}

export function approvalOf(run: FakeRun, approval: FakeApproval, base: string) {
  return {
    id: approval.id,
    steps: [],
    status: approval.status,
    createdOn: run.queueTime,
    lastModifiedOn: run.queueTime,
    executionOrder: 'anyOrder',
    minRequiredApprovers: 1,
    blockedApprovers: [],
    _links: { self: { href: `${base}/_apis/pipelines/approvals/${approval.id}` } },
    pipeline: { owner: { id: run.id, name: run.number }, id: String(run.definition), name: 'deploy-storefront' },
  };
}
