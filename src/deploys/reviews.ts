import type { Person } from '../access/types.ts';
import { type Refusal, refuse } from '../errors.ts';
import type { Tx } from '../store/types.ts';
import type { Decided, DeployDeps } from './decisions.ts';
import { denied } from './policy.ts';
import { show, tell } from './show.ts';
import { type Catalog, type Deployment, SYSTEM } from './types.ts';

const DAY_MS = 86_400_000;
const AGAIN_MS = 60_000;
/** After so many reminders it is told to those who run Shipmate too, every day. */
const REMINDERS_BEFORE_ESCALATION = 3;

/** A glass that was broken stays open in the audit until a second person has looked at it. */
export interface Reviews {
  /** Somebody else than the one who broke it, who may approve there or break the glass themselves. */
  review(input: { person: Person; id: string; note: string; conversation: string }): Promise<Decided>;
  /** Those that wait for a review, oldest first. */
  unreviewed(): Promise<Deployment[]>;
}

/** Told at once, to everybody whom it concerns; the review is asked for on the card of the approvals channel. */
export async function glassBroken(tx: Tx, deployment: Deployment, catalog: Catalog): Promise<void> {
  const { breakGlass, environment, id, requestedBy, service, version } = deployment;
  const text = `${requestedBy.name} broke the glass to deploy ${service} ${version} to ${environment} (#${id}): ${breakGlass?.reason ?? ''}`;
  const channel = catalog.services.get(service)?.channel;
  for (const [audience, conversation] of [
    ['channel', channel],
    ['ops', catalog.opsChannel],
  ] as const)
    if (conversation !== undefined) await tell(tx, `deploy:${id}:glass:${audience}`, conversation, text);
  await tx.jobs.send('deploy.review', { id }, { delayMs: DAY_MS });
}

/** The daily reminder. The job comes again until somebody has looked. */
export async function remindOfReview(deps: DeployDeps, id: string): Promise<void> {
  const { catalog, now, store } = deps;
  await store.transaction(async (tx) => {
    const deployment = await tx.deployments.get(id);
    const glass = deployment?.breakGlass ?? null;
    if (!deployment || glass === null || glass.review !== null) return;
    const reminders = glass.reminders + 1;
    // Fenced: of two runs of this job the second finds the counter moved.
    const changed = await tx.deployments.change(
      id,
      { from: [deployment.state], revision: deployment.revision },
      { breakGlass: { ...glass, reminders } },
    );
    if (changed.kind !== 'changed') {
      // Somebody changed it at this moment: it is looked at again.
      await tx.jobs.send('deploy.review', { id }, { delayMs: AGAIN_MS });
      return;
    }
    const { environment, requestedBy, service, version } = deployment;
    const days = reminders === 1 ? 'a day' : `${reminders} days`;
    const text = `Nobody has reviewed for ${days} why ${requestedBy.name} broke the glass for ${service} ${version} on ${environment} (#${id}). Say \`review ${id}\`.`;
    const escalated = reminders > REMINDERS_BEFORE_ESCALATION;
    const { approvalsChannel, opsChannel } = catalog();
    for (const [audience, conversation] of [
      ['approvals', approvalsChannel ?? catalog().services.get(service)?.channel],
      ['ops', escalated ? opsChannel : undefined],
    ] as const)
      if (conversation !== undefined)
        await tell(tx, `deploy:${id}:review:${reminders}:${audience}`, conversation, text);
    await tx.audit.append(
      {
        actor: SYSTEM,
        action: 'glass.remind',
        outcome: 'done',
        code: escalated ? 'REVIEW_ESCALATED' : 'BREAK_GLASS',
        service,
        environment,
        version,
        deployment: id,
        details: { reminders },
      },
      now(),
    );
    await tx.jobs.send('deploy.review', { id }, { delayMs: DAY_MS });
  });
}

export function createReviews(deps: DeployDeps): Reviews {
  const { catalog, now, store } = deps;
  return {
    unreviewed: () => store.read((tx) => tx.deployments.unreviewed(100)),
    async review({ conversation, id, note, person }) {
      const known = await store.read((tx) => tx.deployments.get(id));
      if (known === null || known.breakGlass === null)
        return refuse('DEPLOYMENT_UNKNOWN', `There is nothing to review about #${id.slice(0, 20)}.`);
      const { environment, service, version } = known;
      const place = { service, environment };
      const approve = await deps.authoriser.authorise(person, { permission: 'approve', ...place }, { fresh: true });
      const access = approve.allowed
        ? approve
        : await deps.authoriser.authorise(person, { permission: 'break-glass', ...place }, { fresh: true });
      const record = {
        actor: person,
        action: 'glass.review',
        deployment: id,
        service,
        environment,
        version,
        conversation,
      };
      return store.transaction(async (tx): Promise<Decided> => {
        const current = (await tx.deployments.get(id)) ?? known;
        const refused = async (refusal: Refusal): Promise<Decided> => {
          await tx.audit.append({ ...record, outcome: 'refused', code: refusal.code }, now());
          return { ...refusal, audited: true, deployment: current };
        };
        if (!access.allowed) return refused(denied(approve.allowed ? access : approve));
        if (person.id === known.requestedBy.id)
          return refused(refuse('REVIEW_OWN', 'You broke the glass yourself, so somebody else has to look at it.'));
        if (note.trim() === '')
          return refused(refuse('ARGUMENT_MISSING', 'Say what you found.', { next: 'The note goes into the audit.' }));
        const glass = current.breakGlass;
        if (glass === null || glass.review !== null)
          return refused(
            refuse(
              'NOT_PENDING',
              `#${id} was reviewed${glass?.review ? ` by ${glass.review.person.name}` : ''} already.`,
            ),
          );
        const changed = await tx.deployments.change(
          id,
          { from: [current.state], revision: current.revision },
          { breakGlass: { ...glass, review: { person, note, at: now().toISOString() } } },
        );
        if (changed.kind !== 'changed')
          return refused(
            refuse('NOT_PENDING', `#${id} has just changed.`, { next: 'Look at its card, and try again.' }),
          );
        await tx.audit.append({ ...record, outcome: 'done', code: 'OK', details: { note } }, now());
        await show(tx, changed.deployment, catalog());
        return { ok: true, deployment: changed.deployment };
      });
    },
  };
}
