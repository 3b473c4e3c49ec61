import { createHash } from 'node:crypto';
import { canonicalJson } from '../audit/canonical.ts';

/** What an approval is bound to. Any change of these voids it. */
export interface Bound {
  kind: string;
  service: string;
  environment: string;
  version: string;
  sha: string;
  /** Hash of the service's effective policy in this environment. */
  policy: string;
  /** The declared command with what was typed; left out for a deploy. */
  command?: { name: string; inputs: Record<string, string> } | null;
  /** ISO 8601; left out when it starts at once. */
  scheduledFor?: string | null;
}

/** SHA-256, hex, over the canonical JSON of what an approval is bound to. */
export function digestOf(bound: Bound): string {
  const { command, environment, kind, policy, scheduledFor, service, sha, version } = bound;
  const all = {
    kind,
    service,
    environment,
    version,
    sha,
    policy,
    ...(command ? { command } : {}),
    ...(scheduledFor ? { scheduledFor } : {}),
  };
  return createHash('sha256').update(canonicalJson(all)).digest('hex');
}
