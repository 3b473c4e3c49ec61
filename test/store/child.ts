import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import path from 'node:path';
import { createInterface } from 'node:readline';

export interface Writer {
  child: ChildProcess;
  /** Numbers that were acknowledged so far. */
  acknowledged: number[];
  /** Resolves when so many are. */
  until(count: number): Promise<void>;
  ready: Promise<void>;
  kill(): Promise<void>;
}

/** Starts writer.ts as a process of its own. */
export function startWriter(dataDir: string): Writer {
  const file = path.join(import.meta.dirname, 'writer.ts');
  const { NODE_OPTIONS: _, ...env } = process.env;
  const child = spawn(process.execPath, ['--disable-warning=ExperimentalWarning', file, dataDir], {
    env,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const acknowledged: number[] = [];
  let complaint = '';
  child.stderr?.on('data', (chunk) => {
    complaint += String(chunk);
  });
  const lines = createInterface({ input: child.stdout as NodeJS.ReadableStream });
  const ended = once(child, 'exit');
  const { promise: ready, resolve: isReady } = Promise.withResolvers<void>();
  lines.on('line', (line) => (line === 'ready' ? isReady() : acknowledged.push(Number(line))));
  const orEnd = (promise: Promise<void>) =>
    Promise.race([
      promise,
      ended.then(() => {
        throw new Error(`the writer ended: ${complaint}`);
      }),
    ]);
  const until = (count: number) =>
    new Promise<void>((resolve) => {
      const look = () => acknowledged.length >= count && resolve();
      lines.on('line', look);
      look();
    });
  const kill = async () => {
    const closed = once(lines, 'close');
    child.kill('SIGKILL');
    await ended;
    await closed;
  };
  ended.catch(() => undefined);
  return { child, acknowledged, until: (count) => orEnd(until(count)), ready: orEnd(ready), kill };
}
