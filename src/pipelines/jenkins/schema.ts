import { z } from 'zod';

/**
 * Jenkins's answers, only what is used. Fields come and go with plugins, so that most are optional.
 * https://www.jenkins.io/doc/book/using/remote-access-api/ and the rest-api/README.md of pipeline-stage-view-plugin.
 */

const text = z.string().nullish();

const parameter = z.object({ name: text, value: z.unknown() });
const cause = z.object({ _class: text, shortDescription: text, userId: text, userName: text });

/** An entry of `actions`: parameters, causes of the start or of the end, who approved an input, what git checked out. */
const action = z
  .object({
    _class: text,
    parameters: z.array(parameter).nullish(),
    causes: z.array(cause).nullish(),
    userId: text,
    lastBuiltRevision: z.object({ SHA1: text }).nullish(),
    remoteUrls: z.array(z.string()).nullish(),
  })
  .nullish();

const actions = z.array(action).nullish();

export const keyedBuild = z.object({ number: z.number().int(), queueId: z.number().nullish(), actions });

export const buildSchema = z.object({
  number: z.number().int(),
  url: text,
  building: z.boolean().nullish(),
  result: text,
  description: text,
  displayName: text,
  timestamp: z.number(),
  actions,
});
export type Build = z.infer<typeof buildSchema>;
export type Action = NonNullable<z.infer<typeof action>>;

export const definitionSchema = z.object({
  name: z.string(),
  type: text,
  // Plugins have choices of other kinds.
  choices: z.array(z.string()).nullish().catch(null),
});
export type ParameterDefinition = z.infer<typeof definitionSchema>;

export const jobSchema = z.object({
  _class: text,
  buildable: z.boolean().nullish(),
  property: z.array(z.object({ parameterDefinitions: z.array(definitionSchema).nullish() }).nullish()).nullish(),
  allBuilds: z.array(keyedBuild).nullish(),
});
export type Job = z.infer<typeof jobSchema>;

export const buildsSchema = z.object({ allBuilds: z.array(buildSchema).nullish() });
export const keyedBuildsSchema = z.object({ allBuilds: z.array(keyedBuild).nullish() });

export const queueItemSchema = z.object({
  cancelled: z.boolean().nullish(),
  why: text,
  executable: z.object({ number: z.number().int().nullish() }).nullish(),
});

export const queueSchema = z.object({
  items: z.array(
    z.object({
      id: z.number().int(),
      task: z.object({ url: text }).nullish(),
      actions,
    }),
  ),
});

const stage = z.object({
  id: z.string(),
  name: z.string(),
  status: z.string(),
  error: z.object({ message: text }).nullish(),
  startTimeMillis: z.number().nullish(),
  durationMillis: z.number().nullish(),
});
export type DescribedStage = z.infer<typeof stage>;

export const describeSchema = z.object({ status: z.string(), stages: z.array(stage).nullish() });

export const stageNodesSchema = z.object({
  stageFlowNodes: z
    .array(z.object({ id: z.string(), status: z.string(), error: z.object({ message: text }).nullish() }))
    .nullish(),
});
export const nodeLogSchema = z.object({ text });

export const pendingInputsSchema = z.array(
  z.object({
    id: z.string().min(1),
    message: text,
    inputs: z.array(z.unknown()).nullish(),
  }),
);
export type PendingInput = z.infer<typeof pendingInputsSchema>[number];

export const meSchema = z.object({ id: z.string() });

/** A build of a build job, with what came into it. */
export const builtSchema = z.object({
  number: z.number().int(),
  result: text,
  displayName: text,
  description: text,
  timestamp: z.number(),
  actions,
});
export type Built = z.infer<typeof builtSchema>;
export const builtsSchema = z.object({ allBuilds: z.array(builtSchema).nullish() });

const changeSet = z.object({
  items: z
    .array(
      z.object({
        commitId: text,
        msg: text,
        timestamp: z.number().nullish(),
        author: z.object({ fullName: text }).nullish(),
      }),
    )
    .nullish(),
});
export const changedSchema = z.object({
  allBuilds: z
    .array(
      z.object({ number: z.number().int(), changeSet: changeSet.nullish(), changeSets: z.array(changeSet).nullish() }),
    )
    .nullish(),
});

/** What a Jenkinsfile sends to the bot; see docs/pipelines/jenkins.md. */
export const notificationSchema = z.object({
  delivery: z.string().min(8).max(300),
  job: z.string().min(1).max(500),
  build: z.number().int().min(1).max(999_999_999),
  key: z.string().max(64).nullish(),
});
