import { distance } from 'fastest-levenshtein';
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

/** What would have been right instead of an unknown name, as the end of a sentence. */
export function near(name: string, names: readonly string[]): string {
  const [best] = names.map((each) => ({ each, off: distance(name, each) })).sort((a, b) => a.off - b.off);
  if (best && best.off <= Math.ceil(best.each.length / 3)) return `; did you mean "${best.each}"?`;
  return names.length > 0 ? `; there are ${names.join(', ')}` : '';
}
