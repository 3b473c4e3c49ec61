import { z } from 'zod';
import { action, type ChoiceSet, choiceSet, choices, problem, prose, type Run, runs } from './parts.ts';

/** What the two forms share: where, what was wrong, and the words above the inputs. */
export const formData = {
  title: z.string(),
  hasHint: z.boolean(),
  hint: runs,
  problem: z.array(problem).max(1),
  service: z.array(choiceSet).max(1),
  environment: z.array(choiceSet).max(1),
  actions: z.array(action),
};

interface Place {
  services: readonly string[];
  service?: string;
  environments: readonly string[];
  environment?: string;
}

/** Inputs for service and environment. The only service is chosen already; an environment never is. */
export function placeInputs(
  place: Place,
  example: string,
): { service: ChoiceSet[]; environment: ChoiceSet[]; hasHint: boolean; hint: Run[] } {
  const chosen = place.service ?? (place.services.length === 1 ? place.services[0] : undefined);
  const { left, ...service } = choices(same(place.services), chosen);
  const { left: _, ...environment } = choices(same(place.environments), place.environment);
  return {
    service: [service],
    environment: [environment],
    hasHint: left > 0,
    hint: prose(`${left} more services are not in the list: name yours, like \`${example}\`.`, 200, { isSubtle: true }),
  };
}

function same(values: readonly string[]): { title: string; value: string }[] {
  return values.map((value) => ({ title: value, value }));
}
