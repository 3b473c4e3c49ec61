import type { HttpError } from '../../http.ts';

/** Errors of the network, in words for operators. */

const NO_NAME = new Set(['ENOTFOUND', 'EAI_AGAIN']);
const NO_WAY = new Set(['ECONNREFUSED', 'EHOSTUNREACH', 'ENETUNREACH', 'UND_ERR_CONNECT_TIMEOUT']);
const NO_TRUST = /CERT|SELF_SIGNED|UNABLE_TO_(?:VERIFY|GET_ISSUER)|ERR_TLS|ERR_SSL/;

function codeOf(error: unknown): string {
  if (typeof error !== 'object' || error === null) return '';
  const code = 'code' in error && typeof error.code === 'string' ? error.code : '';
  // fetch wraps what went wrong once more.
  const known = NO_NAME.has(code) || NO_WAY.has(code) || NO_TRUST.test(code);
  return known || !('cause' in error) ? code : codeOf(error.cause) || code;
}

/** What to tell, and whether the request may have arrived. */
export function networkWords(error: HttpError, host: string): { words: string; taken: boolean } {
  if (error.kind === 'timeout')
    return { taken: true, words: `GitLab (${host}) did not answer in time. Try again later.` };
  if (error.kind === 'too-large')
    return { taken: true, words: `GitLab (${host}) answered more than is read. Look at it in GitLab.` };
  const code = codeOf(error.cause);
  if (NO_NAME.has(code))
    return { taken: false, words: `There is no host ${host}. Correct \`url\` of the connection, or the bot's DNS.` };
  if (NO_WAY.has(code))
    return {
      taken: false,
      words: `GitLab (${host}) can't be reached. Check \`url\` of the connection, the proxy and the firewall.`,
    };
  if (NO_TRUST.test(code))
    return {
      taken: false,
      words: `The certificate of GitLab (${host}) is not trusted. Give its authority's certificates with \`ca\` of the connection.`,
    };
  return { taken: true, words: `The connection to GitLab (${host}) broke off. Try again.` };
}

interface Refused {
  status: number;
  message: string;
  scope: boolean;
}

/** Why something was refused that needs a right. */
export function rightWords(refused: Refused, doing: string, right: string): string {
  if (refused.scope) return `The access token may not ${doing}: it lacks the scope api. Make a new one with it.`;
  if (refused.status === 403) return `The access token has no right to ${doing}. It needs ${right}.`;
  return `GitLab refused to ${doing}: ${refused.message}`;
}

/** Why a pipeline was not started; GitLab's own words where they say enough. */
export function startWords(
  refused: Refused,
  at: { project: string; ref: string; kind: 'inputs' | 'variables' },
): string {
  const { kind, project, ref } = at;
  const { message, scope, status } = refused;
  if (status === 404)
    return `The access token sees no project ${project}. Correct \`gitlab\`, or make the token a member of it.`;
  if (scope || status === 403)
    return rightWords(refused, `start pipelines of ${project}`, 'the role Developer there, and CI/CD switched on');
  if (/reference not found/i.test(message)) return `${project} has no branch ${ref}. Correct \`ref\`.`;
  if (/sufficient permission to run a pipeline/i.test(message))
    return `The access token has no right to run pipelines on the protected branch ${ref} of ${project}. Let its role merge or push to it.`;
  if (/insufficient permissions to set pipeline variables/i.test(message))
    return `${project} does not let the access token's role set variables. Allow it in Settings > CI/CD > Variables, or use \`inputs\`.`;
  const unknown = /unknown input arguments: ([\w, :[\]-]+)/i.exec(message)?.[1];
  if (unknown !== undefined)
    return `.gitlab-ci.yml on ${ref} of ${project} has no input named ${unknown}. Add it under spec.inputs, or correct \`inputs\`.`;
  if (/inputs not defined in the `spec`/i.test(message))
    return `.gitlab-ci.yml on ${ref} of ${project} declares no inputs. Add them under spec.inputs, or use \`variables\`.`;
  const missing = /`([\w-]+)` input: required value has not been provided/i.exec(message)?.[1];
  if (missing !== undefined)
    return `.gitlab-ci.yml on ${ref} of ${project} needs an input named ${missing}. Add it to \`${kind}\`, or give it a default.`;
  return `GitLab did not start a pipeline on ${ref} of ${project}: ${message}`;
}
