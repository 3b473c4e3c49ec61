import { writeFile } from 'node:fs/promises';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { CONNECTOR_SCOPE } from '../../src/app.ts';
import { type Finding, lookOnline } from '../../src/cli/online.ts';
import { loadConfig } from '../../src/config.ts';
import { inspect } from '../../src/parts.ts';
import { ENV, LEAST } from '../config/harness.ts';
import { type FakeGraph, startFakeGraph } from '../fakes/graph/index.ts';
import { openCli } from './harness.ts';

let cli: Awaited<ReturnType<typeof openCli>>;
let graph: FakeGraph;
// One store for all: making one takes seconds.
beforeAll(async () => {
  cli = await openCli();
});
afterAll(() => cli.close());
beforeEach(async () => {
  graph = await startFakeGraph([]);
});
afterEach(() => graph.close());

async function look(text: string, refuse = false): Promise<Finding[]> {
  const file = path.join(cli.cwd, 'shipmate.yaml');
  await writeFile(file, text);
  const io = { env: ENV, cwd: cli.cwd, out: () => undefined, err: () => undefined };
  const open: typeof inspect = (config, options) =>
    inspect(config, {
      ...options,
      graphUrl: graph.url,
      credential: {
        getToken: async (scope) => {
          if (scope !== CONNECTOR_SCOPE) return graph.credential.getToken(String(scope));
          if (refuse) throw new Error('AADSTS7000215: invalid secret Sw0rdf!sh\nTrace: 1');
          return { token: 't', expiresOnTimestamp: Date.now() + 60_000 };
        },
      },
    });
  const findings: Finding[] = [];
  for await (const finding of lookOnline(loadConfig(file, ENV), io, open)) findings.push(finding);
  return findings;
}
const matching = ({ message, ...rest }: { level: string; subject: string; message: RegExp }) => ({
  ...rest,
  message: expect.stringMatching(message),
});
const levels = (findings: readonly Finding[]) => findings.map(({ level, subject }) => `${level} ${subject}`);

describe('check --online', () => {
  it('tries everything, and one failure hides no other', async () => {
    graph.always = { status: 403 };
    const findings = await look(`${LEAST}logs: { files: "none/{service}.log" }\n`);
    expect(levels(findings)).toEqual([
      'ok store',
      'ok credentials',
      'error directory',
      'error storefront on production: approve',
      expect.stringMatching(/^(error|warning) storefront: deploy$/),
      'error storefront: versions',
      expect.stringMatching(/^(error|warning|ok) logs$/),
    ]);
    expect(findings[2]?.message).toContain('admin consent');
  });

  it('says what is well', async () => {
    const service = createServer((_request, response) => response.end('1.2.3'));
    await new Promise<void>((resolve) => service.listen(0, '127.0.0.1', resolve));
    const { port } = service.address() as AddressInfo;
    const findings = await look(
      LEAST.replace(
        'team: web',
        `team: web, version-url: { staging: "http://127.0.0.1:${port}", production: "http://127.0.0.1:1" }`,
      ),
    );
    await new Promise((resolve) => service.close(resolve));
    expect(levels(findings)).toEqual(
      expect.arrayContaining([
        'ok directory',
        'ok storefront on staging: version-url',
        'warning storefront on production: version-url',
      ]),
    );
  });

  it('counts the approvers in the directory', async () => {
    const group = (digit: string) => `00000000-0000-4000-8000-00000000000${digit}`;
    const people = (...groups: string[]) =>
      graph.set({ id: `10000000-0000-4000-8000-00000000000${groups.length}`, groups: groups.map(group) });
    const approve = (who: string) =>
      look(
        LEAST.replace('production: }', `production: { approve: ${who} } }`).replace(
          /groups: .*\n/,
          `groups: { web: ${group('1')}, leads: ${group('2')}, sec: ${group('3')} }\n`,
        ),
      ).then((findings) => findings.filter(({ subject }) => subject.endsWith(': approve')));
    const subject = 'storefront on production: approve';
    expect(await approve('leads')).toMatchObject(
      [{ level: 'error', subject, message: /no group leads/ }].map(matching),
    );
    graph.emptyGroups.add(group('2'));
    expect(await approve('leads')).toMatchObject(
      [{ level: 'error', subject, message: /Nobody is in leads/ }].map(matching),
    );
    people('2', '3');
    expect(await approve('leads')).toEqual([{ level: 'ok', subject, message: 'there are enough people' }]);
    expect(await approve('{ from: [leads, sec], count: 3 }')).toMatchObject(
      [{ level: 'error', subject, message: /at most 2 people are in leads or sec/ }].map(matching),
    );
    graph.always = { status: 403 };
    expect(await approve('leads')).toMatchObject([{ level: 'error', subject, message: /admin consent/ }].map(matching));
  });

  it('keeps secrets and the talk of an SDK out', async () => {
    const findings = await look(`${LEAST}credentials: { secret: "Sw0rdf!sh" }\n`, true);
    expect(findings[1]).toEqual({
      level: 'error',
      subject: 'credentials',
      message: 'AADSTS7000215: invalid secret [redacted]',
    });
  });

  it('has its findings and its exit code on the command line, without credentials too', async () => {
    await writeFile(path.join(cli.cwd, 'shipmate.yaml'), LEAST);
    const { code, out } = await cli.run('check', '--online');
    expect(code).toBe(1);
    expect(out).toMatch(/^ok {6}store: pglite takes writes$/m);
    expect(out).toMatch(/^error {3}credentials: Workload identity has no token file/m);
    expect(out).toMatch(/^error {3}directory: Microsoft Graph did not answer\. The bot could not sign in\.$/m);
    expect(out).toMatch(/\d errors\.\n$/);
  });
});
