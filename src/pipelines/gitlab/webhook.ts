import { createHash, createHmac, timingSafeEqual } from 'node:crypto';
import type { WebhookRequest, WebhookVerdict } from '../types.ts';
import { type GitlabConnectionConfig, signingKey } from './config.ts';
import { eventSchema } from './schema.ts';

const MOST_AGE_MS = 300_000;
const OVER = new Set(['success', 'failed', 'canceled', 'skipped']);

function single(request: WebhookRequest, name: string): string | undefined {
  const value = request.headers[name];
  return typeof value === 'string' && value !== '' ? value : undefined;
}

/** Constant in time for texts of any length. */
function same(given: string, right: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(given), digest(right));
}

type Refusal = Extract<WebhookVerdict, { ok: false }>['code'];

/**
 * `webhook-signature` is one or more of "v1,<base64>" with blanks between them: HMAC-SHA256 over
 * "{webhook-id}.{webhook-timestamp}.{body}" (docs.gitlab.com/user/project/integrations/webhooks, "Signing token";
 * standardwebhooks.com). The timestamp is in seconds.
 */
function checkSignature(request: WebhookRequest, key: Buffer): Refusal | null {
  const [id, timestamp, signatures] = ['id', 'timestamp', 'signature'].map((name) =>
    single(request, `webhook-${name}`),
  );
  if (signatures === undefined) return 'WEBHOOK_UNSIGNED';
  if (id === undefined || timestamp === undefined || !/^\d{1,12}$/.test(timestamp)) return 'WEBHOOK_FORGED';
  const mac = createHmac('sha256', key).update(`${id}.${timestamp}.`).update(request.body).digest('base64');
  const right = `v1,${mac}`;
  // Each one is compared, so that the time does not tell which one was right.
  const matches = signatures
    .split(' ')
    .slice(0, 10)
    .filter((signature) => same(signature, right));
  if (matches.length === 0) return 'WEBHOOK_FORGED';
  const age = Math.abs(request.now.getTime() - Number(timestamp) * 1000);
  return age > MOST_AGE_MS ? 'WEBHOOK_STALE' : null;
}

function checkToken(request: WebhookRequest, secret: string): Refusal | null {
  const token = single(request, 'x-gitlab-token');
  if (token === undefined) return 'WEBHOOK_UNSIGNED';
  return same(token, secret) ? null : 'WEBHOOK_FORGED';
}

/** The same for every attempt to deliver one event; X-Gitlab-Webhook-UUID is a new one for each attempt. */
function deliveryOf(request: WebhookRequest, signed: boolean): string {
  const id = signed ? single(request, 'webhook-id') : single(request, 'idempotency-key');
  // Before 17.4 there was none: then the content itself.
  return id ?? createHash('sha256').update(request.body).digest('base64url');
}

function read(request: WebhookRequest, delivery: string): WebhookVerdict {
  let content: unknown;
  try {
    content = JSON.parse(request.body.toString('utf8'));
  } catch {
    return { ok: false, code: 'REQUEST_MALFORMED' };
  }
  if (typeof content !== 'object' || content === null || Array.isArray(content))
    return { ok: false, code: 'REQUEST_MALFORMED' };
  const parsed = eventSchema.safeParse(content);
  // An event that we don't know, of a hook that sends more than it has to.
  const nothing = { ok: true, delivery, runs: [], look: false } as const;
  if (!parsed.success) return { ...nothing, runs: [] };
  const event = parsed.data;
  const lives = (status: string | null | undefined) => status != null && !OVER.has(status);
  if (event.object_kind === 'pipeline' && event.object_attributes) {
    const { id, status } = event.object_attributes;
    // Most pipelines only test: one that deploys has a job with an environment.
    const deploys = event.builds?.some(({ environment }) => environment != null) ?? false;
    return { ok: true, delivery, runs: [String(id)], look: deploys && lives(status) };
  }
  if (event.object_kind === 'build' && event.pipeline_id != null) {
    const deploys = event.environment != null;
    return { ok: true, delivery, runs: [String(event.pipeline_id)], look: deploys && lives(event.build_status) };
  }
  // It does not say which pipeline.
  if (event.object_kind === 'deployment') return { ok: true, delivery, runs: [], look: true };
  return { ...nothing, runs: [] };
}

/** Null when nothing is configured to verify a webhook with. */
export function createWebhook({
  secret,
  signing,
}: GitlabConnectionConfig): ((request: WebhookRequest) => WebhookVerdict) | null {
  const key = signing === undefined ? null : signingKey(signing);
  if (key === null && secret === undefined) return null;
  return (request) => {
    const refusal = key === null ? checkToken(request, secret ?? '') : checkSignature(request, key);
    if (refusal !== null) return { ok: false, code: refusal };
    return read(request, deliveryOf(request, key !== null));
  };
}
