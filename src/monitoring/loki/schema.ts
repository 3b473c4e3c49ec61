import { z } from 'zod';

const nanoseconds = z.string().regex(/^\d{1,19}$/);

/** https://grafana.com/docs/loki/latest/reference/loki-http-api/#query-logs-within-a-range-of-time */
export const rangeSchema = z.object({
  status: z.literal('success'),
  data: z.object({
    resultType: z.literal('streams'),
    result: z.array(
      z.object({
        stream: z.record(z.string(), z.string()),
        // A third element has labels by their kind, where that is asked for.
        values: z.array(z.tuple([nanoseconds, z.string()]).rest(z.unknown())),
      }),
    ),
  }),
  warnings: z.array(z.string()).nullish(),
});

export type RangeAnswer = z.infer<typeof rangeSchema>;

/** https://grafana.com/docs/loki/latest/reference/loki-http-api/#query-labels; no data when there are no labels. */
export const labelsSchema = z.object({ status: z.literal('success'), data: z.array(z.string()).nullish() });
