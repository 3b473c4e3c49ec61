import { z } from 'zod';
import type { LogLevel, LogLine } from '../monitoring/types.ts';
import { action, button, head, link, prose, type Run, runs, said, spoken, text } from './parts.ts';
import type { CardDefinition } from './render.ts';
import { logged, plain, safeUrl } from './text.ts';
import type { LogsInput } from './types.ts';
import { environmentTone, type Tone } from './words.ts';

const schema = z.strictObject({
  ...spoken,
  ...head.shape,
  query: z.string(),
  hasPartial: z.boolean(),
  partial: runs,
  hasLines: z.boolean(),
  earlier: z.string(),
  hasEarlier: z.boolean(),
  left: z.number(),
  lines: z.array(z.strictObject({ runs })),
  isEmpty: z.boolean(),
  empty: runs,
  hasFooter: z.boolean(),
  footer: z.string(),
  links: z.array(link),
  actions: z.array(action),
});
type Data = z.infer<typeof schema>;

/** Padded with no-break spaces, which clients keep. */
const LEVELS: Readonly<Record<LogLevel, { word: string; tone: Tone }>> = {
  debug: { word: 'debug', tone: 'default' },
  info: { word: 'info\u00a0', tone: 'default' },
  warn: { word: 'warn\u00a0', tone: 'warning' },
  error: { word: 'error', tone: 'attention' },
};
/** Characters of a line, and of all lines together: well under what a card may weigh. */
const LONGEST_LINE = 400;
const BUDGET = 26_000;
const MOST_LINES = 60;
/** What a line's runs weigh beside their text. */
const OVERHEAD = 260;

export const logs: CardDefinition<LogsInput, Data> = {
  name: 'logs',
  schema,
  build(input, sign) {
    const { bind, environment, service } = input;
    const lines = newest(input.lines);
    const left = input.lines.length - lines.length;
    const where = `${plain(service, 60)} in ${plain(environment, 50)}`;
    const count = input.lines.length === 1 ? '1 line' : `${input.lines.length} lines`;
    const summary = input.run
      ? `Run log of ${plain(service, 60)} #${plain(input.run.deployment, 20)}: ${count}`
      : `Logs of ${where}: ${input.lines.length === 0 ? 'no line matches' : count}`;
    const url = safeUrl(input.downloadUrl);
    const run = safeUrl(input.run?.url);
    const paged = (title: string, cursor: string) => button(sign, 'logs.query', title, { bind: { ...bind, cursor } });
    const footer = [
      ...(input.sharedBy === undefined ? [] : [`Shared by ${plain(input.sharedBy, 60)}`]),
      ...(input.lines.length > 0 && !input.run ? ['Times in UTC'] : []),
      ...(url === null ? [] : ['The link works once, within five minutes']),
    ];
    return {
      summary,
      data: {
        ...said(summary),
        state: input.lines.length === 0 ? '○ No line matches' : `≡ ${count}`,
        tone: 'default',
        environment: plain(environment, 50),
        environmentTone: environmentTone(environment, input.production ?? /^prod/i.test(environment)),
        title: input.run
          ? `${plain(service, 60)} #${plain(input.run.deployment, 20)}: run log`
          : `${plain(service, 60)} logs`,
        query: input.run ? 'the end of what the run wrote' : queryWords(input),
        hasPartial: input.partial !== undefined,
        partial: prose(`▲ ${input.partial ?? ''}`, 300, { color: 'warning' }),
        hasLines: lines.length > 0,
        left,
        ...earlier(left, input.run === undefined),
        lines,
        isEmpty: input.lines.length === 0,
        empty: prose(
          input.run
            ? 'The run has written nothing yet, or the pipeline keeps nothing of it.'
            : 'Nothing was logged that matches. Try a longer time, a lower level or another text.',
          200,
        ),
        hasFooter: footer.length > 0,
        footer: footer.join(' · '),
        links: [
          ...(url === null ? [] : [{ title: 'Open the whole result', url }]),
          ...(run === null ? [] : [{ title: 'Open the run', url: run }]),
        ],
        actions: input.run
          ? []
          : [
              ...(input.older === undefined ? [] : [paged('Older', input.older)]),
              ...(input.newer === undefined ? [] : [paged('Newer', input.newer)]),
              ...(input.lines.length > 0 && url === null
                ? [button(sign, 'logs.download', 'Download all', { bind })]
                : []),
              ...(input.shareable && input.lines.length > 0
                ? [button(sign, 'logs.share', 'Share to channel', { bind })]
                : []),
              button(sign, 'logs.form', 'Change the query', { bind: { service, environment } }),
            ],
      },
    };
  },
  shrink(data) {
    if (data.lines.length <= 1) return null;
    const lines = data.lines.slice(Math.ceil(data.lines.length / 2));
    const left = data.left + data.lines.length - lines.length;
    // Only a service's log has buttons.
    return { ...data, lines, left, ...earlier(left, data.actions.length > 0) };
  },
};

function earlier(left: number, downloadable: boolean): Pick<Data, 'hasEarlier' | 'earlier'> {
  return {
    hasEarlier: left > 0,
    earlier: `${left} earlier ${left === 1 ? 'line is' : 'lines are'} not shown here${downloadable ? ': download them all' : ''}`,
  };
}

function queryWords({ level, since, text: wanted }: LogsInput): string {
  return [
    `last ${plain(since, 20)}`,
    ...(level === undefined
      ? []
      : [level === 'error' ? 'errors only' : level === 'warn' ? 'warnings and up' : `${level} and up`]),
    ...(wanted ? [`containing “${plain(wanted, 100)}”`] : []),
  ].join(' · ');
}

/** The newest lines that fit, oldest first; what is too long is cut, what is too much is left out at the old end. */
function newest(lines: readonly LogLine[]): { runs: Run[] }[] {
  const shown: { runs: Run[] }[] = [];
  let size = 0;
  for (let index = lines.length - 1; index >= 0 && shown.length < MOST_LINES; index -= 1) {
    const line = lines[index];
    if (!line) break;
    const made = lineRuns(line);
    size += OVERHEAD + made.reduce((sum, run) => sum + JSON.stringify(run.text).length, 0);
    if (size > BUDGET) break;
    shown.push({ runs: made });
  }
  return shown.reverse();
}

function lineRuns({ level, text: content, time }: LogLine): Run[] {
  const mono = { fontType: 'monospace', size: 'small' } as const;
  const mark = level === undefined ? undefined : LEVELS[level];
  return [
    // A run's lines have their own times, if any.
    ...(time === '' ? [] : [text(`${clock(time)}  `, { ...mono, isSubtle: true })]),
    ...(mark
      ? [text(`${mark.word}  `, { ...mono, color: mark.tone, ...(level === 'debug' ? { isSubtle: true } : {}) })]
      : []),
    text(logged(content, LONGEST_LINE), mono),
  ];
}

/** "14:02:03.120" in UTC: log lines are read to the millisecond, which the client's own format doesn't show. */
function clock(time: string): string {
  const date = new Date(time);
  return time === '' || Number.isNaN(date.getTime()) ? '--:--:--' : date.toISOString().slice(11, 23);
}
