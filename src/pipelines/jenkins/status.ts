import { plainValue } from '../requests.ts';
import type { RunStatus, Stage, StageState } from '../types.ts';
import type { Build, DescribedStage } from './schema.ts';

const MOST_STAGES = 50;

/** Who stopped a build, by the class of the cause that Jenkins recorded. */
type Interruption = 'rejected' | 'timeout' | 'stopped';

/** How a build was interrupted, and in which words; null when it was not. */
export function interruptionOf(build: Build): { how: Interruption; words: string } | null {
  const actions = (build.actions ?? []).filter((action) => action?._class?.endsWith('.InterruptedBuildAction'));
  const causes = actions.flatMap((action) => action?.causes ?? []);
  const said = (ending: string) => causes.find((cause) => cause._class?.endsWith(ending));
  const words = (cause: (typeof causes)[number] | undefined) => plainValue(cause?.shortDescription ?? '', 200);
  const rejection = said('.Rejection');
  if (rejection) return { how: 'rejected', words: words(rejection) };
  const timeout = said('ExceededTimeout');
  if (timeout) return { how: 'timeout', words: words(timeout) };
  return actions.length > 0 ? { how: 'stopped', words: words(causes[0]) } : null;
}

/** A build that is rejected or out of time is ABORTED for Jenkins, as one is that a person stopped. */
export function stateOf(build: Build): RunStatus['state'] {
  if (build.building === true || !build.result) return 'running';
  if (build.result === 'SUCCESS') return 'succeeded';
  if (build.result === 'ABORTED') {
    const how = interruptionOf(build)?.how ?? 'stopped';
    return how === 'stopped' ? 'cancelled' : 'failed';
  }
  return build.result === 'NOT_BUILT' ? 'cancelled' : 'failed';
}

/** The commit that the Jenkinsfile wrote into the build's description after its checkout, on a line of its own. */
export function shaOf(build: { description?: string | null | undefined }): string | undefined {
  return /^[ \t]*shipmate-sha:[ \t]*((?:sha256:)?[0-9a-f]{7,64})\b/m.exec(build.description ?? '')?.[1];
}

/** https://github.com/jenkinsci/pipeline-stage-view-plugin: StatusExt */
const STAGE_STATES: Readonly<Record<string, StageState>> = {
  NOT_EXECUTED: 'skipped',
  SKIPPED: 'skipped',
  SUCCESS: 'succeeded',
  IN_PROGRESS: 'running',
  PAUSED_PENDING_INPUT: 'running',
  FAILED: 'failed',
  UNSTABLE: 'failed',
  ABORTED: 'failed',
};

const iso = (ms: number) => (Math.abs(ms) < 8.64e15 ? new Date(ms).toISOString() : undefined);

function toStage({ durationMillis, name, startTimeMillis, status }: DescribedStage): Stage {
  const state = STAGE_STATES[status] ?? 'running';
  const began = typeof startTimeMillis === 'number' && startTimeMillis > 0 ? startTimeMillis : null;
  const startedAt = began === null ? undefined : iso(began);
  const isOver = state === 'succeeded' || state === 'failed';
  const finishedAt = began === null || !isOver ? undefined : iso(began + (durationMillis ?? 0));
  return {
    name: plainValue(name, 60) || 'stage',
    state,
    ...(startedAt ? { startedAt } : {}),
    ...(finishedAt ? { finishedAt } : {}),
  };
}

/** A job that is no Pipeline has no stages: the build is the only one. */
export function stagesOf(build: Build, described: readonly DescribedStage[] | null): Stage[] {
  if (described !== null && described.length > 0) return described.slice(0, MOST_STAGES).map(toStage);
  const state = stateOf(build);
  const only: Readonly<Record<RunStatus['state'], StageState>> = {
    queued: 'waiting',
    running: 'running',
    succeeded: 'succeeded',
    failed: 'failed',
    cancelled: 'failed',
  };
  const startedAt = iso(build.timestamp);
  return [{ name: 'build', state: only[state], ...(startedAt ? { startedAt } : {}) }];
}

/** Why a build failed, one line; undefined when it did not. */
export function errorOf(build: Build, stages: readonly DescribedStage[] | null): string | undefined {
  const state = stateOf(build);
  const interruption = interruptionOf(build);
  if (state === 'cancelled' && build.result === 'NOT_BUILT')
    return `Jenkins did not build it (NOT_BUILT). ${interruption?.words ?? ''}`.trim();
  if (state !== 'failed') return undefined;
  if (interruption?.how === 'rejected') return interruption.words || 'Its input was rejected.';
  if (interruption?.how === 'timeout') return interruption.words || 'It took longer than its timeout.';
  const broken = stages?.findLast(({ status }) => status === 'FAILED' || status === 'UNSTABLE');
  const result = build.result === 'UNSTABLE' ? 'unstable' : 'failed';
  if (!broken) return `The build ${build.result === 'UNSTABLE' ? 'is unstable' : 'failed'}.`;
  const why = plainValue(broken.error?.message ?? '', 300);
  const stage = `The stage ${plainValue(broken.name, 60)} ${result === 'unstable' ? 'is unstable' : 'failed'}`;
  return why === '' ? `${stage}.` : `${stage}: ${why}`;
}
