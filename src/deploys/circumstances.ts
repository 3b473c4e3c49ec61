import type { ReadTx } from '../store/types.ts';
import type { Gathered } from './gather.ts';
import type { Circumstances, Promotion } from './rules.ts';
import type { Block, Deployment, EnvironmentPolicy } from './types.ts';

/** Those that ran there last, among which the newest end is looked for. */
const LOOKED_AT = 20;

/** What the store knows about the place, put beside what was gathered outside of it. */
export async function circumstancesOf(
  tx: ReadTx,
  wish: Pick<Deployment, 'kind'> & { person: { id: string }; at: Date; zone: string },
  place: { service: string; environment: EnvironmentPolicy; version: { name: string; sha: string } },
  before: Gathered['before'],
): Promise<Circumstances> {
  const { environment, service, version } = place;
  return {
    kind: wish.kind,
    person: wish.person,
    at: wish.at,
    zone: wish.zone,
    service,
    environment,
    version,
    locks: await tx.locks.covering(service, environment.name),
    block: await blockOf(tx, service, environment.name, version),
    promotion: before === undefined ? null : await promotionOf(tx, service, before),
  };
}

/** What keeps it out. Of a commit that nobody knows it can't be said that it is none of those that are kept out. */
async function blockOf(
  tx: ReadTx,
  service: string,
  environment: string,
  { name, sha }: { name: string; sha: string },
): Promise<Block | null> {
  if (sha !== '') return tx.blocks.get(service, environment, sha);
  const kept = await tx.blocks.list(service, environment);
  return kept.find(({ version }) => name.startsWith(version)) ?? kept[0] ?? null;
}

async function promotionOf(tx: ReadTx, service: string, before: NonNullable<Gathered['before']>): Promise<Promotion> {
  const { sameRun, ...told } = before;
  if (sameRun) return { ...told, failure: null };
  const recent = await tx.deployments.list({
    service,
    environment: before.environment,
    states: ['succeeded', 'failed', 'cancelled', 'attention'],
    deploysOnly: true,
    limit: LOOKED_AT,
  });
  const [last] = recent
    .filter(({ startedAt, state }) => startedAt !== null || state === 'attention')
    .sort((a, b) => endOf(b).localeCompare(endOf(a)));
  return { ...told, failure: last && last.state !== 'succeeded' ? last : null };
}

/** One that needs a person has no end yet: it counts as the newest. */
function endOf({ finishedAt }: Deployment): string {
  return finishedAt ?? '9999';
}

/** Those that wait for the environment, the next first. */
export async function waitingFor(tx: ReadTx, service: string, environment: string): Promise<Deployment[]> {
  const found = await tx.deployments.list({ service, environment, states: ['waiting'], limit: 100 });
  return found.sort(
    (a, b) => (a.waitingSince ?? '').localeCompare(b.waitingSince ?? '') || Number(a.id) - Number(b.id),
  );
}
