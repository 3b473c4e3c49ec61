import {
  type Behaviour,
  type FakeAttempt,
  type FakeDeployment,
  type FakeEnvironment,
  type FakeJob,
  type FakeRun,
  isoNow,
  newId,
  type World,
} from './world.ts';

/** Lets runs go by themselves: queued, "build", "deploy", over; about 300 ms in all. */

export type Hook = (event: string, payload: Record<string, unknown>, run: FakeRun) => void;

export interface Runs {
  start(options: {
    event: string;
    branch: string;
    sha: string;
    title: string;
    environment: FakeEnvironment;
    deploys: string | null;
    actor: string;
    behaviour?: Behaviour;
  }): FakeRun;
  rerun(run: FakeRun, actor: string): void;
  cancel(run: FakeRun): void;
  /** False when the run does not wait for it. */
  answer(run: FakeRun, environment: string, approved: boolean, comment: string, login: string): boolean;
  close(): void;
}

export function latest(run: FakeRun): FakeAttempt {
  const attempt = run.attempts.at(-1);
  if (attempt === undefined) throw new Error('a run without an attempt');
  return attempt;
}

export function createRuns(world: World, hook: Hook): Runs {
  const timers = new Set<NodeJS.Timeout>();
  const after = (ms: number, work: () => void) => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      work();
    }, ms);
    timers.add(timer);
  };

  const touch = (run: FakeRun, action: string) => {
    run.updatedAt = isoNow();
    hook('workflow_run', { action }, run);
  };

  function job(name: string, steps: readonly string[]): FakeJob {
    return {
      id: newId(world),
      name,
      status: 'queued',
      conclusion: null,
      startedAt: isoNow(),
      completedAt: null,
      steps: ['Set up job', ...steps, 'Complete job'].map((step) => ({
        name: step,
        status: 'queued',
        conclusion: null,
        startedAt: null,
        completedAt: null,
      })),
      log: [],
      annotations: [],
    };
  }

  const print = (to: FakeJob, ...lines: string[]) => {
    for (const line of lines) to.log.push(`${new Date().toISOString().replace('Z', '1234Z')} ${line}`);
  };

  function begin(each: FakeJob) {
    each.status = 'in_progress';
    each.startedAt = isoNow();
    const [first, second] = each.steps;
    if (first)
      Object.assign(first, { status: 'completed', conclusion: 'success', startedAt: isoNow(), completedAt: isoNow() });
    if (second) Object.assign(second, { status: 'in_progress', startedAt: isoNow() });
    print(
      each,
      '##[group]Runner Image',
      'Image: ubuntu-24.04',
      '##[endgroup]',
      `##[group]Run ./${each.name}.sh`,
      '##[endgroup]',
    );
    // What must never reach a person.
    print(each, `using ${world.webhookSecret}`, `cloned with x-access-token:${world.everyToken.at(-1) ?? 'none'}`);
  }

  function finish(each: FakeJob, conclusion: 'success' | 'failure' | 'cancelled') {
    for (const step of each.steps) {
      if (step.status === 'completed') continue;
      const reached = step.status === 'in_progress';
      const its = reached ? conclusion : conclusion === 'success' ? 'success' : 'skipped';
      Object.assign(step, {
        status: 'completed',
        conclusion: its,
        startedAt: step.startedAt ?? isoNow(),
        completedAt: isoNow(),
      });
    }
    Object.assign(each, { status: 'completed', conclusion, completedAt: isoNow() });
  }

  const deploymentOf = (run: FakeRun): FakeDeployment | undefined =>
    world.deployments.findLast((each) => each.run === run.id);

  function deploymentState(run: FakeRun, state: FakeDeployment['states'][number]) {
    const deployment = deploymentOf(run);
    if (!deployment) return;
    deployment.states.push(state);
    hook('deployment_status', { action: 'created', deployment_status: { state } }, run);
  }

  function end(run: FakeRun, attempt: FakeAttempt, conclusion: 'success' | 'failure' | 'cancelled') {
    Object.assign(attempt, { status: 'completed', conclusion });
    deploymentState(run, conclusion === 'success' ? 'success' : 'failure');
    touch(run, 'completed');
  }

  function deploy(run: FakeRun, attempt: FakeAttempt, each: FakeJob) {
    attempt.status = 'in_progress';
    begin(each);
    deploymentState(run, 'in_progress');
    touch(run, 'in_progress');
    if (attempt.behaviour === 'hang') return;
    after(120, () => {
      if (attempt.status === 'completed') return;
      if (attempt.behaviour === 'fail') {
        print(each, 'smoke test of the new version', 'it is broken', '##[error]Process completed with exit code 3.');
        each.annotations.push({ level: 'failure', title: '', message: 'Process completed with exit code 3.' });
        finish(each, 'failure');
        end(run, attempt, 'failure');
        return;
      }
      print(each, '\u001b[32mdone\u001b[0m');
      if (run.deploys !== null) each.annotations.push({ level: 'notice', title: 'shipmate-sha', message: run.deploys });
      finish(each, 'success');
      end(run, attempt, 'success');
    });
  }

  function go(run: FakeRun, attempt: FakeAttempt) {
    const [build, last] = attempt.jobs;
    if (!build || !last) throw new Error('a run without jobs');
    const toDeploy = () => {
      if (attempt.status === 'completed') return;
      world.deployments.push({
        id: newId(world),
        run: run.id,
        sha: run.sha,
        ref: run.branch,
        environment: run.environment.name,
        createdAt: isoNow(),
        states: [],
      });
      if (attempt.behaviour !== 'ask') {
        deploy(run, attempt, last);
        return;
      }
      last.status = 'waiting';
      attempt.status = 'waiting';
      deploymentState(run, 'pending');
      hook('deployment_protection_rule', { action: 'requested' }, run);
    };
    touch(run, 'requested');
    if (build.status === 'completed') {
      after(60, toDeploy);
      return;
    }
    after(60, () => {
      if (attempt.status === 'completed') return;
      attempt.status = 'in_progress';
      begin(build);
      touch(run, 'in_progress');
      hook(
        'workflow_job',
        { action: 'in_progress', workflow_job: { run_id: run.id, run_attempt: attempt.number } },
        run,
      );
    });
    after(150, () => {
      if (attempt.status === 'completed') return;
      finish(build, 'success');
      toDeploy();
    });
  }

  return {
    start({ actor, behaviour = world.behaviour, ...run }) {
      const made: FakeRun = {
        ...run,
        id: newId(world),
        number: world.runs.size + 1,
        createdAt: isoNow(),
        bornMs: Date.now(),
        updatedAt: isoNow(),
        attempts: [],
        approvals: [],
      };
      const attempt: FakeAttempt = {
        number: 1,
        status: 'queued',
        conclusion: null,
        startedAt: isoNow(),
        behaviour,
        actor,
        jobs: [job('build', ['Run ./build.sh']), job('deploy', ['Run ./deploy.sh'])],
      };
      made.attempts.push(attempt);
      world.runs.set(made.id, made);
      go(made, attempt);
      return made;
    },

    rerun(run, actor) {
      const before = latest(run);
      const attempt: FakeAttempt = {
        number: before.number + 1,
        status: 'queued',
        conclusion: null,
        startedAt: isoNow(),
        behaviour: world.behaviour,
        actor,
        // What ended well is taken over, under an id of its own.
        jobs: before.jobs.map((each) =>
          each.conclusion === 'success'
            ? { ...structuredClone(each), id: newId(world) }
            : job(each.name, [each.steps[1]?.name ?? 'step']),
        ),
      };
      run.attempts.push(attempt);
      go(run, attempt);
    },

    cancel(run) {
      const attempt = latest(run);
      for (const each of attempt.jobs) {
        if (each.status === 'in_progress') finish(each, 'cancelled');
        else if (each.status !== 'completed')
          Object.assign(each, { status: 'completed', conclusion: 'cancelled', completedAt: isoNow() });
      }
      end(run, attempt, 'cancelled');
    },

    answer(run, environment, approved, comment, login) {
      const attempt = latest(run);
      const [, last] = attempt.jobs;
      const waits = attempt.status === 'waiting' && run.environment.name.toLowerCase() === environment.toLowerCase();
      if (!waits || !last) return false;
      run.approvals.push({ environment: run.environment, state: approved ? 'approved' : 'rejected', comment, login });
      if (approved) {
        attempt.behaviour = 'succeed';
        deploy(run, attempt, last);
        return true;
      }
      Object.assign(last, { status: 'completed', conclusion: 'failure', completedAt: isoNow(), steps: [] });
      end(run, attempt, 'failure');
      return true;
    },

    close() {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
}
