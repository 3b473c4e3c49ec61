import type { ReadTx } from './types.ts';

/** Answers kept at most; forms, pickers and refreshes ask for the same few. */
const KEPT = 2_000;

/**
 * Reads that remember their answers until something is written. Exact, not approximate, where this process is the only
 * one that writes and reads and writes take turns: that is the embedded store. Answers are shared, so nobody may change them.
 */
export function remembering(reader: ReadTx): { reader: ReadTx; forget(): void } {
  const answers = new Map<string, unknown>();
  const remember =
    <Arguments extends unknown[], Answer>(name: string, ask: (...args: Arguments) => Promise<Answer>) =>
    async (...args: Arguments): Promise<Answer> => {
      const key = `${name} ${JSON.stringify(args)}`;
      if (answers.has(key)) return answers.get(key) as Answer;
      const answer = await ask(...args);
      if (answers.size >= KEPT) answers.clear();
      answers.set(key, answer);
      return answer;
    };
  const { audit, blocks, deployments, locks, outbox, references, settings } = reader;
  return {
    forget: () => answers.clear(),
    reader: {
      // The audit and the outbox are read rarely, and by those who want them as they are.
      audit,
      outbox,
      deployments: {
        get: remember('get', (id) => deployments.get(id)),
        byOrigin: remember('byOrigin', (origin) => deployments.byOrigin(origin)),
        holder: remember('holder', (service, environment) => deployments.holder(service, environment)),
        list: remember('list', (filter) => deployments.list(filter)),
        lastSucceeded: remember('lastSucceeded', (service, environment) =>
          deployments.lastSucceeded(service, environment),
        ),
        unreviewed: remember('unreviewed', (limit) => deployments.unreviewed(limit)),
        rollbackTarget: remember('rollbackTarget', (service, environment, exceptSha) =>
          deployments.rollbackTarget(service, environment, exceptSha),
        ),
      },
      locks: {
        covering: remember('locks', (service, environment) => locks.covering(service, environment)),
        all: remember('allLocks', () => locks.all()),
      },
      blocks: {
        get: remember('block', (service, environment, sha) => blocks.get(service, environment, sha)),
        list: remember('blocks', (service, environment) => blocks.list(service, environment)),
      },
      references: {
        get: remember('reference', (id) => references.get(id)),
        personal: remember('personal', (id) => references.personal(id)),
        any: remember('any', () => references.any()),
      },
      settings,
    },
  };
}
