import type { Authoriser } from '../access/types.ts';
import { parseMoment } from '../calendar/moments.ts';
import { nextOf } from '../calendar/windows.ts';
import type { Cards } from '../cards/index.ts';
import { freezeAhead } from '../deploys/policy.ts';
import type { Catalog, Service } from '../deploys/types.ts';
import type { Deploys, Plan } from '../deploys/workflow.ts';
import { PipelineError, type Refusal, refuse } from '../errors.ts';
import type { Version } from '../pipelines/types.ts';
import { deployActions, rollbackMoved } from './deploy-actions.ts';
import { approvalOf, createRequesting, whyOf } from './request.ts';
import { type Picked, pick, type Scope, scopeOf, showsHere } from './scope.ts';
import type { Action, Arguments, Command, Reply, Turn } from './types.ts';
import { createExplaining } from './why.ts';

export interface DeployCommandDeps {
  authoriser: Authoriser;
  catalog: () => Catalog;
  deploys: Deploys;
  cards: Cards;
  redact: (text: string) => string;
  now: () => Date;
}

/** A freeze that begins within this time is said before. */
const FREEZE_NEAR_MS = 4 * 3_600_000;
const AGAIN = 'That is asked again when it starts.';
/** Versions offered in the form's list; a longer list is filtered by typing. */
const OFFERED_VERSIONS = 25;
/** Refusals that the form can help with: it opens with what was right filled in. */
const MENDABLE = new Set([
  'SERVICE_UNKNOWN',
  'ENVIRONMENT_UNKNOWN',
  'VERSION_UNKNOWN',
  'ARGUMENT_MISSING',
  'ARGUMENT_INVALID',
]);

export function deployCommands(deps: DeployCommandDeps): Command[] {
  const { cards, catalog, deploys } = deps;
  const { request } = createRequesting(deps);
  const explain = createExplaining(deps);

  const form = async (turn: Turn, args: Arguments, problem?: Refusal): Promise<Reply> => {
    const scope = await scopeOf(deps, turn.person, 'deploy');
    if (!scope.ok) return { kind: 'refusal', refusal: scope };
    const picked = await pickLeniently(turn, scope, args);
    const { service } = picked;
    const versions = service ? await versionsOf(service) : [];
    const environments = service
      ? (scope.services.get(service.name) ?? [])
      : [...new Set([...scope.services.values()].flat())];
    return {
      kind: 'card',
      private: service
        ? !showsHere(turn, service.name)
        : turn.place.kind !== 'personal' && turn.place.services.length === 0,
      card: cards.deployForm({
        services: [...scope.services.keys()],
        environments,
        versions,
        more: versions.length >= OFFERED_VERSIONS,
        ...(service ? { service: service.name } : {}),
        ...(picked.environment ? { environment: picked.environment.name } : {}),
        ...(args.version === undefined ? {} : { version: args.version }),
        ...(args.reason === undefined ? {} : { reason: args.reason }),
        ...(problem ? { problem } : {}),
      }),
    };
  };

  /** What of the arguments is right, so that the form keeps it when the rest is wrong. */
  const pickLeniently = async (turn: Turn, scope: Scope, args: Arguments): Promise<Picked> => {
    const whole = await pick(deps, turn, scope, args);
    if (whole.ok) return whole;
    const { environment: _, ...serviceOnly } = args;
    const service = await pick(deps, turn, scope, serviceOnly);
    if (service.ok && service.service) return service;
    const neither = await pick(deps, turn, scope, {});
    return neither.ok ? neither : { ok: true };
  };

  const versionsOf = async (service: Service): Promise<Version[]> => {
    try {
      return await service.versions.list({ limit: OFFERED_VERSIONS });
    } catch (error) {
      // The form then takes the version as text; it is checked when it is sent.
      if (error instanceof PipelineError) return [];
      throw error;
    }
  };

  const refusal = (
    turn: Turn,
    args: Arguments,
    refused: Refusal,
    wish?: Parameters<typeof whyOf>[0],
  ): Reply | Promise<Reply> =>
    MENDABLE.has(refused.code)
      ? form(turn, args, refused)
      : { kind: 'refusal', refusal: refused, ...(wish ? whyOf(wish) : {}) };

  const proceed = async (turn: Turn, args: Arguments, glass?: string): Promise<Reply> => {
    const scope = await scopeOf(deps, turn.person, 'deploy');
    if (!scope.ok) return { kind: 'refusal', refusal: scope };
    const picked = await pick(deps, turn, scope, args);
    if (!picked.ok) return refusal(turn, args, picked);
    const { environment, service } = picked;
    if (!service || !environment || args.version === undefined) return form(turn, args);
    const moment = args.at === undefined ? null : parseMoment(args.at, deps.now(), catalog().zone);
    if (moment !== null && !moment.ok)
      return { kind: 'refusal', refusal: refuse('TIME_INVALID', moment.problem, { next: moment.next }) };
    const wish = {
      kind: 'deploy' as const,
      person: turn.person,
      service: service.name,
      environment: environment.name,
      version: args.version,
      ...(moment?.ok ? { scheduledFor: moment.at.toISOString() } : {}),
      ...(glass === undefined ? {} : { breakGlass: glass }),
    };
    if (args.dry) return explain(turn, wish, { dry: true });
    if (!environment.confirm && glass === undefined) return request(turn, { ...wish, reason: args.reason ?? null });
    const plan = await deploys.plan(wish);
    if (!plan.ok) return refusal(turn, args, plan, wish);
    const { comparison, from, version } = plan.gathered;
    const broken = plan.findings.filter(({ verdict }) => verdict === 'broken').map(({ rule }) => rule);
    return {
      kind: 'card',
      private: !showsHere(turn, service.name),
      card: cards.deployConfirm({
        kind: 'deploy',
        service: service.name,
        environment,
        version: version.name,
        sha: version.sha,
        fromVersion: from?.version ?? null,
        fromSha: from?.sha ?? null,
        changes: comparison?.commits ?? [],
        changesTotal: comparison?.total ?? 0,
        backwards: comparison?.backwards ?? false,
        reason: args.reason ?? null,
        ...(glass === undefined ? {} : { glass: { reason: glass, broken } }),
        ...(wish.scheduledFor === undefined ? {} : { scheduledFor: wish.scheduledFor }),
        notes: notesOf(plan, deps.now()),
        ...approvalOf(plan.approval, catalog(), { for: wish.scheduledFor, now: deps.now() }),
        bind: {
          kind: 'deploy',
          by: turn.person.id,
          service: service.name,
          environment: environment.name,
          version: version.name,
          sha: version.sha,
          reason: glass === undefined ? (args.reason ?? '') : '',
          ...(glass === undefined ? {} : { glass }),
          ...(wish.scheduledFor === undefined ? {} : { at: wish.scheduledFor }),
        },
      }),
    };
  };

  const confirm: Action = async (turn, bind, inputs) => {
    if (bind.by !== turn.person.id)
      return {
        kind: 'refusal',
        refusal: {
          ok: false,
          code: 'ACCESS_DENIED',
          message: 'Only the person who asked can confirm this.',
          next: 'Say `deploy` to ask for your own.',
        },
      };
    if (bind.kind === 'rollback') {
      // Needs no approval, so it may only go where a rollback goes now, however old the card is.
      const target = await deploys.rollbackTarget(bind.service ?? '', bind.environment ?? '');
      if ('ok' in target) return { kind: 'refusal', refusal: target };
      if (target.sha !== bind.sha) return { kind: 'refusal', refusal: rollbackMoved(target.version) };
    }
    const reason = (inputs.reason || bind.reason || '').slice(0, 200);
    return request(turn, {
      kind: bind.kind === 'rollback' ? 'rollback' : 'deploy',
      service: bind.service ?? '',
      environment: bind.environment ?? '',
      version: bind.version ?? '',
      ...(bind.kind === 'rollback' ? { sha: bind.sha ?? '' } : { confirmedSha: bind.sha ?? '' }),
      reason: reason === '' ? null : reason,
      ...(bind.glass ? { breakGlass: bind.glass } : {}),
      ...(bind.at ? { scheduledFor: bind.at } : {}),
    });
  };

  const deploy: Command = {
    name: 'deploy',
    aliases: ['ship', 'release'],
    summary: 'Deploy a version. Asks for what you leave out.',
    example: 'deploy storefront 1.2.3 to staging',
    usage: 'deploy [service] [version] [to environment] [at time] [reason="..."] [dry-run]',
    examples: [
      'deploy',
      'deploy storefront 1.2.3 to staging',
      '/deploy version=1.2.3 environment=production',
      'deploy storefront environment=staging',
      'deploy storefront 1.2.3 to production at 22:00 Europe/Berlin',
      'deploy storefront 1.2.3 to production dry-run',
    ],
    notes: [
      'In the channel of one service, or if you have just one, you can leave its name out.',
      'An environment is never guessed. Production asks you to confirm, and somebody else to approve.',
    ],
    arguments: ['service', 'environment', 'version', 'reason', 'at', 'dry'],
    run: (turn, args) => proceed(turn, args),
    actions: {
      ...deployActions(deps),
      'deploy.form': async (turn, bind) => {
        const reply = await form(turn, { ...bind });
        return reply.kind === 'card' ? { ...reply, fresh: true } : reply;
      },
      'deploy.plan': (turn, _bind, inputs) => proceed(turn, fromInputs(inputs)),
      'deploy.confirm': confirm,
      'deploy.discard': async () => ({
        kind: 'card',
        card: cards.notice({
          tone: 'info',
          title: 'Put away',
          message: 'Nothing was deployed.',
          action: { title: 'Start again', verb: 'deploy.form' },
        }),
      }),
    },
  };

  const breakGlass: Command = {
    name: 'break-glass',
    aliases: ['hotfix'],
    summary: 'Deploy past freeze, order and approval, for a reason. Everybody is told.',
    example: 'break-glass storefront 1.2.4 production reason="checkout is down"',
    usage: 'break-glass [service] [version] [to environment] reason="..."',
    examples: ['break-glass storefront 1.2.4 production reason="checkout is down"'],
    notes: [
      'Needs the break-glass right. Locks and a running deploy stay in the way.',
      'A second person has to review it; there is a reminder every day until then.',
    ],
    arguments: ['service', 'environment', 'version', 'reason'],
    run: async (turn, args) => {
      const reason = (args.reason ?? '').trim();
      if (reason === '' || args.version === undefined || args.environment === undefined)
        return {
          kind: 'refusal',
          refusal: refuse('ARGUMENT_MISSING', 'Breaking the glass takes a version, an environment and a reason.', {
            next: 'Like this: `break-glass storefront 1.2.4 production reason="checkout is down"`.',
          }),
        };
      return proceed(turn, args, reason);
    },
    actions: {},
  };
  return [deploy, breakGlass];
}

/** What is worth knowing before it is confirmed, although nothing is in the way. */
function notesOf({ findings, gathered, start }: Plan, now: Date): string[] {
  const waits = findings.find(({ rule, verdict }) => rule === 'concurrency' && verdict === 'needs');
  const ahead = freezeAhead(nextOf(gathered.environment.freeze, now), now, FREEZE_NEAR_MS);
  return [
    ...(start === 'waiting' && waits ? [waits.note] : []),
    ...(start === 'scheduled' ? findings.filter(({ note }) => note.endsWith(AGAIN)).map(({ note }) => note) : []),
    ...(ahead ? [ahead] : []),
  ];
}

/** The form's fields as arguments; what was left empty is missing. */
function fromInputs(inputs: Readonly<Record<string, string>>): Arguments {
  const args: Arguments = {};
  for (const name of ['service', 'environment', 'version', 'reason'] as const) {
    const value = inputs[name]?.trim().slice(0, 200);
    if (value) args[name] = value;
  }
  return args;
}
