import { randomUUID } from 'node:crypto';
import { Refusal } from './answers.ts';

export type Manner = 'succeed' | 'fail' | 'hang' | 'ask';
type State = 'pending' | 'inProgress' | 'completed';

interface FakeStage {
  id: string;
  name: string;
  state: State;
  result: string | null;
  attempt: number;
  startTime: string | null;
  finishTime: string | null;
  steps: readonly { id: string; name: string; log: number }[];
}

export interface FakeRun {
  id: number;
  number: string;
  definition: number;
  parameters: Record<string, string>;
  sourceBranch: string;
  sourceVersion: string;
  reason: string;
  by: string;
  queueTime: string;
  startTime: string | null;
  finishTime: string | null;
  status: 'notStarted' | 'inProgress' | 'cancelling' | 'completed';
  result: string | null;
  tags: string[];
  stages: FakeStage[];
  approval: FakeApproval | null;
  checkpoint: string;
  logs: Map<number, string[]>;
  issue: string | null;
}

export interface FakeApproval {
  id: string;
  status: 'pending' | 'approved' | 'rejected' | 'canceled' | 'timedOut';
  comment: string | null;
}

const QUEUED_MS = 40;
const STAGE_MS = 110;
const CANCEL_MS = 40;

/** Runs that go on by themselves: queued, Prepare, Deploy, end. */
export function createRuns(options: {
  secretLines: () => readonly string[];
  happened: (event: 'started' | 'waits' | 'completed', run: FakeRun) => void;
}) {
  const all: FakeRun[] = [];
  const timers = new Set<NodeJS.Timeout>();
  let how: Manner = 'succeed';

  const now = () => new Date().toISOString();
  const later = (ms: number, work: () => void) => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      work();
    }, ms);
    timers.add(timer);
  };
  const goesOn = (run: FakeRun) => run.status === 'inProgress';

  function stage(name: string, firstLog: number, steps: readonly string[]): FakeStage {
    return {
      id: randomUUID(),
      name,
      state: 'pending',
      result: null,
      attempt: 1,
      startTime: null,
      finishTime: null,
      steps: steps.map((step, index) => ({ id: randomUUID(), name: step, log: firstLog + index })),
    };
  }

  function log(run: FakeRun, id: number, lines: readonly string[]): void {
    const stamped = lines.map((line) => `${now().replace('Z', '1234Z')} ${line}`);
    run.logs.set(id, [...(run.logs.get(id) ?? []), ...stamped]);
  }

  function finishStage(run: FakeRun, index: number, result: string): void {
    const current = run.stages[index];
    if (!current) return;
    Object.assign(current, { state: 'completed', result, finishTime: now() });
    for (const step of current.steps) {
      if (step.name === 'Deploy') {
        log(run, step.log, [
          '##[section]Starting: Deploy',
          `Deploying ${run.parameters.version} to ${run.parameters.environment}`,
          ...options.secretLines(),
          '\u001b[32msmoke test\u001b[0m',
          result === 'failed' ? '##[error]it is broken' : 'all is well',
          '##[section]Finishing: Deploy',
        ]);
      } else log(run, step.log, [`##[section]Starting: ${step.name}`, 'done', `##[section]Finishing: ${step.name}`]);
    }
  }

  function end(run: FakeRun, result: string): void {
    Object.assign(run, { status: 'completed', result, finishTime: now() });
    options.happened('completed', run);
  }

  function deploy(run: FakeRun, manner: Manner): void {
    const [, second] = run.stages;
    if (!second || !goesOn(run)) return;
    Object.assign(second, { state: 'inProgress', result: null, startTime: now(), finishTime: null });
    if (manner === 'hang') return;
    later(STAGE_MS, () => {
      if (!goesOn(run)) return;
      if (run.parameters.sha) run.tags.push(`shipmate-sha-${run.parameters.sha}`);
      run.issue = manner === 'fail' ? "Bash exited with code '1'." : null;
      finishStage(run, 1, manner === 'fail' ? 'failed' : 'succeeded');
      end(run, manner === 'fail' ? 'failed' : 'succeeded');
    });
  }

  function begin(run: FakeRun, manner: Manner): void {
    later(QUEUED_MS, () => {
      if (run.status !== 'notStarted') return;
      Object.assign(run, { status: 'inProgress', startTime: now() });
      options.happened('started', run);
      const [first] = run.stages;
      if (first) Object.assign(first, { state: 'inProgress', startTime: now() });
      later(STAGE_MS, () => {
        if (!goesOn(run)) return;
        finishStage(run, 0, 'succeeded');
        if (manner !== 'ask') {
          deploy(run, manner);
          return;
        }
        run.approval = { id: randomUUID(), status: 'pending', comment: null };
        options.happened('waits', run);
      });
    });
  }

  return {
    all,
    behave(manner: Manner): void {
      how = manner;
    },

    start(
      given: Pick<FakeRun, 'parameters' | 'sourceBranch' | 'sourceVersion' | 'by' | 'reason'>,
      manner = how,
    ): FakeRun {
      const run: FakeRun = {
        ...given,
        id: 1001 + all.length,
        number: `20261125.${all.length + 1}`,
        definition: 42,
        queueTime: now(),
        startTime: null,
        finishTime: null,
        status: 'notStarted',
        result: null,
        tags: [],
        stages: [
          stage('Prepare', 1, ['Initialize job', 'Checkout storefront@main to s', 'Build package', 'Finalize Job']),
          stage('Deploy', 5, ['Initialize job', 'Deploy', 'Finalize Job']),
        ],
        approval: null,
        checkpoint: randomUUID(),
        logs: new Map(),
        issue: null,
      };
      all.push(run);
      begin(run, manner);
      return run;
    },

    find(id: number): FakeRun {
      const run = all.find((each) => each.id === id);
      if (run) return run;
      throw new Refusal(404, 'BuildNotFoundException', `The requested build ${id} could not be found.`);
    },

    cancel(run: FakeRun): void {
      if (run.status === 'completed')
        throw new Refusal(
          400,
          'BuildStatusInvalidChangeException',
          `The status of build ${run.id} cannot be changed from Completed to Cancelling.`,
        );
      run.status = 'cancelling';
      if (run.approval?.status === 'pending') run.approval.status = 'canceled';
      later(CANCEL_MS, () => {
        run.stages.forEach((each, index) => {
          if (each.state === 'inProgress') finishStage(run, index, 'canceled');
          else if (each.state === 'pending') Object.assign(each, { state: 'completed', result: 'skipped' });
        });
        end(run, 'canceled');
      });
    },

    retry(run: FakeRun, name: string): void {
      const found = run.stages.find((each) => each.name === name);
      if (!found) throw new Refusal(404, 'StageNotFoundException', `The stage ${name} was not found.`);
      if (run.status !== 'completed' || !['failed', 'canceled', 'skipped'].includes(found.result ?? ''))
        throw new Refusal(
          409,
          'InvalidPipelineOperationException',
          `The stage ${name} is not in a state to be retried.`,
        );
      found.attempt += 1;
      Object.assign(run, { status: 'inProgress', result: null, finishTime: null, approval: null });
      deploy(run, how);
    },

    answer(run: FakeRun, status: 'approved' | 'rejected' | 'timedOut', comment: string): void {
      if (run.approval?.status !== 'pending')
        throw new Refusal(400, 'ApprovalUpdateException', 'The approval is not in a state to be updated.');
      Object.assign(run.approval, { status, comment });
      if (status === 'approved') {
        deploy(run, 'succeed');
        return;
      }
      Object.assign(run.stages[1] ?? {}, { state: 'completed', result: 'skipped', finishTime: now() });
      // A run whose last stage was only skipped counts as one that succeeded.
      end(run, status === 'timedOut' ? 'succeeded' : 'failed');
    },

    close(): void {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
}

export type FakeRuns = ReturnType<typeof createRuns>;
