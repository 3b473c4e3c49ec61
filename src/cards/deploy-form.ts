import { z } from 'zod';
import type { Version } from '../pipelines/types.ts';
import { formData, placeInputs } from './form.ts';
import { button, choiceSet, choices, problemOf, said, spoken } from './parts.ts';
import type { CardDefinition } from './render.ts';
import { plain, short } from './text.ts';
import { type DeployFormInput, VERSIONS_DATASET } from './types.ts';
import { clientTime } from './words.ts';

const schema = z.strictObject({
  ...spoken,
  ...formData,
  versions: z.array(choiceSet).max(1),
  searched: z.array(choiceSet.extend({ dataset: z.string() })).max(1),
  hasVersionText: z.boolean(),
  hasVersionLater: z.boolean(),
  versionText: z.string(),
  reason: z.string(),
});

/**
 * The form. Versions belong to one service, so with several services and none chosen the first step asks for the
 * service and the environment, and the next form has the list.
 */
export const deployForm: CardDefinition<DeployFormInput, z.infer<typeof schema>> = {
  name: 'deploy-form',
  schema,
  build(input, sign) {
    const chosen = input.service ?? (input.services.length === 1 ? input.services[0] : undefined);
    const where = [chosen, input.environment].filter((part) => part !== undefined).map((part) => plain(part, 60));
    const summary = where.length > 0 ? `Deploy: ${where.join(' to ')}` : 'Deploy: choose what and where';
    const { left: _, ...versions } = choices(input.versions.map(versionChoice), input.version);
    const listed = versions.choices.length > 0;
    const searched = input.more === true && chosen !== undefined;
    const later = !listed && chosen === undefined;
    return {
      summary,
      data: {
        ...said(summary, 'Say it in one line: deploy SERVICE VERSION to ENVIRONMENT.'),
        title: 'Deploy',
        ...placeInputs(input, 'deploy storefront'),
        problem: problemOf(input.problem),
        versions: listed && !searched ? [versions] : [],
        // Teams asks for more while somebody types.
        searched:
          listed && searched ? [{ ...versions, style: 'filtered', dataset: `${VERSIONS_DATASET}${chosen ?? ''}` }] : [],
        hasVersionText: !listed && !later,
        hasVersionLater: later,
        versionText: plain(input.version ?? '', 200),
        reason: plain(input.reason ?? '', 200),
        actions: [
          button(sign, 'deploy.plan', later ? 'Continue' : 'Deploy', { style: 'positive', inputs: 'auto' }),
          button(sign, 'deploy.discard', 'Discard'),
        ],
      },
    };
  },
};

/** A version as an entry of a list. */
export function versionChoice(version: Version): { title: string; value: string } {
  const day = clientTime(version.createdAt).slice(0, 10);
  return {
    title: `${plain(version.name, 50)} (${[short(version.sha), day].filter(Boolean).join(', ')})`,
    value: version.name,
  };
}
