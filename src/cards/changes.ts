import { z } from 'zod';
import type { Commit } from '../pipelines/types.ts';
import { plain, short } from './text.ts';

/** Commit subjects between two versions, for the confirmation and the deployment. */
export const changesData = {
  hasChanges: z.boolean(),
  changesLabel: z.string(),
  changes: z.array(z.strictObject({ sha: z.string(), subject: z.string() })).max(5),
  hasChangesMore: z.boolean(),
  changesMore: z.string(),
};

const SHOWN = 5;

export function changesOf(
  commits: readonly Commit[],
  total: number,
  backwards: boolean,
): z.infer<z.ZodObject<typeof changesData>> {
  const shown = commits.slice(0, SHOWN);
  const more = Math.max(total, commits.length) - shown.length;
  return {
    hasChanges: shown.length > 0,
    changesLabel: backwards ? 'What is taken back' : 'What changes',
    changes: shown.map(({ sha, subject }) => ({
      sha: `${short(sha)}  `,
      subject: plain(subject, 100) || '(no subject)',
    })),
    hasChangesMore: shown.length > 0 && more > 0,
    changesMore: `and ${more} more`,
  };
}
