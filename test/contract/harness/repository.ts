import { execFileSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/** A git repository for tests; dates rise by a minute with each commit. */
export function createRepository(folder: string) {
  let minute = 0;
  mkdirSync(folder, { recursive: true });
  const git = (...args: string[]) => {
    const date = new Date(Date.UTC(2026, 8, 1, 0, minute)).toISOString();
    return execFileSync('git', ['-C', folder, '-c', 'commit.gpgsign=false', '-c', 'tag.gpgsign=false', ...args], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'pipe'],
      env: {
        PATH: process.env.PATH,
        GIT_CONFIG_NOSYSTEM: '1',
        GIT_CONFIG_GLOBAL: '/dev/null',
        GIT_AUTHOR_NAME: 'Ana Ruiz',
        GIT_AUTHOR_EMAIL: 'ana@example.com',
        GIT_COMMITTER_NAME: 'Ana Ruiz',
        GIT_COMMITTER_EMAIL: 'ana@example.com',
        GIT_AUTHOR_DATE: date,
        GIT_COMMITTER_DATE: date,
      },
    }).trim();
  };
  git('init', '--quiet', '--initial-branch=main', '--template=');
  return {
    folder,
    git,
    /** Commits a change and returns its id. */
    commit(subject: string): string {
      minute += 1;
      writeFileSync(join(folder, 'file.txt'), `${subject} ${minute}\n`);
      git('add', '--all');
      git('commit', '--quiet', '-m', subject);
      return git('rev-parse', 'HEAD');
    },
  };
}
