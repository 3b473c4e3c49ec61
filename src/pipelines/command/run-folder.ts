import { randomBytes } from 'node:crypto';
import { closeSync, fsyncSync, linkSync, openSync, readFileSync, renameSync, rmSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Gate } from '../types.ts';
import { hasCode, type Machine } from './process.ts';

// A run is a folder. Who writes what:
//   request.json   the bot, complete before the folder has its name
//   claim.json     the wrapper, once and before it starts the program; or whoever decides that it never will
//   program.json   the wrapper, after it started the program
//   progress.json  the wrapper, at each marker line
//   gates/         the wrapper makes it before it starts the program; the bot puts an answer in it, once per gate
//   output.N.log   the wrapper, see output.ts
//   cancel         the bot, before it asks the wrapper to stop
//   stopping       the wrapper, before it stops the program for any reason
//   result.json    the wrapper at the end, once; the bot when it is certain that there is no wrapper any more
// This file and what it imports is loaded by the wrapper: Node's own modules only, so that it starts fast.

export interface RunRequest {
  key: string;
  service: string;
  environment: string;
  version: string;
  sha: string;
  /** ISO 8601. */
  createdAt: string;
  host: string;
  argv: string[];
  /** As they were asked for. Missing where an older bot wrote it, or when there were none. */
  inputs?: Readonly<Record<string, string>>;
  cwd: string;
  timeoutMs: number;
  graceMs: number;
}

/** Either the wrapper that may start the program, or the certainty that none will. */
export type Claim =
  | ({ kind: 'wrapper'; pid: number; start: string; startedAt: string } & Machine)
  | { kind: 'abandoned'; reason: 'cancelled' | 'not started'; at: string };

export interface ProgramRecord {
  /** Also the id of its process group. */
  pid: number;
  start: string;
}

export interface Progress {
  stages: { name: string; startedAt: string }[];
  sha?: string;
  /** In the order in which they were asked, the question as it was printed. Missing when there was none. */
  gates?: Gate[];
}

export interface RunResult {
  /** How the program ended; `lost` is the bot's finding that the wrapper is gone and nothing of it runs. */
  outcome: 'exited' | 'timeout' | 'cancelled' | 'stopped' | 'not started' | 'lost';
  code: number | null;
  signal: string | null;
  finishedAt: string;
  /** Why it could not be started, or what was lost. */
  error?: string;
  /** Bytes of output that were left out to stay within the limits, or that the disk had no room for. */
  droppedBytes: number;
}

export const FILES = {
  request: 'request.json',
  claim: 'claim.json',
  program: 'program.json',
  progress: 'progress.json',
  cancel: 'cancel',
  stopping: 'stopping',
  result: 'result.json',
} as const;

function textOf(data: unknown): string {
  return `${JSON.stringify(data)}\n`;
}

function writeTemporary(folder: string, text: string): string {
  const file = join(folder, `.${process.pid}.${randomBytes(6).toString('hex')}.tmp`);
  const descriptor = openSync(file, 'wx', 0o600);
  try {
    writeSync(descriptor, text);
    fsyncSync(descriptor);
  } catch (error) {
    rmSync(file, { force: true });
    throw error;
  } finally {
    closeSync(descriptor);
  }
  return file;
}

/** Writes a record so that a reader sees the old one or the new one, never half of it. */
export function replaceRecord(folder: string, name: string, data: unknown): void {
  const temporary = writeTemporary(folder, textOf(data));
  try {
    renameSync(temporary, join(folder, name));
  } catch (error) {
    rmSync(temporary, { force: true });
    throw error;
  }
}

/** Writes a record that may exist once: true for the one who made it, false when there was one already. */
export function createRecord(folder: string, name: string, data: unknown): boolean {
  return createText(folder, name, textOf(data));
}

/** The same for plain text. `name` may lie in a folder of this one, which then never holds half a file. */
export function createText(folder: string, name: string, text: string): boolean {
  const temporary = writeTemporary(folder, text);
  try {
    linkSync(temporary, join(folder, name));
    return true;
  } catch (error) {
    if (hasCode(error, 'EEXIST')) return false;
    throw error;
  } finally {
    rmSync(temporary, { force: true });
  }
}

/** A record as it was written, or null when there is none. Only Shipmate writes here: the shape is trusted. */
export function readRecord<T>(folder: string, name: string): T | null {
  try {
    return JSON.parse(readFileSync(join(folder, name), 'utf8')) as T;
  } catch (error) {
    if (hasCode(error, 'ENOENT')) return null;
    throw error;
  }
}
