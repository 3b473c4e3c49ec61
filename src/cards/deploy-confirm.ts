import { z } from 'zod';
import { changesData, changesOf } from './changes.ts';
import { action, button, type Fact, fact, factOf, head, prose, runs, said, spoken } from './parts.ts';
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
  facts: z.array(fact).max(5),
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
    const title = `${plain(input.service, 60)} ${version} → ${place}`;
    const asksApproval = approvalsNeeded > 0;
    const rollback = kind === 'rollback';
    const act = rollback
      ? `Roll back to ${plain(input.version, 20)}`
      : `Deploy ${plain(input.version, 20)} to ${plain(environment.name, 20)}`;
    const older = input.backwards && !rollback;
    const facts: Fact[] = [
      factOf('Version', fromTo(input)),
      ...(input.reason ? [factOf('Reason', plain(input.reason, 200))] : []),
      factOf(
        'Approval',
        asksApproval
          ? `${approvalsNeeded === 1 ? 'One' : approvalsNeeded} of ${list(approverGroups, 5) || 'nobody: no group may approve here'}, somebody other than you, within ${duration(input.approvalExpiresMs)}`
          : 'Not needed',
      ),
    ];
    const summary = `${title}: confirm ${rollback ? 'the rollback' : 'the deployment'}`;
    return {
      summary,
      data: {
        ...said(`${summary}. Nothing has started yet.`),
        state: '○ Nothing has started yet',
        tone: 'default',
        environment: place,
        environmentTone: environmentTone(environment.name, environment.production),
        title,
        hasWarning: older,
        warning: prose(
          `▲ ${version} is older than what runs now. To go back to the last good version, use \`rollback\`.`,
          300,
          { color: 'warning' },
        ),
        hasFacts: true,
        facts,
        ...changesOf(input.changes, input.changesTotal, input.backwards),
        asksReason: !input.reason,
        footer: asksApproval
          ? 'You confirm what will happen; the approvers are asked next.'
          : 'It starts as soon as you confirm.',
        actions: [
          button(sign, 'deploy.confirm', act, { bind: input.bind, style: 'positive', inputs: 'auto' }),
          button(sign, 'deploy.discard', 'Discard'),
        ],
      },
    };
  },
};
