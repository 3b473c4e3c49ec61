import { rename } from 'node:fs/promises';
import { join } from 'node:path';
import { gitConfig } from '../../../src/pipelines/git/config.ts';
import { createGitVersions } from '../../../src/pipelines/git/index.ts';
import { pipelineDeps, temporaryFolder } from './deps.ts';
import { createRepository } from './repository.ts';
import type { VersionsHarness } from './types.ts';

export const harness: VersionsHarness = {
  family: 'versions',
  async open() {
    const { folder, remove } = await temporaryFolder();
    const repository = createRepository(join(folder, 'repo'));
    const release = (name: string) => {
      repository.commit(`Work for ${name}`);
      const sha = repository.commit(`Release ${name}`);
      repository.git('tag', '--annotate', '-m', name, name);
      return sha;
    };
    const shas = { '1.0.0': release('1.0.0'), '1.1.0': release('1.1.0'), '1.10.0': release('1.10.0') };
    // Over file:// it goes through the mirror, which is the longer way; test/pipelines/git reads a folder too.
    const config = gitConfig.parse({ git: `file://${repository.folder}` });
    return {
      source: createGitVersions(config, pipelineDeps(folder)),
      shas,
      moveTag: async () => void repository.git('tag', '--force', '1.1.0', shas['1.10.0']),
      breakIt: () => rename(repository.folder, `${repository.folder}.away`),
      close: remove,
    };
  },
};
