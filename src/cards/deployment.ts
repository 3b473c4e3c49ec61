import { z } from 'zod';
import type { Deployment, DeployView } from '../deploys/types.ts';
import { changesData, changesOf } from './changes.ts';
import { fromTo } from './deploy-confirm.ts';
import { asking, bindOf, deploymentActions } from './deployment-actions.ts';
import { evidenceData, stageRows, tailLines } from './deployment-evidence.ts';
import {
  action,
  type Fact,
  fact,
  factOf,
  head,
  link,
  prose,
  type Run,
  runs,
  said,
  spoken,
  text,
  timeFact,
} from './parts.ts';
import type { CardDefinition } from './render.ts';
import { list, plain, short } from './text.ts';
import type { DeploymentInput } from './types.ts';
import { between, duration, environmentTone, stateLine } from './words.ts';

const schema = z.strictObject({
  ...spoken,
  ...head.shape,
  hasNote: z.boolean(),
  note: runs,
  problem: z.array(z.strictObject({ message: z.string() })).max(1),
  hasFacts: z.boolean(),
  facts: z.array(fact).max(7),
  ...evidenceData,
  ...changesData,
  footer: z.string(),
  primary: z.array(action).max(1),
  asking: z.array(asking).max(1),
  secondary: z.array(action),
  links: z.array(link),
  refresh: z
    .array(z.strictObject({ verb: z.string(), token: z.string(), userIds: z.array(z.string()).max(60) }))
    .max(1),
});

/** Teams asks for a view of their own for at most this many people (vendor's rule). */
const REFRESHED = 60;

/**
 * The living card of one deployment. Everybody sees the same facts; the buttons follow the audience, and the viewer
 * where the channel renders for one person.
 */
export const deployment: CardDefinition<DeploymentInput, z.infer<typeof schema>> = {
  name: 'deployment',
  schema,
  build(input, sign) {
    const { now, view } = input;
    const { deployment: it } = view;
    const line = stateLine(it, now);
    const title =
      it.command === null
        ? `${plain(it.service, 60)} ${plain(it.version, 50)} → ${plain(it.environment, 50)}`
        : `${plain(it.command.name, 60)} ${plain(it.service, 60)} on ${plain(it.environment, 50)}`;
    const summary = `${title}: ${line.word}`;
    const note = noteOf(input);
    const refreshed = (input.refreshUserIds ?? []).slice(0, REFRESHED);
    return {
      summary,
      data: {
        ...said(`${summary}. ${note.map((run) => run.text).join('')}`.trim(), `${summary} (#${plain(it.id, 20)})`),
        state: `${line.sign} ${line.word}`,
        tone: line.tone,
        environment: plain(it.environment, 50),
        environmentTone: environmentTone(it.environment, view.production),
        title,
        hasNote: note.length > 0,
        note: note.length > 0 ? note : [text('')],
        problem: problemOf(it),
        hasFacts: true,
        facts: factsOf(view),
        ...stageRows(it, now),
        ...tailLines(it),
        ...(showsChanges(it)
          ? changesOf(it.changes, it.changesTotal, it.kind === 'rollback')
          : changesOf([], 0, false)),
        footer: footerOf(view),
        ...deploymentActions(input, sign),
        refresh:
          refreshed.length > 0
            ? [{ verb: 'deploy.view', token: sign('deploy.view', bindOf(it)), userIds: [...refreshed] }]
            : [],
      },
    };
  },
};

/** Once it runs, its stages and lines say more; once it is void, what it would have changed says nothing. */
function showsChanges({ state }: Deployment): boolean {
  return state === 'awaiting_approval' || state === 'queued' || state === 'succeeded';
}

function problemOf(it: Deployment): { message: string }[] {
  if (it.problem === null) return [];
  return [{ message: plain(it.problem.message, 400) || it.problem.code }];
}

/** One sentence under the title: what it waits for, what runs now, how to start again. */
function noteOf({ view, viewer }: DeploymentInput): Run[] {
  const { approverGroups, audience, deployment: it } = view;
  const command =
    it.command === null
      ? `\`deploy ${plain(it.service, 60)} ${plain(it.version, 50)} to ${plain(it.environment, 50)}\``
      : `\`${plain(it.command.name, 60)} ${plain(it.service, 60)} ${plain(it.environment, 50)}\``;
  switch (it.state) {
    case 'awaiting_approval': {
      const groups = list(approverGroups, 5);
      if (groups === '')
        return prose('No group may approve here, so this will expire. Ask whoever runs Shipmate.', 300);
      if (viewer?.id === it.requestedBy.id && it.approval?.own !== true)
        return prose(`You asked for this, so somebody else of ${groups} decides.`, 500);
      if (viewer && it.votes.some(({ person }) => person.id === viewer.id))
        return prose('You have decided. Others are still asked.', 200);
      if (viewer && !viewer.mayApprove) return prose(`Only members of ${groups} decide here.`, 500);
      if (it.foreign !== null && !it.foreign.known)
        return prose(
          `It waits at ${plain(it.foreign.vendor, 30)}. I don't know who ${asker(it)} is in Teams, so one more than usual of ${groups} has to agree${remaining(it)}.`,
          500,
        );
      if (audience !== 'approvals') return prose(`Waiting for approval by ${groups}.`, 500);
      const missing = (it.approval?.count ?? 1) - it.votes.filter(({ decision }) => decision === 'approve').length;
      return prose(missing > 1 ? `It starts once ${missing} more people have approved.` : 'Approving starts it.', 100);
    }
    case 'scheduled':
      return prose('Every rule is asked again when it starts.', 100);
    case 'waiting': {
      const { position } = view;
      return prose(
        position === null || position <= 1
          ? 'It is the next, once the environment is free.'
          : `It is number ${position} of those that wait for the environment.`,
        150,
      );
    }
    case 'running':
      if (it.gate !== null && it.gate.answer === null) return prose(`It asks: ${plain(it.gate.question, 300)}`, 400);
      if (it.cancel !== null)
        return prose(
          `${plain(it.cancel.person.name, 60)} asked it to stop. It ends as soon as the pipeline lets it.`,
          200,
        );
      return [];
    case 'queued':
      return prose('It starts in a moment.', 100);
    case 'attention':
      return prose(
        'It is not known whether a run was started, so nothing is tried again by itself. Look at the pipeline and at what runs.',
        300,
      );
    case 'succeeded':
      if (it.watch?.state === 'unhealthy' && !view.outdated)
        return prose(`▲ The check afterwards failed: ${plain(it.watch.problem ?? 'no answer', 250)}`, 350, {
          color: 'attention',
        });
      if (it.command !== null) return [];
      if (it.watch?.state === 'watching' && !view.outdated)
        return prose(
          `${plain(it.version, 50)} runs in ${plain(it.environment, 50)} now, and is watched for a while.`,
          200,
        );
      return view.outdated
        ? prose('A newer deployment has been made since.', 100)
        : prose(`${plain(it.version, 50)} runs in ${plain(it.environment, 50)} now.`, 200);
    case 'rejected':
    case 'blocked':
    case 'expired':
    case 'cancelled':
      if (it.foreign !== null && it.startedAt === null)
        return prose(
          it.problem?.code === 'PIPELINE_FOREIGN'
            ? ''
            : `The run at ${plain(it.foreign.vendor, 30)} was turned away. To ask again, start it there.`,
          200,
        );
      return notStarted(it, command);
    default:
      return [];
  }
}

/** What to do about one that never ran; one that ran and was cancelled says enough by itself. */
function notStarted({ startedAt, state }: Deployment, command: string): Run[] {
  if (state === 'rejected') return prose(`Nothing was deployed. To ask again: ${command}.`, 300);
  if (state === 'blocked') return prose(`Nothing was deployed. Once that is mended: ${command}.`, 300);
  return startedAt === null ? prose('Nothing was deployed.', 100) : [];
}

function asker({ requestedBy }: Deployment): string {
  return plain(requestedBy.name, 60) || 'the one who started it';
}

/** How many have, once somebody has. */
function remaining({ approval, votes }: Deployment): string {
  const given = votes.filter(({ decision }) => decision === 'approve').length;
  return given > 0 ? ` (${given} of ${approval?.count ?? 1} so far)` : '';
}

function factsOf(view: DeployView): Fact[] {
  const { approverGroups, deployment: it } = view;
  const waiting = it.state === 'awaiting_approval';
  const asker = plain(it.requestedBy.name, 60) || 'somebody';
  const kind = { deploy: '', command: '', rollback: ' (a rollback)', retry: ' (once more)' }[it.kind];
  const approved = it.votes.filter(({ decision }) => decision === 'approve');
  const names = list(
    approved.map(({ person }) => person.name),
    5,
  );
  const found: (Fact | null)[] = [
    it.command === null ? factOf('Version', fromTo(it)) : inputsOf(it.command.inputs),
    it.foreign === null ? factOf('Asked by', `${asker}${kind}`) : factOf('Started by', startedAt(it.foreign, asker)),
    // The glass has the reason.
    it.reason && it.breakGlass === null ? factOf('Reason', plain(it.reason, 200)) : null,
    it.breakGlass === null ? null : factOf('Glass', glassOf(it.breakGlass)),
    it.approval === null
      ? null
      : it.state === 'rejected'
        ? rejection(it)
        : waiting
          ? factOf(
              'Approval',
              `${approved.length} of ${it.approval.count}${names ? ` (${names})` : ''} from ${list(approverGroups, 5) || 'no group'}`,
            )
          : approved.length > 0
            ? factOf('Approval', `Approved by ${names}`)
            : null,
    it.gate?.answer ? factOf('Gate', gateOf(it.gate)) : null,
    it.scheduledFor !== null && it.startedAt === null && it.finishedAt === null
      ? timeFact('Starts', it.scheduledFor)
      : null,
    waiting && it.approval
      ? timeFact('Expires', it.approval.expiresAt)
      : it.scheduledFor !== null && it.startedAt === null && it.finishedAt === null
        ? null
        : whenOf(it),
  ];
  return found.filter((each) => each !== null);
}

/** Who began it at the vendor, and who that is here. */
function startedAt({ known, startedBy, vendor }: NonNullable<Deployment['foreign']>, asker: string): string {
  const who = plain(startedBy ?? '', 60) || 'somebody';
  return `${who} at ${plain(vendor, 30)}${known && who !== asker ? ` (${asker})` : ''}`;
}

function inputsOf(inputs: Record<string, string>): Fact | null {
  const given = Object.entries(inputs).map(([name, value]) => `${plain(name, 30)}=${plain(value, 60)}`);
  return given.length === 0 ? null : factOf('With', given.slice(0, 6).join(', '));
}

function glassOf({ broken, reason, review }: NonNullable<Deployment['breakGlass']>): string {
  const rules = broken.length === 0 ? 'no rule was in the way' : `past ${list(broken, 5)}`;
  const seen =
    review === null ? 'not reviewed yet' : `reviewed by ${plain(review.person.name, 60)}: ${plain(review.note, 120)}`;
  return `Broken (${rules}): ${plain(reason, 200)} · ${seen}`;
}

function gateOf({ answer, question }: NonNullable<Deployment['gate']>): string {
  const said = answer?.approved ? 'yes' : 'no';
  return `${plain(question, 120)} · ${plain(answer?.person.name ?? '', 60)}: ${said}`;
}

function rejection(it: Deployment): Fact | null {
  const reason = it.votes.findLast(({ decision }) => decision === 'reject')?.reason;
  return reason ? factOf('Why not', plain(reason, 200)) : null;
}

function whenOf(it: Deployment): Fact | null {
  if (it.finishedAt !== null) {
    const took = between(it.startedAt, it.finishedAt);
    return timeFact('Ended', it.finishedAt, took === null ? '' : ` · took ${duration(took)}`);
  }
  return it.startedAt === null ? timeFact('Asked', it.createdAt) : timeFact('Started', it.startedAt);
}

function footerOf({ deployment: it }: DeployView): string {
  return [
    `#${plain(it.id, 20)}`,
    ...(it.approval === null ? [] : [`bound to ${short(it.digest)}`]),
    ...(it.problem === null ? [] : [it.problem.code]),
  ].join(' · ');
}
