import type { RunStatus, Stage, StageState } from '../types.ts';
import type { Build, TimelineRecord } from './schema.ts';

/**
 * What a run's timeline says. Its records form a tree: Stage > Phase > Job > Task, and Stage > Checkpoint >
 * Checkpoint.Approval, whose id is the approval's. Of a stage that was run again it holds the last attempt.
 */

/** The stage of a YAML file that names none: its jobs are what people know. */
const NAMELESS = '__default';
const APPROVAL = 'Checkpoint.Approval';
const FINE = new Set(['succeeded', 'succeededWithIssues']);
const DEPTH = 10;
/** Steps that the vendor adds to every job. */
const HOUSEKEEPING = /^(?:Initialize job|Finalize Job|Pre-job: .*|Post-job: .*|Checkout .*)$/i;

export interface Waiting {
  /** Of the approval. */
  id: string;
  /** Undefined when it belongs to no stage. */
  stage?: TimelineRecord;
}

export function isOver(build: Build): boolean {
  return build.status === 'completed';
}

function inOrder(a: TimelineRecord, b: TimelineRecord): number {
  return (a.order ?? 0) - (b.order ?? 0);
}

function stageOf(record: TimelineRecord, records: readonly TimelineRecord[]): TimelineRecord | undefined {
  let current: TimelineRecord | undefined = record;
  for (let depth = 0; current !== undefined && current.type !== 'Stage' && depth < DEPTH; depth += 1) {
    const parent: string | null | undefined = current.parentId;
    current = records.find(({ id }) => id === parent);
  }
  return current?.type === 'Stage' ? current : undefined;
}

/** Approvals that a person has to give, in the order of their stages. */
export function waitingApprovals(records: readonly TimelineRecord[]): Waiting[] {
  return records
    .filter(({ state, type }) => type === APPROVAL && state !== 'completed')
    .map((record) => ({ id: record.id, stage: stageOf(record, records) }))
    .sort((a, b) => (a.stage?.order ?? 0) - (b.stage?.order ?? 0))
    .map(({ id, stage }) => ({ id, ...(stage === undefined ? {} : { stage }) }));
}

export function hasApproval(records: readonly TimelineRecord[], id: string): boolean {
  return records.some((record) => record.type === APPROVAL && record.id === id);
}

/** The stages, or the jobs of a file without stages, in their order. */
export function stagesOf(records: readonly TimelineRecord[]): Stage[] {
  const stages = records.filter(({ type }) => type === 'Stage').sort(inOrder);
  const nameless = stages.length === 1 && stages[0]?.name === NAMELESS;
  const shown = nameless ? records.filter(({ type }) => type === 'Job').sort(inOrder) : stages;
  return shown.map((record) => {
    const startedAt = isoTime(record.startTime);
    const finishedAt = isoTime(record.finishTime);
    return {
      name: nameOf(record),
      state: stageState(record),
      ...(startedAt === undefined ? {} : { startedAt }),
      ...(finishedAt === undefined ? {} : { finishedAt }),
    };
  });
}

/** As people see it: the display name, else the name in the YAML. */
export function nameOf({ identifier, name }: TimelineRecord): string {
  return name || identifier || 'unnamed';
}

function stageState({ result, state }: TimelineRecord): StageState {
  if (state === 'inProgress') return 'running';
  if (state !== 'completed') return 'waiting';
  if (result === 'skipped') return 'skipped';
  return FINE.has(result ?? '') ? 'succeeded' : 'failed';
}

/**
 * The stage whose approval or check was rejected or ran out of time. The run itself may then say that it succeeded: the
 * stage counts as skipped there.
 */
export function ungranted(records: readonly TimelineRecord[]): TimelineRecord | null {
  const checkpoint = records.find(
    ({ result, state, type }) =>
      (type === 'Checkpoint' || type.startsWith('Checkpoint.')) && state === 'completed' && !FINE.has(result ?? ''),
  );
  return checkpoint === undefined ? null : (stageOf(checkpoint, records) ?? checkpoint);
}

export function stateOf(build: Build, records: readonly TimelineRecord[]): RunStatus['state'] {
  if (!isOver(build)) {
    if (build.status === 'inProgress' || build.status === 'cancelling') return 'running';
    return waitingApprovals(records).length > 0 ? 'running' : 'queued';
  }
  if (build.result === 'canceled') return 'cancelled';
  // "partiallySucceeded" is left to go on by `continueOnError` in the YAML: whoever wrote that wants it so.
  if (build.result !== 'succeeded' && build.result !== 'partiallySucceeded') return 'failed';
  return ungranted(records) === null ? 'succeeded' : 'failed';
}

/** Why the run failed, as the vendor says it; several lines are possible. */
export function failureOf(build: Build, records: readonly TimelineRecord[]): string {
  const refused = ungranted(records);
  if (refused !== null) return `The approval or check of ${nameOf(refused)} was rejected, or ran out of time.`;
  for (const type of ['Task', 'Job', 'Phase', 'Stage']) {
    const failed = records.filter((record) => record.type === type && record.result === 'failed').sort(byFinish);
    for (const record of failed.reverse()) {
      const issue = record.issues?.filter((each) => each.type === 'error').at(-1)?.message;
      if (issue) return `${nameOf(record)}: ${issue}`;
    }
  }
  const invalid = build.validationResults?.find(({ result }) => result === 'error')?.message;
  if (invalid) return invalid;
  const stage = records.find(({ result, type }) => type === 'Stage' && result === 'failed');
  return stage === undefined
    ? `The run ended as "${build.result ?? 'unknown'}".`
    : `The stage ${nameOf(stage)} failed.`;
}

/** Stages that can be run again, by their names in the YAML. */
export function failedStages(records: readonly TimelineRecord[]): string[] {
  const refused = ungranted(records);
  return records
    .filter((record) => record.type === 'Stage' && record.state === 'completed')
    .filter((record) => record.result === 'failed' || record.result === 'canceled' || record === refused)
    .sort(inOrder)
    .map((record) => record.identifier || nameOf(record));
}

/** Whether a stage was run more than once. */
export function wasRunAgain(records: readonly TimelineRecord[]): boolean {
  return records.some(({ attempt, type }) => type === 'Stage' && (attempt ?? 1) > 1);
}

/** Logs of steps that are over, the one that matters most last: the newest, or the one of the step that failed. */
export function logIds(records: readonly TimelineRecord[]): number[] {
  return records
    .filter(({ log, state, type }) => type === 'Task' && state === 'completed' && log)
    .filter((record) => record.result === 'failed' || !HOUSEKEEPING.test(record.name ?? ''))
    .sort((a, b) => Number(a.result === 'failed') - Number(b.result === 'failed') || byFinish(a, b))
    .flatMap(({ log }) => (log ? [log.id] : []));
}

function byFinish(a: TimelineRecord, b: TimelineRecord): number {
  return (Date.parse(a.finishTime ?? '') || 0) - (Date.parse(b.finishTime ?? '') || 0) || inOrder(a, b);
}

/** ISO 8601 with milliseconds; undefined for what is no time. */
export function isoTime(text: string | null | undefined): string | undefined {
  const time = Date.parse(text ?? '');
  return Number.isNaN(time) ? undefined : new Date(time).toISOString();
}
