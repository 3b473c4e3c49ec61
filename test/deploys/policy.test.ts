import { describe, expect, it } from '@jest/globals';
import type { AccessDecision } from '../../src/access/types.ts';
import { sourcesOf, TRANSITIONS } from '../../src/deploys/machine.ts';
import {
  evaluateRequest,
  evaluateTrigger,
  evaluateVote,
  type RequestFacts,
  type TriggerFacts,
  type VoteFacts,
} from '../../src/deploys/policy.ts';
import type { Circumstances } from '../../src/deploys/rules.ts';
import { DEPLOYMENT_STATES, FINAL_STATES } from '../../src/deploys/types.ts';
import { deployment, person } from '../helpers/deployments.ts';
import { approval, environment } from '../helpers/policies.ts';

const yes: AccessDecision = { allowed: true, code: 'OK', role: 'team web' };
const no: AccessDecision = { allowed: false, code: 'ACCESS_DENIED', message: 'You may not.', groups: ['web'] };
const now = new Date('2026-11-24T12:00:00.000Z');

const request = (more: Partial<RequestFacts> = {}) =>
  evaluateRequest({
    kind: 'deploy',
    service: 'storefront',
    environment: environment({ name: 'production', confirm: true, production: true }),
    version: { name: '1.2.3', sha: 'a'.repeat(40) },
    person: { id: 'id-dana' },
    at: now,
    zone: 'UTC',
    locks: [],
    block: null,
    promotion: null,
    access: yes,
    holder: null,
    waiting: 0,
    approvalsReachable: true,
    approval: approval(),
    breakGlass: null,
    scheduled: false,
    approvers: ['leads'],
    breakers: [],
    ...more,
  });

describe('a request', () => {
  it('needs the approval of its environment', () => {
    expect(request()).toEqual({ ok: true, approval: approval(), start: 'now', broken: [] });
  });
  it('needs none where none is asked', () => {
    expect(request({ approval: null })).toEqual({ ok: true, approval: null, start: 'now', broken: [] });
  });
  it.each<[string, Partial<RequestFacts>, string]>([
    ['without the right', { access: no }, 'ACCESS_DENIED'],
    ['while the environment is busy', { holder: deployment({ state: 'running' }) }, 'ENV_BUSY'],
    ['while the environment needs a person', { holder: deployment({ state: 'attention' }) }, 'ENV_BUSY'],
    ['for another commit than confirmed', { confirmedSha: 'b'.repeat(40) }, 'VERSION_MOVED'],
    ['with an empty list of approvers', { approval: approval({ groups: [] }) }, 'APPROVERS_EMPTY'],
    ['with a count of none', { approval: approval({ count: 0 }) }, 'APPROVERS_EMPTY'],
    ['when the approvers can not be asked', { approvalsReachable: false }, 'CHANNEL_UNKNOWN'],
  ])('is refused %s', (_what, facts, code) => {
    expect(request(facts)).toMatchObject({ ok: false, code });
  });
  it('names who could when the right is missing', () => {
    expect(request({ access: no })).toHaveProperty('next', expect.stringContaining('web'));
  });
});

const pending = deployment({
  state: 'awaiting_approval',
  approval: { groups: ['g'], count: 1, expiresAt: '2026-11-24T16:00:00.000Z' },
});
const circumstances: Circumstances = {
  kind: 'deploy',
  service: 'storefront',
  environment: environment({ name: 'production' }),
  version: { name: pending.version, sha: pending.sha },
  person: pending.requestedBy,
  at: now,
  locks: [],
  block: null,
  promotion: null,
  zone: 'UTC',
};
const vote = (more: Partial<VoteFacts> = {}) =>
  evaluateVote({
    deployment: pending,
    voter: person('alex'),
    access: yes,
    decision: 'approve',
    cardDigest: pending.digest,
    currentDigest: pending.digest,
    holder: null,
    circumstances,
    now,
    ...more,
  });

describe('a vote', () => {
  it('of another person completes a request for one', () => {
    expect(vote()).toEqual({ ok: true, complete: true, start: 'queued' });
  });
  it('is one of two', () => {
    const two = { ...pending, approval: { groups: ['g'], count: 2, expiresAt: '2026-11-24T16:00:00.000Z' } };
    expect(vote({ deployment: two })).toEqual({ ok: true, complete: false, start: 'queued' });
  });
  it('rejects alone, also where two would have to approve', () => {
    const two = { ...pending, approval: { groups: ['g'], count: 2, expiresAt: '2026-11-24T16:00:00.000Z' } };
    expect(vote({ deployment: two, decision: 'reject' })).toEqual({ ok: true, complete: true, start: 'queued' });
  });
  it.each<[string, Partial<VoteFacts>, string]>([
    ['of the requester', { voter: person('dana') }, 'OWN_DEPLOY'],
    ['without the right', { access: no }, 'ACCESS_DENIED'],
    ['when the directory is down', { access: { ...no, code: 'DIRECTORY_UNAVAILABLE' } }, 'DIRECTORY_UNAVAILABLE'],
    ['that comes too late', { now: new Date('2026-11-24T16:00:00.000Z') }, 'APPROVAL_EXPIRED'],
    ['for another digest', { cardDigest: 'other' }, 'DIGEST_CHANGED'],
    ['after the rules changed', { currentDigest: 'other' }, 'DIGEST_CHANGED'],
    ['on what is decided', { deployment: deployment({ state: 'running', approval: pending.approval }) }, 'NOT_PENDING'],
    ['on what needs none', { deployment: deployment({ state: 'awaiting_approval' }) }, 'NOT_PENDING'],
    [
      'that completes it while the environment is busy',
      { holder: deployment({ id: '2', state: 'running' }) },
      'ENV_BUSY',
    ],
    [
      'a second time',
      { deployment: { ...pending, votes: [{ person: person('alex'), decision: 'approve', at: '' }] } },
      'ALREADY_VOTED',
    ],
  ])('%s is refused', (_what, facts, code) => {
    expect(vote(facts)).toMatchObject({ ok: false, code });
  });
});

const approved = {
  ...pending,
  state: 'queued' as const,
  votes: [{ person: person('alex'), decision: 'approve' as const, at: '' }],
};
const trigger = (more: Partial<TriggerFacts> = {}) =>
  evaluateTrigger({
    deployment: approved,
    requesterAccess: yes,
    approverAccess: [yes],
    resolved: { name: approved.version, sha: approved.sha },
    currentDigest: approved.digest,
    circumstances,
    breakGlassAccess: null,
    ...more,
  });

describe('the trigger', () => {
  it('goes when everything still holds', () => {
    expect(trigger()).toEqual({ ok: true });
  });
  it.each<[string, Partial<TriggerFacts>, string]>([
    ['the requester lost the right', { requesterAccess: no }, 'ACCESS_DENIED'],
    ['an approver lost the right', { approverAccess: [no] }, 'ACCESS_DENIED'],
    ['an approval is missing', { approverAccess: [] }, 'APPROVAL_NEEDED'],
    ['the tag moved', { resolved: { name: '1.2.3', sha: 'f'.repeat(40) } }, 'VERSION_MOVED'],
    ['the tag is gone', { resolved: null }, 'VERSION_UNKNOWN'],
    ['the rules changed', { currentDigest: 'other' }, 'DIGEST_CHANGED'],
  ])('stops when %s', (_what, facts, code) => {
    expect(trigger(facts)).toMatchObject({ ok: false, code });
  });
  it('brings a rollback back whatever became of its tag', () => {
    const back = { ...approved, kind: 'rollback' as const, approval: null, votes: [] };
    expect(trigger({ deployment: back, approverAccess: [], resolved: null })).toEqual({ ok: true });
  });
});

describe('the state machine', () => {
  it('leaves no final state', () => {
    for (const state of FINAL_STATES) expect(TRANSITIONS[state]).toEqual([]);
  });
  it('runs only what was queued or needed a person', () => {
    expect(sourcesOf('running')).toEqual(['queued', 'attention']);
  });
  it('queues only what was approved', () => {
    expect(sourcesOf('queued')).toEqual(['awaiting_approval', 'scheduled', 'waiting']);
  });
  it('reaches every state but the two it begins in', () => {
    for (const state of DEPLOYMENT_STATES)
      expect(sourcesOf(state).length > 0 || state === 'awaiting_approval').toBe(true);
  });
});
