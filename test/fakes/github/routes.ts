import { createHash } from 'node:crypto';
import { z } from 'zod';
import { actionRoutes } from './action-routes.ts';
import { repositoryRoutes } from './repository-routes.ts';
import { forbidden, notFound, type Route, type RouteDeps, unprocessable } from './route.ts';
import * as views from './views.ts';
import { APP, INSTALLATION, newId, REPO } from './world.ts';

const text = z.string();

export function createRoutes(deps: RouteDeps): readonly Route[] {
  return [...actionRoutes(deps), ...repositoryRoutes(deps), ...appRoutes(deps)];
}

function appRoutes({ links, world }: RouteDeps): Route[] {
  return [
    { method: 'GET', path: '/app', right: 'app', answer: () => ({ status: 200, body: views.appView(links(), world) }) },
    {
      method: 'GET',
      path: '/repos/{owner}/{repo}/installation',
      right: 'app',
      answer: () =>
        world.installed ? { status: 200, body: views.installationView(links(), world, INSTALLATION) } : notFound,
    },
    {
      method: 'POST',
      path: '/app/installations/{installation_id}/access_tokens',
      right: 'app',
      body: z.strictObject({
        repositories: z.array(text).optional(),
        repository_ids: z.array(z.int()).optional(),
        permissions: z.record(text, z.enum(['read', 'write'])).optional(),
      }),
      answer({ body, params }) {
        if (params.installation_id !== String(INSTALLATION) || !world.installed) return notFound;
        if (world.suspended) return forbidden('This installation has been suspended');
        const { repositories = [REPO] } = body as { repositories?: string[] };
        if (repositories.some((name) => name !== REPO))
          return unprocessable(
            'There is at least one repository that does not exist or is not accessible to the parent installation.',
          );
        const made = `ghs_${createHash('sha256')
          .update(`${APP.id} ${newId(world)} ${Math.random()}`)
          .digest('hex')
          .slice(0, 36)}`;
        const expiresAt = Date.now() + 3_600_000;
        world.tokens.set(made, { expiresAt, repositories });
        world.everyToken.push(made);
        return {
          status: 201,
          body: {
            token: made,
            expires_at: new Date(expiresAt).toISOString(),
            permissions: world.permissions,
            repository_selection: 'selected',
          },
        };
      },
    },
    {
      method: 'GET',
      path: '/meta',
      right: { name: 'metadata', level: 'read' },
      answer: () => ({
        status: 200,
        body: {
          verifiable_password_authentication: false,
          ...(world.installedVersion === undefined ? {} : { installed_version: world.installedVersion }),
        },
      }),
    },
  ];
}
