import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createFakeJenkins, type FakeJenkins } from '../../fakes/jenkins/index.ts';

/** A fake that takes what Jenkins refuses would prove nothing. */

let fake: FakeJenkins;
beforeEach(async () => {
  fake = await createFakeJenkins();
});
afterEach(() => fake.close());

const JOB = '/jenkins/job/deploy/job/storefront';
function ask(
  path: string,
  { auth = `Basic ${fake.secrets()[1]}`, ...init }: RequestInit & { auth?: string | null } = {},
) {
  const headers = { ...(auth === null ? {} : { authorization: auth }), ...init.headers };
  return fetch(`${fake.url}${path}`, { redirect: 'manual', ...init, headers });
}
const form = (fields: Record<string, string>): RequestInit => ({ method: 'POST', body: new URLSearchParams(fields) });
const parameters = { VERSION: '1.1.0', SHA: 'a'.repeat(40), ENVIRONMENT: 'prod', SHIPMATE_KEY: 'key-of-a-test' };

describe('it refuses', () => {
  it.each<[string, string, number, RequestInit & { auth?: string | null }]>([
    ['nobody', `${JOB}/api/json?tree=buildable`, 403, { auth: null }],
    ['somebody else', `${JOB}/api/json?tree=buildable`, 401, { auth: 'Basic eDp5' }],
    ['a tree that is none', `${JOB}/api/json?tree=buildable[`, 400, {}],
    ['a field that nothing has', `${JOB}/api/json?tree=bildable`, 400, {}],
    ['everything at once', `${JOB}/api/json`, 400, {}],
    ['other parameters', `${JOB}/api/json?tree=buildable&depth=3`, 400, {}],
    ['GET for what changes something', `${JOB}/buildWithParameters?VERSION=1`, 405, {}],
    ['JSON for a form', `${JOB}/buildWithParameters`, 415, { method: 'POST', body: '{}' }],
    ['a value that is no choice', `${JOB}/buildWithParameters`, 500, form({ ...parameters, ENVIRONMENT: 'mars' })],
    ['a build that is not there', `${JOB}/99/api/json?tree=number`, 404, {}],
    ['a job that is not there', '/jenkins/job/deploy/job/other/api/json?tree=buildable', 404, {}],
    ['an address without its path', '/job/deploy/job/storefront/api/json?tree=buildable', 404, {}],
    ['a place in the queue that is not there', '/jenkins/queue/item/1/api/json?tree=why', 404, {}],
    ['to take out what does not wait', '/jenkins/queue/cancelItem', 404, form({ id: '1' })],
  ])('%s', async (_what, path, status, init) => {
    expect((await ask(path, init)).status).toBe(status);
  });
  it('an input that does not wait, and a description without one', async () => {
    fake.foreign({ environment: 'production', version: '1.1.0', by: 'x' });
    expect((await ask(`${JOB}/8/input/Shipmate/proceedEmpty`, { method: 'POST' })).status).toBe(404);
    expect((await ask(`${JOB}/8/input/Shipmate/proceedEmpty`)).status).toBe(405);
    expect((await ask(`${JOB}/8/submitDescription`, form({ text: 'x' }))).status).toBe(400);
    expect(fake.unknown()).toEqual([`POST ${JOB}/8/input/Shipmate/proceedEmpty`]);
  });
});

describe('it does as Jenkins', () => {
  it('drops what the job does not define, and fills in what is not given', async () => {
    const answer = await ask(`${JOB}/buildWithParameters`, form({ VERSION: '1', NOISE: 'x' }));
    expect(answer.status).toBe(201);
    expect(answer.headers.get('location')).toMatch(/\/jenkins\/queue\/item\/\d+\/$/);
    expect(fake.model.queue[0]?.parameters).toEqual({ VERSION: '1', SHA: '', ENVIRONMENT: 'stage', SHIPMATE_KEY: '' });
  });
  it('takes two equal ones that wait for one', async () => {
    const [one, two] = await Promise.all([1, 2].map(() => ask(`${JOB}/buildWithParameters`, form(parameters))));
    expect(one?.headers.get('location')).toBe(two?.headers.get('location'));
    expect(fake.started()).toBe(1);
  });
  it('answers only what is asked for, with the class of each object', async () => {
    fake.foreign({ environment: 'production', version: '1.1.0', by: 'octo-ana' });
    const tree = 'allBuilds[number,actions[causes[userId]]]{0,1}';
    expect(await (await ask(`${JOB}/api/json?tree=${encodeURIComponent(tree)}`)).json()).toEqual({
      _class: 'org.jenkinsci.plugins.workflow.job.WorkflowJob',
      allBuilds: [
        {
          _class: 'org.jenkinsci.plugins.workflow.job.WorkflowRun',
          number: 8,
          actions: [
            { _class: 'hudson.model.ParametersAction' },
            {
              _class: 'hudson.model.CauseAction',
              causes: [{ _class: 'hudson.model.Cause$UserIdCause', userId: 'octo-ana' }],
            },
            {},
            { _class: 'org.jenkinsci.plugins.workflow.job.views.FlowGraphAction' },
          ],
        },
      ],
    });
  });
  it('gives a log from the beginning when it is asked for more than there is', async () => {
    fake.foreign({ environment: 'production', version: '1.1.0', by: 'octo-ana' });
    const log = await ask(`${JOB}/8/logText/progressiveText?start=999999`);
    expect(await log.text()).toMatch(/^Started by user octo-ana/);
    expect(log.headers.get('x-more-data')).toBe('true');
  });
});
