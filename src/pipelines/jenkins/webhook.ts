import { createHmac, timingSafeEqual } from 'node:crypto';
import { isValid } from '../requests.ts';
import type { Connection, WebhookRequest, WebhookVerdict } from '../types.ts';
import { buildId, keyId } from './ids.ts';
import { notificationSchema } from './schema.ts';

const WINDOW_SECONDS = 300;

function only(value: string | string[] | undefined): string | undefined {
  return Array.isArray(value) ? undefined : value;
}

/**
 * Jenkins itself sends nothing; a Jenkinsfile can, with the headers
 * `X-Shipmate-Timestamp: <seconds>` and `X-Shipmate-Signature: sha256=<hex HMAC-SHA256 of "<seconds>.<body>">`.
 */
export function createWebhook(secret: string): NonNullable<Connection['webhook']> {
  return ({ body, headers, now }: WebhookRequest): WebhookVerdict => {
    const signature = only(headers['x-shipmate-signature']);
    const timestamp = only(headers['x-shipmate-timestamp']) ?? '';
    if (signature === undefined || signature === '') return { ok: false, code: 'WEBHOOK_UNSIGNED' };
    const right = createHmac('sha256', secret).update(`${timestamp}.`).update(body).digest();
    const given = /^sha256=([0-9a-f]{64})$/i.exec(signature)?.[1];
    if (given === undefined || !timingSafeEqual(Buffer.from(given, 'hex'), right))
      return { ok: false, code: 'WEBHOOK_FORGED' };
    if (!/^\d{1,12}$/.test(timestamp)) return { ok: false, code: 'REQUEST_MALFORMED' };
    if (Math.abs(now.getTime() / 1000 - Number(timestamp)) > WINDOW_SECONDS)
      return { ok: false, code: 'WEBHOOK_STALE' };
    const parsed = notificationSchema.safeParse(parse(body));
    if (!parsed.success) return { ok: false, code: 'REQUEST_MALFORMED' };
    const { build, delivery, job, key } = parsed.data;
    const ours = typeof key === 'string' && isValid('key', key);
    return {
      ok: true,
      delivery,
      // A person who repeats a build by hand repeats its key with it.
      runs: [...(ours ? [keyId(key)] : []), buildId(job, build)],
      look: !ours,
    };
  };
}

function parse(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}
