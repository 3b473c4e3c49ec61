import { z } from 'zod';

/** The address of a registry, without a "/" at its end; null when it is none. */
export function registryUrl(text: string): string | null {
  if (!URL.canParse(text)) return null;
  const url = new URL(text);
  const plain = url.username === '' && url.password === '' && url.search === '' && url.hash === '';
  return plain && /^https?:$/.test(url.protocol) ? `${url.origin}${url.pathname.replace(/\/+$/, '')}` : null;
}

const oneLine = (text: string) => !/\p{Cc}/u.test(text);

/** `connections.oci`: a registry of container images. */
export const ociConnectionConfig = z
  .strictObject({
    url: z
      .string()
      .refine((text) => registryUrl(text) !== null, 'must be a URL with https (or http), without user, "?" and "#"')
      .describe('Address of the registry: https://ghcr.io, https://registry-1.docker.io'),
    user: z
      .string()
      .min(1)
      .refine((name) => oneLine(name) && !name.includes(':'), 'must not contain ":" or control characters')
      .optional()
      .describe('Who reads; without it only public images can be read'),
    token: z.string().min(1).refine(oneLine, 'must be one line').optional().describe('Token or password of that user'),
    ca: z
      .string()
      .min(1)
      .optional()
      .describe('PEM file with certificates to trust, relative to the configuration file'),
  })
  .superRefine(({ token, user }, context) => {
    if ((user === undefined) === (token === undefined)) return;
    const missing = user === undefined ? 'user' : 'token';
    context.addIssue({ code: 'custom', path: [missing], message: '"user" and "token" belong together' });
  });

export type OciConnectionConfig = z.infer<typeof ociConnectionConfig>;

// https://github.com/opencontainers/distribution-spec/blob/main/spec.md#pulling-manifests
const REPOSITORY = /^[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*)*$/;

/** A service's versions are the tags of an image. */
export const ociVersionsConfig = z.strictObject({
  oci: z
    .string()
    .max(255)
    .regex(
      REPOSITORY,
      'must be the name of an image without registry and tag, in small letters, such as acme/storefront',
    )
    .describe('Name of the image, without the registry: acme/storefront'),
  pattern: z
    .string()
    .min(1)
    .max(200)
    .refine(isPattern, 'is not a regular expression')
    .optional()
    .describe('Which tags are versions, a regular expression for the whole tag: \\d+\\.\\d+\\.\\d+'),
  sha: z
    .enum(['commit', 'digest'])
    .default('commit')
    .describe('What a version is bound to: the commit that the image names, else its digest; or always its digest'),
  connection: z.string().min(1).optional().describe('Which entry of connections, where there are several'),
});

export type OciVersionsConfig = z.infer<typeof ociVersionsConfig>;

function isPattern(text: string): boolean {
  try {
    tagMatcher(text);
    return true;
  } catch {
    return false;
  }
}

// What cosign and others keep as tags beside an image: signatures, attestations, fallbacks of the referrers API.
const BESIDE = /^sha256-[0-9a-f]{64}(?:\..+)?$/;
const TAG = /^[A-Za-z0-9][A-Za-z0-9._-]{0,127}$/;

/** Whether a tag is a version. A tag that begins with "_" is none: a deploy would refuse it. */
export function tagMatcher(pattern: string | undefined): (tag: string) => boolean {
  const expression = pattern === undefined ? /^/ : new RegExp(`^(?:${pattern})$`, 'u');
  return (tag) => TAG.test(tag) && !tag.includes('..') && !BESIDE.test(tag) && expression.test(tag);
}

/** What of a connection must never be printed: also as it stands in the header. */
export function ociSecrets({ token, user }: OciConnectionConfig): string[] {
  if (token === undefined) return [];
  return [token, Buffer.from(`${user ?? ''}:${token}`).toString('base64')];
}
