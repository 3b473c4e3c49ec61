import { PipelineError } from '../errors.ts';
import type { TriggerRequest } from './types.ts';

/** What every adapter does with a request before anything leaves: checks its values, fills them into configured texts. */

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

const INPUT_NAME = /^[a-z][a-z0-9-]*$/;
const LONGEST_INPUT = 200;

/** @throws PipelineError PIPELINE_REJECTED when a value could mean something else to a program than itself */
export function validateRequest(request: TriggerRequest): void {
  for (const name of ['key', 'service', 'environment', 'version', 'sha'] as const) {
    if (isValid(name, request[name])) continue;
    throw new PipelineError(
      'PIPELINE_REJECTED',
      `The ${name} ${JSON.stringify(request[name].slice(0, 80))} has characters that are not passed on; nothing was started. Use letters, digits, ".", "_" and "-", beginning with a letter or digit.`,
    );
  }
  for (const [name, value] of Object.entries(request.inputs ?? {})) {
    const shown = JSON.stringify(name.slice(0, 80));
    if (!INPUT_NAME.test(name))
      throw new PipelineError(
        'PIPELINE_REJECTED',
        `${shown} can't be the name of an input; nothing was started. Use small letters, digits and "-", beginning with a letter.`,
      );
    // Typed as text, but it was stored as JSON and typed by somebody before.
    if (typeof value !== 'string' || [...value].length > LONGEST_INPUT || /\p{Cc}/u.test(value))
      throw new PipelineError(
        'PIPELINE_REJECTED',
        `The input ${shown} must be one line of at most ${LONGEST_INPUT} characters, without control characters; nothing was started.`,
      );
  }
}

export const PLACEHOLDERS = ['service', 'environment', 'version', 'sha', 'key'] as const;
export type Placeholder = (typeof PLACEHOLDERS)[number];

/** The first placeholder in a configured text that does not exist, in words; null when all do. */
export function placeholderProblem(text: string): string | null {
  for (const [, name = ''] of text.matchAll(/\{([a-z]\w*|inputs?\.[^{}]*)\}/gi)) {
    if (PLACEHOLDERS.some((known) => known === name) || /^input\.[a-z][a-z0-9-]*$/.test(name)) continue;
    const known = [...PLACEHOLDERS, 'input.NAME'].map((each) => `{${each}}`).join(', ');
    return `{${name}} is not known; there are ${known}, where NAME has small letters, digits and "-"`;
  }
  return null;
}

/** Fills placeholders in, in one pass: a value is not filled in again. An input that was not given becomes an empty text. */
export function fill(
  text: string,
  values: Readonly<Record<Placeholder, string>>,
  inputs: Readonly<Record<string, string>> = {},
): string {
  return text.replace(
    /\{(?:(service|environment|version|sha|key)|input\.([a-z][a-z0-9-]*))\}/g,
    (_match, name: Placeholder | undefined, input: string) => {
      if (name !== undefined) return values[name];
      return Object.hasOwn(inputs, input) ? (inputs[input] ?? '') : '';
    },
  );
}

/** Untrusted text as one line without control characters, at most `most` characters, which UTF-8 can hold. */
export function plainValue(text: string, most = 100): string {
  const line = text.replace(/[\p{Cc}\p{Cf}\u2028\u2029]+/gu, ' ').trim();
  // By whole characters: half of one would come back from a file as another one.
  return [...line].slice(0, most).join('').toWellFormed();
}
