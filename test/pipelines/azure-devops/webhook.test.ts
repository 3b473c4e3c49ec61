import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { verifyHook } from '../../../src/pipelines/azure-devops/webhook.ts';
import { open } from './helpers.ts';

const hook = { user: 'shipmate', password: 'hook-password-81bd' };
const wire = (text: string) => `Basic ${Buffer.from(text, 'utf8').toString('base64')}`;
const RIGHT = wire('shipmate:hook-password-81bd');
const receive = (body: unknown, authorization: string | string[] | undefined = RIGHT) =>
  verifyHook(hook, {
    headers: { authorization },
    body: Buffer.from(typeof body === 'string' ? body : JSON.stringify(body)),
    now: new Date(),
  });
const EVENT = { subscriptionId: 's', notificationId: 3, id: 'e1e1e1e1-0000-4000-8000-000000000000' };

describe('service hooks', () => {
  it.each([
    ['build.complete', { id: 11, run: null }, ['11']],
    ['build.complete', { id: '11' }, ['11']],
    ['ms.vss-pipelines.run-state-changed-event', { run: { url: 'https://x/_apis/Pipelines/1/runs/11' } }, ['11']],
    [
      'ms.vss-pipelines.run-state-changed-event',
      { run: { id: 12, url: 'https://x/_apis/Pipelines/1/runs/11' } },
      ['12'],
    ],
    ['ms.vss-pipelines.run-state-changed-event', { runId: 13, run: { id: 13 } }, ['13']],
    ['ms.vss-pipelines.stage-state-changed-event', { stage: { id: 'x' }, run: { id: 2 } }, ['2']],
    ['ms.vss-pipelines.stage-state-changed-event', { id: 77, run: { id: 2 } }, ['2']],
    ['ms.vss-pipelines.job-state-changed-event', { job: {}, run: { id: 2 } }, ['2']],
    ['ms.vss-pipelinechecks-events.approval-pending', { approval: { id: 'x' }, run: { id: 128 }, id: 0 }, ['128']],
    [
      'ms.vss-pipelinechecks-events.approval-pending',
      { approval: { pipeline: { owner: { id: 9 } } }, run: null, id: 0 },
      ['9'],
    ],
    [
      'ms.vss-pipelinechecks-events.approval-completed',
      { approval: { id: 'x' }, run: null, pipeline: null, id: 0 },
      [],
    ],
  ])('%s with %j name the runs %j', (eventType, resource, runs) => {
    expect(receive({ ...EVENT, eventType, resource })).toEqual({
      ok: true,
      delivery: 'azure-devops:s:e1e1e1e1-0000-4000-8000-000000000000:3',
      runs,
      look: true,
    });
  });

  it('of other kinds are taken, and nothing is looked for', () => {
    for (const eventType of ['git.push', 'workitem.created', 'ms.vss-release.deployment-started-event', 7])
      expect(receive({ ...EVENT, eventType, resource: { id: 5, run: { id: 5 } } })).toMatchObject({
        ok: true,
        runs: [],
        look: false,
      });
    // The vendor's button "Test".
    expect(receive({ id: 'x', eventType: 'build.complete', resource: null })).toMatchObject({
      ok: true,
      runs: [],
      look: true,
    });
  });

  it.each([
    ['nothing', undefined, 'WEBHOOK_UNSIGNED'],
    ['an empty header', '', 'WEBHOOK_UNSIGNED'],
    ['another password', wire('shipmate:hook-password-81be'), 'WEBHOOK_FORGED'],
    ['another user', wire('shipmat:hook-password-81bd'), 'WEBHOOK_FORGED'],
    ['a part of the password', wire('shipmate:hook-password-81b'), 'WEBHOOK_FORGED'],
    ['other base64 of the same bytes', `${RIGHT}=`, 'WEBHOOK_FORGED'],
    ['another scheme', RIGHT.replace('Basic', 'Bearer'), 'WEBHOOK_FORGED'],
    ['two headers', [RIGHT, RIGHT], 'WEBHOOK_FORGED'],
  ])('with %s are refused before their body is read', (_name, authorization, code) => {
    const request = { headers: { authorization }, body: Buffer.from('{'), now: new Date() };
    expect(verifyHook(hook, request)).toEqual({ ok: false, code });
  });

  it('are refused when they are no JSON object', () => {
    for (const body of ['', '{', 'null', '[]', '[{}]', '"x"', '7'])
      expect(receive(body)).toEqual({ ok: false, code: 'REQUEST_MALFORMED' });
  });

  it('without a name of their own are known by their body', () => {
    const first = receive({ eventType: 'build.complete', resource: { id: 1 } });
    expect(first).toEqual(receive({ eventType: 'build.complete', resource: { id: 1 } }));
    expect(first).not.toEqual(receive({ eventType: 'build.complete', resource: { id: 2 } }));
    expect(receive({ ...EVENT, id: '' })).toMatchObject({
      ok: true,
      delivery: expect.stringMatching(/^[0-9a-f]{64}$/),
    });
  });

  it('of any form throw nothing, and name runs by numbers only', () => {
    fc.assert(
      fc.property(fc.json(), fc.string(), (json, kind) => {
        for (const body of [
          json,
          `{"eventType":${JSON.stringify(kind)},"resource":${json}}`,
          `{"eventType":"build.complete","resource":{"id":${json},"run":${json}}}`,
        ]) {
          const verdict = receive(body);
          if (verdict.ok) for (const run of verdict.runs) expect(run).toMatch(/^[1-9]\d{0,17}$/);
        }
      }),
      { numRuns: 500 },
    );
  });

  it('are not taken where nothing is configured to verify them with', async () => {
    const { close, connect } = await open();
    expect(connect({ hook: undefined }).webhook).toBeUndefined();
    expect(connect().webhook).toBeDefined();
    await close();
  });
});
