import { z } from 'zod';
import { changesData, changesOf } from './changes.ts';
import { action, button, type Fact, fact, factOf, head, prose, runs, said, spoken, timeFact } from './parts.ts';
import type { CardDefinition } from './render.ts';
import { list, plain, short } from './text.ts';
import type { DeployConfirmInput } from './types.ts';
import { duration, environmentTone } from './words.ts';

const schema = z.strictObject({
  ...spoken,
  ...head.shape,
  hasWarning: z.boolean(),
  warning: runs,
  hasFacts: z.boolean(),
  facts: z.array(fact).max(12),
  ...changesData,
  asksReason: z.boolean(),
  footer: z.string(),
  actions: z.array(action),
});

/** "1.2.2 (1a2b3c4) → 1.2.3 (5d6e7f8)". */
export function fromTo(input: {
  fromVersion: string | null;
  fromSha: string | null;
  version: string;
  sha: string;
}): string {
  const name = (version: string, sha: string | null) => `${plain(version, 50)}${sha ? ` (${short(sha)})` : ''}`;
  const from = input.fromVersion === null ? 'nothing known' : name(input.fromVersion, input.fromSha);
  return `${from} → ${name(input.version, input.sha)}`;
}

export const deployConfirm: CardDefinition<DeployConfirmInput, z.infer<typeof schema>> = {
  name: 'deploy-confirm',
  schema,
  build(input, sign) {
    const { approvalsNeeded, approverGroups, environment, kind } = input;
    const version = plain(input.version, 50);
    const place = plain(environment.name, 50);
    const { command, glass } = input;
    const title = command
      ? `${plain(command.name, 60)} ${plain(input.service, 60)} on ${place}`
      : `${plain(input.service, 60)} ${version} → ${place}`;
    const asksApproval = approvalsNeeded > 0;
    const rollback = kind === 'rollback';
    const act = command
      ? `Run ${plain(command.name, 20)} on ${plain(environment.name, 20)}`
      : rollback
        ? `Roll back to ${plain(input.version, 20)}`
        : `${glass ? 'Break the glass: deploy' : 'Deploy'} ${plain(input.version, 20)} to ${plain(environment.name, 20)}`;
    const older = input.backwards && !rollback;
    const warnings = [
      ...(older
        ? [`${version} is older than what runs now. To go back to the last good version, use \`rollback\`.`]
        : []),
      ...(glass ? ['Everybody is told, and a second person has to look at it afterwards.'] : []),
      ...(input.notes ?? []).slice(0, 3).map((note) => plain(note, 200)),
    ];
    const facts: Fact[] = [
      ...(command ? [] : [factOf('Version', fromTo(input))]),
      ...Object.entries(command?.inputs ?? {})
        .slice(0, 6)
        .map(([name, value]) => factOf(plain(name, 20), plain(value, 200))),
      ...(input.scheduledFor ? [timeFact('Starts', input.scheduledFor)].filter((each) => each !== null) : []),
      ...(glass ? [factOf('Glass', `${plain(glass.reason, 200)} (past ${list(glass.broken, 5) || 'no rule'})`)] : []),
      ...(input.reason ? [factOf('Reason', plain(input.reason, 200))] : []),
      factOf(
        'Approval',
        asksApproval
          ? `${approvalsNeeded === 1 ? 'One' : approvalsNeeded} of ${list(approverGroups, 5) || 'nobody: no group may approve here'}, ${input.approvalOwn ? 'you too' : 'somebody other than you'}, within ${duration(input.approvalExpiresMs)}`
          : 'Not needed',
      ),
    ];
    const summary = `${title}: confirm ${command ? 'the command' : rollback ? 'the rollback' : 'the deployment'}`;
    return {
      summary,
      data: {
        ...said(`${summary}. Nothing has started yet.`),
        state: '○ Nothing has started yet',
        tone: 'default',
        environment: place,
        environmentTone: environmentTone(environment.name, environment.production),
        title,
        hasWarning: warnings.length > 0,
        warning: prose(warnings.map((line) => `▲ ${line}`).join(' '), 600, { color: 'warning' }),
        hasFacts: true,
        facts,
        ...changesOf(input.changes, input.changesTotal, input.backwards),
        asksReason: !input.reason,
        footer: asksApproval
          ? 'You confirm what will happen; the approvers are asked next.'
          : input.scheduledFor
            ? 'It starts at that time, if every rule still lets it.'
            : 'It starts as soon as you confirm.',
        actions: [
          button(sign, command ? 'command.confirm' : 'deploy.confirm', act, {
            bind: input.bind,
            style: glass ? 'destructive' : 'positive',
            inputs: 'auto',
          }),
          button(sign, 'deploy.discard', 'Discard'),
        ],
      },
    };
  },
};
