/** A Jenkins controller as far as one deploy job and one build job go: a queue, builds that advance by themselves, inputs. */

export const JOB = 'deploy/storefront';
export const BUILD_JOB = 'build/storefront';
export const USER = 'shipmate';

const QUIET_MS = 40;
const STAGE_MS = 110;
const END_MS = 30;

export type Manner = 'succeed' | 'fail' | 'hang' | 'ask';

export interface FakeStage {
  id: string;
  name: string;
  status: 'IN_PROGRESS' | 'SUCCESS' | 'FAILED' | 'ABORTED' | 'PAUSED_PENDING_INPUT' | 'NOT_EXECUTED' | 'UNSTABLE';
  error?: string;
  began: number;
  ended?: number;
  log: string;
}

export interface FakeInput {
  id: string;
  message: string;
  inputs: unknown[];
}

export interface FakeBuild {
  number: number;
  queueId: number;
  parameters: Record<string, string>;
  causes: { _class: string; shortDescription: string; userId?: string; userName?: string }[];
  began: number;
  building: boolean;
  result: 'SUCCESS' | 'FAILURE' | 'ABORTED' | 'UNSTABLE' | 'NOT_BUILT' | null;
  description: string | null;
  stages: FakeStage[];
  log: string;
  input: FakeInput | null;
  approvals: string[];
  interruptions: { _class: string; shortDescription: string }[];
  isForeign: boolean;
  manner: Manner;
}

export interface QueueItem {
  id: number;
  parameters: Record<string, string>;
  cancelled: boolean;
  build: number | null;
}

export interface Definition {
  name: string;
  type: 'StringParameterDefinition' | 'ChoiceParameterDefinition' | 'BooleanParameterDefinition';
  choices?: string[];
}

export interface Model {
  definitions: Definition[];
  builds: FakeBuild[];
  queue: QueueItem[];
  manner: Manner;
  buildable: boolean;
  /** Who may answer an input beside those with the right; null: whoever may build. */
  submitter: string | null;
  /** What is asked when a build asks. */
  input: FakeInput;
  /** The right Run/Update. */
  mayDescribe: boolean;
  isPipeline: boolean;
  /** Whether Pipeline: REST API is installed; without it, and without a Pipeline, there is nothing under wfapi. */
  hasRestApi: boolean;
  quietMs: number;
  /** The commit that a build finds at its checkout. */
  checkout(version: string): string;
  answers: { build: FakeBuild; approved: boolean }[];
  schedule(parameters: Record<string, string>): QueueItem;
  begin(parameters: Record<string, string>, queueId: number, by: string, isForeign?: boolean): FakeBuild;
  proceed(build: FakeBuild): void;
  abort(build: FakeBuild): void;
  stop(build: FakeBuild): void;
  close(): void;
}

const BY_USER = 'hudson.model.Cause$UserIdCause';

export function createModel(options: {
  leak: readonly string[];
  checkout: (version: string) => string;
  onEvent: (build: FakeBuild) => void;
}): Model {
  const timers = new Set<NodeJS.Timeout>();
  let nextQueue = 40;
  let nextBuild = 7;
  const later = (ms: number, work: () => void) => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      work();
    }, ms);
    timers.add(timer);
  };

  function print(build: FakeBuild, ...lines: string[]): void {
    build.log += lines.map((line) => `${line}\r\n`).join('');
    const stage = build.stages.at(-1);
    if (stage?.ended === undefined && stage)
      stage.log += lines
        .filter((line) => !line.startsWith('[Pipeline]'))
        .map((line) => `${line}\n`)
        .join('');
  }

  function stage(build: FakeBuild, name: string): FakeStage {
    const before = build.stages.at(-1);
    if (before?.status === 'IN_PROGRESS') Object.assign(before, { status: 'SUCCESS', ended: Date.now() });
    const begun: FakeStage = {
      id: String(6 + build.stages.length * 10),
      name,
      status: 'IN_PROGRESS',
      began: Date.now(),
      log: '',
    };
    build.stages.push(begun);
    print(build, '[Pipeline] stage', `[Pipeline] { (${name})`);
    return begun;
  }

  function end(build: FakeBuild, result: NonNullable<FakeBuild['result']>): void {
    if (!build.building) return;
    const last = build.stages.at(-1);
    if (last && (last.status === 'IN_PROGRESS' || last.status === 'PAUSED_PENDING_INPUT')) {
      const status = { SUCCESS: 'SUCCESS', ABORTED: 'ABORTED', UNSTABLE: 'UNSTABLE' }[result as string] ?? 'FAILED';
      Object.assign(last, { status, ended: Date.now() });
    }
    build.input = null;
    print(build, '[Pipeline] }', '[Pipeline] // stage', '[Pipeline] End of Pipeline', `Finished: ${result}`);
    build.result = result;
    build.building = false;
    options.onEvent(build);
  }

  function deploy(build: FakeBuild): void {
    const stage2 = stage(build, 'Deploy');
    // What people print by mistake.
    print(build, '[Pipeline] sh', ...options.leak.map((text) => `+ curl ${text} https://api.example.com/deploy`));
    print(build, `deploying ${build.parameters.VERSION} to ${build.parameters.ENVIRONMENT} <staging & co>`);
    if (build.manner === 'hang') return;
    later(STAGE_MS, () => {
      if (build.manner !== 'fail') {
        end(build, 'SUCCESS');
        return;
      }
      print(build, 'it is broken');
      stage2.error = 'script returned exit code 1';
      Object.assign(stage2, { status: 'FAILED', ended: Date.now() });
      for (let line = 1; line <= 30; line += 1) print(build, `cleaning up ${line}`);
      print(build, 'ERROR: script returned exit code 1');
      end(build, 'FAILURE');
    });
  }

  function checkedOut(build: FakeBuild): void {
    const sha = options.checkout(build.parameters.VERSION ?? '');
    build.description = `shipmate-sha: ${sha}`;
    print(build, `Checking out Revision ${sha} (${build.parameters.VERSION})`);
    if (build.manner !== 'ask') {
      deploy(build);
      return;
    }
    const waiting = stage(build, 'Approval');
    waiting.status = 'PAUSED_PENDING_INPUT';
    build.input = { ...model.input };
    print(build, '[Pipeline] input', model.input.message, 'Proceed or Abort');
    options.onEvent(build);
  }

  const model: Model = {
    definitions: [
      { name: 'VERSION', type: 'StringParameterDefinition' },
      { name: 'SHA', type: 'StringParameterDefinition' },
      { name: 'ENVIRONMENT', type: 'ChoiceParameterDefinition', choices: ['stage', 'prod'] },
      { name: 'SHIPMATE_KEY', type: 'StringParameterDefinition' },
    ],
    builds: [],
    queue: [],
    manner: 'succeed',
    buildable: true,
    submitter: null,
    input: { id: 'Shipmate', message: 'Let this into its environment?', inputs: [] },
    mayDescribe: true,
    isPipeline: true,
    hasRestApi: true,
    quietMs: QUIET_MS,
    answers: [],
    checkout: options.checkout,

    schedule(parameters) {
      // Equal items that wait are one: hudson.model.Queue and ParametersAction.shouldSchedule.
      const same = model.queue.find(
        (item) =>
          item.build === null && !item.cancelled && JSON.stringify(item.parameters) === JSON.stringify(parameters),
      );
      if (same) return same;
      nextQueue += 1;
      const item: QueueItem = { id: nextQueue, parameters, cancelled: false, build: null };
      model.queue.push(item);
      later(model.quietMs, () => {
        if (!item.cancelled) item.build = model.begin(parameters, item.id, USER).number;
      });
      return item;
    },

    begin(parameters, queueId, by, isForeign = false) {
      nextBuild += 1;
      const build: FakeBuild = {
        number: nextBuild,
        queueId,
        parameters,
        causes: [{ _class: BY_USER, shortDescription: `Started by user ${by}`, userId: by, userName: by }],
        began: Date.now(),
        building: true,
        result: null,
        description: null,
        stages: [],
        log: '',
        input: null,
        approvals: [],
        interruptions: [],
        isForeign,
        manner: model.manner,
      };
      model.builds.unshift(build);
      print(build, `Started by user ${by}`, '[Pipeline] Start of Pipeline', '[Pipeline] node');
      stage(build, 'Checkout');
      later(STAGE_MS, () => {
        if (build.building) checkedOut(build);
      });
      return build;
    },

    proceed(build) {
      if (!build.input) return;
      build.approvals.push(USER);
      build.input = null;
      model.answers.push({ build, approved: true });
      const waiting = build.stages.at(-1);
      if (waiting) waiting.status = 'IN_PROGRESS';
      print(build, `Approved by ${USER}`);
      later(END_MS, () => {
        if (build.building) deploy(build);
      });
    },

    abort(build) {
      if (!build.input) return;
      build.input = null;
      model.answers.push({ build, approved: false });
      later(END_MS, () => {
        const _class = 'org.jenkinsci.plugins.workflow.support.steps.input.Rejection';
        build.interruptions.push({ _class, shortDescription: `Rejected by ${USER}` });
        print(build, `Rejected by ${USER}`);
        end(build, 'ABORTED');
      });
    },

    stop(build) {
      if (!build.building) return;
      build.input = null;
      later(END_MS, () => {
        const _class = 'jenkins.model.CauseOfInterruption$UserInterruption';
        build.interruptions.push({ _class, shortDescription: `Aborted by ${USER}` });
        print(build, `Aborted by ${USER}`);
        end(build, 'ABORTED');
      });
    },

    close() {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
  return model;
}
