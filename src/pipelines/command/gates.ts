import { existsSync, lstatSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { stripVTControlCharacters } from 'node:util';
import type { Gate } from '../types.ts';
import { createText, FILES, type Progress, readRecord } from './run-folder.ts';

// A gate is a line of the program's output, kept in progress.json; its answer is a file that the program waits for.
// The wrapper loads this file: Node's own modules and this folder only.

/** Folder of a run that holds an answer for each gate, under the gate's id. Nothing else is ever in it. */
export const GATES_FOLDER = 'gates';

const LONGEST_ANSWER = 4096;

/** Whether this can be the id of a gate: it is also the name of a file, so "." and ".." are none. */
export function isGateId(id: string): boolean {
  return /^[A-Za-z0-9._-]{1,60}$/.test(id) && id !== '.' && id !== '..';
}

/**
 * The gate that a line of output asks for, `::gate <id> <question>`, or null when it is ordinary output. Only colours
 * may stand before it: text from elsewhere that the program prints within a line, even after a carriage return, must
 * not become a question. The question is as it was printed.
 */
export function parseGate(line: string): Gate | null {
  if (!line.startsWith('::') && !line.startsWith('\u001b')) return null;
  const plain = stripVTControlCharacters(line).trimEnd();
  const [, id = '', question = ''] = /^::gate[ \t]+(\S+)[ \t]+(.+)$/.exec(plain) ?? [];
  const asks = /[^\p{C}\p{Z}]/u.test(question);
  return asks && isGateId(id) ? { id, question } : null;
}

export interface GateAnswer {
  /** Null when the file says neither: somebody else wrote it. */
  approved: boolean | null;
  by: string;
}

/** The answer of a gate, or null when there is none. Anything of that name counts, as it does for the program. */
export function readAnswer(folder: string, id: string): GateAnswer | null {
  const file = join(folder, GATES_FOLDER, id);
  const found = lstatSync(file, { throwIfNoEntry: false });
  if (found === undefined) return null;
  // The program can write here as well, and reading a pipe of its own would stop the bot.
  if (!found.isFile() || found.size > LONGEST_ANSWER) return { approved: null, by: '' };
  const [decision, by = ''] = readFileSync(file, 'utf8').split('\n');
  return { approved: decision === 'approved' ? true : decision === 'rejected' ? false : null, by };
}

/** Answers a gate: true for the one who did, false when there was an answer already, which stays. `by` is one line. */
export function createAnswer(folder: string, id: string, answer: { approved: boolean; by: string }): boolean {
  return createText(folder, join(GATES_FOLDER, id), `${answer.approved ? 'approved' : 'rejected'}\n${answer.by}\n`);
}

export function wasAsked(folder: string, id: string): boolean {
  return askedGates(folder).some((gate) => gate.id === id);
}

/** The newest gate of a run that goes on, unless it has its answer. */
export function waitingGate(folder: string): Gate | null {
  const newest = askedGates(folder).at(-1);
  return newest === undefined || isStopping(folder) || readAnswer(folder, newest.id) !== null ? null : newest;
}

/** Whether the run is being stopped: it may still be there for a while, but it waits for nobody. */
export function isStopping(folder: string): boolean {
  return existsSync(join(folder, FILES.cancel)) || existsSync(join(folder, FILES.stopping));
}

function askedGates(folder: string): readonly Gate[] {
  return readRecord<Progress>(folder, FILES.progress)?.gates ?? [];
}
