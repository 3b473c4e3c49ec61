import { mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { commits } from '../history/commits.mjs';
import { git } from './git.mjs';

const BASE = new URL('../history/base/', import.meta.url);

function applyEdits(text, edits, file, subject) {
  let result = text;
  for (const [find, replace] of edits) {
    if (result.split(find).length !== 2) throw new Error(`commit "${subject}": its place in ${file} is not unique`);
    result = result.replace(find, () => replace);
  }
  return result;
}

function commit(repo, { subject, author, date, tag, add = [], edits = {} }) {
  for (const file of add) writeFileSync(join(repo, file), readFileSync(new URL(file, BASE)));
  for (const [file, changes] of Object.entries(edits)) {
    const path = join(repo, file);
    writeFileSync(path, applyEdits(readFileSync(path, 'utf8'), changes, file, subject));
  }
  const env = {
    GIT_AUTHOR_NAME: author.name,
    GIT_AUTHOR_EMAIL: author.email,
    GIT_AUTHOR_DATE: date,
    GIT_COMMITTER_NAME: author.name,
    GIT_COMMITTER_EMAIL: author.email,
    GIT_COMMITTER_DATE: date,
  };
  git(repo, ['add', '--all'], env);
  git(repo, ['commit', '--quiet', '--no-verify', '-m', subject], env);
  if (tag) git(repo, ['tag', '--annotate', '-m', `storefront ${tag}`, tag], env);
}

/** Makes the example's repository; it appears under its name only when it is complete. */
export function createRepository(repo) {
  const unfinished = `${repo}.unfinished`;
  rmSync(unfinished, { recursive: true, force: true });
  mkdirSync(unfinished, { recursive: true });
  git(unfinished, ['init', '--quiet', '--initial-branch=main', '--template=']);
  for (const step of commits) commit(unfinished, step);
  renameSync(unfinished, repo);
}
