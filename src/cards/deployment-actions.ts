import { z } from 'zod';
import type { Deployment } from '../deploys/types.ts';
import { type ActionData, action, button } from './parts.ts';
import { plain, safeUrl } from './text.ts';
import type { DeploymentInput, SignAction } from './types.ts';

/** A button that opens a small form for the reason; what it does is destructive. */
export const asking = z.strictObject({
  title: z.string(),
  required: z.boolean(),
  optional: z.boolean(),
  placeholder: z.string(),
  actions: z.array(action).length(1),
});
type Asking = z.infer<typeof asking>;

interface Actions {
  primary: ActionData[];
  asking: Asking[];
  secondary: ActionData[];
  links: { title: string; url: string }[];
}

/** What a deployment's buttons stand for: this deployment, as it was when the card was drawn. */
export function bindOf(it: Deployment): Record<string, string> {
  return { id: it.id, rev: String(it.revision), digest: it.digest };
}

/** The buttons that make sense for this state, this conversation and, where it is known, this person. */
export function deploymentActions({ view, viewer }: DeploymentInput, sign: SignAction): Actions {
  const { audience, deployment: it, outdated, rollbackTo } = view;
  const url = safeUrl(it.run?.url);
  const actions: Actions = {
    primary: [],
    asking: [],
    secondary: [],
    links: url === null ? [] : [{ title: 'Open the run', url }],
  };
  if (it.state === 'awaiting_approval') {
    const decides =
      !viewer ||
      (viewer.mayApprove &&
        (viewer.id !== it.requestedBy.id || it.approval?.own === true) &&
        !it.votes.some(({ person }) => person.id === viewer.id));
    if (audience === 'approvals' && decides) {
      actions.primary.push(approve(it, sign));
      actions.asking.push(reject(it, sign));
    }
    if (audience !== 'approvals') actions.asking.push(cancel(it, sign, 'Withdraw'));
    return actions;
  }
  if (it.state === 'running' && it.gate !== null && it.gate.answer === null) {
    const bind = { ...bindOf(it), gate: it.gate.id };
    actions.primary.push(
      button(sign, 'gate.answer', 'Yes, go on', { bind: { ...bind, answer: 'yes' }, style: 'positive' }),
    );
    actions.secondary.push(button(sign, 'gate.answer', 'No, stop', { bind: { ...bind, answer: 'no' } }));
  }
  if (audience === 'approvals' && it.breakGlass !== null && it.breakGlass.review === null)
    actions.asking.push(review(it, sign));
  // What follows a deployment is for those who work on the service; the approvers' channel only sees how it ended.
  if (audience === 'approvals') return actions;
  if (!outdated && !turnedAway(it) && (it.state === 'failed' || it.state === 'cancelled' || it.state === 'expired'))
    actions.primary.push(
      button(sign, 'deploy.retry', it.startedAt === null ? 'Ask again' : `Retry ${plain(it.version, 20)}`, {
        bind: bindOf(it),
        style: 'positive',
      }),
    );
  if (it.state === 'attention') actions.asking.push(close(it, sign));
  if (view.cancellable) actions.asking.push(cancel(it, sign, it.state === 'running' ? 'Cancel the run' : 'Withdraw'));
  if (view.blocked !== null && it.state !== 'running')
    actions.secondary.push(
      button(sign, 'version.unblock', `Let ${plain(view.blocked.version, 20)} back in`, {
        bind: { service: it.service, environment: it.environment, version: view.blocked.sha },
      }),
    );
  // A deployment that never started changed nothing, so there is nothing to take back.
  const ran = it.state === 'succeeded' || it.state === 'failed' || (it.state === 'cancelled' && it.startedAt !== null);
  if (!outdated && ran && rollbackTo !== null) actions.asking.push(rollback(it, rollbackTo, sign));
  if (it.run !== null && (it.state === 'running' || it.state === 'failed' || it.state === 'cancelled'))
    actions.secondary.push(button(sign, 'run.log', 'Run log', { bind: { id: it.id } }));
  if (it.startedAt !== null)
    actions.secondary.push(
      button(sign, 'logs.form', 'Logs', { bind: { service: it.service, environment: it.environment } }),
    );
  return actions;
}

/** It waited at the vendor and does so no more: it is started there, not here. */
function turnedAway({ foreign, startedAt }: Deployment): boolean {
  return foreign !== null && startedAt === null;
}

function approve(it: Deployment, sign: SignAction): ActionData {
  return button(sign, 'deploy.approve', `Approve ${plain(it.version, 20)} for ${plain(it.environment, 20)}`, {
    bind: bindOf(it),
    style: 'positive',
  });
}

/** Nothing else runs there until somebody looked at the pipeline and says so. */
function close(it: Deployment, sign: SignAction): Asking {
  return {
    title: 'Close as failed…',
    required: true,
    optional: false,
    placeholder: 'What did you find?',
    actions: [
      button(sign, 'deploy.close', 'Close as failed', { bind: bindOf(it), style: 'destructive', inputs: 'auto' }),
    ],
  };
}

/** A second person says that they looked at it. */
function review(it: Deployment, sign: SignAction): Asking {
  return {
    title: 'Review…',
    required: true,
    optional: false,
    placeholder: 'What did you find?',
    actions: [button(sign, 'glass.review', 'I have looked at it', { bind: bindOf(it), inputs: 'auto' })],
  };
}

function cancel(it: Deployment, sign: SignAction, title: string): Asking {
  return {
    title: `${title}…`,
    required: false,
    optional: true,
    placeholder: 'Why?',
    actions: [button(sign, 'deploy.cancel', title, { bind: bindOf(it), inputs: 'auto' })],
  };
}

function reject(it: Deployment, sign: SignAction): Asking {
  return {
    title: 'Reject…',
    required: true,
    optional: false,
    placeholder: 'Why not?',
    actions: [
      button(sign, 'deploy.reject', `Reject ${plain(it.version, 20)}`, {
        bind: bindOf(it),
        style: 'destructive',
        inputs: 'auto',
      }),
    ],
  };
}

function rollback(it: Deployment, to: string, sign: SignAction): Asking {
  const version = plain(to, 20);
  return {
    title: `Rollback to ${version}…`,
    required: false,
    optional: true,
    placeholder: 'What is wrong?',
    actions: [
      button(sign, 'deploy.rollback', `Roll back to ${version}`, {
        bind: { ...bindOf(it), to },
        style: 'destructive',
        inputs: 'auto',
      }),
    ],
  };
}
