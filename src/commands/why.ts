import type { Authoriser } from '../access/types.ts';
import { formatMoment } from '../calendar/windows.ts';
import type { Cards } from '../cards/index.ts';
import type { WhyInput } from '../cards/types.ts';
import type { Wish } from '../deploys/gather.ts';
import type { Rehearsal } from '../deploys/rehearse.ts';
import type { Catalog } from '../deploys/types.ts';
import type { Deploys, Explanation } from '../deploys/workflow.ts';
import { type Refusal, refuse } from '../errors.ts';
import { pick, showsHere } from './scope.ts';
import type { Command, Reply, Turn } from './types.ts';

export interface WhyCommandDeps {
  authoriser: Authoriser;
  catalog: () => Catalog;
  deploys: Deploys;
  cards: Cards;
}

/** What every rule says to a wish, by the evaluation that enforces: the answer of `why`, of its button, and of a dry run. */
export function createExplaining({ cards, catalog, deploys }: Pick<WhyCommandDeps, 'cards' | 'catalog' | 'deploys'>) {
  return async (turn: Turn, wish: Wish, { dry = false } = {}): Promise<Reply> => {
    const explained = await deploys.explain(wish);
    const { gathered } = explained;
    const said = dry && explained.decision.ok && gathered !== null ? await deploys.rehearse(wish, gathered) : null;
    const policy = catalog()
      .services.get(wish.service)
      ?.environments.find(({ name }) => name === wish.environment);
    return {
      kind: 'card',
      private: !showsHere(turn, wish.service),
      card: cards.why({
        title: wish.command
          ? `${wish.command.name} ${wish.service} on ${wish.environment}`
          : `${wish.service} ${gathered?.version.name ?? wish.version} → ${wish.environment}`,
        environment: wish.environment,
        production: policy?.production ?? false,
        ...(said?.accepted === false
          ? {
              verdict: 'no',
              answer: 'Our rules let it pass, but the pipeline would not take it.',
              code: 'PIPELINE_REJECTED',
            }
          : answerOf(explained, catalog().zone)),
        findings: [...explained.findings, ...(said === null ? [] : [pipelineRow(said)])],
        fromVersion: gathered?.from?.version ?? null,
        fromSha: gathered?.from?.sha ?? null,
        version: wish.command ? null : (gathered?.version.name ?? null),
        sha: gathered?.version.sha ?? null,
        changes: gathered?.comparison?.commits ?? [],
        changesTotal: gathered?.comparison?.total ?? 0,
      }),
    };
  };
}

function pipelineRow({ accepted, note }: Rehearsal): WhyInput['findings'][number] {
  return { rule: 'pipeline', verdict: accepted === null ? 'needs' : accepted ? 'pass' : 'refuse', note };
}

function answerOf(
  { decision, findings }: Explanation,
  zone: string,
): Pick<WhyInput, 'verdict' | 'answer' | 'next' | 'code'> {
  if (!decision.ok)
    return { verdict: 'no', answer: decision.message, code: decision.code, next: whatNow(decision, zone) };
  const waits = findings.filter(({ verdict }) => verdict === 'needs');
  if (waits.length === 0) return { verdict: 'yes', answer: 'It would run at once.', code: 'OK' };
  return { verdict: 'asks', answer: waits.map(({ note }) => note).join(' '), code: 'OK' };
}

/** What to do, who could go on, and from when. */
export function whatNow({ next, options, until, who }: Refusal, zone: string): string {
  return [
    next ?? '',
    ...(options && options.length > 0 ? [`There is ${options.slice(0, 5).join(', ')}.`] : []),
    ...(who && who.length > 0 ? [`Who could: ${who.join(', ')}.`] : []),
    ...(until ? [`Allowed again from ${formatMoment(new Date(until), zone)}.`] : []),
  ]
    .filter(Boolean)
    .join(' ');
}

export function whyCommand(deps: WhyCommandDeps): Command {
  const { catalog, deploys } = deps;
  const explain = createExplaining(deps);

  const wishOf = async (
    turn: Turn,
    service: string,
    environment: string,
    version: string | undefined,
  ): Promise<Wish | Refusal> => {
    const base = { kind: 'deploy' as const, person: turn.person, service, environment };
    if (version !== undefined) return { ...base, version };
    // Without a version it is about the place: the newest one stands for all.
    const newest = await catalog()
      .services.get(service)
      ?.versions.list({ limit: 1 })
      .catch(() => []);
    if (newest?.[0]) return { ...base, version: newest[0].name };
    return refuse('VERSION_UNKNOWN', `${service} has no version yet.`, {
      next: 'Name one: `why storefront 1.2.3 production`.',
    });
  };

  return {
    name: 'why',
    aliases: ["can't"],
    summary: 'See which rule is in the way, who could, and from when.',
    example: "why can't I deploy storefront to production",
    usage: 'why [service] [version] environment',
    examples: ["why can't I deploy storefront to production", 'why storefront 1.2.3 production'],
    notes: ['It asks the very rules that decide, and changes nothing.'],
    arguments: ['service', 'environment', 'version'],
    fillers: [
      'can',
      "can't",
      'cant',
      'cannot',
      'i',
      'we',
      'not',
      'deploy',
      'deployed',
      'is',
      'be',
      'it',
      'was',
      'refused',
      'blocked',
      'could',
      "couldn't",
      'may',
      'me',
      'my',
    ],
    async run(turn, args) {
      // Everybody may ask about what they may see or not: the first rule is about that.
      const all = { ok: true as const, permission: 'deploy' as const, services: everything(catalog()) };
      const picked = await pick(deps, turn, all, args);
      if (!picked.ok) return { kind: 'refusal', refusal: picked };
      const { environment, service } = picked;
      if (!service || !environment)
        return {
          kind: 'refusal',
          refusal: refuse('ARGUMENT_MISSING', service ? `Why ${service.name} where?` : 'Why what, and where?', {
            next: 'Say it like `why storefront production`.',
            options: service ? service.environments.map(({ name }) => name) : [...catalog().services.keys()],
          }),
        };
      const wish = await wishOf(turn, service.name, environment.name, args.version);
      return 'ok' in wish ? { kind: 'refusal', refusal: wish } : explain(turn, wish);
    },
    actions: {
      'deploy.why': async (turn, bind) => {
        const { command, environment = '', kind, service = '', version = '' } = bind;
        let reply: Reply;
        if (kind === 'rollback') {
          const target = await deploys.rollbackTarget(service, environment);
          if ('ok' in target) return { kind: 'refusal', refusal: target };
          reply = await explain(turn, { kind: 'rollback', person: turn.person, service, environment, ...target });
        } else {
          const wish = { person: turn.person, service, environment, version };
          reply = await explain(
            turn,
            command === undefined
              ? { ...wish, kind: kind === 'retry' ? 'retry' : 'deploy' }
              : { ...wish, kind: 'command', command: { name: command, inputs: {} } },
          );
        }
        return reply.kind === 'card' ? { ...reply, fresh: true } : reply;
      },
    },
  };
}

function everything(catalog: Catalog): ReadonlyMap<string, readonly string[]> {
  return new Map(
    [...catalog.services].map(([name, { environments }]) => [name, environments.map((each) => each.name)]),
  );
}
