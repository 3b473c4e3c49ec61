/** What a command may touch, so that tests can hand in their own. */
export interface Io {
  /** The process's environment. */
  env: Readonly<Record<string, string | undefined>>;
  /** Relative paths start here. */
  cwd: string;
  /** Standard output; resolves when more may follow. */
  out(text: string): void | Promise<void>;
  /** Standard error. */
  err(text: string): void;
}

/** 0: all is well. 1: something is wrong with what was looked at. 2: the command line is wrong. */
export type ExitCode = 0 | 1 | 2;

export interface CliCommand {
  summary: string;
  /** Text of `help <command>`, without the name of the program. */
  usage: string;
  /** @throws UsageError, ShipmateError */
  run(args: readonly string[], io: Io): Promise<ExitCode>;
}

/** The command line itself is wrong; the message says how it should be. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}
