import { baseOf } from '../conversations.ts';
import type { Pipeline } from '../pipelines/types.ts';
import type { Tx } from '../store/types.ts';
import type { Catalog, Deployment } from './types.ts';

/** Keys of a deployment's living cards, one per conversation that follows it, with the conversation. */
function cardsOf(
  deployment: Deployment,
  catalog: Catalog,
): Map<string, { conversation: string; audience: 'requester' | 'approvals' | 'channel' }> {
  const cards = new Map<string, { conversation: string; audience: 'requester' | 'approvals' | 'channel' }>();
  const key = (audience: string) => `deploy:${deployment.id}:${audience}`;
  cards.set(key('requester'), { conversation: deployment.requestedIn, audience: 'requester' });
  const asked = deployment.approval !== null || deployment.breakGlass !== null || deployment.gate !== null;
  if (asked && catalog.approvalsChannel !== undefined)
    cards.set(key('approvals'), { conversation: catalog.approvalsChannel, audience: 'approvals' });
  const channel = catalog.services.get(deployment.service)?.channel;
  // The channel hears of a deploy that runs; a request that is still to be decided is the approvers' business.
  if (channel !== undefined && channel !== baseOf(deployment.requestedIn) && deployment.startedAt !== null)
    cards.set(key('channel'), { conversation: channel, audience: 'channel' });
  return cards;
}

/** Makes every card of this deployment show its newest state, in the transaction that changed it. */
export async function show(tx: Tx, deployment: Deployment, catalog: Catalog, activityId?: string): Promise<void> {
  for (const [key, { conversation, audience }] of cardsOf(deployment, catalog))
    await tx.outbox.put({
      key,
      conversation,
      payload: { kind: 'deployment', id: deployment.id, audience },
      ...(audience === 'requester' && activityId !== undefined ? { activityId } : {}),
    });
  for (const { conversation, key, payload } of await tx.outbox.list(`deploy:${deployment.id}:${SEEN}`))
    await tx.outbox.put({ key, conversation, payload });
}

/**
 * Somebody acted on a card of this deployment, which names it. One whose poster was killed before it heard the name is
 * known from now on, and lives; where another was posted meanwhile, both do.
 */
export async function seen(
  tx: Tx,
  id: string,
  { activityId, conversation }: { activityId: string; conversation: string },
): Promise<void> {
  const rows = (await tx.outbox.list(`deploy:${id}:`)).filter(({ payload }) => payload.kind === 'deployment');
  if (rows.some((row) => row.activityId === activityId)) return;
  const here = rows.filter((row) => baseOf(row.conversation) === baseOf(conversation));
  const lost = here.find((row) => row.activityId === null && row.posting);
  const [row] = here;
  if (lost) {
    const { key, payload, sentVersion: version } = lost;
    await tx.outbox.sent(key, { version, activityId });
    await tx.outbox.put({ key, conversation: lost.conversation, payload });
  } else if (row) {
    const { payload } = row;
    await tx.outbox.put({
      key: `deploy:${id}:${SEEN}${activityId}`,
      conversation: row.conversation,
      payload,
      activityId,
    });
  }
}

/** Begins the last part of the key of a card that there is twice. */
const SEEN = 'seen:';

/** The card of the deployment before this one loses its buttons, since they would act on what is no longer so. */
export async function showPrevious(tx: Tx, deployment: Deployment): Promise<void> {
  const { service, environment } = deployment;
  const recent = await tx.deployments.list({
    service,
    environment,
    states: ['succeeded', 'failed', 'cancelled'],
    limit: 2,
  });
  const previous = recent.find((candidate) => candidate.id !== deployment.id);
  if (!previous) return;
  for (const row of await tx.outbox.list(`deploy:${previous.id}:`)) {
    if (row.payload.kind !== 'deployment') continue;
    await tx.outbox.put({ key: row.key, conversation: row.conversation, payload: row.payload });
  }
}

/** What a pipeline is called on cards. */
export function titleOf({ kind, title }: Pipeline): string {
  return title ?? kind;
}

/** A word that is said once, outside of a card. Untrusted text is made plain where it is sent. */
export async function tell(tx: Tx, key: string, conversation: string, text: string, threadOf?: string): Promise<void> {
  await tx.outbox.put({
    key,
    conversation,
    payload: { kind: 'message', text, ...(threadOf === undefined ? {} : { threadOf }) },
  });
}

/** "Deployment of storefront 1.2.3 to production", "restart of storefront on production". */
export function nameOf({ command, environment, kind, service, version }: Deployment): string {
  if (command !== null) return `${command.name} of ${service} on ${environment}`;
  return `${kind === 'rollback' ? 'Rollback' : 'Deployment'} of ${service} ${version} to ${environment}`;
}

/** "Deployment of storefront 1.2.3 to production started by Dana." */
export function startedText(deployment: Deployment): string {
  return `${nameOf(deployment)} started by ${deployment.requestedBy.name}.`;
}

const ENDINGS: Partial<Record<Deployment['state'], string>> = {
  succeeded: 'succeeded',
  failed: 'failed',
  cancelled: 'was cancelled',
  rejected: 'was rejected',
  expired: 'expired: nobody decided in time',
  blocked: 'was blocked',
  attention: 'needs a person: it is not known whether it runs',
};

/** One short sentence for the end of a deployment, with why where it ended badly. Holds untrusted text. */
export function endedText(deployment: Deployment): string {
  const { problem, state } = deployment;
  const by = state === 'rejected' ? ` by ${deployment.votes.at(-1)?.person.name ?? 'an approver'}` : '';
  const why = problem ? `: ${problem.message}` : '';
  return `${nameOf(deployment)} ${ENDINGS[state] ?? state}${by}${why}${why.endsWith('.') ? '' : '.'}`;
}

/** What the watch after a deployment found. Holds untrusted text. */
function unhealthyText(deployment: Deployment): string {
  const { environment, service, version, watch } = deployment;
  return `${service} ${version} on ${environment} is unhealthy: ${watch?.problem ?? 'the check failed'}. Its card offers the rollback.`;
}

/** An edit in place notifies nobody: the start and the end are said once, as a short reply in the card's thread. */
export async function announce(
  tx: Tx,
  deployment: Deployment,
  catalog: Catalog,
  what: 'started' | 'ended' | 'unhealthy',
): Promise<void> {
  // It waits at the vendor, and nobody there would know that it is over.
  if (what === 'ended' && deployment.foreign !== null && deployment.startedAt === null)
    await tx.jobs.send('deploy.answer', { id: deployment.id });
  const text =
    what === 'started' ? startedText(deployment) : what === 'ended' ? endedText(deployment) : unhealthyText(deployment);
  const channel = catalog.services.get(deployment.service)?.channel;
  const inChannel = channel !== undefined && channel === baseOf(deployment.requestedIn);
  if (channel !== undefined && deployment.startedAt !== null)
    await tx.outbox.put({
      key: `deploy:${deployment.id}:${what}:channel`,
      conversation: inChannel ? deployment.requestedIn : channel,
      payload: {
        kind: 'message',
        text,
        threadOf: `deploy:${deployment.id}:${inChannel ? 'requester' : 'channel'}`,
        ...(what === 'started' ? {} : { after: `deploy:${deployment.id}:started:channel` }),
      },
    });
  // The requester is told of the end where it was asked for; the card there already shows the start.
  if (what !== 'started' && (!inChannel || deployment.startedAt === null))
    await tx.outbox.put({
      key: `deploy:${deployment.id}:${what}:requester`,
      conversation: deployment.requestedIn,
      payload: { kind: 'message', text, threadOf: `deploy:${deployment.id}:requester` },
    });
}
