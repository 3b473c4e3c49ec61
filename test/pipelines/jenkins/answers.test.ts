import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { asJenkins, type JenkinsConnection } from '../../../src/pipelines/jenkins/connection.ts';
import { meSchema } from '../../../src/pipelines/jenkins/schema.ts';
import { connect } from '../../contract/harness/vendor.ts';

/** What stands between the bot and Jenkins, or in its place, may answer anything. */

let answer: { status: number; headers?: Record<string, string>; body?: string };
let server: Server;
let opened: { connection: JenkinsConnection; close: () => Promise<void> };

beforeEach(async () => {
  server = createServer((_req, res) => {
    res.writeHead(answer.status, answer.headers);
    res.end(answer.body ?? '');
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const { close, connection } = connect('jenkins', { url, user: 'shipmate', token: 'a-token-of-jenkins' });
  opened = { connection: asJenkins(connection), close };
});
afterEach(async () => {
  await opened.close();
  server.closeAllConnections();
  await new Promise((resolve) => server.close(resolve));
});

describe('a read', () => {
  it.each([
    [{ status: 302, headers: { location: '/login' } }, 'PIPELINE_REJECTED', /another page \(302\), perhaps to sign in/],
    [{ status: 200, body: '<html>Welcome</html>' }, 'PIPELINE_UNAVAILABLE', /not understood/],
    [{ status: 200, body: '{"id": 5}' }, 'PIPELINE_UNAVAILABLE', /not understood/],
    [{ status: 400 }, 'PIPELINE_REJECTED', /refused to answer \(400\)/],
    [{ status: 500 }, 'PIPELINE_UNAVAILABLE', /failed \(500\)/],
    [{ status: 503 }, 'PIPELINE_UNAVAILABLE', /not ready \(503\)/],
    [{ status: 403 }, 'PIPELINE_REJECTED', /lacks a right/],
    [{ status: 403, body: 'shipmate is missing the Job/Build permission' }, 'PIPELINE_REJECTED', /no right Job\/Build/],
    [
      { status: 403, headers: { 'x-required-permission': 'hudson.model.Hudson.Read' } },
      'PIPELINE_REJECTED',
      /no right Overall\/Read/,
    ],
    [{ status: 403, headers: { 'x-required-permission': '<script>' } }, 'PIPELINE_REJECTED', /lacks a right/],
    [{ status: 403, body: 'No valid crumb was included in the request' }, 'PIPELINE_REJECTED', /Put an API token/],
    [{ status: 200, body: `"${'x'.repeat(5 * 1024 * 1024)}"` }, 'PIPELINE_UNAVAILABLE', /more than the bot reads/],
  ])('of %j is an error in words', async (given, code, words) => {
    answer = given;
    const { client } = opened.connection;
    await expect(client.read('/me/api/json', meSchema)).rejects.toMatchObject({ code, sent: 'no' });
    await expect(client.read('/me/api/json', meSchema)).rejects.toThrow(words);
  });
});

describe('a post', () => {
  it.each([
    [500, 'unknown'],
    [502, 'unknown'],
    [504, 'unknown'],
    [503, 'no'],
    [429, 'no'],
    [401, 'no'],
    [403, 'no'],
  ])('that ends in %i may have been taken: %s', async (status, sent) => {
    answer = { status };
    await expect(opened.connection.client.post('/x', { a: 'b' })).rejects.toMatchObject({ sent });
  });
});

describe('a log', () => {
  it.each([
    [{ status: 404 }, null],
    [
      { status: 200, headers: { 'x-text-size': '0' } },
      { text: '', size: 0 },
    ],
    [
      { status: 200, headers: { 'x-text-size': '4' }, body: 'a\nb\n' },
      { text: 'a\nb\n', size: 4 },
    ],
  ])('of %j is read', async (given, end) => {
    answer = given;
    expect(await opened.connection.client.logEnd('/log', 0)).toEqual(end);
  });
  it.each([
    { status: 200, body: 'no size' },
    { status: 200, headers: { 'x-text-size': '-1' } },
    { status: 302, headers: { location: '/login' } },
    { status: 401 },
    { status: 500 },
  ])('of %j is an error', async (given) => {
    answer = given;
    await expect(opened.connection.client.logEnd('/log', 0)).rejects.toMatchObject({ sent: 'no' });
  });
  it('is not read further than its end, whatever size it claims', async () => {
    answer = { status: 200, headers: { 'x-text-size': '100' }, body: `${'x'.repeat(9)}\n`.repeat(40_000) };
    const end = await opened.connection.client.logEnd('/log', 0);
    expect(end?.text.length).toBeLessThanOrEqual(96 * 1024);
    answer = { status: 200, headers: { 'x-text-size': '99999999' }, body: `${'x'.repeat(9)}\n`.repeat(40_000) };
    const other = await opened.connection.client.logEnd('/log', 0);
    expect(other?.text.length).toBeLessThanOrEqual(96 * 1024);
    expect(other?.text.startsWith('xxxxxxxxx\n')).toBe(true);
  });
});

describe('the user of the token', () => {
  it('is the one that the connection names, in any case', async () => {
    answer = { status: 200, body: '{"id": "SHIPMATE"}' };
    expect(await opened.connection.check()).toEqual([]);
    answer = { status: 200, body: '{"id": "other"}' };
    expect(await opened.connection.check()).toEqual([
      { level: 'error', message: 'Jenkins knows the bot as other: put that into "user" of the connection.' },
    ]);
  });
  it('is not sent over the network without a warning', async () => {
    answer = { status: 200, body: '{"id": "shipmate"}' };
    // This machine too, but by a name that could be any.
    const url = `http://0.0.0.0:${(server.address() as AddressInfo).port}`;
    const { close, connection } = connect('jenkins', { url, user: 'shipmate', token: 'a-token-of-jenkins' });
    expect(await connection.check()).toEqual([{ level: 'warning', message: expect.stringContaining('unencrypted') }]);
    await close();
  });
});
