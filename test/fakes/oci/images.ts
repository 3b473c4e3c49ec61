import { createHash } from 'node:crypto';

/** Images as they lie in a registry: everything by its digest, tags as names of digests. */

export const REPOSITORY = 'acme/storefront';

const OCI = 'application/vnd.oci.image';
const DOCKER = 'application/vnd.docker';
const REVISION = 'org.opencontainers.image.revision';

export interface Stored {
  type: string;
  text: string;
}

export interface Images {
  /** Manifests by digest. */
  manifests: Map<string, Stored>;
  blobs: Map<string, string>;
  tags: Map<string, string>;
  /** Adds an image under a tag; gives its digest. */
  push(tag: string, image: Partial<ImageOptions>): string;
}

interface ImageOptions {
  /** What the image says of the commit: nothing, in its configuration's labels, in its annotations. */
  revision: { at: 'labels' | 'annotations'; commit: string } | null;
  created: string;
  /** One image, one of Docker's older kind, or an index of two platforms with attestations. */
  kind: 'oci' | 'docker' | 'index' | 'chart';
}

export const digestOf = (text: string) => `sha256:${createHash('sha256').update(text).digest('hex')}`;

export function createImages(): Images {
  const images: Images = { manifests: new Map(), blobs: new Map(), tags: new Map(), push };

  function blob(text: string): { digest: string; size: number } {
    images.blobs.set(digestOf(text), text);
    return { digest: digestOf(text), size: text.length };
  }

  function manifest(type: string, content: object): string {
    const text = JSON.stringify({ schemaVersion: 2, mediaType: type, ...content }, null, 2);
    images.manifests.set(digestOf(text), { type, text });
    return digestOf(text);
  }

  function image(architecture: string, { created, kind, revision }: ImageOptions): string {
    const Labels = revision?.at === 'labels' ? { [REVISION]: revision.commit, maintainer: 'acme' } : null;
    const isDocker = kind === 'docker';
    const configType = isDocker ? `${DOCKER}.container.image.v1+json` : `${OCI}.config.v1+json`;
    const config = JSON.stringify({
      created,
      architecture,
      os: 'linux',
      config: { Labels },
      rootfs: { type: 'layers' },
    });
    return manifest(isDocker ? `${DOCKER}.distribution.manifest.v2+json` : `${OCI}.manifest.v1+json`, {
      config: { mediaType: configType, ...blob(config) },
      layers: [],
      ...(revision?.at === 'annotations' ? { annotations: { [REVISION]: revision.commit } } : {}),
    });
  }

  function index(options: ImageOptions): string {
    const entry = (digest: string, more: object) => ({
      mediaType: `${OCI}.manifest.v1+json`,
      digest,
      size: 1,
      ...more,
    });
    const attestation = manifest(`${OCI}.manifest.v1+json`, {
      config: { mediaType: `${OCI}.config.v1+json`, ...blob('{}') },
    });
    return manifest(`${OCI}.index.v1+json`, {
      manifests: [
        // BuildKit puts its attestations last; that the first one counts would be luck.
        entry(attestation, {
          platform: { os: 'unknown', architecture: 'unknown' },
          annotations: { 'vnd.docker.reference.type': 'attestation-manifest' },
        }),
        entry(image('amd64', options), { platform: { os: 'linux', architecture: 'amd64' } }),
        entry(image('arm64', options), { platform: { os: 'linux', architecture: 'arm64' } }),
      ],
    });
  }

  function push(tag: string, given: Partial<ImageOptions>): string {
    const options: ImageOptions = { revision: null, created: '2026-01-01T00:00:00Z', kind: 'oci', ...given };
    let digest: string;
    if (options.kind === 'index') digest = index(options);
    else if (options.kind === 'chart')
      digest = manifest(`${OCI}.manifest.v1+json`, {
        config: { mediaType: 'application/vnd.cncf.helm.config.v1+json', ...blob('{"name":"storefront"}') },
        layers: [],
      });
    else digest = image('amd64', options);
    images.tags.set(tag, digest);
    return digest;
  }
  return images;
}
