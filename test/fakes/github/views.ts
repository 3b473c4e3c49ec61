import type { components } from '@octokit/openapi-types';
import type { FakeRelease, World } from './world.ts';
import { APP, isoNow, OWNER, REPO, WORKFLOW, workflowFile } from './world.ts';

/** What the fake answers, in the words of GitHub's published description: a wrong field is an error of the compiler. */

export type Schemas = components['schemas'];
type Some<Name extends keyof Schemas, Keys extends keyof NonNullable<Schemas[Name]>> = Pick<
  NonNullable<Schemas[Name]>,
  Keys
>;

export interface Links {
  /** Of the API. */
  api: string;
  /** Of the pages for people. */
  web: string;
}
export const home = ({ api }: Links) => `${api}/repos/${OWNER}/${REPO}`;

export function user(login: string): Schemas['simple-user'] {
  const page = `https://github.com/${login.replace('[bot]', '')}`;
  return {
    login,
    id: 1 + login.length,
    node_id: `U_${login.length}`,
    avatar_url: '',
    gravatar_id: null,
    url: page,
    html_url: page,
    followers_url: page,
    following_url: page,
    gists_url: page,
    starred_url: page,
    subscriptions_url: page,
    organizations_url: page,
    repos_url: page,
    events_url: page,
    received_events_url: page,
    type: login.endsWith('[bot]') ? 'Bot' : 'User',
    site_admin: false,
  };
}

export function releaseView(links: Links, release: FakeRelease) {
  const url = `${home(links)}/releases/${release.id}`;
  return {
    url,
    html_url: `${links.web}/${OWNER}/${REPO}/releases/${release.tag}`,
    assets_url: `${url}/assets`,
    upload_url: `${url}/assets`,
    tarball_url: null,
    zipball_url: null,
    id: release.id,
    node_id: `RE_${release.id}`,
    tag_name: release.tag,
    target_commitish: 'main',
    name: release.tag,
    body: null,
    draft: release.draft,
    prerelease: release.prerelease,
    created_at: release.createdAt,
    published_at: release.draft ? null : release.createdAt,
    author: user('octo-ana'),
    assets: [],
  } satisfies Schemas['release'];
}

export function tagView(links: Links, name: string, commit: string): Schemas['tag'] {
  return {
    name,
    commit: { sha: commit, url: `${home(links)}/commits/${commit}` },
    zipball_url: `${home(links)}/zipball/refs/tags/${name}`,
    tarball_url: `${home(links)}/tarball/refs/tags/${name}`,
    node_id: `REF_${name}`,
  };
}

export function refView(
  links: Links,
  name: string,
  tag: { commit: string; object: string | null },
): Schemas['git-ref'] {
  const type = tag.object === null ? 'commit' : 'tag';
  const sha = tag.object ?? tag.commit;
  return {
    ref: `refs/tags/${name}`,
    node_id: `REF_${name}`,
    url: `${home(links)}/git/refs/tags/${name}`,
    object: { type, sha, url: `${home(links)}/git/${type}s/${sha}` },
  };
}

export function tagObjectView(links: Links, name: string, object: string, commit: string): Schemas['git-tag'] {
  return {
    node_id: `TA_${name}`,
    tag: name,
    sha: object,
    url: `${home(links)}/git/tags/${object}`,
    message: name,
    tagger: { date: isoNow(), email: 'ana@example.com', name: 'Ana Ruiz' },
    object: { sha: commit, type: 'commit', url: `${home(links)}/git/commits/${commit}` },
  };
}

export function comparisonView(
  links: Links,
  world: World,
  base: number,
  head: number,
  { page, perPage }: { page: number; perPage: number },
) {
  const between = base < head ? world.commits.slice(base + 1, head + 1) : [];
  const url = `${home(links)}/compare`;
  return {
    url,
    html_url: url,
    permalink_url: url,
    diff_url: url,
    patch_url: url,
    status: base === head ? ('identical' as const) : base < head ? ('ahead' as const) : ('behind' as const),
    ahead_by: Math.max(head - base, 0),
    behind_by: Math.max(base - head, 0),
    total_commits: between.length,
    // Oldest first.
    commits: between.slice((page - 1) * perPage, page * perPage).map(({ author, date, message, sha }) => ({
      url: `${home(links)}/commits/${sha}`,
      sha,
      node_id: `C_${sha.slice(0, 7)}`,
      html_url: `${links.web}/${OWNER}/${REPO}/commit/${sha}`,
      commit: {
        url: `${home(links)}/git/commits/${sha}`,
        author: { name: author, email: 'ana@example.com', date },
        committer: { name: author, email: 'ana@example.com', date },
        message,
        comment_count: 0,
      },
      author: null,
      committer: null,
    })) satisfies Some<'commit', 'url' | 'sha' | 'node_id' | 'html_url' | 'author' | 'committer'>[],
  } satisfies Omit<Partial<Schemas['commit-comparison']>, 'commits'> & { commits: unknown[] };
}

export function installationView(links: Links, world: World, id: number) {
  return {
    id,
    access_tokens_url: `${links.api}/app/installations/${id}/access_tokens`,
    repositories_url: `${links.api}/installation/repositories`,
    html_url: `${links.web}/organizations/${OWNER}/settings/installations/${id}`,
    app_id: APP.id,
    app_slug: APP.slug,
    target_id: 1,
    target_type: 'Organization',
    repository_selection: 'selected' as const,
    permissions: world.permissions,
    events: world.events,
    created_at: isoNow(),
    updated_at: isoNow(),
    single_file_name: null,
    suspended_by: null,
    suspended_at: world.suspended ? isoNow() : null,
  } satisfies Partial<Schemas['installation']>;
}

export function appView(links: Links, world: World) {
  return {
    id: APP.id,
    slug: APP.slug,
    node_id: 'A_1',
    owner: user(OWNER),
    name: 'Shipmate',
    description: null,
    external_url: 'https://example.com',
    html_url: `${links.web}/apps/${APP.slug}`,
    created_at: isoNow(),
    updated_at: isoNow(),
    permissions: world.appPermissions,
    events: world.events,
  } satisfies NonNullable<Schemas['integration']>;
}

export function repositoryView(links: Links) {
  return {
    id: 1_296_269,
    node_id: 'R_1',
    name: REPO,
    full_name: `${OWNER}/${REPO}`,
    private: true,
    html_url: `${links.web}/${OWNER}/${REPO}`,
    default_branch: 'main',
  } satisfies Partial<Schemas['full-repository']>;
}

export function workflowView(links: Links, world: World): Schemas['workflow'] {
  const url = `${home(links)}/actions/workflows/161335`;
  return {
    id: 161_335,
    node_id: 'W_1',
    name: 'Deploy',
    path: `.github/workflows/${WORKFLOW}`,
    state: world.workflowState,
    created_at: '2026-01-08T23:48:37Z',
    updated_at: '2026-01-08T23:50:21Z',
    url,
    html_url: `${links.web}/${OWNER}/${REPO}/blob/main/.github/workflows/${WORKFLOW}`,
    badge_url: `${links.web}/${OWNER}/${REPO}/workflows/Deploy/badge.svg`,
  };
}

export function branchView(links: Links, name: string, branch: { sha: string; protected: boolean }) {
  return {
    name,
    protected: branch.protected,
    protection_url: `${home(links)}/branches/${name}/protection`,
    _links: { html: '', self: '' },
  } satisfies Partial<Schemas['branch-with-protection']>;
}

export function fileView(links: Links, world: World) {
  const text = workflowFile(world);
  const url = `${home(links)}/contents/.github/workflows/${WORKFLOW}`;
  return {
    type: 'file' as const,
    encoding: 'base64',
    size: text.length,
    name: WORKFLOW,
    path: `.github/workflows/${WORKFLOW}`,
    // In lines of 60 characters, as GitHub has it.
    content: (
      Buffer.from(text)
        .toString('base64')
        .match(/.{1,60}/g) ?? []
    ).join('\n'),
    sha: 'f'.repeat(40),
    url,
    git_url: null,
    html_url: null,
    download_url: null,
    _links: { git: null, html: null, self: url },
  } satisfies Schemas['content-file'];
}
