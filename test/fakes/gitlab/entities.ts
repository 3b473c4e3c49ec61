import type { Approval, Deployment, Job, Run, User, World } from './world.ts';
import { composite, isDone, PROJECT } from './world.ts';

/** What GitLab answers with: lib/api/entities. */

const WEB = 'https://gitlab.example.com/acme/storefront';

function user({ id, name, username }: User) {
  return { id, username, name, state: 'active', locked: false, web_url: `https://gitlab.example.com/${username}` };
}

/** `list` and `full` have the name, what answers a POST has not. */
export function pipeline(run: Run, form: 'list' | 'full' | 'made' | 'basic') {
  const basic = {
    id: run.id,
    iid: run.iid,
    project_id: PROJECT.id,
    sha: run.sha,
    ref: run.ref,
    status: composite(run.jobs),
    source: run.source,
    created_at: run.created_at,
    updated_at: run.updated_at,
    web_url: `${WEB}/-/pipelines/${run.id}`,
  };
  if (form === 'basic') return basic;
  const named = form === 'made' ? {} : { name: run.name };
  if (form === 'list') return { ...basic, ...named };
  const finished = isDone(composite(run.jobs)) ? run.updated_at : null;
  return {
    ...basic,
    ...named,
    before_sha: '0'.repeat(40),
    tag: run.tag,
    yaml_errors: null,
    user: user(run.user),
    started_at: run.started_at,
    finished_at: finished,
    committed_at: null,
    duration: finished === null ? null : 1,
    coverage: null,
  };
}

export function job(run: Run, each: Job) {
  return {
    id: each.id,
    status: each.status,
    stage: each.stage,
    name: each.name,
    ref: run.ref,
    tag: run.tag,
    coverage: null,
    allow_failure: each.allow_failure,
    created_at: each.created_at,
    started_at: each.started_at,
    finished_at: each.finished_at,
    erased_at: null,
    duration: null,
    user: user(run.user),
    commit: { id: run.sha, title: 'Say more in the pipeline' },
    pipeline: pipeline(run, 'basic'),
    ...(each.status === 'failed' ? { failure_reason: each.failure_reason } : {}),
    web_url: `${WEB}/-/jobs/${each.id}`,
    project: { ci_job_token_scope_enabled: false },
  };
}

export function approval({ comment, created_at, status, user: by }: Approval) {
  return { user: user(by), status, created_at, comment };
}

/** With what approvals add, for one that is asked for by itself. */
export function deployment(world: World, each: Deployment, extended = false) {
  const run = world.runs.find(({ id }) => id === each.run);
  const made = run?.jobs.find(({ id }) => id === each.job);
  if (!run || !made) throw new Error('a deployment without a job');
  const approvals = each.approvals.map(approval);
  const given = each.approvals.filter(({ status }) => status === 'approved').length;
  return {
    id: each.id,
    iid: each.iid,
    ref: run.ref,
    sha: run.sha,
    created_at: each.created_at,
    updated_at: each.updated_at,
    status: each.status,
    user: user(run.user),
    environment: { id: world.environments.indexOf(each.environment) + 1, name: each.environment, external_url: null },
    deployable: job(run, made),
    ...(extended
      ? {
          pending_approval_count: Math.max(each.needed - given, 0),
          approvals,
          approval_summary: {
            rules:
              each.needed === 0
                ? []
                : [{ access_level: 40, required_approvals: each.needed, deployment_approvals: approvals }],
          },
        }
      : {}),
  };
}
