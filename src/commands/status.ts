import type { Authoriser } from '../access/types.ts';
import { formatMoment, freeAfter, nextOf, openNow } from '../calendar/windows.ts';
import type { Cards } from '../cards/index.ts';
import type { StatusInput } from '../cards/types.ts';
import { freezeAhead } from '../deploys/policy.ts';
import { placeOf } from '../deploys/rules.ts';
import type { Catalog, Deployment, EnvironmentPolicy, Lock, Service } from '../deploys/types.ts';
import type { VersionProbe } from '../monitoring/types.ts';
import type { Store } from '../store/types.ts';
import { pick, scopeOf, showsHere } from './scope.ts';
import type { Arguments, Command, Reply, Turn } from './types.ts';

export interface StatusCommandDeps {
  authoriser: Authoriser;
  catalog: () => Catalog;
  cards: Cards;
  store: Store;
  probe: VersionProbe;
  now: () => Date;
}

const UNDECIDED = ['awaiting_approval', 'scheduled', 'waiting', 'queued', 'running', 'attention'] as const;
/** A freeze that begins within this time is said ahead. */
const FREEZE_NEAR_MS = 24 * 3_600_000;

export function statusCommand(deps: StatusCommandDeps): Command {
  const { cards, catalog, store } = deps;

  const run = async (turn: Turn, args: Arguments): Promise<Reply> => {
    const scope = await scopeOf(deps, turn.person, 'view');
    if (!scope.ok) return { kind: 'refusal', refusal: scope };
    const picked = await pick(deps, turn, scope, args);
    if (!picked.ok) return { kind: 'refusal', refusal: picked };
    // Without a name: this channel's services, else all of the person's.
    const here = turn.place.services.filter((name) => scope.services.has(name));
    const names = picked.service ? [picked.service.name] : here.length > 0 ? here : [...scope.services.keys()];
    const wanted = names.flatMap((name) => {
      const service = catalog().services.get(name);
      return (service?.environments ?? [])
        .filter(
          (each) =>
            scope.services.get(name)?.includes(each.name) && (!args.environment || each.name === args.environment),
        )
        .map((environment) => ({ service: service as Service, environment }));
    });
    const rows = await Promise.all(wanted.map(({ service, environment }) => row(service, environment)));
    return {
      kind: 'card',
      private: !names.every((name) => showsHere(turn, name)),
      card: cards.status({ now: deps.now(), rows }),
    };
  };

  const row = async (service: Service, environment: EnvironmentPolicy): Promise<StatusInput['rows'][number]> => {
    const [answer, known] = await Promise.all([
      environment.versionUrl === undefined ? null : deps.probe.ask(environment.versionUrl),
      store.read(async (tx) => ({
        last: await tx.deployments.lastSucceeded(service.name, environment.name),
        current:
          (
            await tx.deployments.list({
              service: service.name,
              environment: environment.name,
              states: UNDECIDED,
              limit: 1,
            })
          )[0] ?? null,
        locks: await tx.locks.covering(service.name, environment.name),
        unreviewed: (await tx.deployments.unreviewed(100)).filter(
          (each) => each.service === service.name && each.environment === environment.name,
        ),
      })),
    ]);
    const { current, last } = known;
    const base = {
      service: service.name,
      environment: environment.name,
      production: environment.production,
      notes: notesOf(environment, known, deps.now()),
      last,
      current,
    };
    if (answer !== null && !('problem' in answer)) {
      const drift = last !== null && current === null && answer.version !== last.version && answer.sha !== last.sha;
      return {
        ...base,
        version: answer.version,
        source: 'asked',
        ...(drift ? { drift: { deployed: last.version } } : {}),
      };
    }
    const problem = answer === null ? {} : { problem: answer.problem };
    return last === null
      ? { ...base, version: null, source: 'unknown', ...problem }
      : { ...base, version: last.version, source: 'deployed', ...problem };
  };

  return {
    name: 'status',
    aliases: ['st', 'ps'],
    summary: 'See what really runs where.',
    example: 'status storefront',
    usage: 'status [service] [environment]',
    examples: ['status', 'status storefront', 'status storefront production'],
    notes: ['Where a service has a version URL, it is asked itself; else you see what was last deployed.'],
    arguments: ['service', 'environment'],
    run,
    actions: {
      // Its own "Refresh" renews the card; the button of another card posts one.
      'status.show': async (turn, { refresh, service }) => {
        const reply = await run(turn, service === undefined ? {} : { service });
        return reply.kind === 'card' && refresh === undefined ? { ...reply, fresh: true } : reply;
      },
    },
  };
}

/** What keeps deploys out there, now or soon, and what somebody still has to look at. */
function notesOf(
  { freeze }: EnvironmentPolicy,
  known: { locks: readonly Lock[]; unreviewed: readonly Deployment[] },
  now: Date,
): string[] {
  const open = openNow(freeze, now);
  const until = open === null ? null : freeAfter(freeze, now);
  const ahead = open === null ? freezeAhead(nextOf(freeze, now), now, FREEZE_NEAR_MS) : null;
  return [
    ...known.locks.map((lock) => {
      const meanwhile = lock.version === null ? '' : ` for ${lock.version}`;
      return `Locked${meanwhile} by ${lock.person.name} (${placeOf(lock)}): ${lock.reason}`;
    }),
    ...(open === null
      ? []
      : [`Frozen until ${until === null ? 'further notice' : formatMoment(until, open.zone)}: ${open.label}`]),
    ...(ahead === null ? [] : [ahead]),
    ...known.unreviewed.map((each) => `Glass broken by ${each.requestedBy.name} (#${each.id}), not reviewed yet`),
  ];
}
