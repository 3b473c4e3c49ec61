import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import { setTimeout as wait } from 'node:timers/promises';
import type { FakeCi, Trouble } from '../ci/types.ts';
import { type Answer, list, Refusal, signInPage } from './answers.ts';
import { createGit, REPOSITORY } from './git.ts';
import { createHooks } from './hooks.ts';
import { createRoutes, type FakeYaml, PIPELINE, PROJECT } from './routes.ts';
import { createRuns, type FakeRun } from './runs.ts';

const SLOW_MS = 400;
const TOKEN = 'entra-token-for-499b84ac-1321-427f-aa17-267ca6975798/.default';
const PAT = 'pat-4f9c2d7be1a8';
const HOOK = { user: 'shipmate', password: 'hook-password-81bd' };
const PRINTED = 'Sup3r-registry-key';

export interface FakeAzure extends FakeCi {
  /** Paths that are no resource; a test that ends well has none. */
  unknown(): readonly string[];
  runs: ReturnType<typeof createRuns>;
  git: ReturnType<typeof createGit>;
  yaml: FakeYaml;
  /** What the next answers carry beside their own headers. */
  headers: Record<string, string>;
  /** The next answer to a path that ends so, instead of the right one. */
  instead: Map<string, Answer>;
  /** Lists of builds leave out the parameters. */
  bareLists: boolean;
  /** The bodies of what was asked for, newest last. */
  bodies: { method: string; path: string; body: unknown }[];
  /** What the last request carried. */
  lastQuery: URLSearchParams;
}

/**
 * A strict Azure DevOps on loopback, written from the REST API reference 7.1. It refuses requests without api-version,
 * unknown fields and query parameters, values of the wrong type, and credentials as the vendor does: Services answer a
 * sign-in page with 203, a Server 401.
 */
export async function createFakeAzure(options: { pat?: boolean; collection?: string } = {}): Promise<FakeAzure> {
  const collection = options.collection ?? '/acme';
  const requests: string[] = [];
  const unknown: string[] = [];
  const git = createGit();
  const hooks = createHooks(HOOK.user, HOOK.password);
  const runs = createRuns({
    // A script that echoes its environment.
    secretLines: () => [`password=${PRINTED}`, `using ${options.pat ? PAT : TOKEN}`],
    happened: hooks.happened,
  });
  let started = 0;
  let trouble: Trouble | null = null;
  let left = 0;

  const credential = options.pat ? `Basic ${Buffer.from(`:${PAT}`).toString('base64')}` : `Bearer ${TOKEN}`;
  const yaml: FakeYaml = {
    parameters: {
      version: {},
      sha: {},
      environment: { values: ['Staging', 'Production'] },
      shipmateKey: { default: '' },
    },
    stages: ['Prepare', 'Deploy'],
  };

  function refusal(request: IncomingMessage, url: URL): Answer | null {
    if (trouble === '5xx') return { status: 502, html: '<html><body>502 Bad Gateway</body></html>' };
    if ((trouble === '429' || trouble === '429-bare') && left > 0) {
      left -= 1;
      const { answer } = new Refusal(
        429,
        'RequestBlockedException',
        'TF400733: The request has been canceled: Request was blocked due to exceeding usage of resource Concurrency in namespace User.',
      );
      return { ...answer, ...(trouble === '429' ? { headers: { 'retry-after': '1' } } : {}) };
    }
    const wrong = request.headers.authorization !== credential || trouble === 'denied';
    if (wrong && !options.pat) return signInPage();
    if (wrong || (trouble === 'expired' && !options.pat && left > 0)) {
      left -= 1;
      return new Refusal(
        401,
        'UnauthorizedRequestException',
        'TF400813: The user is not authorized to access this resource.',
      ).answer;
    }
    const version = url.searchParams.get('api-version');
    if (version === null)
      return new Refusal(
        400,
        'VssVersionNotSpecifiedException',
        `No api-version was supplied for the "${request.method}" request.`,
      ).answer;
    if (version !== '7.1')
      return new Refusal(
        400,
        'VssVersionOutOfRangeException',
        `The requested REST API version of ${version} is out of range for this server.`,
      ).answer;
    return null;
  }

  /** What triggers, answers or stops, for somebody who may only read. */
  function lacksRight(request: IncomingMessage): Answer | null {
    if (trouble !== 'no-right' || request.method === 'GET') return null;
    return new Refusal(
      403,
      'AccessDeniedException',
      `TF215106: Access denied. Shipmate needs Queue builds permissions for pipeline ${PIPELINE.name} in team project ${PROJECT} to perform the action. For more information, contact the Azure DevOps Server administrator.`,
    ).answer;
  }

  async function answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url ?? '/', 'http://azure');
    const method = request.method ?? 'GET';
    requests.push(`${method} ${url.pathname}`);
    const chunks: Buffer[] = [];
    for await (const chunk of request) chunks.push(chunk as Buffer);
    const text = Buffer.concat(chunks).toString('utf8');
    if (trouble === 'slow') await wait(SLOW_MS);

    const respond = ({ body, headers = {}, html, status }: Answer) => {
      if (response.destroyed) return;
      const type = html === undefined ? 'application/json; charset=utf-8; api-version=7.1' : 'text/html; charset=utf-8';
      response.writeHead(status, { 'content-type': type, ...headers, ...fake.headers });
      response.end(html ?? (body === undefined ? '' : JSON.stringify(body)));
    };
    try {
      const refused = refusal(request, url) ?? lacksRight(request);
      if (refused) return respond(refused);
      const body = parse(text, request);
      const path = decodeURIComponent(url.pathname);
      fake.bodies.push({ method, path, body });
      fake.lastQuery = url.searchParams;
      const other = [...fake.instead].find(([end]) => path.endsWith(end));
      if (other) {
        fake.instead.delete(other[0]);
        return respond(other[1]);
      }
      if (path === `${collection}/_apis/projects` && method === 'GET') return respond(list([{ name: PROJECT }]));
      const inside = /^\/([^/]+)\/_apis\/(.+)$/.exec(
        path.startsWith(`${collection}/`) ? path.slice(collection.length) : '',
      );
      const [, project, rest] = inside ?? [];
      if (project !== undefined && project !== PROJECT)
        throw new Refusal(
          404,
          'ProjectDoesNotExistWithNameException',
          `TF200016: The following project does not exist: ${project}. Verify that the name of the project is correct and that the project exists on the specified Azure DevOps Server.`,
        );
      const before = started;
      const answered = rest === undefined ? null : handle({ method, path: rest, search: url.searchParams, body });
      if (answered === null) {
        unknown.push(`${method} ${path}`);
        return respond({ status: 404, html: '<html><body>404 - Page not found</body></html>' });
      }
      if (trouble === 'cut' && started > before) {
        trouble = null;
        request.socket.destroy();
        return;
      }
      respond(answered);
    } catch (error) {
      if (!(error instanceof Refusal)) throw error;
      respond(error.answer);
    }
  }

  const server = createServer((request, response) => {
    answer(request, response).catch((error: unknown) => {
      unknown.push(String(error));
      response.destroy();
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  const base = `${url}${collection}`;
  const handle = createRoutes({
    base,
    git,
    runs,
    yaml,
    finalYaml: () =>
      `parameters: []\nstages:\n  - stage: Prepare\n  - stage: Deploy\n    variables: { token: "${options.pat ? PAT : TOKEN}" }\n`,
    bareLists: () => fake.bareLists,
    began: () => {
      started += 1;
    },
  });

  const fake: FakeAzure = {
    url,
    kind: 'azure-devops',
    config: {
      connection: { url: base, hook: { ...HOOK }, ...(options.pat ? { token: PAT } : {}) },
      deploy: {
        'azure-devops': PROJECT,
        pipeline: PIPELINE.name,
        environments: { staging: 'Staging', production: 'Production' },
      },
      versions: { 'azure-devops': PROJECT, from: 'tags', repository: REPOSITORY },
    },
    shas: git.shas,
    runs,
    git,
    yaml,
    headers: {},
    instead: new Map(),
    bareLists: false,
    bodies: [],
    lastQuery: new URLSearchParams(),
    unknown: () => unknown,
    secrets: () => [options.pat ? PAT : TOKEN, HOOK.password, PRINTED],
    behave: runs.behave,
    trouble(what) {
      trouble = what;
      left = what === 'expired' ? 1 : 2;
    },
    webhooksTo: hooks.to,
    webhooks: hooks.manner,
    started: () => started,
    requests: () => requests,
    foreign({ ask, by, environment, version }) {
      const parameters = {
        version,
        sha: git.shas[version],
        environment: environment === 'staging' ? 'Staging' : 'Production',
        shipmateKey: '',
      };
      const place = { sourceBranch: 'refs/heads/main', sourceVersion: git.head(), reason: 'manual' };
      return String(runs.start({ parameters, by, ...place }, ask ? 'ask' : 'succeed').id);
    },
    answers: () =>
      runs.all.flatMap(({ approval, id }: FakeRun) =>
        approval?.status === 'approved' || approval?.status === 'rejected'
          ? [{ run: String(id), approved: approval.status === 'approved', comment: approval.comment ?? '' }]
          : [],
      ),
    moveTag(version, to) {
      git.tags.set(version, { commit: git.shas[to], annotated: true });
    },
    async close() {
      runs.close();
      hooks.close();
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
  return fake;
}

function parse(text: string, request: IncomingMessage): unknown {
  if (text === '') return undefined;
  if (!request.headers['content-type']?.startsWith('application/json'))
    throw new Refusal(415, 'VssMediaTypeException', 'The media type is not supported.');
  try {
    return JSON.parse(text);
  } catch {
    throw new Refusal(400, 'VssPropertyValidationException', 'The body is not JSON.');
  }
}
