import { z } from 'zod';

/** GitLab's answers, only what is used of them (docs.gitlab.com/api). */

const id = z.int().min(1);
const time = z.string().nullish();
const user = z.object({ username: z.string() }).nullish();

/** docs.gitlab.com/api/pipelines, "Get a single pipeline"; `name` is what `workflow:name` made. */
export const pipelineSchema = z.object({
  id,
  status: z.string(),
  name: z.string().nullish(),
  ref: z.string().nullish(),
  source: z.string().nullish(),
  web_url: z.string().nullish(),
  created_at: time,
  started_at: time,
  yaml_errors: z.string().nullish(),
});
export type GitlabRun = z.infer<typeof pipelineSchema>;

/** docs.gitlab.com/api/jobs, "List pipeline jobs". */
export const jobSchema = z.object({
  id,
  name: z.string(),
  stage: z.string(),
  status: z.string(),
  allow_failure: z.boolean().default(false),
  started_at: time,
  finished_at: time,
  failure_reason: z.string().nullish(),
  pipeline: z.object({ id }).nullish(),
});
export type GitlabJob = z.infer<typeof jobSchema>;

/** docs.gitlab.com/api/deployments, "List project deployments". */
export const deploymentSchema = z.object({
  id,
  status: z.string(),
  ref: z.string().nullish(),
  sha: z.string().nullish(),
  created_at: time,
  updated_at: time,
  user,
  environment: z.object({ name: z.string() }),
  deployable: z
    .object({
      id,
      name: z.string(),
      status: z.string(),
      tag: z.boolean().nullish(),
      pipeline: pipelineSchema.nullish(),
    })
    .nullish(),
});
export type GitlabDeployment = z.infer<typeof deploymentSchema>;

const approval = z.object({ status: z.string(), comment: z.string().nullish() });

/** docs.gitlab.com/api/deployments, "Get a specific deployment"; the approvals are there from Premium on. */
export const deploymentDetailsSchema = deploymentSchema.extend({
  pending_approval_count: z.int().nullish(),
  approvals: z.array(approval).nullish(),
  approval_summary: z
    .object({
      rules: z.array(
        z.object({ required_approvals: z.int().nullish(), deployment_approvals: z.array(approval).nullish() }),
      ),
    })
    .nullish(),
});
export type GitlabDeploymentDetails = z.infer<typeof deploymentDetailsSchema>;

/** docs.gitlab.com/api/deployments, "Approve or reject a blocked deployment". */
export const approvalSchema = approval;

/** docs.gitlab.com/api/projects, "Get a single project". */
export const projectSchema = z.object({
  id,
  default_branch: z.string().nullish(),
  ci_config_path: z.string().nullish(),
  builds_access_level: z.string().nullish(),
  permissions: z
    .object({
      project_access: z.object({ access_level: z.int() }).nullish(),
      group_access: z.object({ access_level: z.int() }).nullish(),
    })
    .nullish(),
});

/** docs.gitlab.com/api/branches, "Get a single repository branch". */
export const branchSchema = z.object({
  name: z.string(),
  protected: z.boolean().default(false),
  can_push: z.boolean().default(true),
  developers_can_merge: z.boolean().default(false),
});

export const environmentSchema = z.object({ name: z.string() });

/** docs.gitlab.com/api/personal_access_tokens, "Self-inform". */
export const tokenSchema = z.object({
  active: z.boolean().default(true),
  scopes: z.array(z.string()),
  expires_at: time,
});

export const versionSchema = z.object({ version: z.string() });

const commitReference = z.object({ id: z.string(), created_at: time }).nullish();

/** docs.gitlab.com/api/tags; `commit` is what an annotated tag points to. */
export const tagSchema = z.object({ name: z.string(), created_at: time, commit: commitReference });

/** docs.gitlab.com/api/releases. */
export const releaseSchema = z.object({
  tag_name: z.string(),
  released_at: time,
  upcoming_release: z.boolean().default(false),
  commit: commitReference,
});

/** docs.gitlab.com/api/commits. */
export const commitSchema = z.object({ id: z.string(), title: z.string(), author_name: z.string().nullish() });

/** Whatever an error looks like. */
export const errorSchema = z.looseObject({
  message: z.unknown().optional(),
  error: z.unknown().optional(),
  error_description: z.unknown().optional(),
});

/** docs.gitlab.com/user/project/integrations/webhook_events: pipeline, job ("build") and deployment events. */
export const eventSchema = z.object({
  object_kind: z.string(),
  object_attributes: z.object({ id, status: z.string() }).nullish().catch(null),
  builds: z
    .array(z.object({ environment: z.object({ name: z.string() }).nullish().catch(null) }))
    .nullish()
    .catch(null),
  pipeline_id: id.nullish().catch(null),
  build_status: z.string().nullish().catch(null),
  status: z.string().nullish().catch(null),
  environment: z.unknown().optional(),
});
