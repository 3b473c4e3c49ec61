import { notFound, pageOf, paging, type Route, type RouteDeps } from './route.ts';
import { deploymentStatusViews, deploymentView, ruleViews } from './run-views.ts';
import * as views from './views.ts';
import { WORKFLOW } from './world.ts';

/** The repository: its versions, commits, environments and deployments. */

export function repositoryRoutes({ links, world }: RouteDeps): Route[] {
  const contents = { name: 'contents', level: 'read' } as const;
  const deploys = { name: 'deployments', level: 'read' } as const;
  const repo = '/repos/{owner}/{repo}';
  const commitIndex = (sha: string) => world.commits.findIndex((each) => each.sha.startsWith(sha));
  return [
    {
      method: 'GET',
      path: repo,
      right: { name: 'metadata', level: 'read' },
      answer: () => ({ status: 200, body: views.repositoryView(links()) }),
    },
    {
      method: 'GET',
      path: `${repo}/branches/{branch}`,
      right: contents,
      answer({ params }) {
        const branch = world.branches.get(params.branch ?? '');
        if (branch === undefined) return notFound;
        return { status: 200, body: views.branchView(links(), params.branch ?? '', branch) };
      },
    },
    {
      method: 'GET',
      path: `${repo}/contents/{path}`,
      right: contents,
      query: ['ref'],
      answer: ({ params }) =>
        params.path === `.github/workflows/${WORKFLOW}`
          ? { status: 200, body: views.fileView(links(), world) }
          : notFound,
    },
    {
      method: 'GET',
      path: `${repo}/environments/{environment_name}`,
      right: { name: 'actions', level: 'read' },
      answer({ params }) {
        const found = world.environments.find(
          (each) => each.name.toLowerCase() === params.environment_name?.toLowerCase(),
        );
        return found === undefined ? notFound : { status: 200, body: { id: found.id, name: found.name } };
      },
    },
    {
      method: 'GET',
      path: `${repo}/environments/{environment_name}/deployment_protection_rules`,
      right: { name: 'actions', level: 'read' },
      answer({ params }) {
        const found = world.environments.find(
          (each) => each.name.toLowerCase() === params.environment_name?.toLowerCase(),
        );
        return found === undefined ? notFound : { status: 200, body: ruleViews(found.guarded) };
      },
    },
    {
      method: 'GET',
      path: `${repo}/deployments`,
      right: deploys,
      query: ['sha', 'ref', 'task', 'environment', ...paging],
      answer({ query }) {
        const found = world.deployments
          .toReversed()
          .filter((each) => (query.environment ?? each.environment) === each.environment)
          .filter((each) => (query.ref ?? each.ref) === each.ref && (query.sha ?? each.sha) === each.sha);
        return { status: 200, body: pageOf(found, query).map((each) => deploymentView(links(), each)) };
      },
    },
    {
      method: 'GET',
      path: `${repo}/deployments/{deployment_id}/statuses`,
      right: deploys,
      query: paging,
      answer({ params, query }) {
        const found = world.deployments.find(({ id }) => id === Number(params.deployment_id));
        if (found === undefined) return notFound;
        return { status: 200, body: pageOf(deploymentStatusViews(links(), found), query) };
      },
    },
    {
      method: 'GET',
      path: `${repo}/releases`,
      right: contents,
      query: paging,
      answer({ query }) {
        const newest = world.releases.toSorted((a, b) => Date.parse(b.createdAt) - Date.parse(a.createdAt));
        return { status: 200, body: pageOf(newest, query).map((each) => views.releaseView(links(), each)) };
      },
    },
    {
      method: 'GET',
      path: `${repo}/releases/tags/{tag}`,
      right: contents,
      answer({ params }) {
        // Drafts are not found by their tag.
        const found = world.releases.find(({ draft, tag }) => tag === params.tag && !draft);
        return found === undefined ? notFound : { status: 200, body: views.releaseView(links(), found) };
      },
    },
    {
      method: 'GET',
      path: `${repo}/tags`,
      right: contents,
      query: paging,
      answer({ query }) {
        // By name, from the end of the alphabet.
        const names = [...world.tags.keys()].sort().toReversed();
        const found = pageOf(names, query).map((name) =>
          views.tagView(links(), name, world.tags.get(name)?.commit ?? ''),
        );
        return { status: 200, body: found };
      },
    },
    {
      method: 'GET',
      path: `${repo}/git/ref/{ref}`,
      right: contents,
      answer({ params }) {
        const name = params.ref?.replace(/^tags\//, '') ?? '';
        const tag = world.tags.get(name);
        return tag === undefined ? notFound : { status: 200, body: views.refView(links(), name, tag) };
      },
    },
    {
      method: 'GET',
      path: `${repo}/git/tags/{tag_sha}`,
      right: contents,
      answer({ params }) {
        const [name, tag] = [...world.tags].find(([, { object }]) => object === params.tag_sha) ?? [];
        if (name === undefined || tag?.object == null) return notFound;
        return { status: 200, body: views.tagObjectView(links(), name, tag.object, tag.commit) };
      },
    },
    {
      method: 'GET',
      path: `${repo}/compare/{basehead}`,
      right: contents,
      query: paging,
      answer({ params, query }) {
        const [base = '', head = ''] = params.basehead?.split('...') ?? [];
        const [from, to] = [commitIndex(base), commitIndex(head)];
        if (base === '' || head === '' || from < 0 || to < 0) return notFound;
        const page = { page: Number(query.page ?? 1), perPage: Math.min(Number(query.per_page ?? 30), 100) };
        return { status: 200, body: views.comparisonView(links(), world, from, to, page) };
      },
    },
  ];
}
