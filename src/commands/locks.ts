import type { Cards } from '../cards/index.ts';
import { placeOf, unlockLine } from '../deploys/rules.ts';
import type { Catalog } from '../deploys/types.ts';
import type { Deploys } from '../deploys/workflow.ts';
import { type Refusal, refuse } from '../errors.ts';
import { nearest } from './parse.ts';
import type { Arguments, Command, Reply, Turn } from './types.ts';

export interface LockCommandDeps {
  catalog: () => Catalog;
  deploys: Deploys;
  cards: Cards;
}

/** Words for every service. */
const ALL = new Set(['all', 'everything', '*']);

/** `lock`, `unlock` and `unblock`. */
export function lockCommands({ cards, catalog, deploys }: LockCommandDeps): Command[] {
  /** Which place is meant: '' stands for all. Only a service may be left out, where it is plain which. */
  const placeIn = (turn: Turn, args: Arguments): { ok: true; service: string; environment: string } | Refusal => {
    const named = args.service ?? (turn.place.services.length === 1 ? turn.place.services[0] : undefined);
    if (named === undefined)
      return refuse('ARGUMENT_MISSING', 'Which service?', {
        next: 'Name it, or say `all`.',
        options: [...catalog().services.keys()],
      });
    const all = ALL.has(named.toLowerCase());
    const found = catalog().services.get(named);
    if (!all && !found) {
      const guess = nearest(named, [...catalog().services.keys()]);
      return refuse('SERVICE_UNKNOWN', `There is no service "${named.slice(0, 60)}".`, {
        ...(guess ? { next: `Did you mean ${guess}?` } : {}),
        options: guess ? [guess] : [...catalog().services.keys()],
      });
    }
    const environments = [
      ...new Set(
        (found ? [found] : [...catalog().services.values()]).flatMap((each) =>
          each.environments.map(({ name }) => name),
        ),
      ),
    ];
    if (args.environment !== undefined && !environments.includes(args.environment))
      return refuse('ENVIRONMENT_UNKNOWN', `There is no environment "${args.environment.slice(0, 60)}".`, {
        options: environments,
      });
    return { ok: true, service: all ? '' : named, environment: args.environment ?? '' };
  };

  const lock = async (turn: Turn, args: Arguments): Promise<Reply> => {
    const place = placeIn(turn, args);
    if (!place.ok) return { kind: 'refusal', refusal: place };
    const { environment, service } = place;
    const result = await deploys.lock({
      person: turn.person,
      service,
      environment,
      reason: (args.reason ?? '').trim(),
      version: args.version ?? null,
      conversation: turn.place.conversation,
    });
    if (!result.ok) return { kind: 'refusal', refusal: result };
    const only =
      result.lock.version === null ? 'Nothing is deployed there' : `Only you, and only ${result.lock.version}`;
    return {
      kind: 'card',
      card: cards.notice({
        tone: 'good',
        title: `Locked: ${placeOf(place)}`,
        message: `${result.lock.reason}. ${only} until somebody says \`${unlockLine(place)}\`.`,
        action: { title: 'Unlock', verb: 'lock.remove', bind: { service, environment } },
      }),
    };
  };

  const unlock = async (turn: Turn, place: { service: string; environment: string }): Promise<Reply> => {
    const result = await deploys.unlock({ person: turn.person, ...place, conversation: turn.place.conversation });
    if (!result.ok) return { kind: 'refusal', refusal: result };
    const { lock: was } = result;
    return {
      kind: 'card',
      card: cards.notice({
        tone: 'good',
        title: `Unlocked: ${placeOf(place)}`,
        message: `It was locked by ${was.person.name}: ${was.reason}.`,
      }),
    };
  };

  return [
    {
      name: 'lock',
      aliases: [],
      summary: 'Keep deploys out of an environment until you unlock it.',
      example: 'lock storefront production reason="db migration"',
      usage: 'lock service [environment] reason="..." [version=...]',
      examples: [
        'lock storefront production reason="db migration"',
        'lock storefront production version=1.2.4 reason="testing the fix"',
        'lock all reason="incident 4711"',
      ],
      notes: [
        'Without an environment it is every one of the service; `lock all` is everything.',
        'With a version only you may deploy, and only that one.',
        'It stays until somebody unlocks it.',
      ],
      arguments: ['service', 'environment', 'version', 'reason'],
      run: lock,
      actions: {
        'lock.remove': (turn, { environment = '', service = '' }) => unlock(turn, { service, environment }),
      },
    },
    {
      name: 'unlock',
      aliases: [],
      summary: 'Let deploys in again.',
      example: 'unlock storefront production',
      usage: 'unlock service [environment]',
      examples: ['unlock storefront production', 'unlock all'],
      notes: ["Your own lock, or with the right to unlock anybody's."],
      arguments: ['service', 'environment'],
      async run(turn, args) {
        const place = placeIn(turn, args);
        return place.ok ? unlock(turn, place) : { kind: 'refusal', refusal: place };
      },
      actions: {},
    },
    {
      name: 'unblock',
      aliases: [],
      summary: 'Let a version back in that somebody rolled back from.',
      example: 'unblock storefront production 1.2.3',
      usage: 'unblock service environment version',
      examples: ['unblock storefront production 1.2.3'],
      notes: ['A rollback keeps the version that it took away out of that environment.'],
      arguments: ['service', 'environment', 'version'],
      async run(turn, args) {
        const place = placeIn(turn, args);
        if (!place.ok) return { kind: 'refusal', refusal: place };
        const { environment, service } = place;
        if (service === '' || environment === '' || args.version === undefined)
          return {
            kind: 'refusal',
            refusal: refuse('ARGUMENT_MISSING', 'Which version, and where?', {
              next: 'Like this: `unblock storefront production 1.2.3`.',
            }),
          };
        const conversation = turn.place.conversation;
        const result = await deploys.unblock({
          person: turn.person,
          service,
          environment,
          version: args.version,
          conversation,
        });
        if (!result.ok) return { kind: 'refusal', refusal: result };
        return {
          kind: 'card',
          card: cards.notice({
            tone: 'good',
            title: `${result.block.version} may come back`,
            message: `It may be deployed to ${placeOf(place)} again. ${result.block.person.name} had rolled back from it.`,
          }),
        };
      },
      actions: {},
    },
  ];
}
