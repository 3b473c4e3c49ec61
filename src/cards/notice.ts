import { z } from 'zod';
import { action, button, options, prose, runs, said, spoken, tone } from './parts.ts';
import type { CardDefinition } from './render.ts';
import { plain } from './text.ts';
import type { NoticeInput } from './types.ts';
import type { Tone } from './words.ts';

const schema = z.strictObject({
  ...spoken,
  sign: z.string(),
  tone,
  title: z.string(),
  message: runs,
  hasNext: z.boolean(),
  next: runs,
  hasOptions: z.boolean(),
  options: z.string(),
  hasFooter: z.boolean(),
  footer: z.string(),
  actions: z.array(action),
});

const TONES: Readonly<Record<NoticeInput['tone'], { sign: string; tone: Tone }>> = {
  info: { sign: 'ℹ', tone: 'accent' },
  good: { sign: '✔', tone: 'good' },
  warning: { sign: '▲', tone: 'warning' },
  attention: { sign: '✖', tone: 'attention' },
};

export const notice: CardDefinition<NoticeInput, z.infer<typeof schema>> = {
  name: 'notice',
  schema,
  build(input, sign) {
    const title = plain(input.title, 100);
    const mark = TONES[input.tone];
    const values = options(input.options ?? []);
    const words = [plain(input.message, 600), plain(input.next ?? '', 400)].filter(Boolean).join(' ');
    return {
      summary: title,
      data: {
        ...said(`${title}. ${words}`),
        sign: `${mark.sign}  `,
        tone: mark.tone,
        title,
        message: prose(input.message, 600),
        hasNext: Boolean(input.next),
        next: prose(input.next ?? '', 400),
        hasOptions: values !== '',
        options: values,
        hasFooter: input.code !== undefined,
        footer: plain(input.code ?? '', 60),
        actions: input.action
          ? [button(sign, input.action.verb, input.action.title, { bind: input.action.bind ?? {}, style: 'positive' })]
          : [],
      },
    };
  },
};
