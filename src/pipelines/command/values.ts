import { PipelineError } from '../../errors.ts';
import type { TriggerRequest } from '../types.ts';

// A value that begins with "-" would be read as an option by the program; ".." and "/" could leave a folder.
const RULES = {
  key: /^[a-z0-9][a-z0-9-]{7,63}$/,
  service: /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
  environment: /^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/,
  version: /^[A-Za-z0-9][A-Za-z0-9._+/~-]{0,127}$/,
  sha: /^(?:sha256:)?[0-9a-f]{7,64}$/,
} as const;

export function isValid(name: keyof typeof RULES, value: string): boolean {
  return RULES[name].test(value) && !value.includes('..');
}

/** @throws PipelineError PIPELINE_REJECTED when a value could mean something else to a program than itself */
export function validateRequest(request: TriggerRequest): void {
  for (const name of ['key', 'service', 'environment', 'version', 'sha'] as const) {
    if (isValid(name, request[name])) continue;
    throw new PipelineError(
      'PIPELINE_REJECTED',
      `The ${name} ${JSON.stringify(request[name].slice(0, 80))} has characters that are not passed to programs; nothing was started. Use letters, digits, ".", "_" and "-", beginning with a letter or digit.`,
    );
  }
}

/** Untrusted text as the value of an environment variable: one line, no control characters, at most 100 characters. */
export function plainValue(text: string): string {
  return text
    .replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ')
    .trim()
    .slice(0, 100);
}
