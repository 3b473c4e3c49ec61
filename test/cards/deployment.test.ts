import { describe, expect, it } from '@jest/globals';
import { drawSample, sampleInputs } from '../../scripts/cards-samples.ts';
import { createCards } from '../../src/cards/index.ts';
import type { Card, Verb } from '../../src/cards/types.ts';
import { type Node, nodes, ofType, texts } from './structure.ts';

const signed: { verb: Verb; bind: Record<string, string> }[] = [];
const cards = createCards({
  sign: (verb, bind = {}) => {
    signed.push({ verb, bind });
    return `token-${signed.length - 1}`;
  },
});

type Change = { deployment?: object; view?: object; rest?: object };

function drawn(title: string, change: Change = {}): Card {
  const found = sampleInputs('deployment').find((each) => each.title === title);
  if (!found) throw new Error(`no case "${title}"`);
  const input = structuredClone(found.input) as { view: { deployment: object } };
  Object.assign(input.view.deployment, change.deployment);
  Object.assign(input.view, change.view);
  Object.assign(input, change.rest);
  return drawSample(cards, 'deployment', input);
}

/** Titles of the buttons, those within a ShowCard behind its own. */
function buttons(card: Card): string[] {
  return (card.content.actions as Node[]).flatMap((action) => {
    const inner = action.type === 'Action.ShowCard' ? ((action.card as Node).actions as Node[]) : [];
    return [String(action.title), ...inner.map(({ title }) => `  ${title}`)];
  });
}

function bindOf(card: Card, verb: Verb): Record<string, string> | undefined {
  const action = ofType(card.content, 'Action.Execute').find(({ node }) => node.verb === verb);
  return action && signed[Number(String((action.node.data as Node).token).slice('token-'.length))]?.bind;
}

describe('buttons of a deployment', () => {
  it.each([
    ['awaiting_approval, requester', ['Withdraw…', '  Withdraw']],
    ['awaiting_approval, approvals', ['Approve 1.2.3 for production', 'Reject…', '  Reject 1.2.3']],
    ['awaiting_approval, channel', ['Withdraw…', '  Withdraw']],
    ['awaiting_approval, the viewer asked', []],
    ['awaiting_approval, the viewer may not', []],
    ['awaiting_approval, one of two has approved', []],
    ['queued, requester', []],
    ['running, requester', ['Cancel the run…', '  Cancel the run', 'Run log', 'Logs', 'Open the run']],
    ['running, asked to stop', ['Run log', 'Logs', 'Open the run']],
    ['running, waits for an answer, approvals', ['Yes, go on', 'No, stop', 'Open the run']],
    ['scheduled, requester', ['Withdraw…', '  Withdraw']],
    ['waiting, channel', ['Withdraw…', '  Withdraw']],
    ['succeeded, glass broken, approvals', ['Review…', '  I have looked at it', 'Open the run']],
    ['running, approvals', ['Open the run']],
    ['attention, requester', ['Close as failed…', '  Close as failed', 'Logs', 'Open the run']],
    ['succeeded, requester', ['Rollback to 1.2.2…', '  Roll back to 1.2.2', 'Logs', 'Open the run']],
    ['succeeded, approvals', ['Open the run']],
    [
      'failed, channel',
      ['Retry 1.2.3', 'Rollback to 1.2.2…', '  Roll back to 1.2.2', 'Run log', 'Logs', 'Open the run'],
    ],
    ['failed, outdated', ['Run log', 'Logs', 'Open the run']],
    [
      'cancelled, requester',
      ['Retry 1.2.3', 'Rollback to 1.2.2…', '  Roll back to 1.2.2', 'Run log', 'Logs', 'Open the run'],
    ],
    ['rejected, requester', []],
    ['expired, requester', ['Ask again']],
    ['blocked, requester', []],
  ])('%s: %j', (title, expected) => {
    expect(buttons(drawn(title))).toEqual(expected);
  });

  it('offer no rollback without a version to go back to', () => {
    expect(buttons(drawn('succeeded, requester', { view: { rollbackTo: null } }))).toEqual(['Logs', 'Open the run']);
  });

  it('offer no rollback after a deployment that was cancelled before it started', () => {
    const card = drawn('cancelled, requester', { deployment: { startedAt: null, run: null } });
    expect(buttons(card)).toEqual(['Ask again']);
  });

  it('let an approver decide in a view of their own', () => {
    const card = drawn('awaiting_approval, approvals', { rest: { viewer: { id: 'another', mayApprove: true } } });
    expect(buttons(card)).toContain('Approve 1.2.3 for production');
  });

  it.each(['deploy.approve', 'deploy.reject'] as const)('%s is bound to what the card shows', (verb) => {
    const card = drawn('awaiting_approval, approvals', { deployment: { revision: 7, digest: 'd'.repeat(64) } });
    expect(bindOf(card, verb)).toEqual({ id: '42', rev: '7', digest: 'd'.repeat(64) });
  });

  it('bind retry and rollback to the deployment and logs to the place', () => {
    const card = drawn('failed, requester');
    const { digest } = bindOf(card, 'deploy.retry') ?? {};
    expect(bindOf(card, 'deploy.retry')).toEqual({ id: '42', rev: '4', digest });
    expect(bindOf(card, 'deploy.rollback')).toEqual({ id: '42', rev: '4', digest, to: '1.2.2' });
    expect(bindOf(card, 'logs.form')).toEqual({ service: 'storefront', environment: 'production' });
  });

  it('ask for a reason in the same card, and a rejection needs one', () => {
    const reason = (card: Card) =>
      ofType(card.content, 'Input.Text').map(({ node }) => [node.id, node.isRequired ?? false]);
    expect(reason(drawn('awaiting_approval, approvals'))).toEqual([['reason', true]]);
    expect(reason(drawn('succeeded, requester'))).toEqual([['reason', false]]);
  });

  it('open a run only over http or https', () => {
    for (const url of [
      'javascript:alert(1)',
      'file:///etc/passwd',
      'nonsense',
      'msteams:/l/x',
      `https://x/${'a'.repeat(3000)}`,
    ])
      expect(buttons(drawn('running, requester', { deployment: { run: { id: '1', url } } }))).not.toContain(
        'Open the run',
      );
    expect(
      buttons(drawn('running, requester', { deployment: { run: { id: '1', url: 'http://127.0.0.1:8080/r/1' } } })),
    ).toContain('Open the run');
  });
});

describe('refresh', () => {
  it('is asked for the given people, at most 60, and not otherwise', () => {
    const refreshUserIds = Array.from({ length: 70 }, (_, index) => `29:${index}`);
    const card = drawn('awaiting_approval, approvals', { rest: { refreshUserIds } });
    expect(card.content.refresh).toMatchObject({
      action: { type: 'Action.Execute', verb: 'deploy.view' },
      userIds: refreshUserIds.slice(0, 60),
    });
    expect(bindOf(card, 'deploy.view')).toMatchObject({ id: '42', rev: '1' });
    expect(drawn('awaiting_approval, approvals').content).not.toHaveProperty('refresh');
  });
});

describe('words of a deployment', () => {
  it.each([
    ['awaiting_approval, requester', '◷ Waiting for approval', 'Waiting for approval by leads.'],
    ['awaiting_approval, approvals', '◷ Waiting for approval', 'Approving starts it.'],
    [
      'awaiting_approval, the viewer asked',
      '◷ Waiting for approval',
      'You asked for this, so somebody else of leads decides.',
    ],
    ['awaiting_approval, the viewer may not', '◷ Waiting for approval', 'Only members of leads decide here.'],
    ['running, requester', '● Running · 2 of 4 · 1 min 12 s', '1 of 4 stages done, now smoke test'],
    ['succeeded, requester', '✔ Succeeded in 3 min 4 s', '1.2.3 runs in production now.'],
    ['failed, requester', '✖ Failed at “smoke test”', 'Error: payment provider: timeout after 5000 ms'],
    ['cancelled, requester', '⊘ Cancelled', 'stopped'],
    ['rejected, requester', '⊘ Rejected by Kim Okafor', 'Not before the sale is over, please'],
    ['expired, requester', '⊘ Expired: nobody decided in time', 'Nothing was deployed.'],
    ['blocked, requester', '⊘ Blocked', '1.2.3 points to another commit than the one that was approved.'],
    ['attention, requester', '▲ A person must look', 'The run was asked for, but the pipeline did not answer.'],
  ])('%s: %s, %s', (title, state, words) => {
    const card = drawn(title);
    expect(texts(card.content)).toEqual(expect.arrayContaining([state, words]));
    expect(card.summary).toBe(`storefront 1.2.3 → production: ${state.slice(2)}`);
    expect(card.content.speak).toContain(card.summary);
  });

  it('name who approved, what is bound and when, in the reader’s time', () => {
    const shown = texts(drawn('running, requester').content);
    expect(shown).toContain('Approved by Kim Okafor');
    expect(shown).toContain('#42 · bound to 9f2c7d4');
    expect(shown).toContain('{{DATE(2026-11-24T12:02:10Z, SHORT)}} {{TIME(2026-11-24T12:02:10Z)}}');
  });

  it('say how many approvals are missing', () => {
    const card = drawn('awaiting_approval, approvals', {
      deployment: { approval: { groups: [], count: 3, expiresAt: '2026-11-24T16:00:00.000Z' } },
    });
    expect(texts(card.content)).toEqual(
      expect.arrayContaining(['It starts once 3 more people have approved.', '0 of 3 from leads']),
    );
  });

  it('say that nobody can approve where no group may', () => {
    const card = drawn('awaiting_approval, approvals', { view: { approverGroups: [] } });
    expect(texts(card.content).join(' ')).toContain('No group may approve here');
  });

  it('show at most eight lines of output, the last ones, and at most six stages with the one that failed', () => {
    const tail = Array.from({ length: 30 }, (_, index) => `line ${index}`);
    const stages = Array.from({ length: 20 }, (_, index) => ({
      name: `stage ${index}`,
      state: index < 9 ? 'succeeded' : index === 9 ? 'failed' : 'skipped',
    }));
    const shown = texts(drawn('failed, requester', { deployment: { tail, stages } }).content);
    expect(shown.filter((text) => text.startsWith('line '))).toEqual(tail.slice(-8));
    expect(shown.filter((text) => /^stage \d/.test(text))).toEqual(
      [7, 8, 9, 10, 11, 12].map((index) => `stage ${index}`),
    );
    expect(shown).toContain('and 14 more stages');
  });

  it('colour production by attention text and no container', () => {
    const card = drawn('succeeded, requester');
    const environment = [...nodes(card.content)].find(
      ({ node }) => node.type === 'TextRun' && node.text === 'production',
    );
    expect(environment?.node).toMatchObject({ color: 'attention', weight: 'bolder' });
    expect(ofType(card.content, 'Container').filter(({ node }) => node.style === 'attention')).toEqual([]);
  });
});
