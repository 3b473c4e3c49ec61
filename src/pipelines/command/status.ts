import { setTimeout as wait } from 'node:timers/promises';
import { PipelineError } from '../../errors.ts';
import { plainValue } from '../requests.ts';
import type { RunStatus, Stage, StageState } from '../types.ts';
import { parseGate, waitingGate } from './gates.ts';
import { readOutput } from './output.ts';
import { findByVariable, groupRuns, type Machine, signalGroup, startMark } from './process.ts';
import {
  type Claim,
  createRecord,
  FILES,
  type ProgramRecord,
  type Progress,
  type RunRequest,
  type RunResult,
  readRecord,
} from './run-folder.ts';

// A wrapper claims its run a fraction of a second after it was started; a busy machine gets more time.
const UNCLAIMED_MS = 30_000;
const TAIL_LINES = 20;
const TAIL_BYTES = 64 * 1024;
const QUESTION_LENGTH = 300;
const POLL_MS = 50;

/** Variable by which a program is recognised when nothing else tells which one it is. */
export const RUN_VARIABLE = 'SHIPMATE_RUN';

export type RunState =
  | { kind: 'queued' }
  | { kind: 'running'; wrapper: number | null; group: { pid: number; start: string } | null }
  | { kind: 'over'; result: RunResult };

function lost(error: string): RunResult {
  return { outcome: 'lost', code: null, signal: null, finishedAt: new Date().toISOString(), error, droppedBytes: 0 };
}

/** Records that a run is over, unless somebody else did; then theirs counts. */
function settle(folder: string, result: RunResult): RunState {
  createRecord(folder, FILES.result, result);
  return { kind: 'over', result: readRecord<RunResult>(folder, FILES.result) ?? result };
}

/** The process group of a run whose wrapper is gone, when any of it still runs. */
async function survivingGroup(folder: string, key: string): Promise<{ pid: number; start: string } | null> {
  const program = readRecord<ProgramRecord>(folder, FILES.program);
  if (program !== null) return (await groupRuns(program.pid, program.start)) ? program : null;
  const found = await findByVariable(RUN_VARIABLE, key);
  return found === null ? null : { pid: found.group, start: found.start };
}

/**
 * What became of a run, from its folder and the machine's processes. "Over" is only said when it is certain.
 * @throws PipelineError PIPELINE_LOST when the run is on another machine, which alone can tell
 */
export async function readState(folder: string, request: RunRequest, machine: Machine): Promise<RunState> {
  const result = readRecord<RunResult>(folder, FILES.result);
  if (result !== null) return { kind: 'over', result };

  let claim = readRecord<Claim>(folder, FILES.claim);
  if (claim === null) {
    if (Date.now() - Date.parse(request.createdAt) < UNCLAIMED_MS) return { kind: 'queued' };
    // With this claim no wrapper can start the program later, however slow it was.
    const abandoned: Claim = { kind: 'abandoned', reason: 'not started', at: new Date().toISOString() };
    createRecord(folder, FILES.claim, abandoned);
    claim = readRecord<Claim>(folder, FILES.claim) ?? abandoned;
  }
  if (claim.kind === 'abandoned') {
    const outcome = claim.reason;
    const error = outcome === 'cancelled' ? {} : { error: 'the bot stopped before the program was started' };
    return settle(folder, { outcome, code: null, signal: null, finishedAt: claim.at, droppedBytes: 0, ...error });
  }
  if (claim.host !== machine.host)
    throw new PipelineError(
      'PIPELINE_LOST',
      `This run belongs to the machine ${claim.host}, and this is ${machine.host}: only that one can tell how it went. Look there in ${folder}.`,
    );
  if (claim.boot !== machine.boot) return settle(folder, lost('the machine was restarted while it ran'));

  const wrapperRuns = (await startMark(claim.pid)) === claim.start;
  if (wrapperRuns) {
    const program = readRecord<ProgramRecord>(folder, FILES.program);
    return { kind: 'running', wrapper: claim.pid, group: program };
  }
  // It may have written its result and ended since the first look.
  const written = readRecord<RunResult>(folder, FILES.result);
  if (written !== null) return { kind: 'over', result: written };
  const group = await survivingGroup(folder, request.key);
  if (group !== null) return { kind: 'running', wrapper: null, group };
  return settle(
    folder,
    lost('the run lost its wrapper process, so nobody knows how the program ended; check the environment'),
  );
}

/** Stops a run: asks its wrapper, or where that is gone ends the program's group itself. */
export async function stopRun(folder: string, request: RunRequest, machine: Machine): Promise<void> {
  const abandoned: Claim = { kind: 'abandoned', reason: 'cancelled', at: new Date().toISOString() };
  if (readRecord(folder, FILES.result) === null && readRecord(folder, FILES.claim) === null)
    createRecord(folder, FILES.claim, abandoned);
  const state = await readState(folder, request, machine);
  if (state.kind !== 'running') return;
  createRecord(folder, FILES.cancel, { at: abandoned.at });
  if (state.wrapper !== null) {
    try {
      process.kill(state.wrapper, 'SIGTERM');
    } catch {
      // it has just ended by itself
    }
    return;
  }
  if (state.group === null) return;
  const { pid, start } = state.group;
  signalGroup(pid, 'SIGTERM');
  const deadline = Date.now() + request.graceMs;
  while (Date.now() < deadline && (await groupRuns(pid, start))) await wait(POLL_MS);
  if (await groupRuns(pid, start)) signalGroup(pid, 'SIGKILL');
  settle(folder, { ...lost('cancelled'), outcome: 'cancelled' });
}

function minutes(ms: number): string {
  return ms % 60_000 === 0 ? `${ms / 60_000} min` : `${ms / 1000} s`;
}

/** Why a run failed, one line; null when it didn't. */
function failure(result: RunResult, request: RunRequest, lastLine: string | undefined): string | null {
  const said = lastLine ? `: ${lastLine.slice(0, 300)}` : '';
  switch (result.outcome) {
    case 'exited':
      if (result.signal !== null) return `the program was ended by ${result.signal}${said}`;
      return result.code === 0 ? null : `exit code ${result.code}${said}`;
    case 'timeout':
      return `stopped after ${minutes(request.timeoutMs)}`;
    case 'stopped':
      return 'the run was stopped from outside, perhaps because the machine was shutting down';
    case 'not started':
      return `the program could not be started: ${result.error ?? 'unknown reason'}`;
    case 'lost':
      return result.error ?? 'the run was lost';
    case 'cancelled':
      return null;
  }
}

/** Stages as the markers told, then the configured ones that are still to come. */
function stagesOf(
  progress: Progress,
  configured: readonly string[],
  state: RunStatus['state'],
  finishedAt: string | undefined,
): Stage[] {
  const last = progress.stages.length - 1;
  const lastState: Partial<Record<RunStatus['state'], StageState>> = { running: 'running', succeeded: 'succeeded' };
  const seen = progress.stages.map(({ name, startedAt }, index): Stage => {
    const end = progress.stages[index + 1]?.startedAt ?? finishedAt;
    const stage = index < last ? 'succeeded' : (lastState[state] ?? 'failed');
    return { name, state: stage, startedAt, ...(end ? { finishedAt: end } : {}) };
  });
  const over = state !== 'running' && state !== 'queued';
  const names = new Set(seen.map(({ name }) => name));
  const rest = configured.filter((name) => !names.has(name));
  return [...seen, ...rest.map((name): Stage => ({ name, state: over ? 'skipped' : 'waiting' }))];
}

/** The status as people see it. */
export function toStatus(
  folder: string,
  request: RunRequest,
  run: RunState,
  options: { stages: readonly string[]; redact: (text: string) => string },
): RunStatus {
  const progress = readRecord<Progress>(folder, FILES.progress) ?? { stages: [] };
  const output = readOutput(folder, {
    lines: TAIL_LINES * 3,
    bytes: TAIL_BYTES,
    redact: options.redact,
    // Redacting may have changed the id, which is no reason to show the line.
    leaveOut: (line) => parseGate(line.replaceAll('[redacted]', 'x')) !== null,
  });
  const tail = output.filter((line) => !/^::(?:stage|sha)\s/.test(line)).slice(-TAIL_LINES);
  const lastLine = tail.findLast((line) => line.trim() !== '');
  if (run.kind !== 'over') {
    const gate = run.kind === 'running' ? waitingGate(folder) : null;
    return {
      state: run.kind,
      stages: stagesOf(progress, options.stages, run.kind, undefined),
      tail,
      ...(gate && { gate: { id: gate.id, question: plainValue(options.redact(gate.question), QUESTION_LENGTH) } }),
    };
  }
  const { result } = run;
  const error = failure(result, request, lastLine);
  const state = result.outcome === 'cancelled' ? 'cancelled' : error === null ? 'succeeded' : 'failed';
  return {
    state,
    stages: stagesOf(progress, options.stages, state, result.finishedAt),
    tail,
    ...(progress.sha ? { sha: progress.sha } : {}),
    ...(error === null ? {} : { error: options.redact(error) }),
  };
}
