import { type Answer, count, fields, list, ok, query, Refusal } from './answers.ts';
import { type FakeGit, REPOSITORY } from './git.ts';
import type { FakeRun, FakeRuns } from './runs.ts';
import { approvalOf, buildOf, timelineOf } from './views.ts';

export const PROJECT = 'Web Shop';
export const PIPELINE = { id: 42, name: 'deploy-storefront' };
export const BUILDER = { id: 7, name: 'build-storefront' };

/** What a test may change of the pipeline's YAML. */
export interface FakeYaml {
  parameters: Record<string, { values?: readonly string[]; default?: string }>;
  stages: readonly string[];
}

export interface Asked {
  method: string;
  /** After the project, decoded. */
  path: string;
  search: URLSearchParams;
  body: unknown;
}

interface RunBody {
  templateParameters?: Record<string, string>;
  resources?: unknown;
  stagesToSkip?: string[];
  previewRun?: boolean;
}

/** The resources of the project. A path that is none is null. */
export function createRoutes(options: {
  base: string;
  git: FakeGit;
  runs: FakeRuns;
  yaml: FakeYaml;
  finalYaml: () => string;
  /** Lists of builds leave out the parameters, as some servers do. */
  bareLists: () => boolean;
  began: (run: FakeRun) => void;
}) {
  const { base, git, runs, yaml } = options;
  const project = `${base}/${encodeURIComponent(PROJECT)}`;
  const definitions = [PIPELINE, BUILDER].map((each) => ({
    ...each,
    path: '\\',
    type: 'build',
    queueStatus: 'enabled',
  }));
  const built: FakeRun[] = Object.entries(git.shas).map(([, sha], index) => ({
    ...blank,
    id: 501 + index,
    number: `20260901.${index + 1}`,
    definition: BUILDER.id,
    sourceVersion: sha,
    queueTime: new Date(Date.UTC(2026, 8, 1, index)).toISOString(),
    startTime: new Date(Date.UTC(2026, 8, 1, index, 1)).toISOString(),
    finishTime: new Date(Date.UTC(2026, 8, 1, index, 5)).toISOString(),
    checkpoint: '',
  }));

  const invalid = (message: string) =>
    new Refusal(400, 'PipelineValidationException', `/azure-pipelines.yml: ${message}`);

  function checkRun(body: unknown) {
    const {
      templateParameters = {},
      resources,
      stagesToSkip = [],
      previewRun,
    } = fields<RunBody>(body, {
      templateParameters: 'texts',
      resources: 'object',
      stagesToSkip: 'strings',
      previewRun: 'boolean',
      variables: 'object',
    });
    const { repositories } = fields<{ repositories?: unknown }>(resources ?? {}, { repositories: 'object' });
    const { self } = fields<{ self?: unknown }>(repositories ?? {}, { self: 'object' });
    const { refName = 'refs/heads/main', version } = fields<{ refName?: string; version?: string }>(self ?? {}, {
      refName: 'string',
      version: 'string',
    });
    const sourceVersion = git.resolve(refName);
    if (sourceVersion === null)
      throw new Refusal(
        400,
        'PipelineValidationException',
        `Could not get the latest source version for repository ${REPOSITORY} with reference ${refName}.`,
      );
    if (version !== undefined && !git.has(version))
      throw new Refusal(400, 'PipelineValidationException', `The commit ${version} does not exist in ${REPOSITORY}.`);
    for (const name of stagesToSkip)
      if (!yaml.stages.includes(name)) throw invalid(`Stage ${name} is not found in the pipeline.`);
    for (const name of Object.keys(templateParameters))
      if (!Object.hasOwn(yaml.parameters, name)) throw invalid(`Unexpected parameter '${name}'`);
    const parameters: Record<string, string> = {};
    for (const [name, declared] of Object.entries(yaml.parameters)) {
      const value = templateParameters[name] ?? declared.default;
      if (value === undefined) throw invalid(`A value for the '${name}' parameter must be provided.`);
      if (declared.values && !declared.values.includes(value))
        throw invalid(`The '${name}' parameter value '${value}' is not a valid value.`);
      parameters[name] = value;
    }
    return { parameters, refName, sourceVersion: version ?? sourceVersion, previewRun: previewRun === true };
  }

  function requirePipeline(id: string | undefined): void {
    if (Number(id) === PIPELINE.id) return;
    throw new Refusal(404, 'PipelineNotFoundException', `The pipeline ${id} could not be found.`);
  }

  function builds(search: URLSearchParams): Answer {
    const asked = query(search, [
      'definitions',
      'queryOrder',
      'minTime',
      '$top',
      'continuationToken',
      'statusFilter',
      'resultFilter',
      'branchName',
      'buildNumber',
    ]);
    const order = asked.queryOrder ?? 'finishTimeDescending';
    if (order !== 'queueTimeDescending' && order !== 'finishTimeDescending')
      throw new Refusal(400, 'VssPropertyValidationException', `The order '${order}' is not known.`);
    if (asked.minTime !== undefined && Number.isNaN(Date.parse(asked.minTime)))
      throw new Refusal(400, 'VssPropertyValidationException', `'${asked.minTime}' is not a valid time.`);
    const timeOf = (run: FakeRun) => (order === 'queueTimeDescending' ? run.queueTime : (run.finishTime ?? ''));
    const beginning = asked.buildNumber?.endsWith('*') ? asked.buildNumber.slice(0, -1) : null;
    const found = [...built, ...runs.all]
      .filter((run) => asked.definitions === undefined || asked.definitions.split(',').includes(String(run.definition)))
      .filter((run) => asked.minTime === undefined || Date.parse(timeOf(run)) >= Date.parse(asked.minTime))
      .filter((run) => asked.statusFilter === undefined || run.status === asked.statusFilter)
      .filter((run) => asked.resultFilter === undefined || run.result === asked.resultFilter)
      .filter((run) => asked.branchName === undefined || run.sourceBranch === asked.branchName)
      .filter(
        ({ number }) =>
          asked.buildNumber === undefined ||
          (beginning === null ? number === asked.buildNumber : number.startsWith(beginning)),
      )
      .sort((a, b) => Date.parse(timeOf(b)) - Date.parse(timeOf(a)) || b.id - a.id);
    const from = count(asked.continuationToken, 0);
    const to = from + count(asked.$top, 1000);
    const more = to < found.length ? { 'x-ms-continuationtoken': String(to) } : {};
    return list(
      found.slice(from, to).map((run) => buildOf(run, project, !options.bareLists())),
      more,
    );
  }

  function build({ body, method, search }: Asked, id: number, rest: string): Answer | null {
    const run = runs.find(id);
    if (rest === '' && method === 'GET') {
      query(search, []);
      return ok(buildOf(run, project));
    }
    if (rest === '' && method === 'PATCH') {
      const { status } = fields<{ status: string }>(body, { status: 'string' }, ['status']);
      if (status !== 'cancelling')
        throw new Refusal(400, 'InvalidBuildException', `The status ${status} can't be set.`);
      runs.cancel(run);
      return ok(buildOf(run, project));
    }
    if (rest === 'timeline' && method === 'GET') {
      const records = timelineOf(run);
      return records === null ? { status: 204 } : ok(records);
    }
    if (rest === 'logs' && method === 'GET')
      return list([...run.logs].map(([log, lines]) => ({ id: log, lineCount: lines.length, type: 'Container' })));
    const [, log] = /^logs\/(\d+)$/.exec(rest) ?? [];
    if (log !== undefined && method === 'GET') {
      const { endLine, startLine } = query(search, ['startLine', 'endLine']);
      const lines = run.logs.get(Number(log));
      if (!lines) throw new Refusal(404, 'BuildLogNotFoundException', `The log ${log} could not be found.`);
      return list(lines.slice(Math.max(count(startLine, 1), 1) - 1, count(endLine, lines.length)));
    }
    const [, stage] = /^stages\/([^/]+)$/.exec(rest) ?? [];
    if (stage !== undefined && method === 'PATCH') {
      const { state } = fields<{ state: string }>(body, { state: 'string', forceRetryAllJobs: 'boolean' }, ['state']);
      if (state !== 'retry')
        throw new Refusal(400, 'VssPropertyValidationException', `The state ${state} is not known.`);
      runs.retry(run, stage);
      return { status: 204 };
    }
    return null;
  }

  function approvals({ body, method, search }: Asked, id: string | undefined): Answer | null {
    const waiting = runs.all.flatMap((run) => (run.approval ? [{ run, approval: run.approval }] : []));
    const find = (wanted: string) => {
      const found = waiting.find(({ approval }) => approval.id === wanted);
      if (found) return found;
      throw new Refusal(404, 'ApprovalNotFoundException', `Approval with ID ${wanted} does not exist.`);
    };
    if (id !== undefined && method === 'GET') {
      query(search, ['$expand']);
      const { approval, run } = find(id);
      return ok(approvalOf(run, approval, project));
    }
    if (id !== undefined || method !== 'PATCH') return null;
    if (!Array.isArray(body)) throw new Refusal(400, 'VssPropertyValidationException', 'A list is expected.');
    return list(
      body.map((each) => {
        const update = fields<{ approvalId: string; status: string; comment: string }>(
          each,
          { approvalId: 'string', status: 'string', comment: 'string' },
          ['approvalId', 'status'],
        );
        if (update.status !== 'approved' && update.status !== 'rejected')
          throw new Refusal(400, 'VssPropertyValidationException', `The status ${update.status} can't be set.`);
        const { approval, run } = find(update.approvalId);
        runs.answer(run, update.status, update.comment);
        return approvalOf(run, approval, project);
      }),
    );
  }

  return function handle(asked: Asked): Answer | null {
    const { body, method, path, search } = asked;
    const [, pipelineId, action] = /^pipelines\/(\d+)(?:\/(runs|preview))?$/.exec(path) ?? [];
    if (pipelineId !== undefined) {
      requirePipeline(pipelineId);
      if (action === undefined) return method === 'GET' ? ok({ ...PIPELINE, revision: 3, folder: '\\' }) : null;
      if (method !== 'POST') return null;
      const { parameters, previewRun, refName, sourceVersion } = checkRun(body);
      if (action === 'preview' || previewRun) return ok({ finalYaml: options.finalYaml(), id: -1 });
      const run = runs.start({ parameters, sourceBranch: refName, sourceVersion, by: 'Shipmate', reason: 'manual' });
      options.began(run);
      return ok({
        id: run.id,
        name: run.number,
        state: 'inProgress',
        templateParameters: parameters,
        createdDate: run.queueTime,
        pipeline: PIPELINE,
      });
    }
    const [, approval] = /^pipelines\/approvals(?:\/([^/]+))?$/.exec(path) ?? ['', null];
    if (approval !== null) return approvals(asked, approval);
    if (path === 'build/definitions' && method === 'GET') {
      const { name } = query(search, ['name']);
      return list(definitions.filter((each) => name === undefined || each.name.toLowerCase() === name.toLowerCase()));
    }
    if (path === 'build/builds' && method === 'GET') return builds(search);
    const [, id, rest = ''] = /^build\/builds\/(\d+)(?:\/(.+))?$/.exec(path) ?? [];
    if (id !== undefined) return build(asked, Number(id), rest);
    const [, repository, resource] = /^git\/repositories\/([^/]+)\/(.+)$/.exec(path) ?? [];
    if (repository !== undefined && resource !== undefined && method === 'GET') {
      if (repository === REPOSITORY) return git.handle(resource, search);
      throw new Refusal(
        404,
        'GitRepositoryNotFoundException',
        `TF401019: The Git repository with name or identifier ${repository} does not exist or you do not have permissions for the operation you are attempting.`,
      );
    }
    return null;
  };
}

const blank: FakeRun = {
  id: 0,
  number: '',
  definition: 0,
  parameters: {},
  sourceBranch: 'refs/heads/main',
  sourceVersion: '',
  reason: 'individualCI',
  by: 'Ana Ruiz',
  queueTime: '',
  startTime: null,
  finishTime: null,
  status: 'completed',
  result: 'succeeded',
  tags: [],
  stages: [],
  approval: null,
  checkpoint: '',
  logs: new Map(),
  issue: null,
};
