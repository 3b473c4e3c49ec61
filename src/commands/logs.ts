import type { Authoriser } from '../access/types.ts';
import type { Cards } from '../cards/index.ts';
import { denied } from '../deploys/policy.ts';
import type { Catalog } from '../deploys/types.ts';
import { parseDuration } from '../durations.ts';
import { type Refusal, refuse, ShipmateError } from '../errors.ts';
import { LOG_LEVELS, type LogLevel, type LogPage, type LogQuery, type LogSource } from '../monitoring/types.ts';
import type { Store } from '../store/types.ts';
import { type Picked, pick, type Scope, scopeOf, showsHere } from './scope.ts';
import type { Action, Arguments, Command, Reply, Turn } from './types.ts';

export interface LogsCommandDeps {
  authoriser: Authoriser;
  catalog: () => Catalog;
  cards: Cards;
  store: Store;
  /** Null when no log source is configured. */
  source: LogSource | null;
  /** Removes secrets; runs before anything is cut or shown. */
  redact: (text: string) => string;
  /** Signs a link to the whole result of a query: works once, within five minutes. */
  link: (query: Record<string, string>) => string;
  now: () => Date;
}

const DEFAULT_SINCE = '15m';
const DEFAULT_LIMIT = 50;
const MENDABLE = new Set(['SERVICE_UNKNOWN', 'ENVIRONMENT_UNKNOWN', 'ARGUMENT_INVALID']);

/** A query as the buttons of a log card carry it: times are absolute, so that paging stands still. */
interface Asked {
  service: string;
  environment: string;
  since: string;
  from: string;
  until: string;
  level?: LogLevel;
  text?: string;
  limit: number;
  cursor?: string;
}

export function logsCommand(deps: LogsCommandDeps): Command {
  const { cards, catalog, store } = deps;

  const form = async (turn: Turn, args: Arguments, problem?: Refusal): Promise<Reply> => {
    const scope = await scopeOf(deps, turn.person, 'logs');
    if (!scope.ok) return { kind: 'refusal', refusal: scope };
    const { service, environment } = await lenient(turn, scope, args);
    return {
      kind: 'card',
      private: service ? !showsHere(turn, service.name) : turn.place.services.length === 0,
      card: cards.logsForm({
        services: [...scope.services.keys()],
        environments: service
          ? (scope.services.get(service.name) ?? [])
          : [...new Set([...scope.services.values()].flat())],
        ...(service ? { service: service.name } : {}),
        ...(environment ? { environment: environment.name } : {}),
        since: args.since ?? DEFAULT_SINCE,
        limit: args.limit ?? DEFAULT_LIMIT,
        ...(args.level === undefined ? {} : { level: args.level }),
        ...(args.text === undefined ? {} : { text: args.text }),
        ...(problem ? { problem } : {}),
      }),
    };
  };

  const lenient = async (turn: Turn, scope: Scope, args: Arguments): Promise<Picked> => {
    for (const attempt of [args, args.service === undefined ? {} : { service: args.service }, {}]) {
      const picked = await pick(deps, turn, scope, attempt);
      if (picked.ok) return picked;
    }
    return { ok: true };
  };

  const run = async (turn: Turn, args: Arguments): Promise<Reply> => {
    const scope = await scopeOf(deps, turn.person, 'logs');
    if (!scope.ok) return audited(turn, args, scope);
    const picked = await pick(deps, turn, scope, args);
    if (!picked.ok) return MENDABLE.has(picked.code) ? form(turn, args, picked) : audited(turn, args, picked);
    const { environment, service } = picked;
    if (!service || !environment) return form(turn, args);
    const since = args.since ?? DEFAULT_SINCE;
    const span = parseDuration(since);
    if (span === null)
      return form(
        turn,
        { ...args, since: DEFAULT_SINCE },
        refuse('ARGUMENT_INVALID', `"${since.slice(0, 20)}" is no time span.`, {
          next: 'Write it like 15m, 2h or 1d.',
        }),
      );
    const now = deps.now();
    return query(turn, {
      service: service.name,
      environment: environment.name,
      since,
      from: new Date(now.getTime() - span).toISOString(),
      until: now.toISOString(),
      limit: Math.min(args.limit ?? DEFAULT_LIMIT, 1000),
      ...(args.level === undefined ? {} : { level: args.level }),
      ...(args.text === undefined ? {} : { text: args.text }),
    });
  };

  /** Asks the source, and audits who read what before anything is shown. */
  const query = async (turn: Turn, asked: Asked, more: { downloadUrl?: string } = {}): Promise<Reply> => {
    const read = await readPage(turn, asked, 'logs.read');
    if (!read.ok) return { kind: 'refusal', refusal: read };
    return {
      kind: 'card',
      private: !showsHere(turn, asked.service),
      card: card(turn, asked, read.page, more),
    };
  };

  const readPage = async (turn: Turn, asked: Asked, action: string): Promise<{ ok: true; page: LogPage } | Refusal> => {
    const { environment, service } = asked;
    const decision = await deps.authoriser.authorise(turn.person, { permission: 'logs', service, environment });
    let result: { ok: true; page: LogPage } | Refusal;
    if (!decision.allowed) result = denied(decision);
    else if (deps.source === null)
      result = refuse('LOGS_UNAVAILABLE', 'No log source is set up.', {
        next: 'Whoever runs Shipmate can add `logs:` to its configuration.',
      });
    else
      try {
        result = { ok: true, page: await deps.source.query(toQuery(asked)) };
      } catch (error) {
        if (!(error instanceof ShipmateError)) throw error;
        result = refuse(error.code, error.message, { next: 'Try a shorter time, or again in a minute.' });
      }
    await audit(turn, asked, action, result.ok ? null : result);
    return result.ok ? result : { ...result, audited: true };
  };

  const audited = async (turn: Turn, args: Arguments, refusal: Refusal): Promise<Reply> => {
    await audit(
      turn,
      { service: args.service ?? '', environment: args.environment ?? '', since: '', from: '', until: '', limit: 0 },
      'logs.read',
      refusal,
    );
    return { kind: 'refusal', refusal: { ...refusal, audited: true } };
  };

  const audit = (turn: Turn, asked: Asked, action: string, refusal: Refusal | null) =>
    store.transaction((tx) =>
      tx.audit.append(
        {
          actor: turn.person,
          action,
          outcome: refusal ? 'refused' : 'done',
          code: refusal?.code ?? 'OK',
          ...(asked.service ? { service: asked.service } : {}),
          ...(asked.environment ? { environment: asked.environment } : {}),
          conversation: turn.place.conversation,
          details: {
            from: asked.from,
            until: asked.until,
            ...(asked.level ? { level: asked.level } : {}),
            ...(asked.text ? { text: deps.redact(asked.text) } : {}),
            ...(asked.cursor ? { paged: true } : {}),
          },
        },
        deps.now(),
      ),
    );

  const card = (turn: Turn, asked: Asked, page: LogPage, more: { downloadUrl?: string; sharedBy?: string } = {}) => {
    const channel = catalog().services.get(asked.service)?.channel;
    return cards.logs({
      service: asked.service,
      environment: asked.environment,
      since: asked.since,
      limit: asked.limit,
      ...(asked.level === undefined ? {} : { level: asked.level }),
      ...(asked.text === undefined ? {} : { text: asked.text }),
      lines: page.lines.map((line) => ({ ...line, text: deps.redact(line.text) })),
      ...(page.older === undefined ? {} : { older: page.older }),
      ...(page.newer === undefined ? {} : { newer: page.newer }),
      ...(page.partial === undefined ? {} : { partial: page.partial }),
      ...more,
      shareable: more.sharedBy === undefined && channel !== undefined && channel !== turn.place.base,
      bind: toBind(asked),
    });
  };

  const download: Action = async (turn, bind) => {
    const asked = fromBind(bind);
    const read = await readPage(turn, asked, 'logs.download');
    if (!read.ok) return { kind: 'refusal', refusal: read };
    const downloadUrl = deps.link({
      ...toBind(asked),
      by: turn.person.id,
      tenant: turn.person.tenantId,
      name: turn.person.name.slice(0, 80),
    });
    // The link opens the file for whoever has it, so in a channel it goes to the one who asked.
    const here = turn.place.kind === 'personal';
    return { kind: 'card', private: true, fresh: !here, card: card(turn, asked, read.page, { downloadUrl }) };
  };

  const share: Action = async (turn, bind) => {
    const asked = fromBind(bind);
    const channel = catalog().services.get(asked.service)?.channel;
    if (channel === undefined)
      return {
        kind: 'refusal',
        refusal: refuse('CHANNEL_UNKNOWN', `${asked.service} has no channel.`, {
          next: 'Whoever runs Shipmate can give it one under `channels:`.',
        }),
      };
    const read = await readPage(turn, asked, 'logs.share');
    if (!read.ok) return { kind: 'refusal', refusal: read };
    return {
      kind: 'card',
      private: !showsHere(turn, asked.service),
      card: card(turn, asked, read.page),
      share: {
        conversation: channel,
        card: card({ ...turn, place: { ...turn.place, base: channel } }, asked, read.page, {
          sharedBy: turn.person.name,
        }),
        said: `Shared in the channel of ${asked.service}.`,
      },
    };
  };

  return {
    name: 'logs',
    aliases: ['log'],
    summary: 'Read the newest log lines of a service.',
    example: 'logs storefront production since=15m level=error',
    usage: 'logs [service] [environment] [since=15m] [level=error] [text="timeout"] [limit=50]',
    examples: ['logs', 'logs storefront production', 'logs storefront production since=2h level=error text="timeout"'],
    notes: [
      "Asked outside the service's own channel, the answer comes in our personal chat.",
      'Who read which logs is audited.',
    ],
    arguments: ['service', 'environment', 'since', 'text', 'level', 'limit'],
    run,
    actions: {
      'logs.form': async (turn, bind) => {
        const reply = await form(turn, {
          ...(bind.service ? { service: bind.service } : {}),
          ...(bind.environment ? { environment: bind.environment } : {}),
        });
        return reply.kind === 'card' ? { ...reply, fresh: true } : reply;
      },
      'logs.query': (turn, bind, inputs) =>
        bind.from === undefined ? run(turn, fromInputs(inputs)) : query(turn, fromBind(bind)),
      'logs.download': download,
      'logs.share': share,
    },
  };
}

/** The query that a log source understands. */
export function toQuery(asked: Asked): LogQuery {
  return {
    service: asked.service,
    environment: asked.environment,
    since: asked.from,
    until: asked.until,
    limit: asked.limit,
    ...(asked.level === undefined ? {} : { level: asked.level }),
    ...(asked.text === undefined ? {} : { text: asked.text }),
    ...(asked.cursor === undefined ? {} : { cursor: asked.cursor }),
  };
}

function toBind(asked: Asked): Record<string, string> {
  const { cursor: _, limit, ...rest } = asked;
  return { ...rest, limit: String(limit) };
}

/** A query from what we signed ourselves. */
export function fromBind(bind: Readonly<Record<string, string>>): Asked {
  const level = LOG_LEVELS.find((each) => each === bind.level);
  return {
    service: bind.service ?? '',
    environment: bind.environment ?? '',
    since: bind.since ?? DEFAULT_SINCE,
    from: bind.from ?? '',
    until: bind.until ?? '',
    limit: Number(bind.limit) || DEFAULT_LIMIT,
    ...(level ? { level } : {}),
    ...(bind.text ? { text: bind.text } : {}),
    ...(bind.cursor ? { cursor: bind.cursor } : {}),
  };
}

function fromInputs(inputs: Readonly<Record<string, string>>): Arguments {
  const args: Arguments = {};
  for (const name of ['service', 'environment', 'since', 'text'] as const) {
    const value = inputs[name]?.trim().slice(0, 200);
    if (value) args[name] = value;
  }
  const level = LOG_LEVELS.find((each) => each === inputs.level);
  if (level) args.level = level;
  const limit = Number(inputs.limit);
  if (Number.isInteger(limit) && limit > 0) args.limit = Math.min(limit, 1000);
  return args;
}
