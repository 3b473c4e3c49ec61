import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import net from 'node:net';

/** A message for a person, without a stack. */
export class Trouble extends Error {}

/** Fails with a clear message when somebody listens on the port already. */
export async function assertFree(port: number, variable: string): Promise<void> {
  const taken = await new Promise<boolean>((resolve) => {
    const probe = net.connect({ host: '127.0.0.1', port });
    probe.once('connect', () => {
      probe.destroy();
      resolve(true);
    });
    probe.once('error', () => resolve(false));
  });
  if (taken)
    throw new Trouble(`Port ${port} is taken by another program. Stop that one, or choose another with ${variable}.`);
}

export interface Child {
  name: string;
  process: ChildProcess;
  /** Resolves with the match once a line of its output matches. @throws Trouble when it ends or takes too long */
  said(pattern: RegExp, timeoutMs?: number): Promise<RegExpExecArray>;
  /** Its last lines, for a person. */
  tail(): string;
}

/** Starts a program whose end before ours is a failure; `onExit` hears of it. */
export function startChild(
  name: string,
  args: readonly string[],
  options: { cwd: string; env: NodeJS.ProcessEnv; onLine?: (line: string) => void; onExit: (child: Child) => void },
): Child {
  const lines: string[] = [];
  const waiting = new Set<(line: string) => void>();
  const ended = new Set<() => void>();
  // A group of its own: Ctrl-C reaches us alone, and we stop the children in order.
  const child = spawn(process.execPath, args, {
    cwd: options.cwd,
    env: options.env,
    stdio: ['ignore', 'pipe', 'pipe'],
    detached: true,
  });
  let rest = '';
  const read = (chunk: Buffer) => {
    const parts = (rest + chunk.toString('utf8')).split('\n');
    rest = parts.pop() ?? '';
    for (const line of parts) {
      lines.push(line);
      if (lines.length > 200) lines.shift();
      options.onLine?.(line);
      for (const waiter of [...waiting]) waiter(line);
    }
  };
  child.stdout?.on('data', read);
  child.stderr?.on('data', read);
  const self: Child = {
    name,
    process: child,
    tail: () => lines.slice(-15).join('\n'),
    said: (pattern, timeoutMs = 60_000) =>
      new Promise((resolve, reject) => {
        const before = lines.map((line) => pattern.exec(line)).find((match) => match !== null);
        if (before) return resolve(before);
        const done = () => {
          clearTimeout(timer);
          waiting.delete(look);
          ended.delete(gone);
        };
        const look = (line: string) => {
          const match = pattern.exec(line);
          if (!match) return;
          done();
          resolve(match);
        };
        const gone = () => {
          done();
          reject(new Trouble(`${name} ended before it was ready:\n${self.tail()}`));
        };
        const timer = setTimeout(() => {
          done();
          reject(new Trouble(`${name} was not ready after ${timeoutMs / 1000} s:\n${self.tail()}`));
        }, timeoutMs);
        waiting.add(look);
        ended.add(gone);
      }),
  };
  child.once('exit', () => {
    for (const gone of [...ended]) gone();
    options.onExit(self);
  });
  return self;
}

/** Asks a child and what it started to end, then makes it. */
export async function stopChild({ process: child }: Child, graceMs = 12_000): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null || child.pid === undefined) return;
  const over = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  const { pid } = child;
  child.kill('SIGTERM');
  const timer = setTimeout(() => process.kill(-pid, 'SIGKILL'), graceMs);
  await over;
  clearTimeout(timer);
}

/** The addresses on which a port is listened to, from /proc; empty where there is no /proc. */
export function listenersOn(port: number): string[] {
  const hex = port.toString(16).toUpperCase().padStart(4, '0');
  const found: string[] = [];
  for (const file of ['/proc/net/tcp', '/proc/net/tcp6'])
    try {
      for (const line of readFileSync(file, 'utf8').split('\n').slice(1)) {
        const [, local = '', , state] = line.trim().split(/\s+/);
        if (state === '0A' && local.endsWith(`:${hex}`)) found.push(local.slice(0, -5));
      }
    } catch {
      // not Linux: nothing to check with
    }
  return found;
}

const LOOPBACKS = new Set(['0100007F', '00000000000000000000000001000000', '0000000000000000FFFF00000100007F']);

export function assertLoopback(port: number, name: string): void {
  const open = listenersOn(port).filter((address) => !LOOPBACKS.has(address));
  if (open.length > 0)
    throw new Trouble(`${name} listens on more than this machine (${open.join(', ')}). It was stopped.`);
}
