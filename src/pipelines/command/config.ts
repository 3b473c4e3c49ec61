import { parseArgsStringToArgv } from 'string-argv';
import { z } from 'zod';
import { parseDuration } from '../../durations.ts';
import { fill, type Placeholder, placeholderProblem } from '../requests.ts';

const DAY_MS = 86_400_000;

const duration = z.string().refine((text) => {
  const ms = parseDuration(text);
  return ms !== null && ms <= DAY_MS;
}, 'must be a number with s, m or h, such as 90s, 15m or 2h, and at most 24h');

/** The program and its arguments, still with placeholders. */
export function splitCommand(command: string | readonly string[]): string[] {
  return typeof command === 'string' ? parseArgsStringToArgv(command) : [...command];
}

const SHELL_WORDS = new Set(['|', '||', '&', '&&', ';', '>', '>>', '<', '<<', '2>&1']);

function commandProblem(command: string | readonly string[]): string | null {
  const [program, ...args] = splitCommand(command);
  if (!program) return 'needs a program';
  if (/[{}]/.test(program)) return 'the program itself must not be a placeholder';
  for (const arg of [program, ...args]) {
    if (arg.includes('\0')) return 'must not contain a NUL character';
    if (SHELL_WORDS.has(arg))
      return `"${arg}" would need a shell, and there is none: put it into a script and run that`;
    const problem = placeholderProblem(arg);
    if (problem !== null) return problem;
  }
  return null;
}

/** How a service is deployed by a program on the bot's own host. */
export const commandConfig = z.strictObject({
  command: z
    .union([z.string(), z.array(z.string()).min(1)])
    .superRefine((command, context) => {
      const problem = commandProblem(command);
      if (problem !== null) context.addIssue({ code: 'custom', message: problem });
    })
    .describe('Program with its arguments; {service} {environment} {version} {sha} {key} are filled in. No shell.'),
  cwd: z.string().min(1).default('.').describe('Working folder, relative to the configuration file'),
  timeout: duration.default('15m').describe('After this time the program and what it started are stopped'),
  stopGrace: duration.default('10s').describe('Time between asking it to stop (SIGTERM) and making it (SIGKILL)'),
  env: z
    .record(
      z
        .string()
        .regex(/^[A-Za-z_][A-Za-z0-9_]*$/, 'is not the name of an environment variable')
        .refine((name) => !name.startsWith('SHIPMATE_'), 'SHIPMATE_* are set by Shipmate'),
      z.string().refine((value) => !value.includes('\0'), 'must not contain a NUL character'),
    )
    .default({})
    .describe('Variables for the program, beside PATH, HOME, LANG, TZ and SHIPMATE_*; it gets no others'),
  stages: z
    .array(z.string().min(1).max(60))
    .max(30)
    .optional()
    .describe('Names of the stages in their order, to show those to come; the program prints "::stage <name>"'),
});

export type CommandConfig = z.infer<typeof commandConfig>;

/**
 * Fills placeholders in, per argument: a value can not split one.
 */
export function fillArguments(
  args: readonly string[],
  values: Record<Placeholder, string>,
  inputs: Readonly<Record<string, string>> = {},
): string[] {
  return args.map((arg) => fill(arg, values, inputs));
}

/** The argument that became an option by what was filled in, or null: `{input.note}` with "--force", for example. */
export function newOption(args: readonly string[], filled: readonly string[]): string | null {
  return args.find((arg, index) => !arg.startsWith('-') && filled[index]?.startsWith('-')) ?? null;
}

const SECRET_NAME = /secret|token|key|pass|pwd|credential|auth|dsn|connection/i;
const PLAIN_VALUE = /^(?:\d{1,6}|true|false|[a-z][a-z-]{0,15}|\.{0,2}\/[\w./-]*|https?:\/\/[^@\s?]*)$/;

/** The configured variables whose values must not show in output: all but what is plainly a word, number, path or URL. */
export function secretValues(env: Record<string, string>): string[] {
  return Object.entries(env)
    .filter(([name, value]) => SECRET_NAME.test(name) || !PLAIN_VALUE.test(value))
    .map(([, value]) => value);
}
