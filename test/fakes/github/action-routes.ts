import { createHash } from 'node:crypto';
import { z } from 'zod';
import {
  type Answer,
  type Asked,
  forbidden,
  notFound,
  pageOf,
  paging,
  type Route,
  type RouteDeps,
  unprocessable,
} from './route.ts';
import * as views from './run-views.ts';
import { latest } from './runs.ts';
import { workflowView } from './views.ts';
import { type FakeAttempt, type FakeRun, newId, WORKFLOW, type World } from './world.ts';

/** Workflows, runs, jobs and gates. */

const text = z.string();
const dispatchBody = (known: boolean) =>
  z.strictObject({
    ref: text,
    inputs: z.record(text, text).optional(),
    ...(known ? { return_run_details: z.boolean().optional() } : {}),
  });

export function tellsRuns({ installedVersion }: World): boolean {
  return installedVersion === undefined || Number(installedVersion.split('.')[1]) >= 20;
}

export function actionRoutes({ cuts, links, runs, world }: RouteDeps): Route[] {
  const reads = { name: 'actions', level: 'read' } as const;
  const writes = { name: 'actions', level: 'write' } as const;
  const visible = (run: FakeRun) => Date.now() - run.bornMs >= world.hiddenMs;
  const withRun = ({ params }: Asked, then: (run: FakeRun, attempt: FakeAttempt) => Answer): Answer => {
    const run = world.runs.get(Number(params.run_id));
    if (run === undefined || !visible(run)) return notFound;
    const attempt =
      params.attempt_number === undefined
        ? latest(run)
        : run.attempts.find(({ number }) => number === Number(params.attempt_number));
    return attempt === undefined ? notFound : then(run, attempt);
  };
  const withJob = (id: string | undefined, then: (job: FakeAttempt['jobs'][number]) => Answer): Answer => {
    const job = [...world.runs.values()]
      .flatMap(({ attempts }) => attempts)
      .flatMap(({ jobs }) => jobs)
      .find((each) => each.id === Number(id));
    return job === undefined ? notFound : then(job);
  };
  const isWorkflow = ({ params }: Asked) => params.workflow_id === WORKFLOW || params.workflow_id === '161335';
  const repo = '/repos/{owner}/{repo}';

  return [
    {
      method: 'GET',
      path: `${repo}/actions/workflows/{workflow_id}`,
      right: reads,
      answer: (asked) => (isWorkflow(asked) ? { status: 200, body: workflowView(links(), world) } : notFound),
    },
    {
      method: 'POST',
      path: `${repo}/actions/workflows/{workflow_id}/dispatches`,
      right: writes,
      body: dispatchBody(tellsRuns(world)),
      answer(asked) {
        if (!isWorkflow(asked)) return notFound;
        const { inputs = {}, ref, return_run_details } = dispatchBody(true).parse(asked.body);
        const branch = world.branches.get(ref);
        if (branch === undefined) return unprocessable(`No ref found for: ${ref}`);
        if (world.workflowState !== 'active')
          return unprocessable("Cannot trigger a 'workflow_dispatch' on a disabled workflow");
        const unexpected = Object.keys(inputs).filter((name) => !Object.hasOwn(world.inputs, name));
        if (unexpected.length > 0) return unprocessable(`Unexpected inputs provided: ${JSON.stringify(unexpected)}`);
        const missing = Object.entries(world.inputs).find(([name, { required }]) => required && !inputs[name]);
        if (missing) return unprocessable(`Required input '${missing[0]}' not provided`);
        const environment = world.environments.find(
          ({ name }) => name.toLowerCase() === (inputs.environment ?? '').toLowerCase(),
        ) ?? { id: newId(world), name: inputs.environment ?? '', guarded: false };
        if (!world.environments.includes(environment)) world.environments.push(environment);
        const run = runs.start({
          event: 'workflow_dispatch',
          branch: ref,
          sha: branch.sha,
          title: world.runName.replace(/\$\{\{ *inputs\.(\w+) *\}\}/g, (_match, name: string) => inputs[name] ?? ''),
          environment,
          deploys: inputs.sha ?? null,
          actor: views.bot,
        });
        if (cuts()) return { status: 0, cut: true };
        return return_run_details === true
          ? { status: 200, body: views.dispatchedView(links(), run) }
          : { status: 204 };
      },
    },
    {
      method: 'GET',
      path: `${repo}/actions/workflows/{workflow_id}/runs`,
      right: reads,
      query: ['actor', 'branch', 'event', 'status', 'created', 'exclude_pull_requests', 'head_sha', ...paging],
      answer(asked) {
        if (!isWorkflow(asked)) return notFound;
        const { branch, created, event } = asked.query;
        const since = created === undefined ? 0 : Date.parse(created.replace(/^>=/, ''));
        const found = [...world.runs.values()]
          .toReversed()
          .filter(visible)
          .filter((run) => (branch ?? run.branch) === run.branch && (event ?? run.event) === run.event)
          .filter((run) => Date.parse(run.createdAt) >= since);
        const workflow_runs = pageOf(found, asked.query).map((run) => views.runView(links(), run, latest(run)));
        return { status: 200, body: { total_count: found.length, workflow_runs } };
      },
    },
    {
      method: 'GET',
      path: `${repo}/actions/runs/{run_id}`,
      right: reads,
      query: ['exclude_pull_requests'],
      answer: (asked) =>
        withRun(asked, (run, attempt) => ({ status: 200, body: views.runView(links(), run, attempt) })),
    },
    {
      method: 'GET',
      path: `${repo}/actions/runs/{run_id}/attempts/{attempt_number}`,
      right: reads,
      query: ['exclude_pull_requests'],
      answer: (asked) =>
        withRun(asked, (run, attempt) => ({ status: 200, body: views.runView(links(), run, attempt) })),
    },
    {
      method: 'GET',
      path: `${repo}/actions/runs/{run_id}/attempts/{attempt_number}/jobs`,
      right: reads,
      query: paging,
      answer: (asked) =>
        withRun(asked, (run, attempt) => {
          // None are made before the run is taken up.
          const all = attempt.status === 'queued' ? [] : attempt.jobs;
          const jobs = pageOf(all, asked.query).map((job) => views.jobView(links(), run, attempt, job));
          return { status: 200, body: { total_count: all.length, jobs } };
        }),
    },
    {
      method: 'GET',
      path: `${repo}/actions/jobs/{job_id}/logs`,
      right: reads,
      answer: ({ params }) =>
        withJob(params.job_id, ({ id, status }) =>
          status === 'completed'
            ? { status: 302, headers: { location: `${links().web}/_blob/${id}?sig=${blobSignature(world, id)}` } }
            : notFound,
        ),
    },
    {
      method: 'GET',
      path: `${repo}/check-runs/{check_run_id}/annotations`,
      right: { name: 'checks', level: 'read' },
      query: paging,
      answer: ({ params, query }) =>
        withJob(params.check_run_id, (job) => ({ status: 200, body: pageOf(views.annotationViews(job), query) })),
    },
    {
      method: 'POST',
      path: `${repo}/actions/runs/{run_id}/cancel`,
      right: writes,
      answer: (asked) =>
        withRun(asked, (run, attempt) => {
          if (world.endsBeforeCancel) runs.cancel(run);
          if (attempt.status === 'completed')
            return { status: 409, body: { message: 'Cannot cancel a workflow run that is completed.', status: '409' } };
          runs.cancel(run);
          return { status: 202, body: {} };
        }),
    },
    {
      method: 'POST',
      path: `${repo}/actions/runs/{run_id}/rerun-failed-jobs`,
      right: writes,
      answer: (asked) =>
        withRun(asked, (run, attempt) => {
          if (attempt.status !== 'completed') return forbidden('This workflow is already running');
          if (attempt.conclusion === 'success') return forbidden('This workflow run has no failed jobs');
          runs.rerun(run, views.bot);
          return { status: 201, body: {} };
        }),
    },
    {
      method: 'GET',
      path: `${repo}/actions/runs/{run_id}/pending_deployments`,
      right: reads,
      answer: (asked) =>
        withRun(asked, (run, { status }) => ({
          status: 200,
          body: status === 'waiting' ? views.pendingView(run) : [],
        })),
    },
    {
      method: 'GET',
      path: `${repo}/actions/runs/{run_id}/approvals`,
      right: reads,
      answer: (asked) => withRun(asked, (run) => ({ status: 200, body: views.approvalViews(run) })),
    },
    {
      method: 'POST',
      path: `${repo}/actions/runs/{run_id}/deployment_protection_rule`,
      right: { name: 'deployments', level: 'write' },
      body: z.strictObject({
        environment_name: text,
        state: z.enum(['approved', 'rejected']),
        comment: text.max(65_536).optional(),
      }),
      answer: (asked) =>
        withRun(asked, (run) => {
          const { comment = '', environment_name, state } = asked.body as Record<string, string>;
          const taken = runs.answer(run, environment_name ?? '', state === 'approved', comment, views.bot);
          // What GitHub says here is not published; that it refuses is what counts.
          return taken ? { status: 204 } : unprocessable('There is no pending deployment for this environment');
        }),
    },
  ];
}

export function blobSignature({ webhookSecret }: World, job: number): string {
  return createHash('sha256').update(`${webhookSecret} ${job}`).digest('hex').slice(0, 24);
}
