import { z } from 'zod';
import type { Refusal } from '../errors.ts';
import { plain } from './text.ts';
import type { SignAction, Verb } from './types.ts';
import { clientTime, type Tone } from './words.ts';

/** Pieces that several cards share: what their templates bind to, and how it is made. */

export const tone = z.enum(['default', 'accent', 'good', 'warning', 'attention']);

/**
 * A piece of text that no client reads as markup. Lists of them are bound whole (`"inlines": "${runs}"`), which is
 * safe because this schema lets nothing else through.
 */
export const run = z.strictObject({
  type: z.literal('TextRun'),
  text: z.string(),
  color: tone.optional(),
  size: z.enum(['small', 'default', 'medium', 'large']).optional(),
  weight: z.enum(['default', 'bolder']).optional(),
  isSubtle: z.boolean().optional(),
  fontType: z.enum(['default', 'monospace']).optional(),
});
export type Run = z.infer<typeof run>;
export const runs = z.array(run).min(1);

export function text(content: string, style: Omit<Run, 'type' | 'text'> = {}): Run {
  return { type: 'TextRun', text: content, ...style };
}

/** Our own sentences: what stands in backticks is shown in monospace. */
export function prose(content: string, max: number, style: Omit<Run, 'type' | 'text' | 'fontType'> = {}): Run[] {
  const pieces = plain(content, max).split('`');
  // An odd number of backticks means that one of them is just a character.
  if (pieces.length % 2 === 0) return [text(pieces.join('`'), style)];
  const spans = pieces.map((piece, index) =>
    index % 2 === 1 ? text(piece, { ...style, fontType: 'monospace' }) : text(piece, style),
  );
  const shown = spans.filter((span) => span.text !== '');
  return shown.length > 0 ? shown : [text(' ', style)];
}

export const action = z.strictObject({
  title: z.string().min(1),
  verb: z.string(),
  token: z.string().min(1),
  style: z.enum(['default', 'positive', 'destructive']),
  inputs: z.enum(['auto', 'none']),
});
export type ActionData = z.infer<typeof action>;

/** A button. `inputs: 'auto'` sends (and validates) the card's inputs with it. */
export function button(
  sign: SignAction,
  verb: Verb,
  title: string,
  more: { bind?: Record<string, string>; style?: ActionData['style']; inputs?: ActionData['inputs'] } = {},
): ActionData {
  return {
    title: plain(title, 60),
    verb,
    token: sign(verb, more.bind ?? {}),
    style: more.style ?? 'default',
    inputs: more.inputs ?? 'none',
  };
}

export const link = z.strictObject({ title: z.string(), url: z.string() });

export const choice = z.strictObject({ title: z.string(), value: z.string() });
export const choiceSet = z.strictObject({
  choices: z.array(choice),
  style: z.enum(['compact', 'filtered']),
  value: z.string(),
});
export type ChoiceSet = z.infer<typeof choiceSet>;

/** Characters of choices in one card; past it the list is cut, and the card says how to name the rest. */
const CHOICES_BUDGET = 9_000;

/** A list to choose from: compact up to 15, filtered by typing beyond. A value that isn't in the list is dropped. */
export function choices(
  items: readonly { title: string; value: string }[],
  value?: string,
): ChoiceSet & { left: number } {
  const shown: { title: string; value: string }[] = [];
  let size = 0;
  for (const item of items) {
    // What can't be shown as it is (hidden characters, mentions) can't be chosen either: nobody could tell what it is.
    if (item.value === '' || plain(item.value, 200) !== item.value) continue;
    const title = plain(item.title, 80);
    size += JSON.stringify(title).length + JSON.stringify(item.value).length + 24;
    if (size <= CHOICES_BUDGET) shown.push({ title, value: item.value });
    // What was chosen stays in the list even when the list is cut.
    else if (item.value === value) shown.unshift({ title, value: item.value });
  }
  return {
    choices: shown,
    style: shown.length > 15 ? 'filtered' : 'compact',
    value: value !== undefined && shown.some((item) => item.value === value) ? value : '',
    left: items.length - shown.length,
  };
}

export const fact = z.strictObject({
  label: z.string(),
  hasRuns: z.boolean(),
  runs,
  hasTime: z.boolean(),
  at: z.string(),
  after: z.string(),
});
export type Fact = z.infer<typeof fact>;

const NOTHING: Run[] = [text('')];

/** A labelled value. Never give it text from outside without `plain`. */
export function factOf(label: string, value: string | Run[]): Fact {
  const content = typeof value === 'string' ? [text(value)] : value;
  return { label, hasRuns: true, runs: content, hasTime: false, at: '', after: '' };
}

/** A labelled time, formatted by the client for its reader; `after` is our own words behind it. */
export function timeFact(label: string, time: string | Date | null | undefined, after = ''): Fact | null {
  const at = clientTime(time);
  return at === '' ? null : { label, hasRuns: false, runs: NOTHING, hasTime: true, at, after };
}

export const problem = z.strictObject({
  runs,
  hasNext: z.boolean(),
  next: runs,
  hasOptions: z.boolean(),
  options: z.string(),
  code: z.string(),
});
export type ProblemData = z.infer<typeof problem>;

/** What was wrong with what was typed, as a list of none or one, for the template's `$data`. */
export function problemOf(refusal: Refusal | undefined): ProblemData[] {
  if (!refusal) return [];
  return [
    {
      runs: prose(refusal.message, 400),
      hasNext: refusal.next !== undefined,
      next: prose(refusal.next ?? '', 300),
      hasOptions: (refusal.options ?? []).length > 0,
      options: options(refusal.options ?? []),
      code: refusal.code,
    },
  ];
}

/** "1.2.3, 1.2.2, 1.2.1 and 7 more". */
export function options(values: readonly string[]): string {
  const shown = values.slice(0, 10).map((value) => plain(value, 60));
  const more = values.length - shown.length;
  return more > 0 ? `${shown.join(', ')} and ${more} more` : shown.join(', ');
}

export const head = z.strictObject({
  state: z.string(),
  tone,
  environment: z.string(),
  environmentTone: tone,
  title: z.string(),
});

/** What every card's template binds. */
export const spoken = { speak: z.string().min(1), fallbackText: z.string().min(1) };

export function said(summary: string, instead?: string): { speak: string; fallbackText: string } {
  return { speak: summary, fallbackText: instead ?? summary };
}

export type { Tone };
