import { type ChildProcess, fork } from 'node:child_process';
import { closeSync, openSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { BotArguments, Facts, FromBot, Job, Look, ToBot } from './types.ts';

const ANSWER_MS = 8_000;

/** One life of one replica. */
export class BotProcess {
  readonly name: string;
  readonly logFile: string;
  /** What it handles at this moment, and at the moment when it died. */
  readonly jobs: Job[] = [];
  /** Undefined until it listens. */
  port: number | undefined;
  dead = false;
  /** What its store held before its own jobs began. */
  opened: Look | undefined;
  /** Resolves when it listens, rejects when it ends before. */
  readonly up: Promise<void>;
  readonly #child: ChildProcess;
  readonly #over: Promise<unknown>;
  readonly #asked = new Map<number, (answer: Extract<FromBot, { kind: 'answer' }> | null) => void>();
  #number = 0;

  constructor(
    name: string,
    logFile: string,
    argument: BotArguments,
    env: Record<string, string | undefined>,
    tell: (what: string) => void,
  ) {
    this.name = name;
    this.logFile = logFile;
    const log = openSync(logFile, 'a');
    this.#child = fork(path.join(import.meta.dirname, 'bot.ts'), [JSON.stringify(argument)], {
      env,
      execArgv: ['--disable-warning=ExperimentalWarning'],
      stdio: ['ignore', log, log, 'ipc'],
    });
    closeSync(log);
    const { promise, reject, resolve } = Promise.withResolvers<void>();
    this.up = promise;
    // Whoever waits for it hears of it; a kill while it starts is no error of nobody.
    this.up.catch(() => {});
    this.#child.on('message', (message: FromBot) => {
      if (message.kind === 'opened') this.opened = message.look;
      else if (message.kind === 'answer') this.#asked.get(message.number)?.(message);
      else if (message.kind === 'listening') {
        this.port = message.port;
        tell(`${name} listens`);
        resolve();
      } else {
        const { edge, queue, subject } = message;
        const running = this.jobs.findIndex((job) => job.queue === queue && job.subject === subject);
        if (edge === 'begins') this.jobs.push({ queue, subject });
        else if (running >= 0) this.jobs.splice(running, 1);
        tell(`${name} ${edge} ${queue} ${subject}`);
      }
    });
    // What it said before it died is still read after its exit, until the channel closes.
    this.#over = Promise.all([
      new Promise((done) => this.#child.once('exit', done)),
      new Promise((done) => this.#child.once('disconnect', done)),
    ]);
    this.#child.once('exit', (code, signal) => {
      this.dead = true;
      tell(`${name} is over (${signal ?? `code ${code}`})`);
      reject(new Error(`${name} ended with ${signal ?? `code ${code}`} before it listened`));
      for (const done of this.#asked.values()) done(null);
    });
  }

  get isUp(): boolean {
    return !this.dead && this.port !== undefined;
  }

  /** Null when it is gone before it answers. */
  look(version: string): Promise<Look | null> {
    return this.#ask((number) => ({ number, ask: 'look', version }));
  }

  facts(): Promise<Facts | null> {
    return this.#ask((number) => ({ number, ask: 'facts' }));
  }

  async #ask<T extends Look | Facts>(make: (number: number) => ToBot): Promise<T | null> {
    if (!this.isUp) return null;
    this.#number += 1;
    const number = this.#number;
    const timer = setTimeout(() => this.#asked.get(number)?.(null), ANSWER_MS);
    try {
      const answer = await new Promise<Extract<FromBot, { kind: 'answer' }> | null>((resolve) => {
        this.#asked.set(number, resolve);
        this.#send(make(number));
      });
      return (answer?.answer ?? null) as T | null;
    } finally {
      clearTimeout(timer);
      this.#asked.delete(number);
    }
  }

  #send(message: ToBot): void {
    // Its end is seen by its exit.
    this.#child.send(message, () => {});
  }

  /** SIGKILL; resolves when it is gone and everything that it had said is read. */
  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#over;
  }

  async stop(): Promise<void> {
    if (this.dead) return;
    this.#send({ number: 0, ask: 'stop' });
    const timer = setTimeout(() => this.#child.kill('SIGKILL'), 20_000);
    await this.#over;
    clearTimeout(timer);
  }

  /** Its log's warnings and errors since then, one line each. */
  complaints(since: number): { at: number; line: string }[] {
    return readFileSync(this.logFile, 'utf8')
      .split('\n')
      .filter((line) => line !== '')
      .map(readLine)
      .filter(({ at, level }) => level !== 'info' && level !== 'debug' && at >= since)
      .map(({ at, line }) => ({ at, line: `${this.name} logs ${line}` }));
  }
}

function readLine(line: string): { at: number; level: string; line: string } {
  try {
    const { level, message, timestamp, ...fields } = JSON.parse(line) as Record<string, unknown>;
    return {
      at: Date.parse(String(timestamp)),
      level: String(level),
      line: `${level}: ${message} ${JSON.stringify(fields).slice(0, 600)}`,
    };
  } catch {
    // Not of the logger: a crash.
    return { at: Date.now(), level: 'error', line };
  }
}
