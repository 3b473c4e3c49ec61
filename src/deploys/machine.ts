import type { DeploymentState } from './types.ts';

/** Which state may follow which. Everything that changes a deployment's state goes through `sourcesOf`. */
export const TRANSITIONS: Readonly<Record<DeploymentState, readonly DeploymentState[]>> = {
  awaiting_approval: ['queued', 'scheduled', 'waiting', 'rejected', 'expired', 'blocked', 'cancelled'],
  scheduled: ['queued', 'waiting', 'blocked', 'cancelled'],
  waiting: ['queued', 'blocked', 'cancelled'],
  queued: ['running', 'failed', 'blocked', 'attention', 'cancelled'],
  running: ['succeeded', 'failed', 'cancelled', 'attention'],
  attention: ['running', 'failed'],
  succeeded: [],
  failed: [],
  cancelled: [],
  rejected: [],
  expired: [],
  blocked: [],
};

/** The states from which `target` may be entered: the fence of the update that enters it. */
export function sourcesOf(target: DeploymentState): DeploymentState[] {
  return (Object.keys(TRANSITIONS) as DeploymentState[]).filter((state) => TRANSITIONS[state].includes(target));
}
