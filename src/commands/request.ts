import type { Cards } from '../cards/index.ts';
import type { DeployConfirmInput } from '../cards/types.ts';
import { baseOf } from '../conversations.ts';
import type { ApprovalPolicy, Catalog, Deployment, DeployView } from '../deploys/types.ts';
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

/** What a confirmation says about the approval: what is not approved by its time does not start. */
export function approvalOf(
  approval: ApprovalPolicy | null,
  catalog: Catalog,
  scheduled?: { for: string | undefined; now: Date },
): Pick<DeployConfirmInput, 'approverGroups' | 'approvalsNeeded' | 'approvalExpiresMs' | 'approvalOwn'> {
  const left =
    scheduled?.for === undefined ? Number.POSITIVE_INFINITY : Date.parse(scheduled.for) - scheduled.now.getTime();
  return {
    approverGroups: (approval?.groups ?? []).map((group) => catalog.groupName(group)),
    approvalsNeeded: approval?.count ?? 0,
    approvalExpiresMs: Math.max(0, Math.min(approval?.expiresMs ?? 0, left)),
    approvalOwn: approval?.own ?? false,
  };
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
