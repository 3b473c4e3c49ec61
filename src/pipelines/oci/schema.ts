import { z } from 'zod';

/** https://github.com/opencontainers/distribution-spec and https://github.com/opencontainers/image-spec, only what is used. */

export const tagsSchema = z.object({ tags: z.array(z.string()).nullish() });

/** https://distribution.github.io/distribution/spec/auth/token/ */
export const tokenSchema = z.object({
  token: z.string().min(1).optional(),
  access_token: z.string().min(1).optional(),
  expires_in: z.number().positive().optional(),
});

const annotations = z.record(z.string(), z.unknown()).nullish();
const descriptor = z.object({
  mediaType: z.string().optional(),
  digest: z.string(),
  annotations,
  platform: z.object({ os: z.string().optional() }).nullish(),
});

/** An image, or an index of images for several platforms. */
export const manifestSchema = z.object({
  annotations,
  config: descriptor.nullish(),
  manifests: z.array(descriptor).nullish(),
});

export const imageConfigSchema = z.object({
  created: z.string().nullish(),
  config: z.object({ Labels: z.record(z.string(), z.unknown()).nullish() }).nullish(),
});
