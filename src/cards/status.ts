import { z } from 'zod';
import { action, button, head, prose, type Run, runs, said, spoken, text, tone } from './parts.ts';
import type { CardDefinition } from './render.ts';
import { plain } from './text.ts';
import type { StatusInput } from './types.ts';
import { clientTime, environmentTone, stateLine, type Tone } from './words.ts';

type Row = StatusInput['rows'][number];

const row = z.strictObject({
  environment: z.string(),
  tone,
  runs,
  notes: z.array(z.strictObject({ runs })),
  hasTime: z.boolean(),
  at: z.string(),
});
const schema = z.strictObject({
  ...spoken,
  ...head.shape,
  services: z.array(z.strictObject({ named: z.boolean(), service: z.string(), rows: z.array(row) })),
  isEmpty: z.boolean(),
  empty: runs,
  at: z.string(),
  actions: z.array(action),
});
type Data = z.infer<typeof schema>;

/** Rows on one card; more are named by asking for one service. */
const SHOWN = 40;

export const status: CardDefinition<StatusInput, Data> = {
  name: 'status',
  schema,
  build(input, sign) {
    const rows = input.rows.slice(0, SHOWN);
    const services = [...new Set(rows.map(({ service }) => service))];
    const only = services.length === 1 ? services[0] : undefined;
    const overall = overallOf(input.rows);
    const title = only === undefined ? 'What runs where' : `${plain(only, 60)}: what runs where`;
    const left = input.rows.length - rows.length;
    const summary = `${title}: ${overall.word}`;
    return {
      summary,
      data: {
        ...said(`${summary}. ${rows.slice(0, 5).map(spokenRow).join(' ')}`),
        state: `${overall.sign} ${overall.word}`,
        tone: overall.tone,
        environment: services.length > 1 ? `${services.length} services` : ' ',
        environmentTone: 'default',
        title,
        services: services.map((service) => ({
          // The title names it already when there is only one.
          named: only === undefined,
          service: plain(service, 60),
          rows: rows.filter((each) => each.service === service).map((each) => rowOf(each, input.now)),
        })),
        isEmpty: rows.length === 0 || left > 0,
        empty: left > 0 ? leftWords(left) : prose('There is no service here that you may see.', 200),
        at: clientTime(input.now),
        actions: [
          button(sign, 'status.show', 'Refresh', {
            bind: { refresh: 'here', ...(only === undefined ? {} : { service: only }) },
          }),
          ...(only === undefined ? [] : [button(sign, 'history.show', 'History', { bind: { service: only } })]),
        ],
      },
    };
  },
  shrink(data) {
    if (data.services.length <= 1) return null;
    const services = data.services.slice(0, Math.ceil(data.services.length / 2));
    return {
      ...data,
      services,
      isEmpty: true,
      empty: prose('More services are not shown here: `status NAME` shows one.', 200),
    };
  },
};

function leftWords(left: number): Run[] {
  return prose(`${left} more are not shown here: \`status NAME\` shows one service.`, 200, { isSubtle: true });
}

function overallOf(rows: readonly Row[]): { sign: string; word: string; tone: Tone } {
  const drifted = rows.filter(({ drift }) => drift).length;
  if (drifted > 0)
    return {
      sign: '▲',
      word: drifted === 1 ? '1 differs from what was deployed' : `${drifted} differ from what was deployed`,
      tone: 'warning',
    };
  const busy = rows.filter(({ current }) => current).length;
  if (busy > 0)
    return { sign: '●', word: busy === 1 ? '1 deployment under way' : `${busy} deployments under way`, tone: 'accent' };
  const unknown = rows.filter(({ problem, version }) => problem !== undefined || version === null).length;
  if (unknown > 0)
    return {
      sign: '▲',
      word: unknown === rows.length ? 'Nothing could be asked' : `${unknown} could not be asked`,
      tone: 'warning',
    };
  return rows.length === 0
    ? { sign: '○', word: 'Nothing to show', tone: 'default' }
    : { sign: '✔', word: 'All as deployed', tone: 'good' };
}

function rowOf(each: Row, now: Date): z.infer<typeof row> {
  const { current, drift, last, problem, source, version } = each;
  const notes: Run[][] = [];
  if (current) {
    const line = stateLine(current, now);
    notes.push([
      text(`${line.sign} ${line.word}`, { color: line.tone, size: 'small' }),
      text(`: ${plain(current.version, 50)}, asked by ${plain(current.requestedBy.name, 60)}`, { size: 'small' }),
    ]);
  }
  for (const note of each.notes ?? []) notes.push([text(`▲ ${plain(note, 200)}`, { color: 'warning', size: 'small' })]);
  if (drift)
    notes.push([
      text(`▲ The last deployment brought ${plain(drift.deployed, 50)}`, { color: 'warning', size: 'small' }),
    ]);
  if (problem !== undefined)
    notes.push([text(`▲ It does not answer: ${plain(problem, 120)}`, { color: 'warning', size: 'small' })]);
  const known = source === 'deployed' ? ' as last deployed' : '';
  if (last && !drift)
    notes.push([text(`Deployed by ${plain(last.requestedBy.name, 60)}`, { isSubtle: true, size: 'small' })]);
  const at = last && !drift ? clientTime(last.finishedAt) : '';
  return {
    environment: plain(each.environment, 50),
    tone: environmentTone(each.environment, each.production),
    runs:
      version === null
        ? [text('unknown', { isSubtle: true })]
        : [text(plain(version, 50), { weight: 'bolder' }), ...(known ? [text(known, { isSubtle: true })] : [])],
    notes: notes.map((note) => ({ runs: note })),
    hasTime: at !== '',
    at,
  };
}

function spokenRow({ environment, service, version }: Row): string {
  return `${plain(service, 60)} ${plain(environment, 50)}: ${version === null ? 'unknown' : plain(version, 50)}.`;
}
