import type { AzureConnection } from './connection.ts';
import { logLines, logs } from './schema.ts';

const KEPT_LINES = 40;
const MOST_LOGS = 10;
const MOST_LINES = 5_000;
const VIEW_BUILDS = '"View builds"';
const TIME = /^\uFEFF?\d{4}-\d\d-\d\dT[\d:.]+Z ?/;
// Colours, and the marks that the vendor's own page turns into colours and folds.
// biome-ignore lint/suspicious/noControlCharactersInRegex: that is how terminals are coloured
const MARKS = /\u001b\[[0-9;?]*[A-Za-z]|##\[\w+\]/g;

/** Reads ends of a run's logs. */
export function createLogs({ client, tails }: AzureConnection, project: string) {
  const buildLogs = (run: string) => [project, '_apis', 'build', 'builds', run, 'logs'];

  async function counts(run: string): Promise<Map<number, number>> {
    const { value } = await client.read(logs, { path: buildLogs(run), right: VIEW_BUILDS });
    return new Map(value.map(({ id, lineCount }) => [id, lineCount ?? 0]));
  }

  async function end(run: string, log: number, count: number, lines: number): Promise<string[]> {
    if (count <= 0 || lines <= 0) return [];
    const { value } = await client.read(logLines, {
      path: [...buildLogs(run), log],
      // One more than is wanted: whether lines count from 0 or 1 is not said.
      query: count > lines ? { startLine: count - lines } : {},
      right: VIEW_BUILDS,
    });
    // As one text: some secrets have several lines.
    const text = (value ?? []).map((line) => line.replace(TIME, '').replace(MARKS, '').trimEnd()).join('\n');
    return text === '' ? [] : client.redact(text).split('\n').slice(-lines);
  }

  return {
    /** The last lines of these logs, oldest first. */
    async last(run: string, ids: readonly number[], wanted: number): Promise<string[]> {
      const lines = Math.min(Math.max(Math.trunc(wanted), 0), MOST_LINES);
      if (ids.length === 0 || lines === 0) return [];
      const known = await counts(run);
      let found: string[] = [];
      for (const id of ids.slice(-MOST_LOGS).reverse()) {
        if (found.length >= lines) break;
        found = [...(await end(run, id, known.get(id) ?? 0, lines - found.length)), ...found];
      }
      return found;
    },

    /**
     * The same for a look in passing: a log of a step that is over does not change, so each is read once; and one in a
     * look at most, two requests.
     */
    async glance(run: string, ids: readonly number[], lines: number): Promise<string[]> {
      let found: string[] = [];
      let read = false;
      for (const id of ids.slice(-MOST_LOGS).reverse()) {
        if (found.length >= lines) break;
        const key = `${project}/${run}/${id}`;
        let kept = tails.get(key);
        if (kept === undefined) {
          if (read) break;
          read = true;
          kept = await end(run, id, (await counts(run)).get(id) ?? 0, KEPT_LINES);
          tails.set(key, kept);
        }
        found = [...kept, ...found];
      }
      return found.slice(-lines);
    },
  };
}
