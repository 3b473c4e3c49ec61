import { z } from 'zod';
import type { Deployment } from '../deploys/types.ts';
import type { StageState } from '../pipelines/types.ts';
import { tone } from './parts.ts';
import { logged, plain } from './text.ts';
import { between, duration, type StateWord } from './words.ts';

/** What shows that the state is so: stages with their times, and the last lines of output. */
export const evidenceData = {
  hasStages: z.boolean(),
  progress: z.array(z.strictObject({ percent: z.number(), tone, text: z.string() })).max(1),
  stages: z.array(z.strictObject({ sign: z.string(), tone, name: z.string(), time: z.string() })).max(6),
  hasStagesMore: z.boolean(),
  stagesMore: z.string(),
  hasTail: z.boolean(),
  tail: z.array(z.strictObject({ line: z.string() })).max(8),
};
type Evidence = z.infer<z.ZodObject<typeof evidenceData>>;

const SIGNS: Readonly<Record<StageState, StateWord>> = {
  waiting: { sign: '○', word: 'waiting', tone: 'default' },
  running: { sign: '●', word: 'running', tone: 'accent' },
  succeeded: { sign: '✔', word: 'done', tone: 'good' },
  failed: { sign: '✖', word: 'failed', tone: 'attention' },
  skipped: { sign: '⊘', word: 'skipped', tone: 'default' },
};
/** In a deployment that is over, nothing runs and nothing waits. */
const SIGNS_AFTERWARDS: Readonly<Record<StageState, StateWord>> = {
  ...SIGNS,
  waiting: { sign: '○', word: 'not reached', tone: 'default' },
  running: { sign: '⊘', word: 'stopped', tone: 'default' },
};
const SHOWN_STAGES = 6;
const NONE = { hasStages: false, progress: [], stages: [], hasStagesMore: false, stagesMore: '' };

export function stageRows(it: Deployment, now: Date): Omit<Evidence, 'hasTail' | 'tail'> {
  if (it.startedAt === null || it.stages.length === 0) return NONE;
  const { stages } = it;
  const current = stages.findIndex(({ state }) => state === 'running' || state === 'failed');
  const done = stages.filter(({ state }) => state === 'succeeded' || state === 'skipped').length;
  // The one that runs or failed must be among those that are shown.
  const first = Math.max(0, Math.min(current - 2, stages.length - SHOWN_STAGES));
  const shown = stages.slice(first, first + SHOWN_STAGES);
  const more = stages.length - shown.length;
  const running = stages[current];
  const over = it.finishedAt !== null;
  return {
    hasStages: true,
    progress:
      it.state === 'running'
        ? [
            {
              percent: Math.round((100 * done) / stages.length),
              tone: 'accent',
              text: `${done} of ${stages.length} stages done${running ? `, now ${plain(running.name, 40)}` : ''}`,
            },
          ]
        : [],
    stages: shown.map((stage) => {
      const mark = (over ? SIGNS_AFTERWARDS : SIGNS)[stage.state];
      const took = between(stage.startedAt, stage.finishedAt ?? (stage.state === 'running' && !over ? now : null));
      return {
        sign: `${mark.sign}  `,
        tone: mark.tone,
        name: plain(stage.name, 60) || '(no name)',
        time: took === null ? mark.word : duration(took),
      };
    }),
    hasStagesMore: more > 0,
    stagesMore: `and ${more} more stages`,
  };
}

/** Lines of output while it runs and where it failed; afterwards nobody reads them. */
export function tailLines(it: Deployment): Pick<Evidence, 'hasTail' | 'tail'> {
  const wanted = it.state === 'running' ? 4 : it.state === 'failed' || it.state === 'attention' ? 8 : 0;
  const tail = (wanted === 0 ? [] : it.tail.slice(-wanted)).map((line) => ({ line: logged(line, 160) }));
  return { hasTail: tail.length > 0, tail };
}
