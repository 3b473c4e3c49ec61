import { type Http, HttpError } from '../http.ts';
import type { VersionProbe } from './types.ts';

const TIMEOUT_MS = 2_000;

/** Asks a service's version URL: JSON {version, sha?} or the version as plain text. */
export function createVersionProbe(http: Http): VersionProbe {
  return {
    async ask(url) {
      try {
        const answer = await http.request({ url, timeoutMs: TIMEOUT_MS, maxBytes: 65_536 });
        if (answer.status !== 200) return { problem: `It answered ${answer.status}.` };
        return read(answer.json(), answer.text) ?? { problem: 'It answered no version.' };
      } catch (error) {
        if (error instanceof HttpError) return { problem: error.message };
        throw error;
      }
    },
  };
}

function read(json: unknown, text: string): { version: string; sha?: string } | null {
  const plain = text.trim();
  if (typeof json === 'object' && json !== null && 'version' in json && typeof json.version === 'string') {
    const sha =
      'sha' in json && typeof json.sha === 'string' && /^[0-9a-f]{7,64}$/i.test(json.sha) ? json.sha : undefined;
    return isVersion(json.version) ? { version: json.version, ...(sha === undefined ? {} : { sha }) } : null;
  }
  return isVersion(plain) ? { version: plain } : null;
}

function isVersion(text: string): boolean {
  return /^[\w.+/-]{1,100}$/.test(text);
}
