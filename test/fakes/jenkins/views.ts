import {
  BUILD_JOB,
  type Definition,
  type FakeBuild,
  type FakeStage,
  JOB,
  type Model,
  type QueueItem,
} from './model.ts';

/** What Jenkins answers about the model, whole; `tree=` leaves fields out later. */

const INPUT_STEP = 'org.jenkinsci.plugins.workflow.support.steps.input';

export const jobPath = (job: string) =>
  job
    .split('/')
    .map((each) => `/job/${each}`)
    .join('');

function parametersAction(parameters: Record<string, string>): unknown {
  return {
    _class: 'hudson.model.ParametersAction',
    parameters: Object.entries(parameters).map(([name, value]) => ({
      _class: 'hudson.model.StringParameterValue',
      name,
      value,
    })),
  };
}

export function buildView(build: FakeBuild, root: string): Record<string, unknown> {
  return {
    _class: 'org.jenkinsci.plugins.workflow.job.WorkflowRun',
    actions: [
      parametersAction(build.parameters),
      { _class: 'hudson.model.CauseAction', causes: build.causes },
      {},
      ...build.approvals.map((userId) => ({ _class: `${INPUT_STEP}.ApproverAction`, userId })),
      ...(build.interruptions.length > 0
        ? [{ _class: 'jenkins.model.InterruptedBuildAction', causes: build.interruptions }]
        : []),
      { _class: 'org.jenkinsci.plugins.workflow.job.views.FlowGraphAction' },
    ],
    number: build.number,
    queueId: build.queueId,
    url: `${root}${jobPath(JOB)}/${build.number}/`,
    building: build.building,
    result: build.result,
    description: build.description,
    displayName: `#${build.number}`,
    fullDisplayName: `deploy » storefront #${build.number}`,
    timestamp: build.began,
    duration: build.building ? 0 : 300,
  };
}

function definitionView({ choices, name, type }: Definition): unknown {
  return { _class: `hudson.model.${type}`, name, type, ...(choices ? { choices } : {}) };
}

export function jobView(model: Model, root: string): Record<string, unknown> {
  return {
    _class: model.isPipeline ? 'org.jenkinsci.plugins.workflow.job.WorkflowJob' : 'hudson.model.FreeStyleProject',
    name: 'storefront',
    url: `${root}${jobPath(JOB)}/`,
    buildable: model.buildable,
    property: [
      {},
      {
        _class: 'hudson.model.ParametersDefinitionProperty',
        parameterDefinitions: model.definitions.map(definitionView),
      },
    ],
    allBuilds: model.builds.map((build) => buildView(build, root)),
  };
}

export function queueItemView(item: QueueItem, root: string): Record<string, unknown> {
  const left = item.build !== null || item.cancelled;
  return {
    _class: left ? 'hudson.model.Queue$LeftItem' : 'hudson.model.Queue$WaitingItem',
    id: item.id,
    why: left ? null : 'In the quiet period. Expires in 4.9 sec',
    stuck: false,
    task: {
      _class: 'org.jenkinsci.plugins.workflow.job.WorkflowJob',
      name: 'storefront',
      url: `${root}${jobPath(JOB)}/`,
    },
    actions: [parametersAction(item.parameters)],
    ...(left ? { cancelled: item.cancelled } : {}),
    ...(item.build === null
      ? {}
      : { executable: { number: item.build, url: `${root}${jobPath(JOB)}/${item.build}/` } }),
  };
}

function stageView(stage: FakeStage): Record<string, unknown> {
  return {
    id: stage.id,
    name: stage.name,
    execNode: '',
    status: stage.status,
    ...(stage.error ? { error: { message: stage.error, type: 'hudson.AbortException' } } : {}),
    startTimeMillis: stage.began,
    durationMillis: (stage.ended ?? Date.now()) - stage.began,
    pauseDurationMillis: 0,
  };
}

export function describeView(build: FakeBuild): unknown {
  const status = build.building
    ? build.input
      ? 'PAUSED_PENDING_INPUT'
      : 'IN_PROGRESS'
    : ({ SUCCESS: 'SUCCESS', ABORTED: 'ABORTED', UNSTABLE: 'UNSTABLE' }[String(build.result)] ?? 'FAILED');
  return { id: String(build.number), name: `#${build.number}`, status, stages: build.stages.map(stageView) };
}

/** One step in each stage, whose number follows the stage's. */
export function stageDescribeView(stage: FakeStage): unknown {
  const step = {
    id: String(Number(stage.id) + 1),
    name: 'Shell Script',
    status: stage.status,
    parentNodes: [stage.id],
  };
  return {
    ...stageView(stage),
    stageFlowNodes: [{ ...step, ...(stage.error ? { error: { message: stage.error } } : {}) }],
  };
}

/** As HTML: FlowNodeLogExt writes it with writeHtmlTo. */
export function stageLogView(stage: FakeStage): unknown {
  const html = stage.log.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
  return {
    nodeId: String(Number(stage.id) + 1),
    nodeStatus: stage.status,
    length: html.length,
    hasMore: false,
    text: `<span class="timestamp"><b>12:00:00</b> </span>${html}`,
    consoleUrl: '/',
  };
}

export function inputsView(build: FakeBuild, prefix: string): unknown {
  if (!build.input) return [];
  const { id, inputs, message } = build.input;
  const at = `${prefix}${jobPath(JOB)}/${build.number}`;
  return [
    {
      id,
      proceedText: 'Proceed',
      message,
      inputs,
      proceedUrl: `${at}/wfapi/inputSubmit?inputId=${id}`,
      abortUrl: `${at}/input/${id}/abort`,
      redirectApprovalUrl: `${at}/input/`,
    },
  ];
}

export interface FakeRelease {
  number: number;
  name: string;
  sha: string;
  result: 'SUCCESS' | 'FAILURE';
  commits: { commitId: string; msg: string; timestamp: number }[];
}

/** A build of the build job: what git checked out, of the service and of a shared library. */
export function releaseView(release: FakeRelease, root: string): Record<string, unknown> {
  const checkout = (sha: string, url: string) => ({
    _class: 'hudson.plugins.git.util.BuildData',
    lastBuiltRevision: { SHA1: sha, branch: [{ SHA1: sha, name: 'refs/remotes/origin/main' }] },
    remoteUrls: [url],
  });
  return {
    _class: 'org.jenkinsci.plugins.workflow.job.WorkflowRun',
    number: release.number,
    url: `${root}${jobPath(BUILD_JOB)}/${release.number}/`,
    building: false,
    result: release.result,
    displayName: release.name,
    description: null,
    timestamp: 1_700_000_000_000 + release.number * 60_000,
    actions: [
      checkout('b'.repeat(40), 'https://git.example.com/acme/pipeline-library.git'),
      checkout(release.sha, 'https://git.example.com/acme/storefront.git'),
      {},
    ],
    changeSets: [
      {
        _class: 'hudson.plugins.git.GitChangeSetList',
        kind: 'git',
        items: release.commits.map((commit) => ({
          _class: 'hudson.plugins.git.GitChangeSet',
          ...commit,
          author: { fullName: 'Ana Ruiz' },
        })),
      },
    ],
  };
}
