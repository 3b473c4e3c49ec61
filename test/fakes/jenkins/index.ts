import { createHash, createHmac, randomBytes } from 'node:crypto';
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { FakeCi, Trouble } from '../ci/types.ts';
import { BUILD_JOB, createModel, type FakeBuild, JOB, type Model, USER } from './model.ts';
import { createRoutes, PREFIX, read, send } from './routes.ts';
import type { FakeRelease } from './views.ts';

/** A Jenkins controller behind a path, with the plugins git, Pipeline and Pipeline: REST API. */
export interface FakeJenkins extends FakeCi {
  model: Model;
  releases: FakeRelease[];
  /** Requests that no page answers. */
  unknown(): readonly string[];
}

const LATE_MS = 700;
const MAPPED = { staging: 'stage', production: 'prod' } as const;

const commit = (text: string) => createHash('sha1').update(text).digest('hex');

function history(): FakeRelease[] {
  const commits = (name: string) =>
    [`Work for ${name}`, `Release ${name}`].map((msg) => ({
      commitId: commit(msg),
      msg,
      timestamp: 1_700_000_000_000,
    }));
  const release = (number: number, name: string, part = commits(name)): FakeRelease => ({
    number,
    name,
    sha: part.at(-1)?.commitId ?? '',
    result: 'SUCCESS',
    commits: part,
  });
  const [work, rest] = [commits('1.1.0').slice(0, 1), commits('1.1.0').slice(1)];
  return [
    release(11, '1.0.0'),
    // What came into a build that failed is in the next one too, and only listed here.
    { ...release(12, '#12', work), result: 'FAILURE' },
    release(13, '1.1.0', rest),
    release(14, '1.10.0'),
  ];
}

export async function createFakeJenkins(): Promise<FakeJenkins> {
  const token = `11${randomBytes(16).toString('hex')}`;
  const secret = `notify-${randomBytes(12).toString('hex')}`;
  const basic = Buffer.from(`${USER}:${token}`).toString('base64');
  const releases = history();
  const shaOf = (name: string) => releases.findLast((each) => each.name === name)?.sha ?? commit(name);
  const shas = { '1.0.0': shaOf('1.0.0'), '1.1.0': shaOf('1.1.0'), '1.10.0': shaOf('1.10.0') };

  const requests: string[] = [];
  const unknown: string[] = [];
  const timers = new Set<NodeJS.Timeout>();
  let trouble: Trouble | null = null;
  let refusals = 0;
  let hook: string | null = null;
  let manner: 'once' | 'never' | 'twice' | 'late' = 'once';

  function notify(build: FakeBuild): void {
    if (hook === null || manner === 'never') return;
    const delivery = `jenkins-deploy-storefront-${build.number}-${randomBytes(6).toString('hex')}`;
    const key = build.parameters.SHIPMATE_KEY ?? '';
    const body = JSON.stringify({ delivery, job: JOB, build: build.number, key });
    const seconds = String(Math.floor(Date.now() / 1000));
    const signature = createHmac('sha256', secret).update(`${seconds}.${body}`).digest('hex');
    const target = hook;
    const post = () =>
      void fetch(target, {
        method: 'POST',
        headers: {
          'content-type': 'application/json',
          'x-shipmate-timestamp': seconds,
          'x-shipmate-signature': `sha256=${signature}`,
        },
        body,
      }).catch(() => undefined);
    if (manner !== 'late') {
      post();
      if (manner === 'twice') post();
      return;
    }
    const timer = setTimeout(post, LATE_MS);
    timers.add(timer);
  }

  const model = createModel({
    leak: [`--user ${USER}:${token}`, `--header 'Authorization: Basic ${basic}'`],
    checkout: shaOf,
    onEvent: notify,
  });
  const routes = createRoutes({ model, releases, mayBuild: () => trouble !== 'no-right' });

  const server = createServer(async (req, res) => {
    const asked = await read(req);
    if ('status' in asked) return send(res, asked);
    requests.push(`${asked.method} ${asked.path}`);
    if (trouble === 'slow') await new Promise((resolve) => timers.add(setTimeout(resolve, 400)));
    if (trouble === '5xx') return send(res, { status: 502, body: '<html>502 Bad Gateway</html>' });
    if ((trouble === '429' || trouble === '429-bare') && refusals > 0) {
      // Jenkins has no limit of its own; what stands before it may.
      refusals -= 1;
      return send(res, { status: 429, ...(trouble === '429' ? { headers: { 'retry-after': '1' } } : {}) });
    }
    const given = req.headers.authorization;
    if (given === undefined) return send(res, { status: 403, body: 'Authentication required' });
    if (given !== `Basic ${basic}` || trouble === 'denied')
      return send(res, { status: 401, body: `<html>Invalid password/token for user: ${USER}</html>` });
    const answer = routes.handle(asked);
    if (answer === null) {
      unknown.push(`${asked.method} ${asked.path}`);
      return send(res, { status: 404, body: '<html>Not Found</html>' });
    }
    if (trouble === 'cut' && answer.status === 201) {
      trouble = null;
      return void req.socket.destroy();
    }
    return send(res, answer);
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;

  const idOf = (build: FakeBuild) =>
    build.parameters.SHIPMATE_KEY && !build.isForeign
      ? `key:${build.parameters.SHIPMATE_KEY}`
      : `${JOB}#${build.number}`;

  return {
    url,
    kind: 'jenkins',
    model,
    releases,
    config: {
      connection: { url: `${url}${PREFIX}/`, user: USER, token, secret },
      deploy: { jenkins: JOB, environments: MAPPED },
      versions: { jenkins: BUILD_JOB, repository: 'acme/storefront' },
    },
    shas,
    secrets: () => [token, basic, secret],
    behave: (how) => {
      model.manner = how;
    },
    trouble(what) {
      trouble = what;
      refusals = 2;
    },
    webhooksTo: (target) => {
      hook = target;
    },
    webhooks: (how) => {
      manner = how;
    },
    // One that waits in the queue has been started, unless it is taken out.
    started: () => model.queue.filter(({ cancelled }) => !cancelled).length,
    requests: () => requests,
    unknown: () => unknown,
    foreign({ ask = false, by, environment, version }) {
      const before = model.manner;
      model.manner = ask ? 'ask' : 'succeed';
      const parameters = { VERSION: version, SHA: shaOf(version), ENVIRONMENT: MAPPED[environment], SHIPMATE_KEY: '' };
      const build = model.begin(parameters, 1, by, true);
      model.manner = before;
      return idOf(build);
    },
    answers: () =>
      model.answers.map(({ approved, build }) => ({ run: idOf(build), approved, comment: build.description ?? '' })),
    moveTag(version, to) {
      releases.push({ number: 20, name: version, sha: shas[to], result: 'SUCCESS', commits: [] });
    },
    async close() {
      model.close();
      for (const timer of timers) clearTimeout(timer);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}
