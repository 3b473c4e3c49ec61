import { createHash } from 'node:crypto';
import type { Connection, WebhookAnswer, WebhookRequest } from '../connections.ts';
import type { Logger } from '../logger.ts';
import type { Store } from '../store/types.ts';

/** A delivery is known as a repeated one for so long; vendors that redeliver by hand do so within days. */
const REMEMBERED_MS = 7 * 86_400_000;

/**
 * Takes what a vendor sends: verified, persisted as a job, then acknowledged. The job asks the vendor's API what is so;
 * nothing of a webhook is believed but that something happened.
 */
export function createWebhooks(deps: {
  store: Store;
  connections: () => ReadonlyMap<string, Connection>;
  logger: Logger;
  now: () => Date;
}): (connection: string, request: Omit<WebhookRequest, 'now'>) => Promise<WebhookAnswer> {
  const { connections, logger, now, store } = deps;
  return async (name, request) => {
    const connection = connections().get(name);
    if (connection?.webhook === undefined) return { status: 404, code: 'WEBHOOK_UNKNOWN' };
    const at = now();
    const verdict = connection.webhook({ ...request, now: at });
    if (!verdict.ok) return { status: verdict.code === 'REQUEST_MALFORMED' ? 400 : 401, code: verdict.code };
    const { delivery, look, runs } = verdict;
    // A delivery's id is the vendor's text: a hash has a known length.
    const key = `webhook:${name}:${createHash('sha256').update(delivery).digest('base64url')}`;
    try {
      const taken = await store.transaction(async (tx) => {
        if (!(await tx.claims.claim(key, new Date(at.getTime() + REMEMBERED_MS)))) return false;
        if (runs.length > 0 || look) await tx.jobs.send('pipeline.event', { connection: name, runs, look });
        return true;
      });
      return { status: 202, code: taken ? 'OK' : 'DUPLICATE' };
    } catch (error) {
      logger.error('a webhook could not be stored', { connection: name, error });
      return { status: 503, code: 'STORE_UNAVAILABLE' };
    }
  };
}
