import { type Answered, type Asked, notFound, PAGING, paged, queryOf, Refusal, TEXT } from './requests.ts';
import type { Commit, Release, Tag, World } from './world.ts';
import { PROJECT } from './world.ts';

/** The project itself, its repository and releases, and what a token may ask about itself. */

function commit({ created_at, id, parent, title }: Commit) {
  return {
    id,
    short_id: id.slice(0, 8),
    created_at,
    parent_ids: parent === null ? [] : [parent],
    title,
    message: `${title}\n`,
    author_name: 'Ana Ruiz',
    author_email: 'ana@example.com',
    committer_name: 'Ana Ruiz',
  };
}

function numbers(name: string): number[] {
  return name.split('.').map((part) => Number(part) || 0);
}

/** By version, newest first. */
function byVersion(a: Tag, b: Tag): number {
  const [left, right] = [numbers(a.name), numbers(b.name)];
  for (let index = 0; index < 3; index += 1) {
    const difference = (right[index] ?? 0) - (left[index] ?? 0);
    if (difference !== 0) return difference;
  }
  return 0;
}

export function repositoryRoutes(world: World) {
  const { knobs } = world;
  const commitOf = (id: string) => {
    const found = world.commits.get(id);
    if (!found) throw notFound('Commit');
    return found;
  };
  const tag = (each: Tag) => ({
    name: each.name,
    message: each.name,
    target: each.target,
    commit: commit(commitOf(each.commit)),
    release: null,
    protected: false,
    created_at: each.created_at,
  });
  const release = (each: Release) => ({
    tag_name: each.tag_name,
    name: each.tag_name,
    description: '',
    created_at: each.released_at,
    released_at: each.released_at,
    upcoming_release: each.upcoming_release,
    commit: commit(commitOf(each.sha)),
  });

  function listTags(asked: Asked): Answered {
    const query = queryOf(asked, {
      ...PAGING,
      search: TEXT,
      order_by: /^(?:name|updated|version)$/,
      sort: /^(?:asc|desc)$/,
    });
    // TagsFinder: "^" and "$" at the ends are anchors, else it is contained.
    const search = (query.search ?? '').toLowerCase();
    const found = world.tags.filter(({ name }) => {
      if (search.startsWith('^')) return name.startsWith(search.slice(1));
      return search.endsWith('$') ? name.endsWith(search.slice(0, -1)) : name.toLowerCase().includes(search);
    });
    found.sort(
      query.order_by === 'version' ? byVersion : (a, b) => Date.parse(b.created_at) - Date.parse(a.created_at),
    );
    if (query.sort === 'asc') found.reverse();
    const { headers, page } = paged(found, query, knobs.pageSize);
    return { status: 200, json: page.map(tag), headers };
  }

  function listCommits(asked: Asked): Answered {
    const query = queryOf(asked, { ...PAGING, ref_name: TEXT });
    const [from, to] = (query.ref_name ?? 'main').split('..');
    if (to === undefined) throw new Refusal(404, { message: '404 Commit Not Found' });
    const known = new Set(world.ancestors(from ?? '').map(({ id }) => id));
    const found = world.ancestors(to).filter(({ id }) => !known.has(id));
    const { headers, page } = paged(found, query, knobs.pageSize);
    return { status: 200, json: page.map(commit), headers };
  }

  function mergeBase(asked: Asked): Answered {
    const refs = asked.query.get('refs[]') ?? [];
    if (asked.query.size > 1 || refs.length !== 2) throw new Refusal(400, { message: 'Provide at least 2 refs' });
    const unknown = refs.filter((ref) => !world.commits.has(ref));
    if (unknown.length > 0)
      throw new Refusal(400, { message: `Could not find ref${unknown.length > 1 ? 's' : ''}: ${unknown.join(', ')}` });
    const [left = '', right = ''] = refs;
    const known = new Set(world.ancestors(left).map(({ id }) => id));
    const base = world.ancestors(right).find(({ id }) => known.has(id));
    if (!base) throw notFound('Merge Base');
    return { status: 200, json: commit(base) };
  }

  function project(asked: Asked): Answered {
    queryOf(asked, {});
    return {
      status: 200,
      json: {
        id: PROJECT.id,
        path_with_namespace: PROJECT.path,
        default_branch: knobs.defaultBranch,
        ci_config_path: null,
        builds_access_level: 'enabled',
        permissions: { project_access: { access_level: knobs.accessLevel }, group_access: null },
      },
    };
  }

  return {
    /** Behind /projects/:id. */
    project(asked: Asked): Answered | null {
      const [, , kind, what, name, last] = asked.parts;
      if (asked.method !== 'GET') return null;
      if (kind === undefined) return project(asked);
      if (kind === 'releases' && what === undefined) {
        const query = queryOf(asked, { ...PAGING, order_by: /^(?:released_at|created_at)$/, sort: /^(?:asc|desc)$/ });
        const all = [...world.releases].sort((a, b) => Date.parse(b.released_at) - Date.parse(a.released_at));
        const { headers, page } = paged(all, query, knobs.pageSize);
        return { status: 200, json: page.map(release), headers };
      }
      if (kind === 'releases' && name === undefined) {
        queryOf(asked, {});
        const found = world.releases.find((each) => each.tag_name === what);
        if (!found) throw new Refusal(404, { message: '404 Not Found' });
        return { status: 200, json: release(found) };
      }
      if (kind !== 'repository') return null;
      if (what === 'tags' && name === undefined) return listTags(asked);
      if (what === 'tags' && last === undefined) {
        queryOf(asked, {});
        const found = world.tags.find((each) => each.name === name);
        if (!found) throw notFound('Tag');
        return { status: 200, json: tag(found) };
      }
      if (what === 'commits' && name === undefined) return listCommits(asked);
      if (what === 'merge_base' && name === undefined) return mergeBase(asked);
      if (what === 'branches' && name !== undefined && last === undefined) {
        queryOf(asked, {});
        if (name !== 'main') throw notFound('Branch');
        return {
          status: 200,
          json: {
            name,
            protected: true,
            can_push: knobs.canPush,
            developers_can_push: false,
            developers_can_merge: false,
          },
        };
      }
      if (what === 'files' && last === 'raw') {
        const query = queryOf(asked, { ref: TEXT });
        if (name !== '.gitlab-ci.yml' || query.ref !== 'main' || knobs.file === null) throw notFound('File');
        return { status: 200, text: knobs.file };
      }
      return null;
    },

    /** Behind nothing. */
    server(asked: Asked): Answered | null {
      const route = `${asked.method} ${asked.parts.join(' ')}`;
      if (route === 'GET version') {
        queryOf(asked, {});
        return { status: 200, json: { version: knobs.version, revision: '5f3c2a1b' } };
      }
      if (route === 'GET personal_access_tokens self') {
        queryOf(asked, {});
        return {
          status: 200,
          json: {
            id: 1,
            name: 'shipmate',
            revoked: false,
            scopes: knobs.scopes,
            user_id: 71,
            active: true,
            expires_at: knobs.expires,
          },
        };
      }
      return null;
    },
  };
}
