import { describe, expect, it } from '@jest/globals';
import fc from 'fast-check';
import { parseWindow, type Window } from '../../src/calendar/windows.ts';
import type { EnvironmentPolicy } from '../../src/deploys/types.ts';
import { deployment, person } from '../helpers/deployments.ts';
import { approval } from '../helpers/policies.ts';
import { createBench, sha } from './bench.ts';

/**
 * `why` against what is enforced: on every generated policy and state of the world, what `explain` says is what
 * `request` does. The two are asked one after the other of the same store.
 */

const windows: Window[] = [
  { from: '11:00', to: '13:00' },
  { from: 'Mon 00:00', to: 'Wed 00:00' },
  { from: '18:00', to: '19:00' },
  { from: '2026-11-24', to: '2026-11-25' },
  { cron: '0 10 * * *', for: '1h' },
].map((entry) => {
  const parsed = parseWindow(entry, 'UTC');
  if (typeof parsed === 'string') throw new Error(parsed);
  return parsed;
});

const policies = fc.record<
  Pick<EnvironmentPolicy, 'approval' | 'rollbackApproval' | 'concurrency' | 'freeze' | 'promoteFrom'>
>({
  approval: fc.option(
    fc
      .record({
        count: fc.integer({ min: 0, max: 3 }),
        own: fc.boolean(),
        groups: fc.constantFrom<string[]>([], ['g'], ['g', 'h']),
      })
      .map((more) => approval(more)),
    { nil: null },
  ),
  rollbackApproval: fc.boolean(),
  concurrency: fc.constantFrom('queue', 'latest', 'reject'),
  freeze: fc.subarray(windows),
  promoteFrom: fc.constantFrom('staging', null),
});

const worlds = fc.record({
  policy: policies,
  reachable: fc.boolean(),
  denied: fc.oneof(
    { weight: 5, arbitrary: fc.constant<string[]>([]) },
    { weight: 1, arbitrary: fc.subarray(['dana deploy', 'dana rollback', 'dana run', 'dana break-glass']) },
  ),
  directoryDown: fc.boolean(),
  lock: fc.option(
    fc.record({
      service: fc.constantFrom('', 'storefront', 'billing'),
      environment: fc.constantFrom('', 'production', 'staging'),
      by: fc.constantFrom('dana', 'alex'),
      version: fc.constantFrom(null, '1.1.0', '1.2.0'),
    }),
  ),
  blocked: fc.constantFrom(null, '1', '2'),
  onStaging: fc.constantFrom<null | [string, 'succeeded' | 'failed']>(
    null,
    ['1', 'succeeded'],
    ['2', 'succeeded'],
    ['1', 'failed'],
  ),
  holder: fc.constantFrom<null | 'running' | 'attention'>(null, 'running', 'attention'),
  wish: fc.record({
    kind: fc.constantFrom('deploy', 'rollback', 'retry', 'command'),
    version: fc.constantFrom('1.1.0', '1.1.0', '1.2.0', '1.2.0', '9.9.9'),
    glass: fc.constantFrom(undefined, undefined, undefined, undefined, '', 'it burns'),
    later: fc.boolean(),
    environment: fc.constantFrom(...Array<string>(8).fill('production'), 'nowhere'),
  }),
});

describe('why', () => {
  it('says what is decided, on every policy', async () => {
    const told = new Set<string>();
    await fc.assert(
      fc.asyncProperty(worlds, async (world) => {
        const bench = createBench({ production: world.policy });
        if (world.reachable) await bench.knowApprovals();
        for (const each of world.denied) bench.denied.add(each);
        const { lock, wish } = world;
        await bench.store.transaction(async (tx) => {
          const row = (more: Parameters<typeof deployment>[0]) => {
            const { id: _, revision: __, votes: ___, ...rest } = deployment({ service: 'storefront', ...more });
            return tx.deployments.insert(rest);
          };
          if (lock) await tx.locks.add({ ...lock, person: person(lock.by), reason: 'r', at: '' });
          if (world.blocked)
            await tx.blocks.add({
              service: 'storefront',
              environment: 'production',
              sha: sha(world.blocked),
              version: 'x',
              person: person('alex'),
              deployment: '1',
              at: '',
            });
          if (world.onStaging) {
            const [letter, state] = world.onStaging;
            await row({
              environment: 'staging',
              sha: sha(letter),
              state,
              origin: 'a',
              startedAt: '2026-11-24T11:00:00.000Z',
              finishedAt: '2026-11-24T11:01:00.000Z',
            });
          }
          if (world.holder) await row({ environment: 'production', state: world.holder, origin: 'b' });
        });
        bench.directory.down = world.directoryDown && wish.later;
        const asked = {
          kind: wish.kind,
          person: person('dana'),
          service: 'storefront',
          environment: wish.environment,
          version: wish.kind === 'command' ? '' : wish.version,
          ...(wish.kind === 'rollback' ? { sha: sha('1') } : {}),
          ...(wish.kind === 'command' ? { command: { name: 'restart', inputs: {} } } : {}),
          ...(wish.glass === undefined ? {} : { breakGlass: wish.glass }),
          ...(wish.later ? { scheduledFor: '2026-11-24T18:30:00.000Z' } : {}),
        } as const;
        const { decision, findings } = await bench.deploys.explain(asked);
        const before = bench.store.snapshot();
        const result = await bench.ask(asked);
        const refusing = findings.find(({ verdict }) => verdict === 'refuse');
        told.add(decision.ok ? `ok ${decision.start}` : decision.code);
        expect(before.deployments).toHaveLength((world.onStaging ? 1 : 0) + (world.holder ? 1 : 0));
        if (!decision.ok) {
          expect(result).toMatchObject({ ok: false, code: decision.code, message: decision.message });
          expect(refusing?.note).toBe(decision.message);
          return;
        }
        expect(refusing).toBeUndefined();
        if (!result.ok) throw new Error(`why said yes, and it was refused: ${result.code}`);
        const { approval: asks, breakGlass, state } = result.deployment;
        expect(asks?.count).toBe(decision.approval?.count);
        expect(state).toBe(
          decision.approval ? 'awaiting_approval' : decision.start === 'now' ? 'queued' : decision.start,
        );
        expect(breakGlass?.broken ?? []).toEqual(decision.broken);
      }),
      { numRuns: 2_500 },
    );
    // It would prove little if most worlds ended in the same rule.
    expect([...told].sort()).toEqual(
      expect.arrayContaining([
        'ACCESS_DENIED',
        'APPROVERS_EMPTY',
        'ARGUMENT_MISSING',
        'CHANNEL_UNKNOWN',
        'ENV_BUSY',
        'ENV_LOCKED',
        'ENVIRONMENT_UNKNOWN',
        'FROZEN',
        'NOT_PROMOTED',
        'VERSION_BLOCKED',
        'VERSION_UNKNOWN',
        'ok now',
        'ok scheduled',
        'ok waiting',
      ]),
    );
  }, 120_000);
});
