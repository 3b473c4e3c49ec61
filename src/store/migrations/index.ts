import type { Migration } from 'kysely/migration';
import { start } from './001-start.ts';
import { whatRuns } from './002-what-runs.ts';
import { locks } from './003-locks.ts';

/** Every migration by its number, oldest first. A number that has shipped never changes: add the next one. */
export const MIGRATIONS: Readonly<Record<string, Migration>> = {
  '001-start': start,
  '002-what-runs': whatRuns,
  '003-locks': locks,
};
