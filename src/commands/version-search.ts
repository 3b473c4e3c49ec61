import type { Authoriser } from '../access/types.ts';
import { versionChoice } from '../cards/deploy-form.ts';
import { VERSIONS_DATASET } from '../cards/types.ts';
import type { Catalog } from '../deploys/types.ts';
import { PipelineError } from '../errors.ts';
import { scopeOf } from './scope.ts';
import type { Choice, Turn } from './types.ts';

/** Teams shows at most so many while somebody types (Microsoft's page on typeahead search). */
const OFFERED = 15;
const LONGEST_TEXT = 100;

/** The versions of a service whose name holds what was typed, for people who may deploy it. */
export function createVersionSearch(deps: { authoriser: Authoriser; catalog: () => Catalog }) {
  return async (turn: Turn, dataset: string, text: string): Promise<readonly Choice[] | null> => {
    if (!dataset.startsWith(VERSIONS_DATASET)) return null;
    const service = deps.catalog().services.get(dataset.slice(VERSIONS_DATASET.length));
    if (!service) return null;
    const scope = await scopeOf(deps, turn.person, 'deploy');
    // Somebody who may not deploy learns nothing about the versions.
    if (!scope.ok || !scope.services.has(service.name)) return [];
    const wanted = text.trim().slice(0, LONGEST_TEXT);
    try {
      const found =
        wanted === ''
          ? await service.versions.list({ limit: OFFERED })
          : await service.versions.search(wanted, { limit: OFFERED });
      return found.slice(0, OFFERED).map(versionChoice);
    } catch (error) {
      // An empty list: what was typed can be sent all the same, and is checked then.
      if (error instanceof PipelineError) return [];
      throw error;
    }
  };
}
