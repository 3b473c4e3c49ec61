import { z } from 'zod';

/** Log files on the bot's own host. */
export const filesConfig = z.strictObject({
  files: z
    .string()
    .min(1)
    .superRefine((pattern, context) => {
      const problem = patternProblem(pattern);
      if (problem !== null) context.addIssue({ code: 'custom', message: problem });
    })
    .describe('Path, relative to the configuration file, with {service}, {environment} and * in the name of the file'),
  format: z
    .enum(['auto', 'json', 'plain'])
    .default('auto')
    .describe('auto takes a line that is a JSON object as one, and others as text'),
  time: z.string().min(1).optional().describe('Field of the time; left out: time, timestamp, @timestamp, ts'),
  level: z.string().min(1).optional().describe('Field of the level; left out: level, severity, lvl'),
  message: z.string().min(1).optional().describe('Field of the message; left out: msg, message'),
});

export type FilesConfig = z.infer<typeof filesConfig>;

function patternProblem(pattern: string): string | null {
  if (pattern.includes('\0')) return 'must not contain a NUL character';
  const folders = pattern.split('/').slice(0, -1).join('/');
  if (folders.includes('*')) return '* may stand in the name of the file, not in a folder';
  if (pattern.endsWith('/')) return 'must end in the name of a file';
  for (const [, name = ''] of pattern.matchAll(/\{([^}]*)\}/g))
    if (name !== 'service' && name !== 'environment')
      return `{${name}} is not known; there are {service}, {environment}`;
  return null;
}
