import type { Cards } from '../cards/index.ts';
import { baseOf } from '../conversations.ts';
import type { Deployment, DeployView } from '../deploys/types.ts';
import type { Deploys } from '../deploys/workflow.ts';
import { homeOf } from './scope.ts';
import type { Reply, Turn } from './types.ts';

export interface RequestingDeps {
  deploys: Deploys;
  cards: Cards;
  now: () => Date;
}

export type Requested = Omit<Parameters<Deploys['request']>[0], 'origin' | 'conversation' | 'activityId' | 'person'>;

/** How every command asks for a deployment, and how it shows one. */
export function createRequesting({ cards, deploys, now }: RequestingDeps) {
  const request = async (
    turn: Turn,
    wish: Requested,
    /** The clicked card becomes the living card; else a new one is posted. */
    adopt = true,
  ): Promise<Reply> => {
    const conversation = await homeOf(turn, wish.service);
    const here = baseOf(conversation) === turn.place.base;
    const result = await deploys.request({
      ...wish,
      person: turn.person,
      origin: turn.origin,
      conversation,
      ...(adopt && here && turn.activityId !== undefined ? { activityId: turn.activityId } : {}),
    });
    if (!result.ok) return { kind: 'refusal', refusal: result, ...whyOf(wish) };
    return { kind: 'living', card: await render(result.deployment, 'requester') };
  };

  const render = async (deployment: Deployment, audience: DeployView['audience']) =>
    cards.deployment({ view: await deploys.view(deployment, audience), now: now() });

  return { request, render };
}

/** The button on a refusal that shows what every rule says. */
export function whyOf(wish: {
  kind?: string;
  service: string;
  environment: string;
  version: string;
  command?: { name: string };
}): {
  action: NonNullable<Extract<Reply, { kind: 'refusal' }>['action']>;
} {
  const { command, environment, kind = 'deploy', service, version } = wish;
  const bind = { service, environment, version, kind, ...(command ? { command: command.name } : {}) };
  return { action: { title: 'Why?', verb: 'deploy.why', bind } };
}
