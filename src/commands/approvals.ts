import type { Authoriser } from '../access/types.ts';
import type { Cards } from '../cards/index.ts';
import type { InboxInput } from '../cards/types.ts';
import type { Catalog, Deployment } from '../deploys/types.ts';
import type { Deploys } from '../deploys/workflow.ts';
import { refuse } from '../errors.ts';
import type { Store } from '../store/types.ts';
import type { Command, Reply, Turn } from './types.ts';

export interface ApprovalsCommandDeps {
  authoriser: Authoriser;
  catalog: () => Catalog;
  deploys: Deploys;
  cards: Cards;
  store: Store;
  now: () => Date;
}

/** Those that are looked through. */
const LOOKED_AT = 100;

/** `approvals`, `cancel` and `review`: what waits for somebody, and what they do about it by its number. */
export function approvalsCommands(deps: ApprovalsCommandDeps): Command[] {
  const { authoriser, cards, catalog, deploys, store } = deps;

  const policyOf = ({ environment, service }: Deployment) =>
    catalog()
      .services.get(service)
      ?.environments.find(({ name }) => name === environment);

  const may = async (
    turn: Turn,
    permission: 'approve' | 'deploy' | 'break-glass',
    it: Deployment,
  ): Promise<boolean> => {
    const { command, environment, service } = it;
    const about = permission === 'approve' && command ? { command: command.name } : {};
    return (await authoriser.authorise(turn.person, { permission, service, environment, ...about })).allowed;
  };

  const waitsFor = async (turn: Turn, it: Deployment): Promise<InboxInput['items'][number]['what'] | null> => {
    const own = it.requestedBy.id === turn.person.id;
    if (it.state === 'awaiting_approval') {
      if (it.votes.some(({ person }) => person.id === turn.person.id) || (own && it.approval?.own !== true))
        return null;
      return (await may(turn, 'approve', it)) ? 'approve' : null;
    }
    if (it.state === 'running' && it.gate !== null && it.gate.answer === null) {
      const policy = policyOf(it)?.approval ?? null;
      if (policy !== null && own && !policy.own) return null;
      return (await may(turn, policy === null ? 'deploy' : 'approve', it)) ? 'answer' : null;
    }
    if (it.breakGlass === null || it.breakGlass.review !== null || own) return null;
    return (await may(turn, 'approve', it)) || (await may(turn, 'break-glass', it)) ? 'review' : null;
  };

  const list = async (turn: Turn): Promise<Reply> => {
    const open = await store.read(async (tx) => [
      ...(await tx.deployments.list({ states: ['awaiting_approval', 'running'], limit: LOOKED_AT })),
      ...(await tx.deployments.unreviewed(LOOKED_AT)),
    ]);
    const items: InboxInput['items'][number][] = [];
    for (const deployment of new Map(open.map((each) => [each.id, each])).values()) {
      const what = await waitsFor(turn, deployment);
      if (what !== null) items.push({ deployment, what, production: policyOf(deployment)?.production ?? false });
    }
    // What one person may decide is about services that others here may not see.
    return { kind: 'card', private: true, card: cards.inbox({ items }) };
  };

  const numbered = (text: string | undefined): string | null => /^#?(\d{1,12})$/.exec(text ?? '')?.[1] ?? null;
  const missing = (what: string): Reply => ({
    kind: 'refusal',
    refusal: refuse('ARGUMENT_MISSING', `Which one? Say its number, as on its card.`, {
      next: `Like this: \`${what} 42\`.`,
    }),
  });

  const done = async (turn: Turn, id: string): Promise<Reply> => {
    const deployment = await deploys.get(id);
    if (!deployment) return missing('status');
    const view = await deploys.view(deployment, 'requester');
    return {
      kind: 'card',
      private: turn.place.kind !== 'personal' && !turn.place.services.includes(deployment.service),
      card: cards.deployment({ view, now: deps.now() }),
    };
  };

  return [
    {
      name: 'approvals',
      aliases: ['inbox'],
      summary: 'See what waits for you.',
      example: 'approvals',
      usage: 'approvals',
      examples: ['approvals'],
      notes: ['Approvals, questions of a running pipeline, and deploys past the rules that nobody has reviewed.'],
      arguments: [],
      run: list,
      actions: { 'approvals.show': list },
    },
    {
      name: 'cancel',
      aliases: ['withdraw', 'stop'],
      summary: 'Take back a request, or ask a run to stop.',
      example: 'cancel 42',
      usage: 'cancel number [reason="..."]',
      examples: ['cancel 42', 'cancel #42 reason="wrong version"'],
      notes: ['Your own request always; a run, and what others asked for, with the right to cancel.'],
      arguments: ['topic', 'reason'],
      async run(turn, args) {
        const id = numbered(args.topic);
        if (id === null) return missing('cancel');
        const result = await deploys.cancel({
          person: turn.person,
          id,
          reason: args.reason ?? null,
          conversation: turn.place.conversation,
        });
        return result.ok ? done(turn, id) : { kind: 'refusal', refusal: result };
      },
      actions: {},
    },
    {
      name: 'review',
      aliases: [],
      summary: 'Say what you found about a deploy past the rules.',
      example: 'review 42 reason="looked at the fix: fine"',
      usage: 'review number reason="..."',
      examples: ['review 42 reason="looked at the fix: fine"'],
      notes: ['A second person has to look at every broken glass. The note goes into the audit.'],
      arguments: ['topic', 'reason'],
      async run(turn, args) {
        const id = numbered(args.topic);
        if (id === null) return missing('review');
        const result = await deploys.review({
          person: turn.person,
          id,
          note: (args.reason ?? '').trim(),
          conversation: turn.place.conversation,
        });
        return result.ok ? done(turn, id) : { kind: 'refusal', refusal: result };
      },
      actions: {},
    },
  ];
}
