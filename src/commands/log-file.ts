import type { Authoriser, Person } from '../access/types.ts';
import { denied } from '../deploys/policy.ts';
import { type Refusal, refuse } from '../errors.ts';
import type { LogSource } from '../monitoring/types.ts';
import type { Signer } from '../signatures.ts';
import type { Store } from '../store/types.ts';
import { fromBind, toQuery } from './logs.ts';

export interface LogFileDeps {
  authoriser: Authoriser;
  store: Store;
  source: LogSource | null;
  signer: Signer;
  redact: (text: string) => string;
  now: () => Date;
}

export type LogFile = { ok: true; filename: string; lines: AsyncIterable<string> } | Refusal;

/** Minutes that a link lives, and lines that a file holds at most. */
export const LINK_MS = 5 * 60_000;
const MAX_LINES = 100_000;

/**
 * The whole result of a query behind a signed link. The link works once, within five minutes, and only while the
 * person it was made for may still read these logs.
 */
export function createLogFile(deps: LogFileDeps): (token: string, signal?: AbortSignal) => Promise<LogFile> {
  const { signer, store } = deps;
  return async (token, signal) => {
    const verified = signer.verify('link', token, deps.now());
    if (!verified.ok)
      return verified.code === 'ACTION_EXPIRED'
        ? refuse('LINK_EXPIRED', 'This link is older than five minutes.', {
            next: 'Ask for a new one with the logs command.',
          })
        : refuse('LINK_INVALID', 'This link was not made by me.');
    const { payload } = verified;
    const asked = fromBind(payload);
    const person: Person = { id: payload.by ?? '', tenantId: payload.tenant ?? '', name: payload.name ?? '' };
    const { environment, service } = asked;
    const access = await deps.authoriser.authorise(
      person,
      { permission: 'logs', service, environment },
      { fresh: true },
    );
    const verdict = await store.transaction(async (tx): Promise<Refusal | null> => {
      const refusal = !access.allowed
        ? denied(access)
        : (await tx.claims.claim(`link:${payload.n ?? ''}`, new Date(deps.now().getTime() + 2 * LINK_MS)))
          ? null
          : refuse('LINK_USED', 'This link was used already.', { next: 'Ask for a new one with the logs command.' });
      await tx.audit.append(
        {
          actor: person,
          action: 'logs.file',
          outcome: refusal ? 'refused' : 'done',
          code: refusal?.code ?? 'OK',
          service,
          environment,
          details: { from: asked.from, until: asked.until, ...(asked.text ? { text: deps.redact(asked.text) } : {}) },
        },
        deps.now(),
      );
      return refusal;
    });
    if (verdict) return verdict;
    const { source } = deps;
    if (source === null) return refuse('LOGS_UNAVAILABLE', 'No log source is set up.');
    const lines = source.stream(toQuery(asked), { maxLines: MAX_LINES, ...(signal ? { signal } : {}) });
    return {
      ok: true,
      filename: `${service}-${environment}-${asked.until.slice(0, 19).replace(/[:T]/g, '-')}.log`,
      lines: written(lines),
    };
  };

  async function* written(lines: ReturnType<LogSource['stream']>): AsyncIterable<string> {
    for await (const { level, text, time } of lines) yield `${time} ${(level ?? '').padEnd(5)} ${deps.redact(text)}\n`;
  }
}
