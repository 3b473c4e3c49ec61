import type { Authoriser } from '../access/types.ts';
import type { Cards } from '../cards/index.ts';
import type { Catalog, DeclaredCommand } from '../deploys/types.ts';
import type { Deploys } from '../deploys/workflow.ts';
import { type Refusal, refuse } from '../errors.ts';
import { approvalOf, createRequesting, whyOf } from './request.ts';
import { pick, type Scope, showsHere } from './scope.ts';
import type { Action, Arguments, Command, Reply, Turn } from './types.ts';
import { createExplaining } from './why.ts';

export interface DeclaredCommandDeps {
  authoriser: Authoriser;
  catalog: () => Catalog;
  deploys: Deploys;
  cards: Cards;
  now: () => Date;
}

const LONGEST_INPUT = 200;

/** The commands that the configuration declares: a form, the same gates and the same card as a deploy. */
export function declaredCommands(deps: DeclaredCommandDeps): {
  commands: () => Command[];
  actions: Command['actions'];
} {
  const { authoriser, cards, catalog, deploys } = deps;
  const { request } = createRequesting(deps);
  const explain = createExplaining(deps);

  /** Where this person may run it. */
  const scopeFor = async (turn: Turn, command: DeclaredCommand): Promise<Scope | Refusal> => {
    const services = new Map<string, string[]>();
    let refused: Refusal | null = null;
    for (const [service, environments] of command.places)
      for (const environment of environments) {
        const access = await authoriser.authorise(turn.person, {
          permission: 'run',
          command: command.name,
          service,
          environment,
        });
        if (access.allowed) services.set(service, [...(services.get(service) ?? []), environment]);
        else refused ??= refuse(access.code, access.message, { who: access.groups, rule: 'access' });
      }
    if (services.size > 0 || refused === null) return { ok: true, permission: 'run', services };
    return refused;
  };

  const form = async (
    turn: Turn,
    command: DeclaredCommand,
    scope: Scope,
    args: Arguments,
    problem?: Refusal,
  ): Promise<Reply> => {
    const picked = await pick(deps, turn, scope, args);
    const service = picked.ok ? picked.service?.name : undefined;
    return {
      kind: 'card',
      private: service !== undefined && !showsHere(turn, service),
      card: cards.commandForm({
        name: command.name,
        summary: command.summary,
        services: [...scope.services.keys()],
        environments:
          service === undefined
            ? [...new Set([...scope.services.values()].flat())]
            : (scope.services.get(service) ?? []),
        inputs: command.inputs,
        values: args.inputs ?? {},
        bind: { command: command.name },
        ...(service === undefined ? {} : { service }),
        ...(picked.ok && picked.environment ? { environment: picked.environment.name } : {}),
        ...(problem ? { problem } : {}),
      }),
    };
  };

  const proceed = async (turn: Turn, name: string, args: Arguments): Promise<Reply> => {
    const command = catalog().commands.get(name);
    if (!command) return gone(name);
    const scope = await scopeFor(turn, command);
    if (!scope.ok) return { kind: 'refusal', refusal: scope };
    const picked = await pick(deps, turn, scope, args);
    if (!picked.ok)
      return picked.code.endsWith('_UNKNOWN')
        ? form(turn, command, scope, args, picked)
        : { kind: 'refusal', refusal: picked };
    const { environment, service } = picked;
    const checked = checkInputs(command, args.inputs ?? {});
    if (!checked.ok) return form(turn, command, scope, args, checked);
    if (!service || !environment) return form(turn, command, scope, args);
    const wish = {
      kind: 'command' as const,
      person: turn.person,
      service: service.name,
      environment: environment.name,
      version: '',
      command: { name, inputs: checked.inputs },
    };
    if (args.dry) return explain(turn, wish);
    const reason = args.reason ?? null;
    if (!command.confirm) return request(turn, { ...wish, reason });
    const plan = await deploys.plan(wish);
    if (!plan.ok) return { kind: 'refusal', refusal: plan, ...whyOf(wish) };
    const { from, version } = plan.gathered;
    return {
      kind: 'card',
      private: !showsHere(turn, service.name),
      card: cards.deployConfirm({
        kind: 'command',
        command: wish.command,
        service: service.name,
        environment,
        version: version.name,
        sha: version.sha,
        fromVersion: from?.version ?? null,
        fromSha: from?.sha ?? null,
        changes: [],
        changesTotal: 0,
        backwards: false,
        reason,
        ...approvalOf(plan.approval, catalog()),
        bind: {
          command: name,
          by: turn.person.id,
          service: service.name,
          environment: environment.name,
          reason: reason ?? '',
          inputs: JSON.stringify(checked.inputs),
        },
      }),
    };
  };

  const confirm: Action = async (turn, bind, inputs) => {
    if (bind.by !== turn.person.id)
      return {
        kind: 'refusal',
        refusal: refuse('ACCESS_DENIED', 'Only the person who asked can confirm this.', {
          next: `Say \`${bind.command ?? 'help'}\` to ask for your own.`,
        }),
      };
    const name = bind.command ?? '';
    const command = catalog().commands.get(name);
    if (!command) return gone(name);
    // The configuration may have changed since the card was made.
    const checked = checkInputs(command, JSON.parse(bind.inputs ?? '{}') as Record<string, string>);
    if (!checked.ok) return { kind: 'refusal', refusal: checked };
    const reason = (inputs.reason || bind.reason || '').slice(0, LONGEST_INPUT);
    return request(turn, {
      kind: 'command',
      service: bind.service ?? '',
      environment: bind.environment ?? '',
      version: '',
      command: { name, inputs: checked.inputs },
      reason: reason === '' ? null : reason,
    });
  };

  const commandOf = (command: DeclaredCommand): Command => {
    const [service = 'storefront', environments = []] = [...command.places][0] ?? [];
    const example = `${command.name} ${service} ${environments[0] ?? 'staging'}`;
    const inputs = command.inputs.map(({ choices, name, required }) => {
      const value = `${name}=${choices[0] ?? '...'}`;
      return required ? value : `[${value}]`;
    });
    return {
      name: command.name,
      aliases: [],
      summary: command.summary,
      example,
      usage: [`${command.name} service environment`, ...inputs, '[reason="..."] [dry-run]'].join(' '),
      examples: [example],
      notes: ['Declared in the configuration of this bot.'],
      arguments: ['service', 'environment', 'reason', 'dry'],
      inputs: command.inputs.map(({ name }) => name),
      run: (turn, args) => proceed(turn, command.name, args),
      actions: {},
    };
  };

  return {
    commands: () => [...catalog().commands.values()].map(commandOf),
    actions: {
      'command.plan': (turn, bind, inputs) => {
        const typed: Record<string, string> = {};
        for (const [key, value] of Object.entries(inputs)) if (key.startsWith('in-')) typed[key.slice(3)] = value;
        const { environment, service } = inputs;
        return proceed(turn, bind.command ?? '', {
          ...(service ? { service } : {}),
          ...(environment ? { environment } : {}),
          inputs: typed,
        });
      },
      'command.confirm': confirm,
    },
  };
}

function gone(name: string): Reply {
  return {
    kind: 'refusal',
    refusal: refuse('COMMAND_UNKNOWN', `There is no command "${name.slice(0, 40)}" any more.`, { next: 'Say `help`.' }),
  };
}

/** What was typed, checked against what the configuration says of it; empty values are left out. */
export function checkInputs(
  command: Pick<DeclaredCommand, 'inputs'>,
  typed: Readonly<Record<string, string>>,
): { ok: true; inputs: Record<string, string> } | Refusal {
  const inputs: Record<string, string> = {};
  for (const { choices, label, name, pattern, required } of command.inputs) {
    const value = (Object.hasOwn(typed, name) ? (typed[name] ?? '') : '').trim();
    if (value === '') {
      if (required) return refuse('ARGUMENT_MISSING', `${label} is missing.`, { options: [...choices] });
      continue;
    }
    const odd = value.length > LONGEST_INPUT || /[\p{Cc}\p{Cf}]/u.test(value);
    if (odd) return refuse('ARGUMENT_INVALID', `${label} has signs that can't be passed on, or is too long.`);
    if (choices.length > 0 && !choices.includes(value))
      return refuse('ARGUMENT_INVALID', `"${value.slice(0, 60)}" is none of the choices for ${label}.`, {
        options: [...choices],
      });
    if (pattern !== undefined && !new RegExp(`^(?:${pattern})$`, 'u').test(value))
      return refuse('ARGUMENT_INVALID', `"${value.slice(0, 60)}" does not fit ${label}.`);
    inputs[name] = value;
  }
  return { ok: true, inputs };
}
