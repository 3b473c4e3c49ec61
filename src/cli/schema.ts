import { writeFileSync } from 'node:fs';
import path from 'node:path';
import { configJsonSchema } from '../config.ts';
import { readOptions } from './options.ts';
import type { CliCommand } from './types.ts';

export const schemaCommand: CliCommand = {
  summary: 'Write the JSON Schema of shipmate.yaml, for completion in an editor.',
  usage: `
shipmate schema [file]

  file  where to write it; left out: standard output

In shipmate.yaml, then: # yaml-language-server: $schema=./shipmate.schema.json`,
  async run(args, io) {
    const [file] = readOptions(args, {}, 1).positionals;
    const text = `${JSON.stringify(configJsonSchema(), null, 2)}\n`;
    if (file === undefined) await io.out(text);
    else writeFileSync(path.resolve(io.cwd, file), text);
    return 0;
  },
};
