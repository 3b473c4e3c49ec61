import { home, type Links, type Schemas, user } from './views.ts';
import {
  APP,
  type FakeAttempt,
  type FakeDeployment,
  type FakeJob,
  type FakeRun,
  isoNow,
  OWNER,
  REPO,
  WORKFLOW,
} from './world.ts';

/** Answers about runs and what belongs to them. */

export const bot = `${APP.slug}[bot]`;

export function runUrl({ web }: Links, id: number): string {
  return `${web}/${OWNER}/${REPO}/actions/runs/${id}`;
}

export function runView(links: Links, run: FakeRun, attempt: FakeAttempt) {
  const url = `${home(links)}/actions/runs/${run.id}`;
  const first = run.attempts[0] ?? attempt;
  return {
    id: run.id,
    name: 'Deploy',
    node_id: `WFR_${run.id}`,
    head_branch: run.branch,
    head_sha: run.sha,
    path: `.github/workflows/${WORKFLOW}`,
    display_title: run.title,
    run_number: run.number,
    run_attempt: attempt.number,
    event: run.event,
    status: attempt.status,
    conclusion: attempt.conclusion,
    workflow_id: 161_335,
    url,
    html_url: runUrl(links, run.id),
    pull_requests: [],
    created_at: run.createdAt,
    updated_at: run.updatedAt,
    run_started_at: attempt.startedAt,
    actor: user(first.actor),
    triggering_actor: user(attempt.actor),
    jobs_url: `${url}/jobs`,
    logs_url: `${url}/logs`,
    check_suite_url: `${home(links)}/check-suites/1`,
    artifacts_url: `${url}/artifacts`,
    cancel_url: `${url}/cancel`,
    rerun_url: `${url}/rerun`,
    workflow_url: `${home(links)}/actions/workflows/161335`,
  } satisfies Partial<Schemas['workflow-run']>;
}

export function jobView(links: Links, run: FakeRun, attempt: FakeAttempt, job: FakeJob) {
  return {
    id: job.id,
    run_id: run.id,
    run_url: `${home(links)}/actions/runs/${run.id}`,
    run_attempt: attempt.number,
    node_id: `CR_${job.id}`,
    head_sha: run.sha,
    url: `${home(links)}/actions/jobs/${job.id}`,
    html_url: `${runUrl(links, run.id)}/job/${job.id}`,
    status: job.status,
    conclusion: job.conclusion,
    created_at: job.startedAt,
    started_at: job.startedAt,
    completed_at: job.completedAt,
    name: job.name,
    steps: job.steps.map((step, index) => ({
      name: step.name,
      number: index + 1,
      status: step.status,
      conclusion: step.conclusion,
      started_at: step.startedAt,
      completed_at: step.completedAt,
    })),
    check_run_url: `${home(links)}/check-runs/${job.id}`,
    labels: ['ubuntu-latest'],
    runner_id: null,
    runner_name: null,
    runner_group_id: null,
    runner_group_name: null,
    workflow_name: 'Deploy',
    head_branch: run.branch,
  } satisfies Schemas['job'];
}

export function dispatchedView(links: Links, run: FakeRun): Schemas['workflow-dispatch-response'] {
  return {
    workflow_run_id: run.id,
    run_url: `${home(links)}/actions/runs/${run.id}`,
    html_url: runUrl(links, run.id),
  };
}

export function annotationViews(job: FakeJob): Schemas['check-annotation'][] {
  return job.annotations.map(({ level, message, title }) => ({
    path: '.github',
    start_line: 1,
    end_line: 1,
    start_column: null,
    end_column: null,
    annotation_level: level,
    title,
    message,
    raw_details: null,
    blob_href: '',
  }));
}

export function pendingView(run: FakeRun): Schemas['pending-deployment'][] {
  const { id, name } = run.environment;
  return [
    {
      environment: { id, node_id: `EN_${id}`, name },
      wait_timer: 0,
      wait_timer_started_at: null,
      // Never for an App.
      current_user_can_approve: false,
      reviewers: [],
    },
  ];
}

export function approvalViews(run: FakeRun): Schemas['environment-approvals'][] {
  return run.approvals.map(({ comment, environment: { id, name }, login, state }) => ({
    environments: [{ id, node_id: `EN_${id}`, name, created_at: isoNow(), updated_at: isoNow() }],
    state,
    user: user(login),
    comment,
  }));
}

export function ruleViews(guarded: boolean) {
  const rules: Schemas['deployment-protection-rule'][] = guarded
    ? [
        {
          id: 3,
          node_id: 'GA_3',
          enabled: true,
          app: { ...APP, integration_url: `https://api.github.com/apps/${APP.slug}`, node_id: 'A_1' },
        },
      ]
    : [];
  return { total_count: rules.length, custom_deployment_protection_rules: rules };
}

export function deploymentView(links: Links, deployment: FakeDeployment) {
  const url = `${home(links)}/deployments/${deployment.id}`;
  return {
    url,
    id: deployment.id,
    node_id: `DE_${deployment.id}`,
    sha: deployment.sha,
    ref: deployment.ref,
    task: 'deploy',
    payload: {},
    original_environment: deployment.environment,
    environment: deployment.environment,
    description: null,
    creator: user('github-actions[bot]'),
    created_at: deployment.createdAt,
    updated_at: deployment.createdAt,
    statuses_url: `${url}/statuses`,
    repository_url: home(links),
  } satisfies Partial<Schemas['deployment']>;
}

/** Newest first. */
export function deploymentStatusViews(links: Links, deployment: FakeDeployment) {
  const url = `${home(links)}/deployments/${deployment.id}/statuses`;
  const log = deployment.run === null ? '' : `${runUrl(links, deployment.run)}/job/${deployment.run + 1}`;
  return deployment.states.toReversed().map(
    (state, index) =>
      ({
        url: `${url}/${index}`,
        id: index + 1,
        node_id: `DES_${index}`,
        state,
        creator: user('github-actions[bot]'),
        description: '',
        environment: deployment.environment,
        target_url: log,
        log_url: log,
        created_at: deployment.createdAt,
        updated_at: deployment.createdAt,
        deployment_url: `${home(links)}/deployments/${deployment.id}`,
        repository_url: home(links),
      }) satisfies Partial<Schemas['deployment-status']>,
  );
}
