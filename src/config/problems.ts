import { ShipmateError } from '../errors.ts';

/** One thing that is wrong, where it stands, and what would be right. Lines and columns count from 1. */
export interface Problem {
  file: string;
  line: number;
  column: number;
  /** For example "environments.production.approve". */
  path: string;
  message: string;
}

/** All that is wrong with a configuration, at once. */
export class ConfigError extends ShipmateError {
  override readonly name = 'ConfigError';
  readonly problems: readonly Problem[];
  constructor(problems: readonly Problem[]) {
    super('CONFIG_INVALID', problems.map(formatProblem).join('\n'));
    this.problems = problems;
  }
}

export function formatProblem({ column, file, line, message, path }: Problem): string {
  return `${file}:${line}:${column} ${path === '' ? '' : `${path}: `}${message}`;
}
