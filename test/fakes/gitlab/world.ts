import { createHash, randomBytes } from 'node:crypto';

/** What a GitLab server knows of one project: commits, tags, releases, pipelines with their jobs, deployments. */

export interface Commit {
  id: string;
  title: string;
  parent: string | null;
  created_at: string;
}

export interface Tag {
  name: string;
  /** Of the tag itself; it is annotated. */
  target: string;
  commit: string;
  created_at: string;
}

export interface Release {
  tag_name: string;
  released_at: string;
  upcoming_release: boolean;
  /** Commit of the day when it was made. */
  sha: string;
}

export type Status = 'created' | 'pending' | 'running' | 'success' | 'failed' | 'canceled' | 'skipped' | 'manual';

export interface Job {
  id: number;
  name: string;
  stage: string;
  status: Status;
  allow_failure: boolean;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  failure_reason: string | null;
  /** It was repeated: no longer the latest of its name. */
  retried: boolean;
  environment: string | null;
  when: 'on_success' | 'manual';
  trace: string;
}

export interface Run {
  id: number;
  iid: number;
  name: string | null;
  source: string;
  ref: string;
  tag: boolean;
  sha: string;
  user: User;
  created_at: string;
  updated_at: string;
  started_at: string | null;
  jobs: Job[];
  values: Record<string, string>;
  how: How;
  last: Status | null;
}

export type How = 'succeed' | 'fail' | 'hang' | 'ask';

export interface Approval {
  user: User;
  status: 'approved' | 'rejected';
  comment: string | null;
  created_at: string;
}

export interface Deployment {
  id: number;
  iid: number;
  status: 'created' | 'blocked' | 'running' | 'success' | 'failed' | 'canceled' | 'skipped';
  created_at: string;
  updated_at: string;
  job: number;
  run: number;
  environment: string;
  needed: number;
  approvals: Approval[];
}

export interface User {
  id: number;
  username: string;
  name: string;
}

/** What the tests may set. */
export interface Knobs {
  how: How;
  /** What guards an environment: approvals (Premium), or a manual job. */
  guard: 'approval' | 'manual';
  /** How many approvals it needs. */
  approvals: number;
  selfApproval: boolean;
  /** A job after the one that deploys. */
  lastJob: boolean;
  /** Which commit the log says; null for none. */
  says: 'sha' | 'other' | null;
  /** What else the log of the deploy job prints, raw. */
  prints: string;
  file: string | null;
  accessLevel: number;
  scopes: string[];
  expires: string | null;
  version: string;
  remaining: number;
  pageSize: number;
  defaultBranch: string | null;
  canPush: boolean;
  /** Logs can't be read: object storage is away. */
  brokenLogs: boolean;
  /** False as before 16.9: the filter by name is not known, and so not heeded. */
  filtersNames: boolean;
}

export const PROJECT = { id: 278_964, path: 'acme/storefront' };
export const VERSIONS = ['1.0.0', '1.1.0', '1.10.0'] as const;

/** The example of docs/pipelines/gitlab.md, as far as a check reads it. */
export const FILE = `spec:
  inputs:
    version:
      description: Version as people say it
    sha:
      regex: ^[0-9a-f]{40}$
    environment:
      options: [staging, prod]
    key:
      regex: ^[a-z0-9-]{8,64}$
---
workflow:
  name: 'shipmate $[[ inputs.key ]]'
stages: [build, deploy]
deploy:
  stage: deploy
  script:
    - git checkout --detach "$SHA"
    - !reference [.deploy, script]
`;

export function hex(seed: string): string {
  return createHash('sha1').update(seed).digest('hex');
}

/** A token in GitLab's form. */
export function token(prefix: string): string {
  return `${prefix}-${randomBytes(15).toString('base64url')}.01.${randomBytes(4).toString('hex')}`;
}

export function createWorld() {
  const commits = new Map<string, Commit>();
  let head: string | null = null;
  let clock = Date.now() - 30 * 86_400_000;
  const commit = (title: string) => {
    clock += 3_600_000;
    const id = hex(`${head} ${title} ${clock}`);
    commits.set(id, { id, title, parent: head, created_at: new Date(clock).toISOString() });
    head = id;
    return id;
  };
  const tags: Tag[] = [];
  const releases: Release[] = [];
  commit('Start');
  const shas = Object.fromEntries(
    VERSIONS.map((name) => {
      commit(`Work for ${name}`);
      const id = commit(`Release ${name}`);
      const created_at = new Date(clock).toISOString();
      tags.push({ name, target: hex(`tag ${name}`), commit: id, created_at });
      releases.push({ tag_name: name, released_at: created_at, upcoming_release: false, sha: id });
      return [name, id];
    }),
  ) as Record<(typeof VERSIONS)[number], string>;
  const main = commit('Say more in the pipeline');
  const bot: User = { id: 71, username: 'project_278964_bot_5f', name: 'shipmate' };
  const approver: User = { id: 72, username: 'project_278964_bot_a9', name: 'shipmate approvals' };
  const knobs: Knobs = {
    how: 'succeed',
    guard: 'approval',
    approvals: 1,
    selfApproval: true,
    lastJob: false,
    says: 'sha',
    prints: '',
    file: FILE,
    accessLevel: 40,
    scopes: ['api'],
    expires: new Date(Date.now() + 200 * 86_400_000).toISOString().slice(0, 10),
    version: '18.6.1-ee',
    remaining: 1_900,
    pageSize: 100,
    defaultBranch: 'main',
    canPush: true,
    brokenLogs: false,
    filtersNames: true,
  };
  return {
    commits,
    tags,
    releases,
    shas,
    main,
    knobs,
    bot,
    approver,
    environments: ['staging', 'prod'],
    runs: [] as Run[],
    deployments: [] as Deployment[],
    answers: [] as { run: string; approved: boolean; comment: string }[],
    started: 0,
    /** What the runner's job token looks like; the log prints it by mistake. */
    jobToken: token('glcbt-64'),
    /** Ancestors of a commit, itself first. */
    ancestors(id: string): Commit[] {
      const line: Commit[] = [];
      for (let at = commits.get(id); at; at = at.parent === null ? undefined : commits.get(at.parent)) line.push(at);
      return line;
    },
  };
}

export type World = ReturnType<typeof createWorld>;

/** The pipeline's state from its jobs, as lib/gitlab/ci/status/composite.rb has it. */
export function composite(jobs: readonly Job[]): Status {
  const latest = jobs.filter(({ retried }) => !retried);
  const states = new Set(
    latest.map(({ allow_failure: may, status }) =>
      may && status === 'manual' ? 'ignored' : may && status === 'failed' ? 'success' : status,
    ),
  );
  const only = (...names: string[]) => [...states].every((state) => names.includes(state));
  const any = (...names: string[]) => names.some((name) => states.has(name as Status));
  if (only('skipped', 'ignored')) return 'skipped';
  if (only('success', 'skipped', 'ignored')) return 'success';
  if (only('created', 'ignored')) return 'created';
  if (only('canceled', 'success', 'skipped', 'ignored')) return 'canceled';
  if (only('pending', 'created', 'skipped', 'ignored')) return 'pending';
  if (any('running', 'pending')) return 'running';
  if (any('manual')) return 'manual';
  if (any('failed')) return any('created') ? 'running' : 'failed';
  return any('created') ? 'running' : 'failed';
}

export function isDone(status: Status): boolean {
  return ['success', 'failed', 'canceled', 'skipped'].includes(status);
}
