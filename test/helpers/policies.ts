import type { ApprovalPolicy, Catalog, EnvironmentPolicy } from '../../src/deploys/types.ts';

export function approval(more: Partial<ApprovalPolicy> = {}): ApprovalPolicy {
  return { groups: ['g-leads'], count: 1, expiresMs: 4 * 3_600_000, remindMs: 1_800_000, own: false, ...more };
}

/** An environment where nothing is asked and nothing is in the way. */
export function environment(more: Partial<EnvironmentPolicy> = {}): EnvironmentPolicy {
  return {
    name: 'staging',
    approval: null,
    rollbackApproval: false,
    concurrency: 'reject',
    freeze: [],
    promoteFrom: null,
    watch: null,
    confirm: false,
    production: false,
    ...more,
  };
}

/** A catalogue of nothing, to be filled. */
export function catalog(more: Partial<Catalog> = {}): Catalog {
  return {
    services: new Map(),
    commands: new Map(),
    zone: 'UTC',
    policyHash: () => '',
    groupName: (id) => id,
    whoMay: () => [],
    groupsWho: () => [],
    personOf: () => null,
    ...more,
  };
}
