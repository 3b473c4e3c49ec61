import type { ReasonCode } from '../errors.ts';
import type { Logger } from '../logger.ts';
import type { Store } from '../store/types.ts';

const NOBODY = { id: '', tenantId: '', name: 'unauthenticated' };
/** Single lines per window; what comes beyond is counted in one line, so that a flood can't fill the audit. */
const SINGLE_LINES = 100;
const WINDOW_MS = 60_000;

export interface Rejections {
  /** Puts one rejected request into the audit, soon. Never throws. */
  add(code: ReasonCode, facts: { remoteAddress: string }): void;
  /** Waits for what is on its way and writes what was only counted. */
  flush(): Promise<void>;
}

/** Audit lines for requests that the trust gate turned away: one each, until somebody floods. */
export function createRejections(deps: { store: Store; logger: Logger; now: () => Date }): Rejections {
  const { logger, now, store } = deps;
  const counted = new Map<ReasonCode, number>();
  let windowStart = 0;
  let written = 0;
  let last: Promise<unknown> = Promise.resolve();

  const write = (code: ReasonCode, details: Record<string, unknown>) => {
    last = store
      .transaction((tx) =>
        tx.audit.append({ actor: NOBODY, action: 'trust.reject', outcome: 'refused', code, details }, now()),
      )
      .catch((error: unknown) => logger.error('a rejection could not be audited', { code, error }));
  };
  const summarise = () => {
    for (const [code, count] of counted) write(code, { more: count });
    counted.clear();
  };

  return {
    add(code, facts) {
      logger.warn('a request was turned away', { code, ...facts });
      const at = now().getTime();
      if (at - windowStart > WINDOW_MS) {
        summarise();
        windowStart = at;
        written = 0;
      }
      written += 1;
      if (written <= SINGLE_LINES) write(code, facts);
      else counted.set(code, (counted.get(code) ?? 0) + 1);
    },
    async flush() {
      summarise();
      await last;
    },
  };
}
