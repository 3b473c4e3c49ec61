import { z } from 'zod';

/** What is used of GitHub's answers (docs.github.com/rest, API version 2022-11-28); everything else may change. */

/** Numbers of GitHub as text: they grow beyond what JavaScript holds exactly, and are never calculated with. */
const id = z.union([z.int(), z.bigint()]).transform(String);
const text = z.string();
const time = z.string();

export const user = z.object({ login: text });

export const app = z
  .object({ id: z.int(), slug: text.optional(), permissions: z.record(text, text.optional()), events: z.array(text) })
  .nullable();

export const installation = z.object({
  id: z.int(),
  permissions: z.record(text, z.unknown()),
  suspended_at: time.nullable(),
});

export const token = z.object({ token: text, expires_at: time });

export const repository = z.object({ default_branch: text });

export const branch = z.object({ protected: z.boolean() });

export const workflow = z.object({ state: text, path: text });

/** Only GitHub Enterprise Server says it: the description of the cloud does not know it. */
export const meta = z.unknown().pipe(z.object({ installed_version: text.optional() }));

export const dispatched = z.object({ workflow_run_id: id, html_url: text });

export const run = z.object({
  id,
  head_branch: text.nullable(),
  head_sha: text,
  path: text,
  run_attempt: z.int().optional(),
  event: text,
  status: text.nullable(),
  conclusion: text.nullable(),
  html_url: text,
  created_at: time,
  run_started_at: time.optional(),
  actor: user.optional(),
  triggering_actor: user.optional(),
  display_title: text,
});
export type WorkflowRun = z.infer<typeof run>;

export const runs = z.object({ workflow_runs: z.array(run) });

const step = z.object({
  name: text,
  number: z.int(),
  status: text,
  conclusion: text.nullable(),
  started_at: time.nullish(),
  completed_at: time.nullish(),
});
export type Step = z.infer<typeof step>;

export const job = z.object({
  id,
  name: text,
  status: text,
  conclusion: text.nullable(),
  started_at: time.nullish(),
  completed_at: time.nullable(),
  check_run_url: text,
  steps: z.array(step).optional(),
});
export type Job = z.infer<typeof job>;

export const jobs = z.object({ jobs: z.array(job) });

export const annotations = z.array(
  z.object({ annotation_level: text.nullable(), title: text.nullable(), message: text.nullable() }),
);
export type Annotation = z.infer<typeof annotations>[number];

export const pendingDeployments = z.array(
  z.object({ environment: z.object({ id: id.optional(), name: text.optional() }) }),
);

export const approvals = z.array(
  z.object({
    environments: z.array(z.object({ id: id.optional(), name: text.optional() })),
    state: text,
    user: user.nullable(),
  }),
);

export const protectionRules = z.object({
  custom_deployment_protection_rules: z
    .array(z.object({ enabled: z.boolean(), app: z.object({ id: z.int(), slug: text }) }))
    .optional(),
});

export const deployments = z.array(
  z.object({
    id,
    sha: text,
    ref: text,
    environment: text,
    created_at: time,
  }),
);
export type Deployment = z.infer<typeof deployments>[number];

export const deploymentStatuses = z.array(z.object({ target_url: text.optional(), log_url: text.optional() }));

export const releases = z.array(
  z.object({
    tag_name: text,
    draft: z.boolean(),
    prerelease: z.boolean(),
    created_at: time,
    published_at: time.nullable(),
  }),
);
export const release = releases.element;

export const tags = z.array(z.object({ name: text, commit: z.object({ sha: text }) }));

const pointer = z.object({ object: z.object({ type: text, sha: text }) });
export const gitRef = pointer;
export const gitTag = pointer;

export const comparison = z.object({
  status: z.enum(['ahead', 'behind', 'diverged', 'identical']),
  total_commits: z.int(),
  commits: z.array(
    z.object({
      sha: text,
      commit: z.object({ message: text, author: z.object({ name: text.optional() }).nullable() }),
    }),
  ),
});

/** A folder or a link is answered in another shape. */
export const file = z.unknown().pipe(z.object({ content: text, encoding: z.literal('base64') }));

/** A dispatch answers with the run, or, on older servers, with nothing (204). */
export const dispatchAnswer = z.union([dispatched, z.unknown().transform(() => null)]);

/** Where a log is to be had, from the headers of the answer (302). */
export const redirect = z.object({ location: text.optional() });
