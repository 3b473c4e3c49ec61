import { z } from 'zod';
import type { Deployment } from '../deploys/types.ts';
import { action, button, head, prose, type Run, runs, said, spoken, text, tone } from './parts.ts';
import type { CardDefinition } from './render.ts';
import { list, plain } from './text.ts';
import type { HistoryInput } from './types.ts';
import { between, clientTime, duration, environmentTone, stateWord } from './words.ts';

const schema = z.strictObject({
  ...spoken,
  ...head.shape,
  rows: z.array(z.strictObject({ sign: z.string(), tone, runs, details: runs, hasTime: z.boolean(), at: z.string() })),
  isEmpty: z.boolean(),
  empty: runs,
  left: z.number(),
  hasFooter: z.boolean(),
  footer: z.string(),
  actions: z.array(action),
});
type Data = z.infer<typeof schema>;

const SHOWN = 15;

export const history: CardDefinition<HistoryInput, Data> = {
  name: 'history',
  schema,
  build(input, sign) {
    const shown = input.deployments.slice(0, SHOWN);
    const left = input.deployments.length - shown.length;
    const service = plain(input.service, 60);
    const environment = input.environment === undefined ? '' : plain(input.environment, 50);
    const count = input.deployments.length;
    const title = `${service}: what was deployed`;
    const summary = `${title}${environment ? ` to ${environment}` : ''}: ${count === 0 ? 'nothing yet' : count === 1 ? '1 deployment' : `the last ${count}`}`;
    return {
      summary,
      data: {
        ...said(`${summary}. ${shown.slice(0, 3).map(spokenRow).join(' ')}`),
        state: count === 0 ? '○ Nothing yet' : count === 1 ? '≡ 1 deployment' : `≡ The last ${count}`,
        tone: 'default',
        environment: environment || 'every environment',
        environmentTone: environment
          ? environmentTone(environment, input.production ?? /^prod/i.test(environment))
          : 'default',
        title,
        rows: shown.map((it) => rowOf(it)),
        isEmpty: count === 0,
        empty: prose(`Nothing was deployed here yet. \`deploy ${service}\` is how it starts.`, 200),
        left,
        ...footerOf(left),
        actions: [button(sign, 'status.show', 'What runs now')],
      },
    };
  },
  shrink(data) {
    if (data.rows.length <= 1) return null;
    const rows = data.rows.slice(0, Math.floor(data.rows.length / 2));
    const left = data.left + data.rows.length - rows.length;
    return { ...data, rows, left, ...footerOf(left) };
  },
};

function footerOf(left: number): Pick<Data, 'hasFooter' | 'footer'> {
  return { hasFooter: left > 0, footer: `and ${left} more` };
}

function rowOf(it: Deployment): Data['rows'][number] {
  const { sign, tone: stateTone, word } = stateWord(it.state);
  const took = between(it.startedAt, it.finishedAt);
  const approvers = it.votes.filter(({ decision }) => decision === 'approve').map(({ person }) => person.name);
  const at = clientTime(it.finishedAt ?? it.startedAt ?? it.createdAt);
  const small = { size: 'small', isSubtle: true } as const;
  const details: Run[] = [
    text(word, { size: 'small', color: stateTone }),
    text(
      [
        '',
        plain(it.requestedBy.name, 60) || 'somebody',
        ...(approvers.length > 0 ? [`approved by ${list(approvers, 2)}`] : []),
        ...(took === null ? [] : [duration(took)]),
        `#${plain(it.id, 20)}`,
      ].join(' · '),
      small,
    ),
  ];
  return {
    sign,
    tone: stateTone,
    runs: [
      text(plain(it.command?.name ?? it.version, 50), { weight: 'bolder' }),
      text(` → ${plain(it.environment, 50)}`),
      ...(it.kind === 'deploy' || it.kind === 'command'
        ? []
        : [text(it.kind === 'rollback' ? ' · rollback' : ' · once more', { isSubtle: true })]),
      ...(it.breakGlass === null ? [] : [text(' · glass broken', { color: 'attention' })]),
    ],
    details,
    hasTime: at !== '',
    at,
  };
}

function spokenRow(it: Deployment): string {
  return `${plain(it.version, 50)} to ${plain(it.environment, 50)}: ${stateWord(it.state).word}.`;
}
