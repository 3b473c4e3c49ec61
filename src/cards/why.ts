import { z } from 'zod';
import { changesData, changesOf } from './changes.ts';
import { fromTo } from './deploy-confirm.ts';
import { action, fact, factOf, head, prose, runs, said, spoken, tone } from './parts.ts';
import type { CardDefinition } from './render.ts';
import { plain } from './text.ts';
import type { WhyInput } from './types.ts';
import { environmentTone, type Tone } from './words.ts';

const schema = z.strictObject({
  ...spoken,
  ...head.shape,
  answer: runs,
  rules: z.array(z.strictObject({ sign: z.string(), tone, rule: z.string(), note: runs })),
  hasFacts: z.boolean(),
  facts: z.array(fact).max(5),
  ...changesData,
  hasNext: z.boolean(),
  next: runs,
  hasFooter: z.boolean(),
  footer: z.string(),
  actions: z.array(action),
});

const SIGNS: Readonly<Record<WhyInput['findings'][number]['verdict'], { sign: string; tone: Tone }>> = {
  pass: { sign: '✔', tone: 'good' },
  needs: { sign: '◷', tone: 'warning' },
  refuse: { sign: '✖', tone: 'attention' },
  broken: { sign: '▲', tone: 'attention' },
};
const HEADS: Readonly<Record<WhyInput['verdict'], { state: string; tone: Tone }>> = {
  yes: { state: '✔ It would run', tone: 'good' },
  asks: { state: '◷ It would have to wait', tone: 'warning' },
  no: { state: '✖ It would be refused', tone: 'attention' },
};

/** What every rule says to a wish: the answer of `why` and of a dry run. Nothing on it does anything. */
export const why: CardDefinition<WhyInput, z.infer<typeof schema>> = {
  name: 'why',
  schema,
  build(input) {
    const { changes, changesTotal, fromSha, fromVersion, sha, version } = input;
    const title = plain(input.title, 160);
    const mark = HEADS[input.verdict];
    const known = version !== null && sha !== null;
    const summary = `${title}: ${mark.state.slice(2).toLowerCase()}`;
    return {
      summary,
      data: {
        ...said(`${summary}. ${plain(input.answer, 300)}`),
        ...mark,
        environment: plain(input.environment, 50),
        environmentTone: environmentTone(input.environment, input.production),
        title,
        answer: prose(input.answer, 500),
        rules: input.findings.slice(0, 12).map(({ note, rule, verdict }) => ({
          sign: SIGNS[verdict].sign,
          tone: SIGNS[verdict].tone,
          rule: plain(rule, 30),
          note: prose(note, 300),
        })),
        hasFacts: known,
        facts: known ? [factOf('Version', fromTo({ fromVersion, fromSha, version, sha }))] : [],
        ...changesOf(changes, changesTotal, false),
        hasNext: Boolean(input.next),
        next: prose(input.next ?? '', 400),
        // "OK" is no reason for anything.
        hasFooter: input.code !== undefined && input.code !== 'OK',
        footer: plain(input.code ?? '', 60),
        actions: [],
      },
    };
  },
};
