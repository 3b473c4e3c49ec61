import type { paths } from '@octokit/openapi-types';
import type { z } from 'zod';
import type { Runs } from './runs.ts';
import type { Links } from './views.ts';
import type { Level, World } from './world.ts';

/** What the fake can be asked, by the paths of GitHub's published description. */

export interface Answer {
  status: number;
  body?: unknown;
  headers?: Record<string, string>;
  /** The connection is cut instead. */
  cut?: true;
}
export interface Asked {
  params: Readonly<Record<string, string>>;
  query: Readonly<Record<string, string>>;
  body: unknown;
}
export interface Route {
  method: 'GET' | 'POST';
  path: keyof paths;
  /** Who may ask: the App itself, or a token with this right. */
  right: 'app' | { name: string; level: Level };
  /** Names of what may stand in the query; anything else is refused. */
  query?: readonly string[];
  /** Shape of the body; without one there must be none. */
  body?: z.ZodType;
  answer(asked: Asked): Answer;
}

export const notFound: Answer = { status: 404, body: { message: 'Not Found', status: '404' } };
export const unprocessable = (message: string): Answer => ({ status: 422, body: { message, status: '422' } });
export const forbidden = (message: string): Answer => ({ status: 403, body: { message, status: '403' } });

export interface RouteDeps {
  world: World;
  runs: Runs;
  links: () => Links;
  /** The next dispatch is carried out, and not answered. */
  cuts: () => boolean;
}

export const paging = ['per_page', 'page'] as const;
export function pageOf<T>(all: readonly T[], query: Asked['query'], standard = 30): T[] {
  const perPage = Math.min(Number(query.per_page ?? standard), 100);
  const page = Math.max(Number(query.page ?? 1), 1);
  return all.slice((page - 1) * perPage, page * perPage);
}
