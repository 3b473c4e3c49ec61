import { z } from 'zod';

/** Whether a repository is fetched over a connection; everything else is a folder of this machine. */
export function isRemote(repository: string): boolean {
  return /^(?:https?|ssh|git|file):\/\//.test(repository) || /^[\w.-]+@[\w.-]+:/.test(repository);
}

/** A service's versions are the tags of a git repository. */
export const gitConfig = z.strictObject({
  git: z
    .string()
    .min(1)
    .refine((value) => !value.startsWith('-'), 'must not begin with "-"')
    .refine((value) => !/^\w+::/.test(value), 'must be a path, or a URL with https, ssh, git or file')
    .describe('Path of a repository, relative to the configuration file, or its URL'),
  tags: z.string().min(1).max(200).default('*').describe('Which tags are versions; * stands for anything, ? for one'),
  branch: z
    .string()
    .refine(isRefName, 'is not the name of a branch')
    .optional()
    .describe('Only tags whose commit is on this branch'),
});

export type GitConfig = z.infer<typeof gitConfig>;

/** git's rules for the name of a tag or branch (git-check-ref-format(1)), and at most 200 characters. */
export function isRefName(name: string): boolean {
  return (
    name.length > 0 &&
    name.length <= 200 &&
    !/[\p{Cc}\s~^:?*[\\]|\.\.|@\{|\/\/|^[-./]|[./]$|\/\.|\.lock(?:\/|$)/u.test(name) &&
    name !== '@'
  );
}

/** A pattern of `tags` as a test of whole names. */
export function tagMatcher(pattern: string): (name: string) => boolean {
  const source = [...pattern].map((char) => {
    if (char === '*') return '.*';
    return char === '?' ? '.' : char.replace(/[\\^$.+()[\]{}|]/g, '\\$&');
  });
  const expression = new RegExp(`^${source.join('')}$`, 'su');
  return (name) => expression.test(name);
}
