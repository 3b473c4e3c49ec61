import { createHash, timingSafeEqual } from 'node:crypto';
import { z } from 'zod';
import type { WebhookRequest, WebhookVerdict } from '../types.ts';
import { basic } from './config.ts';

const id = z.union([z.int().min(1), z.string().regex(/^[1-9]\d{0,17}$/)]);
// A part that is not as expected is passed over: what is known of the rest is still worth a look.
const numbered = z.object({ id: id.optional().catch(undefined), url: z.string().optional().catch(undefined) });
const part = numbered.nullish().catch(undefined);

/** Source: Azure DevOps docs, "Service hook events". Fields differ by event and version of the resource. */
const event = z.object({
  subscriptionId: z.string().nullish().catch(undefined),
  notificationId: z.union([z.string(), z.number()]).nullish().catch(undefined),
  id: z.string().nullish().catch(undefined),
  eventType: z.string().catch(''),
  resource: z
    .object({
      id: id.nullish().catch(undefined),
      runId: id.nullish().catch(undefined),
      run: part,
      approval: z
        .object({ pipeline: z.object({ owner: part }).nullish().catch(undefined) })
        .nullish()
        .catch(undefined),
    })
    .nullish()
    .catch(undefined),
});

const BUILD_EVENT = 'build.complete';
const RUN_EVENTS = /^ms\.vss-pipeline(?:s|checks-events)\./;

/**
 * A service hook carries no signature over its body: only who knows the password can have sent it. So it is believed
 * to mean that something has happened, and no more.
 */
export function verifyHook(
  hook: { user: string; password: string },
  { body, headers }: WebhookRequest,
): WebhookVerdict {
  const given = headers.authorization;
  if (given === undefined || given === '') return { ok: false, code: 'WEBHOOK_UNSIGNED' };
  const text = typeof given === 'string' ? given.replace(/^basic +/i, '') : '';
  if (!isSame(text, basic(hook.user, hook.password))) return { ok: false, code: 'WEBHOOK_FORGED' };

  const parsed = event.safeParse(parseJson(body));
  if (!parsed.success) return { ok: false, code: 'REQUEST_MALFORMED' };
  const { eventType, id: eventId, notificationId, resource, subscriptionId } = parsed.data;
  const named = [subscriptionId, eventId, notificationId].filter((each) => each !== undefined && each !== null);
  // Without any name of its own, a delivery is what it says.
  const delivery =
    eventId === undefined || eventId === null || eventId === ''
      ? createHash('sha256').update(body).digest('hex')
      : `${KIND_PREFIX}${named.join(':')}`;
  const known = eventType === BUILD_EVENT || RUN_EVENTS.test(eventType);
  return { ok: true, delivery, runs: known ? runsOf(eventType, resource) : [], look: known };
}

const KIND_PREFIX = 'azure-devops:';

function runsOf(eventType: string, resource: z.infer<typeof event>['resource']): string[] {
  const { approval, id: own, run, runId } = resource ?? {};
  const owner = approval?.pipeline?.owner;
  const ids = [
    // Elsewhere `resource.id` is something else, or 0.
    eventType === BUILD_EVENT ? own : undefined,
    runId,
    run?.id ?? idIn(run?.url),
    owner?.id ?? idIn(owner?.url),
  ];
  return [...new Set(ids.filter((each) => each !== undefined && each !== null).map(String))];
}

/** The run's id at the end of `.../_apis/Pipelines/1/runs/11`, which stands in events that give no id. */
function idIn(url: string | undefined): string | undefined {
  return /\/runs\/([1-9]\d{0,17})$/i.exec(url ?? '')?.[1];
}

/** Constant time, also over the length. */
function isSame(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}

function parseJson(body: Buffer): unknown {
  try {
    return JSON.parse(body.toString('utf8'));
  } catch {
    return undefined;
  }
}
