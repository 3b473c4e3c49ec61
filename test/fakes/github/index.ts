import { createHmac, randomUUID } from 'node:crypto';
import type { FakeCi } from '../ci/types.ts';
import { createRoutes } from './routes.ts';
import { createRuns, latest } from './runs.ts';
import { createFakeServer, type Exchange } from './server.ts';
import { APP, createWorld, type FakeRun, OWNER, REPO, WORKFLOW, type World } from './world.ts';

export interface FakeGitHub extends FakeCi {
  readonly world: World;
  /** What a strict look found wrong with requests. */
  complaints(): readonly string[];
  exchanges(): readonly Exchange[];
  /** A delivery as GitHub would send it now. */
  delivery(event: string, payload: unknown): { headers: Record<string, string>; body: Buffer };
}

const LATE_MS = 500;

/** A GitHub with one App and one repository, acme/storefront, under `/api/v3` as GitHub Enterprise Server has it. */
export async function createFakeGitHub(options: { installedVersion?: string } = {}): Promise<FakeGitHub> {
  const prefix = '/api/v3';
  const world = createWorld();
  world.installedVersion = options.installedVersion;
  let target: string | null = null;
  let manner: Parameters<FakeCi['webhooks']>[0] = 'once';
  let cut = false;
  const timers = new Set<NodeJS.Timeout>();
  let url = '';

  function delivery(event: string, payload: unknown) {
    const body = Buffer.from(JSON.stringify(payload));
    const signature = createHmac('sha256', world.webhookSecret).update(body).digest('hex');
    const headers = {
      'user-agent': 'GitHub-Hookshot/044aadd',
      'content-type': 'application/json',
      'x-github-event': event,
      'x-github-delivery': randomUUID(),
      'x-github-hook-id': '292430182',
      'x-github-hook-installation-target-type': 'integration',
      'x-github-hook-installation-target-id': String(APP.id),
      'x-hub-signature-256': `sha256=${signature}`,
    };
    return { headers, body };
  }

  function hook(event: string, payload: Record<string, unknown>, run: FakeRun) {
    if (target === null || manner === 'never') return;
    const to = target;
    const attempt = latest(run);
    const { headers, body } = delivery(event, {
      ...payload,
      ...(event === 'workflow_run' || event === 'deployment_status'
        ? { workflow_run: { id: run.id, run_attempt: attempt.number, status: attempt.status, event: run.event } }
        : {}),
      ...(event === 'deployment_protection_rule'
        ? {
            environment: run.environment.name,
            event: run.event,
            deployment_callback_url: `${url}${prefix}/repos/${OWNER}/${REPO}/actions/runs/${run.id}/deployment_protection_rule`,
          }
        : {}),
      repository: { id: 1_296_269, name: REPO, full_name: `${OWNER}/${REPO}` },
      installation: { id: 2342 },
      sender: { login: attempt.actor },
    });
    const post = () => {
      timers.delete(timer);
      for (let time = 0; time < (manner === 'twice' ? 2 : 1); time += 1)
        fetch(to, { method: 'POST', headers, body, signal: AbortSignal.timeout(5_000) }).then(
          (answer) => answer.body?.cancel(),
          () => undefined,
        );
    };
    const timer = setTimeout(post, manner === 'late' ? LATE_MS : 0);
    timers.add(timer);
  }

  const runs = createRuns(world, hook);
  const cuts = () => {
    const does = cut;
    if (does) {
      cut = false;
      world.trouble = null;
    }
    return does;
  };
  const links = () => ({ api: `${url}${prefix}`, web: url });
  const server = await createFakeServer(world, prefix, () => createRoutes({ world, runs, links, cuts }));
  url = server.url;

  return {
    url,
    kind: 'github',
    world,
    config: {
      connection: {
        app: String(APP.id),
        key: world.privateKey,
        url: `${url}${prefix}`,
        secret: world.webhookSecret,
      },
      deploy: { github: `${OWNER}/${REPO}`, workflow: WORKFLOW, environments: { production: 'Production' } },
      versions: { github: 'releases', repo: `${OWNER}/${REPO}` },
    },
    shas: world.shas,
    secrets: () => [
      world.privateKey,
      JSON.stringify(world.privateKey).slice(1, -1),
      world.privateKey.split('\n')[3] ?? '',
      world.webhookSecret,
      ...world.everyToken,
    ],
    behave: (how) => {
      world.behaviour = how;
    },
    trouble(what) {
      world.trouble = what;
      world.troubleLeft = 2;
      cut = what === 'cut';
      if (what === 'expired') world.tokens.clear();
    },
    webhooksTo: (to) => {
      target = to;
    },
    webhooks: (how) => {
      manner = how;
    },
    started: () => world.runs.size,
    requests: () => server.requests,
    foreign({ ask = false, by, environment, version }) {
      const name = environment === 'production' ? 'Production' : 'staging';
      const place = world.environments.find((each) => each.name === name);
      if (!place) throw new Error(`no environment ${name}`);
      // A tag was pushed, and the workflow deploys tags.
      const run = runs.start({
        event: 'push',
        branch: version,
        sha: world.shas[version],
        title: `Release ${version}`,
        environment: place,
        deploys: null,
        actor: by,
        behaviour: ask ? 'ask' : 'succeed',
      });
      return String(run.id);
    },
    answers: () =>
      [...world.runs.values()].flatMap((run) =>
        run.approvals.map(({ comment, state }) => ({ run: String(run.id), approved: state === 'approved', comment })),
      ),
    moveTag(version, to) {
      world.tags.set(version, { commit: world.shas[to], object: null });
    },
    complaints: () => server.complaints,
    exchanges: () => server.exchanges,
    delivery,
    async close() {
      runs.close();
      for (const timer of timers) clearTimeout(timer);
      await server.close();
    },
  };
}
