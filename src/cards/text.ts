/**
 * Text that came from outside (log lines, commit subjects, reasons, names) becomes inert here before it goes into a
 * card. It is shown in TextRuns only, where markdown means nothing; this removes what would act there all the same:
 * terminal codes, characters that reorder or hide others, mentions, and the client's own date macros.
 */

const ANSI =
  // biome-ignore lint/suspicious/noControlCharactersInRegex: terminal codes are what is looked for
  /(?:\u001b\[|\u009b)[0-?]*[ -/]*[@-~]|\u001b[\]PX^_][^\u0007\u001b\u009c]*(?:\u0007|\u001b\\|\u009c|$)|\u001b[ -/]*[0-~]?/g;
/** Bidirectional controls, zero-width characters, fillers that look empty, language tags. */
const HIDDEN =
  /\u00ad|\u034f|\u061c|[\u115f\u1160]|[\u17b4\u17b5]|[\u180b-\u180f]|[\u200b-\u200f]|[\u202a-\u202e]|[\u2060-\u206f]|\u3164|[\ufe00-\ufe0e]|\ufeff|\uffa0|[\ufff9-\ufffb]|[\u{e0000}-\u{e0fff}]/gu;
// biome-ignore lint/suspicious/noControlCharactersInRegex: controls are what is looked for
const CONTROL = /[\u0000-\u001f\u007f-\u009f\u2028\u2029]+/g;
/** Marks piled on one letter would draw over the lines above and below. */
const PILED_MARKS = /(\p{M}{3})\p{M}+/gu;
/** The client replaces {{DATE(...)}} and {{TIME(...)}} wherever it shows text. */
const MACRO = /\{\{(?=\s*(?:DATE|TIME))/gi;
const MENTION = /<(?=\s*\/?\s*at\b)/gi;
const CLEAN = /^[ -;=-z|}~]*$/;
/** Beyond this nothing could be shown anyway: it bounds the work on a line of megabytes. */
const LONGEST = 8_000;

/** One safe line of at most `max` characters; cut last, with "…". */
export function plain(text: string, max: number): string {
  if (CLEAN.test(text) && text.length <= max) return text;
  const safe = text
    .slice(0, Math.max(LONGEST, max))
    .toWellFormed()
    .replace(ANSI, '')
    .replace(HIDDEN, '')
    .replace(CONTROL, ' ')
    .replace(PILED_MARKS, '$1')
    .replace(MACRO, '{ {')
    .replace(MENTION, '‹')
    .trimEnd();
  return clip(safe, max);
}

/** A line of output or of a log: as `plain`, with its indentation kept in characters that clients don't collapse. */
export function logged(line: string, max: number): string {
  return plain(line, max).replace(/^ {1,16}/, (spaces) => '\u00a0'.repeat(Math.min(spaces.length, 8))) || ' ';
}

/** Cuts without splitting a character in two. */
function clip(text: string, max: number): string {
  if (text.length <= max) return text;
  const end = text.charCodeAt(max - 2) >>> 10 === 0x36 ? max - 2 : max - 1;
  return `${text.slice(0, end).trimEnd()}…`;
}

/** Seven characters of a commit or digest. */
export function short(hash: string): string {
  return plain(hash, 200).slice(0, 7);
}

/** The address when a button may open it (http and https only), else null. */
export function safeUrl(url: string | undefined): string | null {
  if (url === undefined || url.length > 2_000) return null;
  if (!URL.canParse(url)) return null;
  const { href, protocol } = new URL(url);
  return protocol === 'https:' || protocol === 'http:' ? href : null;
}

/** "leads, platform and 3 more". */
export function list(names: readonly string[], max: number): string {
  const shown = names.slice(0, max).map((name) => plain(name, 60));
  const more = names.length - shown.length;
  if (more > 0) return `${shown.join(', ')} and ${more} more`;
  return shown.join(', ');
}
