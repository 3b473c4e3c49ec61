import { createHmac, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { WebhookRequest, WebhookVerdict } from '../types.ts';
import { refId } from './ref.ts';

/** docs.github.com/webhooks/webhook-events-and-payloads; only ids are used of what comes. */

const id = z.int().min(1);
const attempt = z.int().min(1).optional();
const body = z.object({
  action: z.string().optional(),
  workflow_run: z.object({ id, run_attempt: attempt }).nullish(),
  workflow_job: z.object({ run_id: id, run_attempt: attempt }).nullish(),
  deployment_callback_url: z.string().nullish(),
});

/** The only events that say something about runs. */
const EVENTS = ['workflow_run', 'workflow_job', 'deployment_status', 'deployment_protection_rule'];
/** After these a run may be there, or wait, that was not there before. */
const BEGINNINGS = ['requested', 'in_progress', 'waiting', 'queued'];

/**
 * Checks "X-Hub-Signature-256" over the body as it came, before anything of it is looked at
 * (docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries). GitHub signs no time: a repeated delivery is
 * known by its id.
 */
export function verdictOf(secret: string): (request: WebhookRequest) => WebhookVerdict {
  return ({ body: raw, headers }) => {
    const signature = headers['x-hub-signature-256'];
    if (signature === undefined || signature === '') return { ok: false, code: 'WEBHOOK_UNSIGNED' };
    const right = Buffer.from(`sha256=${createHmac('sha256', secret).update(raw).digest('hex')}`);
    const given = Buffer.from(typeof signature === 'string' ? signature : '');
    if (given.length !== right.length || !timingSafeEqual(given, right)) return { ok: false, code: 'WEBHOOK_FORGED' };
    const malformed = { ok: false, code: 'REQUEST_MALFORMED' } as const;
    const { 'x-github-delivery': delivery, 'x-github-event': event } = headers;
    if (typeof delivery !== 'string' || !/^[\w-]{8,100}$/.test(delivery) || typeof event !== 'string') return malformed;
    const parsed = body.safeParse(json(raw));
    if (!parsed.success) return malformed;
    if (!EVENTS.includes(event)) return { ok: true, delivery, runs: [], look: false };
    return { ok: true, delivery, runs: runsIn(parsed.data), look: looksNew(event, parsed.data) };
  };
}

function runsIn({ deployment_callback_url, workflow_job, workflow_run }: z.infer<typeof body>): string[] {
  if (workflow_run) return [refId(String(workflow_run.id), workflow_run.run_attempt)];
  if (workflow_job) return [refId(String(workflow_job.run_id), workflow_job.run_attempt)];
  const [, run] = /\/actions\/runs\/(\d{1,15})\/deployment_protection_rule$/.exec(deployment_callback_url ?? '') ?? [];
  return run === undefined ? [] : [run];
}

function looksNew(event: string, { action }: z.infer<typeof body>): boolean {
  // A deployment is what tells the environment of a run.
  return event.startsWith('deployment') || BEGINNINGS.includes(action ?? '');
}

function json(raw: Buffer): unknown {
  try {
    return JSON.parse(raw.toString('utf8'));
  } catch {
    return undefined;
  }
}
