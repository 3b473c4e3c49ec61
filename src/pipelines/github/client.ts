import { Octokit } from '@octokit/rest';
import type { z } from 'zod';
import type { Http } from '../../http.ts';
import { createRedactor, type Logger } from '../../logger.ts';
import { type Auth, createAuth, keySecrets } from './auth.ts';
import { GITHUB_COM, type GitHubConnectionConfig } from './config.ts';
import { createLimits, type Limits } from './limits.ts';
import { explain, moved, notUnderstood, type Problem } from './problems.ts';
import * as answers from './schema.ts';
import { createTransport } from './transport.ts';

const API_VERSION = '2022-11-28';
const TIMEOUT_MS = 10_000;
const MOVED = new Set([301, 307, 308]);

export type Attempt<T> = { ok: true; data: T; status: number } | ({ ok: false } & Problem);

/** How a request goes; given to Octokit as `request`. */
export interface Manner {
  /** With the App's own token, not with one of the repository. */
  as?: 'app';
  /** With a token of this one, where the path names none. */
  repository?: string;
  /** Something new comes of it: when the answer is lost, it may be there. */
  creates?: true;
  timeoutMs?: number;
}

export interface GitHubClient {
  readonly octokit: Octokit;
  readonly auth: Auth;
  readonly limits: Limits;
  /** Takes every secret of the connection out of a text, tokens that GitHub gave out too. */
  redact(text: string): string;
  /** How people know the server: "GitHub", or the host's name. */
  readonly server: string;
  /** Whether it may be an older GitHub Enterprise Server. */
  readonly selfManaged: boolean;
  /**
   * What GitHub answered, in the shape of the schema. That the schema can take what GitHub publishes about the answer,
   * and the call what GitHub publishes about the request, is checked when this is compiled.
   * @throws PipelineError
   */
  read<S extends z.ZodType>(schema: S, call: () => Promise<{ data: z.input<S>; status: number }>): Promise<z.output<S>>;
  /** The same, with GitHub's refusal as a value. @throws PipelineError when nothing came back, or something odd */
  attempt<S extends z.ZodType>(
    schema: S,
    call: () => Promise<{ data: z.input<S>; status: number }>,
    manner?: Manner,
  ): Promise<Attempt<z.output<S>>>;
  /** For answers without a body. @throws PipelineError */
  send(call: () => Promise<{ status: number }>, manner?: Manner): Promise<Attempt<null>>;
}

export function createClient(
  config: GitHubConnectionConfig,
  deps: { baseDir: string; http: () => Http; logger: Logger; now: () => Date },
): GitHubClient {
  const { baseDir, http, logger, now } = deps;
  const redactKnown = createRedactor([
    ...keySecrets(config.key),
    ...(config.secret === undefined ? [] : [config.secret]),
  ]);
  // Not registered there: it would grow with every token, for as long as the bot runs.
  const redact = (text: string) =>
    redactKnown(auth.secrets().reduce((rest, secret) => rest.replaceAll(secret, '[redacted]'), text));
  const { hostname } = new URL(config.url);
  const cloud = hostname === 'api.github.com';
  const server = cloud ? 'GitHub' : hostname;
  const limits = createLimits(now);
  const octokit = new Octokit({
    baseUrl: config.url.replace(/\/+$/, ''),
    userAgent: 'shipmate',
    request: { fetch: createTransport(http, limits) },
    log: {
      debug: () => undefined,
      info: () => undefined,
      warn: (message: string) => logger.warn('octokit warns', { message: redact(message) }),
      error: () => undefined, // said by what is thrown
    },
  });

  const asApp = { request: { as: 'app' } };
  const auth = createAuth(config, {
    baseDir,
    now,
    requests: {
      installation: async (repository) => {
        const found = await attempt(answers.installation, () =>
          octokit.request('GET /repos/{owner}/{repo}/installation', { ...repository, ...asApp }),
        );
        if (found.ok) return found.data.id;
        throw found.error;
      },
      token: (installation_id, repository) =>
        read(answers.token, () =>
          octokit.request('POST /app/installations/{installation_id}/access_tokens', {
            installation_id,
            repositories: [repository],
            ...asApp,
          }),
        ),
    },
  });

  octokit.hook.wrap('request', async (request, options) => {
    const how: Manner = options.request as Manner;
    const repository = how.repository ?? `${String(options.owner)}/${String(options.repo)}`;
    const send = async () => {
      const token = how.as === 'app' ? await auth.appToken() : await auth.repositoryToken(repository);
      options.headers.authorization = `Bearer ${token}`;
      options.headers['x-github-api-version'] = API_VERSION;
      options.request = { ...options.request, signal: AbortSignal.timeout(how.timeoutMs ?? TIMEOUT_MS) };
      try {
        return { token, answer: await request(options) };
      } catch (error) {
        return { token, error };
      }
    };
    let result = await send();
    if ('error' in result && how.as !== 'app' && statusOf(result.error) === 401) {
      // Revoked before its time: a new one, once. It was refused, so that what creates was not carried out.
      auth.forget(repository, result.token);
      result = await send();
    }
    if ('error' in result) throw result.error;
    // Octokit takes it for an answer; it would go on with the words of it.
    if (MOVED.has(result.answer.status)) throw moved(server);
    return result.answer;
  });

  const problem = (thrown: unknown, manner: Manner): Problem =>
    explain(thrown, { creates: manner.creates === true, redact, server });

  async function attempt<S extends z.ZodType>(
    schema: S,
    call: () => Promise<{ data: z.input<S>; status: number }>,
    manner: Manner = {},
  ): Promise<Attempt<z.output<S>>> {
    let answer: { data: z.input<S>; status: number };
    try {
      answer = await call();
    } catch (thrown) {
      const found = problem(thrown, manner);
      if (found.status === 0) throw found.error;
      return { ok: false, ...found };
    }
    const parsed = schema.safeParse(answer.data);
    if (parsed.success) return { ok: true, data: parsed.data, status: answer.status };
    const [issue] = parsed.error.issues;
    const where = issue === undefined ? '' : issue.path.map(String).join('.');
    throw notUnderstood(server, where === '' ? 'no JSON' : `"${where}"`, manner.creates ? 'unknown' : 'no');
  }

  async function read<S extends z.ZodType>(
    schema: S,
    call: () => Promise<{ data: z.input<S>; status: number }>,
  ): Promise<z.output<S>> {
    const result = await attempt(schema, call);
    if (!result.ok) throw result.error;
    return result.data;
  }

  return {
    octokit,
    auth,
    limits,
    redact,
    server,
    selfManaged: config.url !== GITHUB_COM && !cloud && !hostname.endsWith('.ghe.com'),
    read,
    attempt,
    async send(call, manner = {}) {
      try {
        const { status } = await call();
        return { ok: true, data: null, status };
      } catch (thrown) {
        const found = problem(thrown, manner);
        if (found.status === 0) throw found.error;
        return { ok: false, ...found };
      }
    },
  };
}

function statusOf(error: unknown): number {
  return typeof error === 'object' && error !== null && 'status' in error && 'response' in error
    ? Number(error.status)
    : 0;
}
