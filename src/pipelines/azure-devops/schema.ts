import { z } from 'zod';

/**
 * What Azure DevOps answers, of it only what is used. Sources: Azure DevOps REST API reference 7.1, "Pipelines",
 * "Build", "Approvals and checks" and "Git".
 */

const text = z.string().nullish();
/** Its lists: `{ count, value }`. */
export function listOf<T extends z.ZodType>(item: T) {
  return z.object({ value: z.array(item) });
}

/** Pipelines - Run: the id of the run is the id of the build. */
export const run = z.object({ id: z.int() });
export const preview = z.object({ finalYaml: z.string() });

export const definition = z.object({ id: z.int().min(1), name: z.string(), path: text });
export const pipeline = z.object({ id: z.int().min(1), name: z.string(), folder: text });

export const build = z.object({
  id: z.int().min(1),
  buildNumber: text,
  status: z.string(),
  result: text,
  reason: text,
  queueTime: text,
  startTime: text,
  finishTime: text,
  sourceBranch: text,
  sourceVersion: text,
  requestedFor: z.object({ displayName: text, uniqueName: text }).nullish(),
  /** Left out by some versions of the server in lists. */
  templateParameters: z.record(z.string(), z.unknown()).nullish(),
  tags: z.array(z.string()).nullish(),
  validationResults: z.array(z.object({ result: text, message: text })).nullish(),
});
export type Build = z.infer<typeof build>;
export const builds = listOf(build);

export const timelineRecord = z.object({
  id: z.string(),
  parentId: text,
  type: z.string(),
  name: text,
  /** For a stage: its name in the YAML. */
  identifier: text,
  state: text,
  result: text,
  order: z.number().nullish(),
  attempt: z.number().nullish(),
  startTime: text,
  finishTime: text,
  log: z.object({ id: z.int() }).nullish(),
  issues: z.array(z.object({ type: text, message: text })).nullish(),
});
export type TimelineRecord = z.infer<typeof timelineRecord>;
/** Null, or no content at all, before the run was expanded. */
export const timeline = z.object({ records: z.array(timelineRecord).nullish() }).nullish();

export const logs = listOf(z.object({ id: z.int(), lineCount: z.int().nullish() }));
export const logLines = z.object({ value: z.array(z.string()).nullish() });

export const approval = z.object({
  id: z.string(),
  status: z.string(),
  steps: z.array(z.object({ status: text, comment: text })).nullish(),
});
export const approvals = listOf(approval);

export const refs = listOf(z.object({ name: z.string(), objectId: z.string(), peeledObjectId: text }));
export const commitDiffs = z.object({ aheadCount: z.int(), behindCount: z.int() });
export const commits = listOf(
  z.object({
    commitId: z.string(),
    comment: text,
    author: z.object({ name: text, date: text }).nullish(),
  }),
);

/** Its errors: `{ message, typeKey }`. */
export const failure = z.object({ message: text, typeKey: text });
