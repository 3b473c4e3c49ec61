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
}

/** SHA-256, hex, over the canonical JSON of what an approval is bound to. */
export function digestOf(bound: Bound): string {
  const { kind, service, environment, version, sha, policy } = bound;
  return createHash('sha256').update(canonicalJson({ kind, service, environment, version, sha, policy })).digest('hex');
}
