import { z } from 'zod';
import { LOG_LEVELS } from '../monitoring/types.ts';
import { formData, placeInputs } from './form.ts';
import { button, choiceSet, choices, problemOf, said, spoken } from './parts.ts';
import type { CardDefinition } from './render.ts';
import { plain } from './text.ts';
import type { LogsFormInput } from './types.ts';

const schema = z.strictObject({
  ...spoken,
  ...formData,
  since: z.array(choiceSet).length(1),
  level: z.array(choiceSet).length(1),
  text: z.string(),
  limit: z.number().int().min(1).max(1000),
});

const SPANS: readonly { title: string; value: string }[] = [
  { title: 'Last 5 minutes', value: '5m' },
  { title: 'Last 15 minutes', value: '15m' },
  { title: 'Last hour', value: '1h' },
  { title: 'Last 6 hours', value: '6h' },
  { title: 'Last day', value: '1d' },
  { title: 'Last week', value: '7d' },
];
/** The level's value when every line is wanted; no level has this name. */
const EVERY = 'all';
const LEVEL_TITLES = {
  debug: 'Debug and up',
  info: 'Info and up',
  warn: 'Warnings and up',
  error: 'Errors only',
} as const;
const LEVELS: readonly { title: string; value: string }[] = [
  { title: 'Every level', value: EVERY },
  ...LOG_LEVELS.map((level) => ({ title: LEVEL_TITLES[level], value: level })),
];

export const logsForm: CardDefinition<LogsFormInput, z.infer<typeof schema>> = {
  name: 'logs-form',
  schema,
  build(input, sign) {
    const summary = input.service ? `Logs of ${plain(input.service, 60)}` : 'Logs: choose of what and where';
    const since = input.since ?? '15m';
    const known = SPANS.some(({ value }) => value === since);
    const { left: _, ...spans } = choices(known ? SPANS : [...SPANS, { title: `Last ${since}`, value: since }], since);
    const { left: __, ...levels } = choices(LEVELS, input.level ?? EVERY);
    return {
      summary,
      data: {
        ...said(summary, 'Say it in one line: logs SERVICE ENVIRONMENT since=15m level=error.'),
        title: 'Logs',
        ...placeInputs(input, 'logs storefront production'),
        problem: problemOf(input.problem),
        since: [spans],
        level: [levels],
        text: plain(input.text ?? '', 200),
        limit: Math.min(1000, Math.max(1, Math.round(input.limit ?? 50))),
        actions: [button(sign, 'logs.query', 'Show logs', { style: 'positive', inputs: 'auto' })],
      },
    };
  },
};
