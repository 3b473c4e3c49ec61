// The process that stands beside one run of a program: started detached by the command pipeline, with the run's folder
// as its argument and the program's environment on its standard input. It outlives the bot. Imports only Node's own
// modules and this folder, so that it starts fast and works from src/ (type stripping) and from dist/.
import { spawn } from 'node:child_process';
import { existsSync, mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { text } from 'node:stream/consumers';
import { setTimeout as wait } from 'node:timers/promises';
import { stripVTControlCharacters } from 'node:util';
import type { Gate } from '../types.ts';
import { GATES_FOLDER, parseGate } from './gates.ts';
import { createOutputWriter } from './output.ts';
import { groupRuns, signalGroup, startMark, thisMachine } from './process.ts';
import {
  type Claim,
  createRecord,
  FILES,
  type ProgramRecord,
  type Progress,
  type RunRequest,
  type RunResult,
  readRecord,
  replaceRecord,
} from './run-folder.ts';

const MOST_STAGES = 100;
const MOST_GATES = 100;
const LONGEST_QUESTION = 1000; // longer than what is shown, so that a secret is not cut before it is redacted
const LONGEST_MARKER = 5000; // bytes; more than any part of a line that is kept
const PROGRESS_RETRY_MS = 1000;
const DRAIN_MS = 1000;
const POLL_MS = 50;
const RESULT_RETRY_MS = 1000;
const RESULT_RETRIES = 3600;

/** Marker lines, `::stage <name>`, `::sha <commit>` and `::gate <id> <question>`, out of a stream in pieces. */
function createMarkerReader(folder: string): (chunk: Buffer, stream: string) => void {
  const progress: Progress = { stages: [] };
  const rest = new Map<string, string>();
  let triesAgain = false;

  function save(): void {
    try {
      replaceRecord(folder, FILES.progress, progress);
    } catch {
      // The disk is full: the run goes on, and what it asks shows once there is room.
      if (triesAgain) return;
      triesAgain = true;
      setTimeout(() => {
        triesAgain = false;
        save();
      }, PROGRESS_RETRY_MS).unref();
    }
  }

  function readGate({ id, question }: Gate): void {
    const asked = progress.gates ?? [];
    // A person may be about to answer what was asked first under this id: that question stays.
    const before = asked.find((gate) => gate.id === id);
    if (before !== undefined && before === asked.at(-1)) return;
    const gate = before ?? { id, question: question.slice(0, LONGEST_QUESTION) };
    progress.gates = [...asked.filter((other) => other !== before), gate].slice(-MOST_GATES);
    save();
  }

  function read(line: string): void {
    const gate = parseGate(line);
    if (gate !== null) {
      readGate(gate);
      return;
    }
    const match = /^::(stage|sha)[ \t]+(.+)$/.exec(stripVTControlCharacters(line).trimEnd());
    if (!match) return;
    const value = (match[2] ?? '').replace(/\p{Cc}/gu, '').trim();
    if (match[1] === 'sha') {
      if (!/^(?:sha256:)?[0-9a-f]{7,64}$/i.test(value)) return;
      progress.sha = value.toLowerCase();
    } else {
      if (value === '' || progress.stages.length >= MOST_STAGES) return;
      progress.stages.push({ name: value.slice(0, 60), startedAt: new Date().toISOString() });
    }
    save();
  }

  return (chunk, stream) => {
    const lines = ((rest.get(stream) ?? '') + chunk.toString('latin1')).split('\n');
    rest.set(stream, (lines.pop() ?? '').slice(0, LONGEST_MARKER));
    for (const line of lines)
      if (line.startsWith('::') || line.startsWith('\u001b')) read(Buffer.from(line, 'latin1').toString('utf8'));
  };
}

/** Writes the result, and waits for room when the disk is full: meanwhile the run counts as running. */
async function writeResult(folder: string, result: RunResult): Promise<void> {
  for (let attempt = 0; attempt < RESULT_RETRIES; attempt += 1) {
    try {
      createRecord(folder, FILES.result, result);
      return;
    } catch {
      if (!existsSync(folder)) return; // removed by somebody: there is nobody left to tell
      await wait(RESULT_RETRY_MS);
    }
  }
}

type StopReason = 'timeout' | 'cancelled' | 'stopped';

async function main(folder: string): Promise<void> {
  let stopReason: StopReason | null = null;
  let stopProgram: (() => void) | null = null;
  const stop = (reason: StopReason) => {
    if (stopReason !== null) return;
    stopReason = reason;
    stopProgram?.();
  };
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP'] as const)
    process.on(signal, () => stop(existsSync(join(folder, FILES.cancel)) ? 'cancelled' : 'stopped'));

  // The bot may die while it writes: half an environment is no JSON, and nothing has been claimed yet.
  const { env } = JSON.parse(await text(process.stdin)) as { env: Record<string, string> };
  const request = readRecord<RunRequest>(folder, FILES.request);
  if (request === null) throw new Error(`no ${FILES.request} in ${folder}`);
  const claim: Claim = {
    kind: 'wrapper',
    pid: process.pid,
    start: (await startMark(process.pid)) ?? '',
    startedAt: new Date().toISOString(),
    ...(await thisMachine()),
  };
  if (!createRecord(folder, FILES.claim, claim)) return; // somebody else runs it, or it was given up

  const output = createOutputWriter(folder);
  const readMarkers = createMarkerReader(folder);
  const end = (result: Omit<RunResult, 'finishedAt' | 'droppedBytes'>) => {
    output.close();
    return writeResult(folder, { ...result, finishedAt: new Date().toISOString(), droppedBytes: output.dropped() });
  };
  if (stopReason !== null) return end({ outcome: stopReason, code: null, signal: null });

  const [program = '', ...args] = request.argv;
  let child: ReturnType<typeof start>;
  try {
    mkdirSync(join(folder, GATES_FOLDER), { recursive: true, mode: 0o700 });
    child = start(program, args, request.cwd, env);
  } catch (error) {
    return end({ outcome: 'not started', code: null, signal: null, error: messageOf(error) });
  }
  const { pid } = child;
  if (pid === undefined) {
    const error = await new Promise<unknown>((resolve) => child.once('error', resolve));
    return end({ outcome: 'not started', code: null, signal: null, error: messageOf(error) });
  }
  child.on('error', () => undefined); // a signal that could not be sent; the run is judged by its end
  const exited = new Promise<{ code: number | null; signal: string | null }>((resolve) =>
    child.once('exit', (code, signal) => resolve({ code, signal })),
  );
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()));

  let midLine: string | null = null;
  for (const [name, stream] of [
    ['out', child.stdout],
    ['err', child.stderr],
  ] as const)
    stream.on('data', (chunk: Buffer) => {
      // Two streams share one file: a line of one is not continued by the other.
      if (midLine !== null && midLine !== name) output.write(Buffer.from('\n'));
      output.write(chunk);
      midLine = chunk.at(-1) === 10 ? null : name;
      readMarkers(chunk, name);
    });

  const leader = (await startMark(pid)) ?? '';
  const record: ProgramRecord = { pid, start: leader };
  try {
    replaceRecord(folder, FILES.program, record);
  } catch {
    // the disk is full; the program is found by its environment instead
  }

  let groupGone: Promise<void> | null = null;
  const stopGroup = async () => {
    signalGroup(pid, 'SIGTERM');
    const deadline = Date.now() + request.graceMs;
    while (Date.now() < deadline) {
      await wait(POLL_MS);
      if (!(await groupRuns(pid, leader))) return;
    }
    signalGroup(pid, 'SIGKILL');
  };
  stopProgram = () => {
    try {
      createRecord(folder, FILES.stopping, { at: new Date().toISOString() });
    } catch {
      // the disk is full: until the program is gone, its gate shows
    }
    groupGone ??= stopGroup();
  };
  if (stopReason !== null) stopProgram();
  const timer = setTimeout(() => stop('timeout'), request.timeoutMs);

  const { code, signal } = await exited;
  clearTimeout(timer);
  // TypeScript does not see that the signal handlers assign these two.
  const reason = stopReason as StopReason | null;
  await (groupGone as Promise<void> | null);
  // What the program left running may hold the pipes open for ever: wait for the rest of the output, but not for that.
  const drained = new AbortController();
  await Promise.race([closed, wait(DRAIN_MS, undefined, { signal: drained.signal }).catch(() => undefined)]);
  drained.abort();
  child.stdout.destroy();
  child.stderr.destroy();
  await end({ outcome: reason ?? 'exited', code, signal });
}

function start(program: string, args: string[], cwd: string, env: Record<string, string>) {
  return spawn(program, args, { cwd, env, detached: true, shell: false, stdio: ['ignore', 'pipe', 'pipe'] });
}

function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

const [, , folder] = process.argv;
if (folder === undefined) process.exitCode = 2;
else await main(folder);
