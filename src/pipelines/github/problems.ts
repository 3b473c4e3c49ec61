import { PipelineError } from '../../errors.ts';
import { HttpError } from '../../http.ts';
import { plainValue } from '../requests.ts';
import { neverSent } from './transport.ts';

/** What Octokit threw, as far as it is looked at. */
interface Refusal {
  status: number;
  message: string;
  headers: Readonly<Record<string, unknown>>;
}

/** GitHub's refusal in an error of Octokit; null when nothing came back. */
function refusalIn(error: unknown): Refusal | null {
  if (typeof error !== 'object' || error === null || !('response' in error)) return null;
  const { response } = error;
  if (typeof response !== 'object' || response === null || !('status' in response)) return null;
  const { status } = response;
  if (typeof status !== 'number') return null;
  const data = 'data' in response ? response.data : undefined;
  const headers = 'headers' in response && typeof response.headers === 'object' ? response.headers : null;
  return { status, message: messageOf(data), headers: (headers ?? {}) as Record<string, unknown> };
}

function messageOf(data: unknown): string {
  if (typeof data !== 'object' || data === null) return '';
  const message = 'message' in data && typeof data.message === 'string' ? data.message : '';
  const errors = 'errors' in data && Array.isArray(data.errors) ? data.errors : [];
  const more = errors.flatMap((each: unknown) => {
    if (typeof each === 'string') return [each];
    return typeof each === 'object' && each !== null && 'message' in each ? [String(each.message)] : [];
  });
  return [message, ...more].filter((each) => each !== '').join(' ');
}

export interface Problem {
  /** Of GitHub's answer; 0 when there was none. */
  status: number;
  /** What GitHub said, redacted, one line. Untrusted text. */
  said: string;
  error: PipelineError;
}

/** "actions=write" is how GitHub names rights (header x-accepted-github-permissions); "; " stands between alternatives. */
function rightsIn(headers: Refusal['headers']): string {
  const header = headers['x-accepted-github-permissions'];
  if (typeof header !== 'string' || !/^[a-z_]+=[a-z]+(?:[,;] ?[a-z_]+=[a-z]+)*$/.test(header)) return '';
  const words = header.split(/; ?/).map((all) =>
    all
      .split(/, ?/)
      .map((each) => each.replace('=', ': ').replaceAll('_', ' '))
      .join(' and '),
  );
  return `It needs the permission ${words.join(', or ')}.`;
}

/**
 * What Octokit threw as an error for people.
 * @param creates whether the request would have made something, so that a lost answer leaves a doubt
 */
export function explain(
  thrown: unknown,
  { creates, redact, server }: { creates: boolean; redact: (text: string) => string; server: string },
): Problem {
  for (let each = thrown, depth = 0; each instanceof Error && depth < 4; each = each.cause, depth += 1) {
    // From the way there (a limit, a token that could not be had): said already.
    if (each instanceof PipelineError) return { status: 0, said: '', error: each };
    if (each instanceof HttpError) return { status: 0, said: '', error: unreachable(each, creates, server) };
  }
  const refusal = refusalIn(thrown);
  if (refusal === null) {
    const name = thrown instanceof Error ? thrown.name : typeof thrown;
    const cause = new Error(redact(thrown instanceof Error ? `${name}: ${thrown.message}` : name));
    const error = new PipelineError('PIPELINE_UNAVAILABLE', `${server} could not be asked. Look at the bot’s log.`, {
      cause,
      retryable: true,
      sent: creates ? 'unknown' : 'no',
    });
    return { status: 0, said: '', error };
  }
  const said = redact(plainValue(refusal.message, 300));
  return { status: refusal.status, said, error: refused(refusal, said, creates, server) };
}

function unreachable(cause: HttpError, creates: boolean, server: string): PipelineError {
  const words = {
    timeout: 'did not answer in time',
    connection: 'can not be reached',
    'too-large': 'answered more than is read',
  };
  return new PipelineError(
    'PIPELINE_UNAVAILABLE',
    `${server} ${words[cause.kind]}. Try again; if it stays so, look at the connection, the proxy and the certificates of the bot’s host.`,
    { cause, retryable: true, sent: creates && !neverSent(cause) ? 'unknown' : 'no' },
  );
}

function refused({ headers, status }: Refusal, said: string, creates: boolean, server: string): PipelineError {
  const quoted = said === '' ? '' : ` It said: ${said.replace(/[.\s]*$/, '')}.`;
  const cause = new Error(`GitHub answered ${status}: ${said}`);
  const reject = (message: string) => new PipelineError('PIPELINE_REJECTED', message, { cause });
  if (status >= 500)
    return new PipelineError(
      'PIPELINE_UNAVAILABLE',
      `${server} has a problem of its own (${status}). Try again, and look at its status page if it stays so.`,
      // 503 is refused at the door; behind any other one the request may have been carried out.
      { cause, retryable: true, sent: creates && status !== 503 ? 'unknown' : 'no' },
    );
  if (status === 401)
    return reject(
      `${server} does not accept the credentials of the GitHub App.${quoted} Check "app" and "key" of the connection, and the clock of the bot’s host.`,
    );
  if (status === 403) {
    const rights = rightsIn(headers);
    return reject(
      `${server} refused it.${quoted} ${rights === '' ? 'The App may miss a permission.' : rights} Change the permissions of the App, and let an owner accept them for the installation.`,
    );
  }
  if (status === 404)
    return reject(
      `${server} does not have it, or the App has no right to see it. Check the names in "deploy", that the App is installed on the repository, and its permissions.`,
    );
  return reject(`${server} refused it (${status}).${quoted}`);
}

/** Redirects are not followed: the token would go along. */
export function moved(server: string): PipelineError {
  return new PipelineError(
    'PIPELINE_REJECTED',
    `${server} says that this has moved. Correct the name of the repository, or "url" of the connection.`,
  );
}

/** An answer of another shape than described: a proxy's page, or a server of another version. */
export function notUnderstood(server: string, what: string, sent: 'no' | 'unknown'): PipelineError {
  return new PipelineError(
    'PIPELINE_UNAVAILABLE',
    `${server} answered something that is not understood (${what}). Check "url" of the connection, and what stands between.`,
    { retryable: true, sent },
  );
}
