import type { Engine } from './engine.ts';
import { approval, deployment, job, pipeline } from './entities.ts';
import {
  type Answered,
  type Asked,
  bad,
  bodyOf,
  NUMBER,
  notFound,
  PAGING,
  paged,
  queryOf,
  Refusal,
  TEXT,
  TIME,
} from './requests.ts';
import type { Job, Run, World } from './world.ts';
import { composite, isDone, PROJECT } from './world.ts';

/** Pipelines, jobs and deployments: docs.gitlab.com/api/pipelines, /jobs, /deployments. */

const STATUSES = /^(?:created|running|success|failed|canceled|blocked|skipped)$/;

function values(world: World, asked: Asked): { values: Record<string, string>; name: string | null } {
  const fields = bodyOf(asked, { ref: 'text', inputs: 'texts', variables: 'variables' }, ['ref']);
  const refuse = (message: string) => new Refusal(400, { message: { base: [message] } });
  if (fields.ref !== 'main') throw refuse('Reference not found');
  if (!world.knobs.canPush)
    throw refuse(
      "You do not have sufficient permission to run a pipeline on 'main'. Please select a different branch or contact your administrator for assistance.",
    );
  const inputs = (fields.inputs ?? {}) as Record<string, string>;
  const variables = (fields.variables ?? []) as { key: string; value: string }[];
  const { file } = world.knobs;
  if (file === null) throw refuse('Missing CI config file');
  const declared = [
    ...(/^spec:\n {2}inputs:\n((?: {4,}.*\n)+)---\n/.exec(file)?.[1] ?? '').matchAll(/^ {4}(\w+):/gm),
  ].map(([, name = '']) => name);
  if (declared.length === 0 && Object.keys(inputs).length > 0)
    throw refuse('Given inputs not defined in the `spec` section of the included configuration file');
  const unknown = Object.keys(inputs).filter((name) => !declared.includes(name));
  if (unknown.length > 0) throw refuse(`unknown input arguments: ${unknown.join(', ')}`);
  const missing = declared.find((name) => inputs[name] === undefined);
  if (missing !== undefined) throw refuse(`\`${missing}\` input: required value has not been provided`);
  const given = { ...inputs, ...Object.fromEntries(variables.map(({ key, value }) => [key, value])) };
  const template = /^ {2}name: ["'](.*)["']$/m.exec(file)?.[1];
  const name = template?.replace(
    /\$\[\[ inputs\.(\w+) \]\]|\$(\w+)/g,
    (_all, input?: string, variable?: string) => given[input ?? variable ?? ''] ?? '',
  );
  return { values: given, name: name ? name.slice(0, 255) : null };
}

export function ciRoutes(world: World, engine: Engine) {
  const { knobs } = world;
  const userOf = (asked: Asked) => (asked.as === 'approver' ? world.approver : world.bot);
  const runOf = (id: string | undefined): Run => {
    const found = NUMBER.test(id ?? '') ? world.runs.find((run) => String(run.id) === id) : undefined;
    if (!found) throw new Refusal(404, { message: '404 Not found' });
    return found;
  };
  const jobOf = (id: string | undefined): { run: Run; job: Job } => {
    for (const run of world.runs) {
      const found = run.jobs.find((each) => String(each.id) === id);
      if (found) return { run, job: found };
    }
    throw new Refusal(404, { message: '404 Not found' });
  };
  const none = (asked: Asked) => {
    queryOf(asked, {});
    if (asked.body !== undefined) bodyOf(asked, {});
  };

  function listPipelines(asked: Asked): Answered {
    const query = queryOf(asked, {
      ...PAGING,
      name: TEXT,
      order_by: /^(?:id|status|ref|updated_at|user_id)$/,
      sort: /^(?:asc|desc)$/,
      source: TEXT,
      updated_after: TIME,
    });
    const found = world.runs.filter(
      (run) =>
        (query.name === undefined || run.name === query.name || !knobs.filtersNames) &&
        (query.source === undefined || run.source === query.source),
    );
    if (query.sort !== 'asc') found.reverse();
    const { headers, page } = paged(found, query, knobs.pageSize);
    return { status: 200, json: page.map((run) => pipeline(run, 'list')), headers };
  }

  function listDeployments(asked: Asked): Answered {
    const query = queryOf(asked, {
      ...PAGING,
      order_by: /^(?:id|iid|created_at|updated_at|ref)$/,
      sort: /^(?:asc|desc)$/,
      status: STATUSES,
      environment: TEXT,
      updated_after: TIME,
    });
    // app/finders/deployments_finder.rb: one without the other is refused.
    if ((query.updated_after === undefined) !== (query.order_by !== 'updated_at'))
      throw new Refusal(400, {
        message: '400 Bad request - `updated_at` filter and `updated_at` sorting must be paired',
      });
    const found = world.deployments
      .filter(({ status }) => query.status === undefined || status === query.status)
      .filter(({ environment }) => query.environment === undefined || environment === query.environment)
      .filter(
        (each) => query.updated_after === undefined || Date.parse(each.updated_at) > Date.parse(query.updated_after),
      )
      .sort((a, b) => a.id - b.id);
    if (query.sort === 'desc') found.reverse();
    const { headers, page } = paged(found, query, knobs.pageSize);
    return { status: 200, json: page.map((each) => deployment(world, each)), headers };
  }

  /** ee/app/services/deployments/approval_service.rb */
  function approve(asked: Asked): Answered {
    queryOf(asked, {});
    const fields = bodyOf(asked, { status: 'text', comment: 'text', represented_as: 'text' }, ['status']);
    const { comment = null, status } = fields as { status: string; comment?: string };
    if (status !== 'approved' && status !== 'rejected') throw bad('status does not have a valid value');
    const found = world.deployments.find(({ id }) => String(id) === asked.parts[3]);
    if (!found) throw notFound('Deployment');
    const run = runOf(String(found.run));
    const refuse = (message: string) => new Refusal(400, { message });
    const user = userOf(asked);
    const approvedBy = found.approvals.filter((each) => each.status === 'approved').length;
    if (found.needed === 0) throw refuse('This environment is not protected.');
    if (run.user.id === user.id && status === 'approved' && !knobs.selfApproval)
      throw refuse(
        'You cannot approve your own deployment. This configuration can be adjusted in the protected environment settings.',
      );
    if (found.status !== 'blocked' || approvedBy >= found.needed)
      throw refuse('This deployment is not waiting for approvals.');
    const own = found.approvals.find((each) => each.user.id === user.id);
    const given = { user, status, comment, created_at: new Date().toISOString() } as const;
    if (own) Object.assign(own, given);
    else found.approvals.push({ ...given });
    found.updated_at = given.created_at;
    world.answers.push({ run: String(run.id), approved: status === 'approved', comment: comment ?? '' });
    // With approval rules the job stays manual: somebody has to start it.
    if (status === 'rejected') engine.reject(run, found);
    return { status: 201, json: approval(given) };
  }

  function play(asked: Asked): Answered {
    none(asked);
    const { job: found, run } = jobOf(asked.parts[3]);
    const waiting = engine.deploymentOf(found);
    const approved = waiting?.approvals.filter(({ status }) => status === 'approved').length ?? 0;
    if (found.status !== 'manual' || approved < (waiting?.needed ?? 0))
      throw new Refusal(400, { message: '400 Bad request - Unplayable Job' });
    engine.play(run, found);
    return { status: 200, json: job(run, found) };
  }

  return function ci(asked: Asked): Answered | null {
    const [, , kind, id, action, more] = asked.parts;
    const route = `${asked.method} ${kind} ${id === undefined ? '' : ':id'} ${action ?? ''}`.trim();
    if (more !== undefined) return null;
    if (route === 'POST pipeline') {
      queryOf(asked, {});
      const made = values(world, asked);
      world.started += 1;
      const run = engine.create({
        source: 'api',
        ref: 'main',
        tag: false,
        sha: world.main,
        user: userOf(asked),
        how: knobs.how,
        ...made,
      });
      // Entities::Ci::Pipeline has no name.
      return { status: 201, json: pipeline(run, 'made') };
    }
    if (route === 'GET pipelines') return listPipelines(asked);
    if (kind === 'pipelines' && id !== undefined) {
      const run = runOf(id);
      if (route === 'GET pipelines :id') {
        none(asked);
        return { status: 200, json: pipeline(run, 'full') };
      }
      if (route === 'GET pipelines :id jobs') {
        const query = queryOf(asked, { ...PAGING, include_retried: /^(?:true|false)$/ });
        const all = run.jobs
          .filter(({ retried }) => query.include_retried === 'true' || !retried)
          .sort((a, b) => b.id - a.id);
        const { headers, page } = paged(all, query, knobs.pageSize);
        return { status: 200, json: page.map((each) => job(run, each)), headers };
      }
      if (route === 'POST pipelines :id cancel') {
        none(asked);
        if (!isDone(composite(run.jobs))) engine.cancel(run);
        return { status: 200, json: pipeline(run, 'made') };
      }
      if (route === 'POST pipelines :id retry') {
        none(asked);
        engine.retry(run);
        return { status: 201, json: pipeline(run, 'made') };
      }
    }
    if (kind === 'jobs' && id !== undefined) {
      const found = jobOf(id);
      if (route === 'GET jobs :id') {
        none(asked);
        return { status: 200, json: job(found.run, found.job) };
      }
      if (route === 'GET jobs :id trace') {
        none(asked);
        if (knobs.brokenLogs) throw new Refusal(500, { message: '500 Internal Server Error' });
        return { status: 200, text: found.job.trace };
      }
      if (route === 'POST jobs :id play') return play(asked);
    }
    if (route === 'GET deployments') return listDeployments(asked);
    if (route === 'GET deployments :id') {
      none(asked);
      const found = world.deployments.find((each) => String(each.id) === id);
      if (!found) throw notFound('Deployment');
      return { status: 200, json: deployment(world, found, true) };
    }
    if (route === 'POST deployments :id approval') return approve(asked);
    if (route === 'GET environments') {
      const query = queryOf(asked, { ...PAGING, name: TEXT });
      const all = world.environments.map((name, index) => ({ id: index + 1, name, slug: name, state: 'available' }));
      const { headers, page } = paged(all, query, knobs.pageSize);
      return { status: 200, json: page, headers };
    }
    return null;
  };
}

export const IN_PROJECT = new Set([String(PROJECT.id), PROJECT.path]);
