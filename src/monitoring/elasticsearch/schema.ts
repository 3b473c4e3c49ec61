import { z } from 'zod';

/** https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-search and OpenSearch's the same. */
export const searchSchema = z.object({
  timed_out: z.boolean(),
  _shards: z.object({
    total: z.int(),
    failed: z.int(),
    failures: z.array(z.object({ reason: z.object({ type: z.string() }).optional() })).optional(),
  }),
  _clusters: z.object({ skipped: z.int().optional() }).optional(),
  pit_id: z.string().optional(),
  hits: z.object({
    hits: z.array(
      z.object({
        _index: z.string(),
        _id: z.string(),
        _seq_no: z.int().optional(),
        fields: z.record(z.string(), z.array(z.unknown())).optional(),
        sort: z.array(z.unknown()).optional(),
      }),
    ),
  }),
});

export type SearchAnswer = z.infer<typeof searchSchema>;

/** https://www.elastic.co/docs/api/doc/elasticsearch/operation/operation-field-caps */
export const fieldsSchema = z.object({
  indices: z.union([z.array(z.string()), z.string()]).optional(),
  fields: z.record(z.string(), z.record(z.string(), z.unknown())),
});

/** What a cluster says of itself at "/"; only OpenSearch says a distribution. */
export const rootSchema = z.object({
  version: z.object({ number: z.string(), distribution: z.string().optional() }),
});

/** Elasticsearch answers `id`, OpenSearch `pit_id`. */
export const pitSchema = z.union([
  z.object({ id: z.string().min(1) }).transform(({ id }) => id),
  z.object({ pit_id: z.string().min(1) }).transform(({ pit_id }) => pit_id),
]);

export const errorSchema = z.object({
  error: z.union([
    z.object({
      type: z.string().optional(),
      reason: z.string().nullish(),
      root_cause: z.array(z.object({ type: z.string().optional(), reason: z.string().nullish() })).optional(),
      caused_by: z.object({ reason: z.string().nullish() }).optional(),
    }),
    z.string(),
  ]),
});
