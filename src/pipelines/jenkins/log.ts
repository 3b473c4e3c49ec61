import { stripVTControlCharacters } from 'node:util';
import type { Redactor } from '../../logger.ts';

const LONGEST_LINE = 2000;

// What Jenkins hides in the console for its own pages: https://javadoc.jenkins.io/hudson/console/ConsoleNote.html
// biome-ignore lint/suspicious/noControlCharactersInRegex: the escapes are what is looked for
const CONSOLE_NOTE = /\u001b\[8mha:.*?\u001b\[0m/g;

/** A console's text as lines without escapes and secrets. Redacted as a whole: a private key has many lines. */
export function toLines(text: string, redact: Redactor): string[] {
  const plain = stripVTControlCharacters(redact(text.replace(CONSOLE_NOTE, '')));
  return plain
    .split(/\r?\n/)
    .map((line) =>
      line
        .replace(/\p{Cc}/gu, ' ')
        .trimEnd()
        .slice(0, LONGEST_LINE),
    )
    .filter((line) => line !== '');
}

/** What a person wants of a console's end: without the steps of the pipeline and the questions of its inputs. */
export function interesting(lines: readonly string[]): string[] {
  const kept: string[] = [];
  let inQuestion = false;
  for (const line of lines) {
    const step = /^\[Pipeline\] (.*)$/.exec(line)?.[1];
    // The input step prints its message, then "Proceed or Abort", where a button may have another name.
    if (step !== undefined) inQuestion = step === 'input';
    else if (!inQuestion) kept.push(line);
    else if (/^.+ or Abort$|^Input requested$/.test(line)) inQuestion = false;
  }
  return kept;
}

/** The text in the HTML that the log of a step comes as. */
export function fromHtml(html: string): string {
  const entities: Readonly<Record<string, string>> = { lt: '<', gt: '>', quot: '"', apos: "'", '#039': "'", amp: '&' };
  return html
    .replace(/<[^>]*>/g, '')
    .replace(/&(lt|gt|quot|apos|#039|amp);/g, (_match, name: string) => entities[name] ?? '');
}
