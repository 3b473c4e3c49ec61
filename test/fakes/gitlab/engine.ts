import type { Deployment, Job, Run, Status, User, World } from './world.ts';
import { composite, isDone } from './world.ts';

/** Lets pipelines go on by themselves: build, then deploy, about 300 ms in all. */

export type Change =
  | { kind: 'pipeline'; run: Run }
  | { kind: 'build'; run: Run; job: Job }
  | { kind: 'deployment'; run: Run; deployment: Deployment };

const PICKED_UP_MS = 40;
const WORK_MS = 90;

export interface Engine {
  create(options: {
    source: string;
    ref: string;
    tag: boolean;
    sha: string;
    user: User;
    name: string | null;
    values: Record<string, string>;
    how: Run['how'];
  }): Run;
  cancel(run: Run): void;
  retry(run: Run): void;
  play(run: Run, job: Job): void;
  reject(run: Run, deployment: Deployment): void;
  deploymentOf(job: Job): Deployment | undefined;
  close(): void;
}

export function createEngine(world: World, changed: (change: Change) => void): Engine {
  const timers = new Set<NodeJS.Timeout>();
  let last = 5_000;
  const later = (ms: number, work: () => void) => {
    const timer = setTimeout(() => {
      timers.delete(timer);
      work();
    }, ms);
    timers.add(timer);
  };
  const now = () => new Date().toISOString();
  const nextId = () => {
    last += 1;
    return last;
  };
  const deploymentOf = (job: Job) => world.deployments.find((deployment) => deployment.job === job.id);
  const latest = (run: Run) => run.jobs.filter(({ retried }) => !retried);

  function touch(run: Run): void {
    const status = composite(run.jobs);
    if (status === run.last) return;
    run.last = status;
    run.updated_at = now();
    if (status === 'running') run.started_at ??= run.updated_at;
    changed({ kind: 'pipeline', run });
  }

  function move(run: Run, job: Job, status: Status, reason: string | null = null): void {
    if (job.status === status) return;
    job.status = status;
    job.failure_reason = status === 'failed' ? reason : null;
    if (status === 'running') job.started_at = now();
    if (isDone(status) && job.started_at !== null) job.finished_at = now();
    const deployment = deploymentOf(job);
    if (deployment) {
      const states: Partial<Record<Status, Deployment['status']>> = {
        manual: 'blocked',
        running: 'running',
        success: 'success',
        failed: 'failed',
        canceled: 'canceled',
        skipped: 'skipped',
      };
      const next = states[status];
      if (next && next !== deployment.status) {
        deployment.status = next;
        deployment.updated_at = now();
        // Only these have a webhook (webhook_events, "Deployment events").
        if (['running', 'success', 'failed', 'canceled'].includes(next))
          changed({ kind: 'deployment', run, deployment });
      }
    }
    if (status !== 'manual' && status !== 'skipped') changed({ kind: 'build', run, job });
  }

  function trace(run: Run, job: Job): string {
    const head = `\u001b[0KRunning with gitlab-runner 18.6.0 (5f3c2a1b)\u001b[0;m\nsection_start:1764000000:step_script\r\u001b[0K\u001b[0K\u001b[36;1mExecuting "step_script" stage of the job script\u001b[0;m\u001b[0;m\n`;
    if (job.stage !== 'deploy')
      return `${head}\u001b[32;1m$ make\u001b[0;m\nbuilt\r\nsection_end:1764000001:step_script\r\u001b[0K\u001b[32;1mJob succeeded\u001b[0;m\n`;
    const time = '2026-11-25T09:00:00.123456Z';
    const { says } = world.knobs;
    const sha = says === 'sha' ? (run.values.sha ?? run.sha) : world.shas['1.0.0'];
    return [
      `${time} 00O section_start:1764000000:step_script\r\u001b[0K${time} 00O+\u001b[36;1mExecuting the script\u001b[0;m`,
      `${time} 01O \u001b[32;1m$ echo "shipmate-sha: $(git rev-parse HEAD)"\u001b[0;m`,
      ...(says === null ? [] : [`${time} 01O shipmate-sha: ${sha}`]),
      `${time} 01O deploying ${run.values.version ?? run.ref} with ${world.jobToken} by mist`,
      `${time} 01O+ake`,
      ...(world.knobs.prints === '' ? [] : [world.knobs.prints]),
      '',
    ].join('\n');
  }

  function advance(run: Run): void {
    const job = latest(run).find(({ status }) => status === 'created' || status === 'manual');
    if (!job || job.status === 'manual') {
      touch(run);
      return;
    }
    const guarded = job.environment !== null && run.how === 'ask' && deploymentOf(job)?.approvals.length === 0;
    if (guarded || job.when === 'manual') {
      move(run, job, 'manual');
      touch(run);
      return;
    }
    enqueue(run, job);
  }

  function enqueue(run: Run, job: Job): void {
    move(run, job, 'pending');
    touch(run);
    later(PICKED_UP_MS, () => {
      if (job.status !== 'pending') return;
      move(run, job, 'running');
      job.trace = trace(run, job);
      touch(run);
      if (run.how === 'hang') return;
      later(WORK_MS, () => finish(run, job));
    });
  }

  function finish(run: Run, job: Job): void {
    if (job.status !== 'running') return;
    if (run.how === 'fail' && job.stage === 'deploy') {
      job.trace += `it is broken\n\u001b[31;1mERROR: Job failed: exit code 3\n\u001b[0;m`;
      move(run, job, 'failed', 'script_failure');
      for (const other of latest(run)) if (other.status === 'created') move(run, other, 'skipped');
      touch(run);
      return;
    }
    if (job.stage === 'deploy') job.trace += '\u001b[32;1mJob succeeded\n\u001b[0;m';
    move(run, job, 'success');
    advance(run);
  }

  function makeJob(run: Run, like: Pick<Job, 'name' | 'stage' | 'environment' | 'when'>): Job {
    const job: Job = {
      ...like,
      id: nextId(),
      status: 'created',
      allow_failure: false,
      created_at: now(),
      started_at: null,
      finished_at: null,
      failure_reason: null,
      retried: false,
      trace: '',
    };
    run.jobs.push(job);
    if (job.environment !== null)
      world.deployments.push({
        id: nextId(),
        iid: world.deployments.length + 1,
        status: 'created',
        created_at: now(),
        updated_at: now(),
        job: job.id,
        run: run.id,
        environment: job.environment,
        needed: run.how === 'ask' && world.knobs.guard === 'approval' ? world.knobs.approvals : 0,
        approvals: [],
      });
    changed({ kind: 'build', run, job });
    return job;
  }

  return {
    deploymentOf,
    create(options) {
      const at = now();
      const run: Run = {
        ...options,
        id: nextId(),
        iid: world.runs.length + 1,
        created_at: at,
        updated_at: at,
        started_at: null,
        jobs: [],
        last: null,
      };
      world.runs.push(run);
      const manual = run.how === 'ask' && world.knobs.guard === 'manual';
      makeJob(run, { name: 'build', stage: 'build', environment: null, when: 'on_success' });
      makeJob(run, {
        name: 'deploy',
        stage: 'deploy',
        environment: run.values.environment ?? 'staging',
        when: manual ? 'manual' : 'on_success',
      });
      if (world.knobs.lastJob) makeJob(run, { name: 'done', stage: 'done', environment: null, when: 'on_success' });
      touch(run);
      later(20, () => advance(run));
      return run;
    },
    // Only what is active or created: a manual job stays (app/models/ci/build.rb, cancelable?).
    cancel(run) {
      for (const job of latest(run))
        if (['created', 'pending', 'running'].includes(job.status)) move(run, job, 'canceled');
      touch(run);
    },
    retry(run) {
      run.how = world.knobs.how;
      for (const job of latest(run)) {
        if (job.status === 'skipped') job.status = 'created';
        if (!['failed', 'canceled'].includes(job.status) || job.failure_reason === 'deployment_rejected') continue;
        job.retried = true;
        makeJob(run, job);
      }
      touch(run);
      advance(run);
    },
    play: (run, job) => enqueue(run, job),
    reject(run, deployment) {
      const job = run.jobs.find(({ id }) => id === deployment.job);
      if (job) move(run, job, 'failed', 'deployment_rejected');
      for (const other of latest(run)) if (other.status === 'created') move(run, other, 'skipped');
      touch(run);
    },
    close() {
      for (const timer of timers) clearTimeout(timer);
      timers.clear();
    },
  };
}
