import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { accessSync, closeSync, constants, existsSync, mkdirSync, openSync, readFileSync, statSync } from 'node:fs';
import { readdir, rename, rm, stat } from 'node:fs/promises';
import { delimiter, join, resolve } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { isDeepStrictEqual } from 'node:util';
import { parseDuration } from '../../durations.ts';
import { PipelineError, ShipmateError } from '../../errors.ts';
import { createRedactor } from '../../logger.ts';
import { isValid, plainValue, validateRequest } from '../requests.ts';
import type { Pipeline, PipelineDeps, RunRef, TriggerRequest } from '../types.ts';
import { type CommandConfig, fillArguments, newOption, secretValues, splitCommand } from './config.ts';
import { createAnswer, GATES_FOLDER, isGateId, isStopping, readAnswer, wasAsked } from './gates.ts';
import { readOutput } from './output.ts';
import { hasCode, thisMachine } from './process.ts';
import { type Claim, createRecord, FILES, type RunRequest, readRecord, replaceRecord } from './run-folder.ts';
import { RUN_VARIABLE, readState, stopRun, toStatus } from './status.ts';

const POLL_MS = 700;
const KEPT_RUNS = 200;
const UNFINISHED_MS = 3_600_000;
const CLAIM_WAIT_MS = 10_000;
const CLAIM_POLL_MS = 20;
const LOG_BYTES = 4 * 1024 * 1024;
const MOST_LOG_LINES = 5000;
const PASSED_ON = ['PATH', 'HOME', 'LANG', 'TZ'] as const;
const DEFAULT_PATH = '/usr/local/bin:/usr/bin:/bin';
const WRAPPER_LOG = 'wrapper.log';

// Beside this file: TypeScript in a checkout, JavaScript in dist/.
const WRAPPER = fileURLToPath(
  new URL(import.meta.url.endsWith('.ts') ? './wrapper.ts' : './wrapper.js', import.meta.url),
);

/** The variable that holds an input; no two names have the same. */
function inputVariable(name: string): string {
  return `SHIPMATE_INPUT_${name.toUpperCase().replaceAll('-', '_')}`;
}

function isExecutable(file: string): boolean {
  try {
    accessSync(file, constants.X_OK);
    return statSync(file).isFile();
  } catch {
    return false;
  }
}

/** Why this program can't be run from this folder, or null. */
function programProblem(program: string, cwd: string, path: string): string | null {
  if (!statSync(cwd, { throwIfNoEntry: false })?.isDirectory())
    return `The working folder ${cwd} does not exist. Create it, or correct "cwd" of the deploy command.`;
  if (program.includes('/')) {
    const file = resolve(cwd, program);
    if (!existsSync(file)) return `The program ${file} does not exist. Install it, or correct the deploy command.`;
    return isExecutable(file) ? null : `The program ${file} is not executable. Run chmod +x on it.`;
  }
  const found = path.split(delimiter).some((folder) => isExecutable(resolve(cwd, folder, program)));
  return found ? null : `The program "${program}" was not found in PATH. Install it, or correct the deploy command.`;
}

/** Why these arguments can't be passed to a program, or null. */
function optionProblem(args: readonly string[], filled: readonly string[]): string | null {
  const argument = newOption(args, filled);
  if (argument === null) return null;
  return `What was typed begins with "-", and the program would take the argument ${argument} for an option; nothing was started. Type something else, or write the argument as --name=${argument} in the configuration.`;
}

/** Whether a run was recorded for the same request; the version's name and who asked may be written otherwise. */
function isSameRun(record: RunRequest, request: TriggerRequest): boolean {
  return (
    record.sha === request.sha &&
    record.environment === request.environment &&
    isDeepStrictEqual({ ...record.inputs }, { ...request.inputs })
  );
}

/**
 * Deploys by running a program on the bot's own host: never through a shell, with a clean environment, beside a
 * detached wrapper that outlives the bot. A run is the folder `<dataDir>/<service>/<key>`.
 * @throws ShipmateError CONFIG_INVALID when the service's name can't be the name of a folder
 */
export function createCommandPipeline(config: CommandConfig, service: string, deps: PipelineDeps): Pipeline {
  if (!isValid('service', service))
    throw new ShipmateError(
      'CONFIG_INVALID',
      `The service name ${JSON.stringify(service)} can't be used with a deploy command: use letters, digits, ".", "_" and "-".`,
    );
  const logger = deps.logger.child({ pipeline: 'command', service });
  const runs = join(deps.dataDir, service);
  const cwd = resolve(deps.baseDir, config.cwd);
  const [program = '', ...args] = splitCommand(config.command);
  const redact = createRedactor(secretValues(config.env));
  const passedOn = PASSED_ON.flatMap((name) => {
    const value = deps.env[name];
    return value === undefined ? [] : [[name, value] as const];
  });
  const base: Record<string, string> = { PATH: DEFAULT_PATH, ...Object.fromEntries(passedOn), ...config.env };
  const path = base.PATH ?? DEFAULT_PATH;

  function folderOf(key: string): string {
    return join(runs, key);
  }

  async function refOf(key: string): Promise<RunRef> {
    const request = readRecord<RunRequest>(folderOf(key), FILES.request);
    return { id: `${key}@${request?.host ?? (await thisMachine()).host}` };
  }

  /** Runs what reads a run's records; a disk that can't be read is an error that people understand. */
  async function reading<T>(work: () => T | Promise<T>): Promise<T> {
    try {
      return await work();
    } catch (error) {
      if (error instanceof ShipmateError) throw error;
      throw new PipelineError(
        'PIPELINE_UNAVAILABLE',
        `The records of this run in ${runs} can't be read or written. Check the disk and the folder's rights.`,
        { sent: 'unknown', retryable: true, cause: error },
      );
    }
  }

  function open(run: RunRef): { folder: string; request: RunRequest } {
    const [key = '', host = 'an unknown machine'] = run.id.split('@');
    const folder = folderOf(key);
    const request = isValid('key', key) ? readRecord<RunRequest>(folder, FILES.request) : null;
    if (request === null)
      throw new PipelineError(
        'PIPELINE_LOST',
        `Run ${JSON.stringify(key.slice(0, 80))} of ${service} was started on ${host}, and its records are not in ${runs}. Look on that machine, or check what runs in the environment.`,
      );
    return { folder, request };
  }

  function argumentsOf({ key, environment, version, sha, inputs }: TriggerRequest): string[] {
    return fillArguments(args, { key, service, environment, version, sha }, inputs);
  }

  /** Makes the run's folder with its request; it gets its name when it is complete. False when it was there already. */
  async function createFolder(request: TriggerRequest): Promise<boolean> {
    const folder = folderOf(request.key);
    if (existsSync(folder)) return false;
    const { key, environment, version, sha, inputs } = request;
    const unfinished = join(runs, `.${key}.${randomBytes(6).toString('hex')}`);
    mkdirSync(unfinished, { recursive: true, mode: 0o700 });
    const record: RunRequest = {
      key,
      service,
      environment,
      version,
      sha,
      createdAt: new Date().toISOString(),
      host: (await thisMachine()).host,
      argv: [program, ...argumentsOf(request)],
      ...(inputs && { inputs }),
      cwd,
      timeoutMs: parseDuration(config.timeout) ?? 0,
      graceMs: parseDuration(config.stopGrace) ?? 0,
    };
    try {
      replaceRecord(unfinished, FILES.request, record);
      await rename(unfinished, folder); // fails when somebody else made it: a folder with files is not replaced
      return true;
    } catch (error) {
      await rm(unfinished, { recursive: true, force: true });
      if (hasCode(error, 'ENOTEMPTY', 'EEXIST')) return false;
      throw error;
    }
  }

  function environmentOf(request: TriggerRequest): Record<string, string> {
    return {
      ...base,
      [RUN_VARIABLE]: request.key,
      SHIPMATE_SERVICE: service,
      SHIPMATE_ENVIRONMENT: request.environment,
      SHIPMATE_VERSION: request.version,
      SHIPMATE_SHA: request.sha,
      SHIPMATE_REQUESTED_BY: plainValue(request.requestedBy),
      SHIPMATE_GATES: join(folderOf(request.key), GATES_FOLDER),
      ...Object.fromEntries(Object.entries(request.inputs ?? {}).map(([name, text]) => [inputVariable(name), text])),
    };
  }

  /** Starts a wrapper and waits until it has claimed the run, has ended, or took too long to wait for. */
  async function startWrapper(folder: string, request: TriggerRequest): Promise<void> {
    const log = openSync(join(folder, WRAPPER_LOG), 'a', 0o600);
    let ended: string | null = null;
    try {
      // Its own environment is minimal too; the program's comes over standard input, so that no secret is on disk.
      const wrapper = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', WRAPPER, folder], {
        cwd: folder,
        detached: true,
        stdio: ['pipe', log, log],
        env: { PATH: path, LANG: 'C.UTF-8' },
      });
      wrapper.once('error', (error) => {
        ended = error.message;
      });
      wrapper.once('exit', (code, signal) => {
        ended = `it ended with ${signal ?? `code ${code}`}`;
      });
      wrapper.stdin?.once('error', () => undefined); // it ended before it read; 'exit' tells
      wrapper.stdin?.end(JSON.stringify({ env: environmentOf(request) }));
      wrapper.unref();
    } finally {
      closeSync(log);
    }
    const deadline = Date.now() + CLAIM_WAIT_MS;
    while (ended === null && Date.now() < deadline && !existsSync(join(folder, FILES.claim))) await wait(CLAIM_POLL_MS);
    if (ended === null || existsSync(join(folder, FILES.claim))) return;

    const abandoned: Claim = { kind: 'abandoned', reason: 'not started', at: new Date().toISOString() };
    if (!createRecord(folder, FILES.claim, abandoned)) return;
    const said = readFileSync(join(folder, WRAPPER_LOG), 'utf8').slice(-2000);
    logger.error('the wrapper of a run did not start', { key: request.key, ended, said });
    await rm(folder, { recursive: true, force: true });
    throw new PipelineError(
      'PIPELINE_UNAVAILABLE',
      'The deploy program could not be started; nothing ran. Try again.',
      {
        sent: 'no',
        retryable: true,
        cause: new Error(`${ended}: ${said}`),
      },
    );
  }

  /** Removes the folders of the oldest runs that are over, and what a bot that died left half made. */
  async function prune(): Promise<void> {
    try {
      const entries = await readdir(runs);
      for (const name of entries.filter((entry) => entry.startsWith('.'))) {
        const { mtimeMs } = await stat(join(runs, name));
        if (Date.now() - mtimeMs > UNFINISHED_MS) await rm(join(runs, name), { recursive: true, force: true });
      }
      const names = entries.filter((name) => isValid('key', name));
      if (names.length <= KEPT_RUNS) return;
      const aged = await Promise.all(
        names.map(async (name) => ({ name, at: (await stat(join(folderOf(name), FILES.request))).mtimeMs })),
      );
      aged.sort((a, b) => b.at - a.at);
      for (const { name } of aged.slice(KEPT_RUNS))
        if (existsSync(join(folderOf(name), FILES.result))) await rm(folderOf(name), { recursive: true, force: true });
    } catch (error) {
      logger.warn('old runs could not be removed', { error });
    }
  }

  return {
    kind: 'command',
    capabilities: { cancel: true, rerun: false, gates: true, dryRun: false, idempotentTrigger: true },
    pollMs: POLL_MS,

    async trigger(request) {
      validateRequest(request);
      if (request.service !== service)
        throw new PipelineError(
          'PIPELINE_REJECTED',
          `This deploy command belongs to ${service}, not ${request.service}.`,
        );
      const folder = folderOf(request.key);
      // A run that is recorded is not judged by what has changed since then.
      if (!existsSync(folder)) {
        const problem = programProblem(program, cwd, path) ?? optionProblem(args, argumentsOf(request));
        if (problem !== null) throw new PipelineError('PIPELINE_REJECTED', problem);
      }
      let created: boolean;
      try {
        created = await createFolder(request);
      } catch (error) {
        throw new PipelineError(
          'PIPELINE_UNAVAILABLE',
          `The run can't be recorded in ${runs}; nothing was started. Check the disk and the folder's rights.`,
          {
            sent: 'no',
            retryable: true,
            cause: error,
          },
        );
      }
      if (!created) {
        const before = await reading(() => readRecord<RunRequest>(folder, FILES.request));
        if (before !== null && !isSameRun(before, request))
          throw new PipelineError(
            'PIPELINE_REJECTED',
            `Run ${request.key} is of ${before.version} to ${before.environment} already, or has other inputs; nothing else was started.`,
          );
      }
      // A folder without a claim is a run whose bot died before it started the wrapper, or another call of this very
      // moment: a second wrapper is harmless, since only the one that makes the claim starts the program.
      if (!existsSync(join(folder, FILES.claim))) await startWrapper(folder, request);
      await prune();
      return refOf(request.key);
    },

    async findByKey(key) {
      if (!isValid('key', key)) return null;
      return reading(() => (readRecord<RunRequest>(folderOf(key), FILES.request) === null ? null : refOf(key)));
    },

    status: (run) =>
      reading(async () => {
        const { folder, request } = open(run);
        const state = await readState(folder, request, await thisMachine());
        return toStatus(folder, request, state, { stages: config.stages ?? [], redact });
      }),

    cancel: (run) =>
      reading(async () => {
        const { folder, request } = open(run);
        await stopRun(folder, request, await thisMachine());
      }),

    answer: (run, gate, { approved, by }) =>
      reading(async () => {
        const { folder, request } = open(run);
        const shown = JSON.stringify(gate.slice(0, 60));
        if (!isGateId(gate) || !wasAsked(folder, gate))
          throw new PipelineError('PIPELINE_REJECTED', `This run of ${service} has not asked ${shown}.`);
        const name = plainValue(by);
        if (readAnswer(folder, gate) === null) {
          const state = await readState(folder, request, await thisMachine());
          const waits = state.kind === 'running' && !isStopping(folder);
          if (waits && createAnswer(folder, gate, { approved, by: name })) return;
          // Without an answer by now there will be none: the same one may have come from another bot meanwhile.
          if (!waits && readAnswer(folder, gate) === null)
            throw new PipelineError(
              'PIPELINE_REJECTED',
              `This run of ${service} does not wait for ${shown} any more: it is over or being stopped.`,
            );
        }
        const before = readAnswer(folder, gate);
        if (before?.approved === approved && before.by === name) return;
        const decided = before?.approved === true ? 'approved' : before?.approved === false ? 'rejected' : 'answered';
        const who = redact(plainValue(before?.by ?? ''));
        throw new PipelineError(
          'PIPELINE_REJECTED',
          `The gate ${shown} was ${decided} already${who === '' ? '' : ` by ${who}`}; that stays.`,
        );
      }),

    logs: (run, { lines }) =>
      reading(() => {
        const { folder } = open(run);
        return readOutput(folder, { lines: Math.min(Math.max(lines, 1), MOST_LOG_LINES), bytes: LOG_BYTES, redact });
      }),

    async check() {
      const findings: { level: 'error' | 'warning'; message: string }[] = [];
      const problem = programProblem(program, cwd, path);
      if (problem !== null) findings.push({ level: 'error', message: problem });
      try {
        mkdirSync(runs, { recursive: true, mode: 0o700 });
        accessSync(runs, constants.W_OK);
      } catch {
        findings.push({ level: 'error', message: `The folder ${runs} can't be written. Correct its rights.` });
      }
      return findings;
    },
  };
}
