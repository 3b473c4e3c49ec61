import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { createFakeAzure, type FakeAzure } from '../../fakes/azure-devops/index.ts';

/** The fake refuses what Azure DevOps refuses: else the tests on it would prove nothing. */
describe('the fake Azure DevOps', () => {
  let fake: FakeAzure;
  beforeEach(async () => {
    fake = await createFakeAzure();
  });
  afterEach(() => fake.close());

  const ask = async (
    path: string,
    options: { method?: string; body?: unknown; headers?: object; raw?: string } = {},
  ) => {
    const { body, headers = {}, method = 'GET', raw } = options;
    const response = await fetch(`${fake.url}/acme/${path}`, {
      method,
      headers: {
        authorization: `Bearer ${fake.secrets()[0]}`,
        ...(body === undefined && raw === undefined ? {} : { 'content-type': 'application/json' }),
        ...(headers as Record<string, string>),
      },
      ...(body === undefined && raw === undefined ? {} : { body: raw ?? JSON.stringify(body) }),
    });
    const text = await response.text();
    return { status: response.status, text, json: () => JSON.parse(text) as { typeKey?: string; message?: string } };
  };
  const typeKey = async (...args: Parameters<typeof ask>) => {
    const { json, status } = await ask(...args);
    return `${status} ${json().typeKey}`;
  };
  const P = 'Web%20Shop/_apis';
  const V = 'api-version=7.1';
  const run = (body: unknown) => typeKey(`${P}/pipelines/42/runs?${V}`, { method: 'POST', body });
  const right = { templateParameters: { version: '1.1.0', sha: 'a'.repeat(40), environment: 'Staging' } };

  it('wants an api-version, and the right one', async () => {
    expect(await typeKey(`${P}/build/builds`)).toBe('400 VssVersionNotSpecifiedException');
    expect(await typeKey(`${P}/build/builds?api-version=1.0`)).toBe('400 VssVersionOutOfRangeException');
    expect((await ask(`${P}/build/builds?${V}`)).status).toBe(200);
  });

  it('gives browsers and strangers the sign-in page, as Services do, and 401, as a Server does', async () => {
    const page = await ask(`${P}/build/builds?${V}`, { headers: { authorization: 'Bearer other' } });
    expect([page.status, page.text]).toEqual([203, expect.stringContaining('Sign In')]);
    const server = await createFakeAzure({ pat: true });
    const response = await fetch(`${server.url}/acme/${P}/build/builds?${V}`);
    expect(response.status).toBe(401);
    await server.close();
  });

  it('starts a run for the right body, and none for any other', async () => {
    expect(await run({ ...right, template_parameters: {} })).toBe('400 VssPropertyValidationException');
    expect(await run({ ...right, stagesToSkip: 'Tests' })).toBe('400 VssPropertyValidationException');
    expect(await run({ templateParameters: { ...right.templateParameters, version: 7 } })).toBe(
      '400 VssPropertyValidationException',
    );
    expect(await run({ ...right, resources: { repositories: { self: { ref: 'x' } } } })).toBe(
      '400 VssPropertyValidationException',
    );
    expect(await run({ templateParameters: { ...right.templateParameters, more: 'x' } })).toBe(
      '400 PipelineValidationException',
    );
    expect(await run({ templateParameters: { version: '1.1.0' } })).toBe('400 PipelineValidationException');
    expect(await run([right])).toBe('400 VssPropertyValidationException');
    expect(await typeKey(`${P}/pipelines/42/runs?${V}`, { method: 'POST', raw: '{' })).toBe(
      '400 VssPropertyValidationException',
    );
    const media = { method: 'POST', body: right, headers: { 'content-type': 'text/plain' } };
    expect(await typeKey(`${P}/pipelines/42/runs?${V}`, media)).toBe('415 VssMediaTypeException');
    expect(await typeKey(`${P}/pipelines/42/runs?${V}`, { method: 'POST', body: { ...right, previewRun: true } })).toBe(
      '200 undefined',
    );
    expect(fake.started()).toBe(0);
    expect(await run(right)).toBe('200 undefined');
    expect(fake.started()).toBe(1);
  });

  it('knows only what there is', async () => {
    expect(await typeKey(`${P}/build/builds/1?${V}`)).toBe('404 BuildNotFoundException');
    expect(await typeKey(`${P}/pipelines/43?${V}`)).toBe('404 PipelineNotFoundException');
    expect(await typeKey(`Gone/_apis/build/builds?${V}`)).toBe('404 ProjectDoesNotExistWithNameException');
    expect(await typeKey(`${P}/git/repositories/gone/refs?${V}`)).toBe('404 GitRepositoryNotFoundException');
    expect(await typeKey(`${P}/build/builds?${V}&$tpo=5`)).toBe('400 VssPropertyValidationException');
    expect(fake.unknown()).toEqual([]);
    expect((await ask(`${P}/build/bilds?${V}`)).status).toBe(404);
    expect((await ask(`${P}/build/builds?${V}`, { method: 'PUT', body: {} })).status).toBe(404);
    expect(fake.unknown()).toEqual(['GET /acme/Web Shop/_apis/build/bilds', 'PUT /acme/Web Shop/_apis/build/builds']);
  });

  it('takes one answer to an approval, and no other after it', async () => {
    const id = fake.foreign({ environment: 'staging', version: '1.1.0', by: 'ana', ask: true });
    const found = fake.runs.find(Number(id));
    for (let tries = 0; found.approval === null && tries < 100; tries += 1)
      await new Promise((done) => setTimeout(done, 20));
    const answer = (body: unknown) => typeKey(`${P}/pipelines/approvals?${V}`, { method: 'PATCH', body });
    const approvalId = found.approval?.id;
    expect(await answer({ approvalId, status: 'approved' })).toBe('400 VssPropertyValidationException');
    expect(await answer([{ approvalId, status: 'canceled' }])).toBe('400 VssPropertyValidationException');
    expect(await answer([{ approvalId, status: 'approved', reason: 'x' }])).toBe('400 VssPropertyValidationException');
    expect(await answer([{ approvalId: 'x', status: 'approved' }])).toBe('404 ApprovalNotFoundException');
    expect(await answer([{ approvalId, status: 'approved', comment: 'x' }])).toBe('200 undefined');
    expect(await answer([{ approvalId, status: 'rejected' }])).toBe('400 ApprovalUpdateException');
  });

  it('does not stop or repeat what can’t be', async () => {
    const id = fake.foreign({ environment: 'staging', version: '1.1.0', by: 'ana' });
    const retry = { method: 'PATCH', body: { state: 'retry', forceRetryAllJobs: false } };
    expect(await typeKey(`${P}/build/builds/${id}/stages/Deploy?${V}`, retry)).toBe(
      '409 InvalidPipelineOperationException',
    );
    const cancel = { method: 'PATCH', body: { status: 'cancelling' } };
    expect(await typeKey(`${P}/build/builds/${id}?${V}`, { ...cancel, body: { state: 'x' } })).toBe(
      '400 VssPropertyValidationException',
    );
    expect(await typeKey(`${P}/build/builds/${id}?${V}`, cancel)).toBe('200 undefined');
    await new Promise((done) => setTimeout(done, 100));
    expect(await typeKey(`${P}/build/builds/${id}?${V}`, cancel)).toBe('400 BuildStatusInvalidChangeException');
  });
});
