import { createHash, generateKeyPairSync, randomBytes } from 'node:crypto';
import type { FakeCi, Trouble } from '../ci/types.ts';

export const OWNER = 'acme';
export const REPO = 'storefront';
/** What the repository was called before. */
export const FORMER = 'shopfront';
export const WORKFLOW = 'deploy.yml';
export const APP = { id: 481516, slug: 'shipmate-acme' };
export const INSTALLATION = 2342;
export const VERSIONS = ['1.0.0', '1.1.0', '1.10.0'] as const;
export type VersionName = (typeof VERSIONS)[number];

// One for all fakes of a process: making one takes a while. PKCS#1, as GitHub hands it out.
const keys = generateKeyPairSync('rsa', {
  modulusLength: 2048,
  privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  publicKeyEncoding: { type: 'spki', format: 'pem' },
});

export type Behaviour = Parameters<FakeCi['behave']>[0];
export type Level = 'read' | 'write';
export type JobConclusion = 'success' | 'failure' | 'cancelled' | 'skipped' | null;

export interface FakeStep {
  name: string;
  status: 'queued' | 'in_progress' | 'completed';
  conclusion: JobConclusion;
  startedAt: string | null;
  completedAt: string | null;
}
export interface FakeJob {
  id: number;
  name: string;
  status: 'queued' | 'in_progress' | 'completed' | 'waiting';
  conclusion: JobConclusion;
  startedAt: string;
  completedAt: string | null;
  steps: FakeStep[];
  log: string[];
  annotations: { level: 'notice' | 'warning' | 'failure'; title: string; message: string }[];
}
export interface FakeAttempt {
  number: number;
  status: 'queued' | 'in_progress' | 'waiting' | 'completed';
  conclusion: JobConclusion;
  startedAt: string;
  behaviour: Behaviour;
  actor: string;
  jobs: FakeJob[];
}
export interface FakeRun {
  id: number;
  number: number;
  event: string;
  branch: string;
  sha: string;
  title: string;
  createdAt: string;
  /** When it was really made, in milliseconds. */
  bornMs: number;
  updatedAt: string;
  environment: FakeEnvironment;
  /** What the jobs check out, and say so; null when they say nothing. */
  deploys: string | null;
  attempts: FakeAttempt[];
  approvals: { environment: FakeEnvironment; state: 'approved' | 'rejected'; comment: string; login: string }[];
}
export interface FakeEnvironment {
  id: number;
  name: string;
  guarded: boolean;
}
export interface FakeDeployment {
  id: number;
  run: number | null;
  sha: string;
  ref: string;
  environment: string;
  createdAt: string;
  states: ('queued' | 'in_progress' | 'success' | 'failure' | 'error' | 'pending' | 'inactive')[];
}
export interface FakeRelease {
  id: number;
  tag: string;
  draft: boolean;
  prerelease: boolean;
  createdAt: string;
}

/** Everything that the fake GitHub holds; tests may change it. */
export interface World {
  readonly privateKey: string;
  readonly publicKey: string;
  readonly webhookSecret: string;
  /** Tokens that are right now; and all that were ever given out. */
  readonly tokens: Map<string, { expiresAt: number; repositories: readonly string[] }>;
  readonly everyToken: string[];
  readonly commits: { sha: string; message: string; author: string; date: string }[];
  readonly shas: Record<VersionName, string>;
  /** Tags by name: an annotated one has an object of its own. */
  readonly tags: Map<string, { commit: string; object: string | null }>;
  readonly releases: FakeRelease[];
  readonly runs: Map<number, FakeRun>;
  readonly environments: FakeEnvironment[];
  readonly deployments: FakeDeployment[];
  readonly branches: Map<string, { sha: string; protected: boolean }>;
  permissions: Record<string, Level>;
  appPermissions: Record<string, Level>;
  events: string[];
  suspended: boolean;
  installed: boolean;
  /** Undefined: github.com. */
  installedVersion: string | undefined;
  workflowState: 'active' | 'disabled_manually';
  runName: string;
  inputs: Record<string, { required: boolean }>;
  /** In the place of the file that is made from the name and the inputs. */
  workflowText: string | null;
  /** A run ends just before it is cancelled. */
  endsBeforeCancel: boolean;
  /** Milliseconds until a run is shown in lists and by its id. */
  hiddenMs: number;
  rate: { limit: number; remaining: number; resetAt: number };
  behaviour: Behaviour;
  trouble: Trouble | null;
  /** Seconds of Retry-After. */
  retryAfter: number;
  /** How many requests more the trouble lasts, where it ends by itself. */
  troubleLeft: number;
  nextId: number;
}

export function createWorld(): World {
  let minute = 0;
  const commits: World['commits'] = [];
  const commit = (message: string) => {
    minute += 1;
    const sha = createHash('sha1').update(`${message} ${minute}`).digest('hex');
    commits.push({ sha, message, author: 'Ana Ruiz', date: new Date(Date.UTC(2026, 8, 1, 0, minute)).toISOString() });
    return sha;
  };
  const tags: World['tags'] = new Map();
  const releases: FakeRelease[] = [];
  const shas = Object.fromEntries(
    VERSIONS.map((name, index) => {
      commit(`Work for ${name}\n\nMore about it.`);
      const sha = commit(`Release ${name}`);
      // Two kinds of tags, as repositories have them.
      tags.set(name, {
        commit: sha,
        object: index === 1 ? createHash('sha1').update(`tag ${name}`).digest('hex') : null,
      });
      const createdAt = new Date(Date.UTC(2026, 8, 1, 0, minute)).toISOString();
      releases.push({ id: 100 + index, tag: name, draft: false, prerelease: false, createdAt });
      return [name, sha];
    }),
  ) as Record<VersionName, string>;
  const permissions = (): Record<string, Level> => ({
    actions: 'write',
    checks: 'read',
    contents: 'read',
    deployments: 'write',
    metadata: 'read',
  });
  return {
    privateKey: keys.privateKey,
    publicKey: keys.publicKey,
    webhookSecret: `hook-${randomBytes(16).toString('hex')}`,
    tokens: new Map(),
    everyToken: [],
    commits,
    shas,
    tags,
    releases,
    runs: new Map(),
    environments: [
      { id: 161_088_068, name: 'staging', guarded: true },
      { id: 161_088_069, name: 'Production', guarded: true },
    ],
    deployments: [],
    branches: new Map([['main', { sha: shas['1.10.0'], protected: true }]]),
    permissions: permissions(),
    appPermissions: permissions(),
    events: ['workflow_run', 'workflow_job', 'deployment_status', 'deployment_protection_rule'],
    suspended: false,
    installed: true,
    installedVersion: undefined,
    workflowState: 'active',
    runName: 'Deploy ${{ inputs.version }} to ${{ inputs.environment }} [${{ inputs.key }}]',
    inputs: {
      version: { required: true },
      sha: { required: true },
      environment: { required: true },
      key: { required: true },
    },
    endsBeforeCancel: false,
    workflowText: null,
    hiddenMs: 0,
    rate: { limit: 5_000, remaining: 5_000, resetAt: Math.floor(Date.now() / 1000) + 3_600 },
    behaviour: 'succeed',
    trouble: null,
    retryAfter: 1,
    troubleLeft: 0,
    nextId: 17_000_000_000,
  };
}

export function newId(world: World): number {
  world.nextId += 7;
  return world.nextId;
}

export function isoNow(): string {
  // GitHub has whole seconds.
  return `${new Date().toISOString().slice(0, 19)}Z`;
}

export function workflowFile(world: World): string {
  if (world.workflowText !== null) return world.workflowText;
  const inputs = Object.entries(world.inputs)
    .map(([name, { required }]) => `      ${name}: { type: string, required: ${required} }`)
    .join('\n');
  return `name: Deploy
run-name: ${world.runName}
on:
  workflow_dispatch:
    inputs:
${inputs}
jobs:
  build:
    runs-on: ubuntu-latest
    steps: [{ run: make }]
`;
}
