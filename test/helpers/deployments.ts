import type { Person } from '../../src/access/types.ts';
import type { Deployment } from '../../src/deploys/types.ts';

export function person(name: string): Person {
  return { id: `id-${name}`, tenantId: 'tenant', name, channelUserId: `29:${name}` };
}

/** A deployment of storefront 1.2.3 to production by dana. */
export function deployment(more: Partial<Deployment> = {}): Deployment {
  return {
    id: '1',
    kind: 'deploy',
    service: 'storefront',
    environment: 'production',
    version: '1.2.3',
    sha: 'a'.repeat(40),
    fromVersion: '1.1.0',
    fromSha: 'b'.repeat(40),
    changes: [],
    changesTotal: 0,
    reason: null,
    requestedBy: person('dana'),
    requestedIn: 'a:dana',
    origin: 'message:1',
    state: 'queued',
    revision: 1,
    digest: 'd'.repeat(64),
    approval: null,
    votes: [],
    runKey: 'key-00000001',
    triggerStartedAt: null,
    run: null,
    stages: [],
    tail: [],
    problem: null,
    createdAt: '2026-11-24T11:59:00.000Z',
    startedAt: null,
    finishedAt: null,
    scheduledFor: null,
    waitingSince: null,
    cancel: null,
    gate: null,
    breakGlass: null,
    watch: null,
    command: null,
    foreign: null,
    rerun: null,
    ...more,
  };
}
