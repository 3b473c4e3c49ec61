import type { z } from 'zod';
import { type OciClient, unavailable } from './client.ts';
import type { Facts } from './connection.ts';
import { imageConfigSchema, manifestSchema } from './schema.ts';

// https://github.com/opencontainers/image-spec/blob/main/annotations.md
const REVISION = 'org.opencontainers.image.revision';
const CREATED = 'org.opencontainers.image.created';
const DIGEST = /^sha256:[0-9a-f]{64}$/;
const COMMIT = /^(?:[0-9a-f]{40}|[0-9a-f]{64})$/;

type Manifest = z.infer<typeof manifestSchema>;
type Texts = Readonly<Record<string, unknown>> | null | undefined;

function factsIn(texts: Texts): Facts {
  const revision = texts?.[REVISION];
  return {
    revision: typeof revision === 'string' && COMMIT.test(revision) ? revision : null,
    createdAt: isoTime(texts?.[CREATED]),
  };
}

function isoTime(value: unknown): string | null {
  const time = typeof value === 'string' ? Date.parse(value) : Number.NaN;
  // Builds that can be repeated bit by bit have the beginning of 1970 as their time, which says nothing.
  return Number.isNaN(time) || time <= 0 ? null : new Date(time).toISOString();
}

const isWhole = ({ createdAt, revision }: Facts) => revision !== null && createdAt !== null;
const both = (first: Facts, second: Facts): Facts => ({
  revision: first.revision ?? second.revision,
  createdAt: first.createdAt ?? second.createdAt,
});

function parseManifest(text: string): Manifest {
  try {
    return manifestSchema.parse(JSON.parse(text));
  } catch (cause) {
    throw unavailable('The registry answered a manifest that is not understood.', { cause, retryable: false });
  }
}

/** What an image with this manifest says of itself: its annotations first, then its labels. */
export async function readFacts(client: OciClient, repository: string, text: string): Promise<Facts> {
  const manifest = parseManifest(text);
  const said = factsIn(manifest.annotations);
  if (isWhole(said)) return said;
  const children = manifest.manifests ?? [];
  if (children.length === 0) return both(said, await factsInConfig(client, repository, manifest));
  // The images of an index are of one build. What BuildKit attests about them lies among them, for no platform.
  const child = children.find(
    ({ annotations, platform }) => platform?.os !== 'unknown' && !annotations?.['vnd.docker.reference.type'],
  );
  if (child === undefined || !DIGEST.test(child.digest)) return said;
  const answer = await client.getByDigest('manifests', repository, child.digest);
  const inner = parseManifest(answer.text);
  const found = both(said, factsIn(inner.annotations));
  return isWhole(found) ? found : both(found, await factsInConfig(client, repository, inner));
}

async function factsInConfig(client: OciClient, repository: string, { config }: Manifest): Promise<Facts> {
  const nothing: Facts = { revision: null, createdAt: null };
  // Of a chart or another artifact the configuration is something else.
  if (!config || !DIGEST.test(config.digest) || !/\.(?:image|image\.config)\.v1\+json$/.test(config.mediaType ?? ''))
    return nothing;
  const answer = await client.getByDigest('blobs', repository, config.digest);
  const parsed = imageConfigSchema.safeParse(answer.json());
  if (!parsed.success) return nothing;
  return both(factsIn(parsed.data.config?.Labels), { revision: null, createdAt: isoTime(parsed.data.created) });
}
