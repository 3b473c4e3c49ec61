import type { Tx } from '../store/types.ts';
import type { DeployDeps } from './decisions.ts';
import { takeBack } from './queue.ts';
import { sameCommit } from './rules.ts';
import { tell } from './show.ts';
import { type Catalog, type EnvironmentPolicy, type Service, SYSTEM } from './types.ts';

const REMEMBERED_MS = 90 * 86_400_000;

/** What was seen there last, and how many changes were seen. */
interface Seen {
  version: string;
  changes: number;
}

/**
 * Looks at every environment that can be asked what runs there. A version that we did not bring means that somebody
 * deployed around us: it is told and audited, and what waits for approval is void, since it was asked for against another state.
 */
export async function lookForDrift(deps: DeployDeps): Promise<void> {
  for (const service of deps.catalog().services.values())
    for (const environment of service.environments)
      try {
        await lookAt(deps, service, environment);
      } catch (error) {
        deps.logger.warn('could not look for drift', { service: service.name, environment: environment.name, error });
      }
}

async function lookAt(deps: DeployDeps, service: Service, environment: EnvironmentPolicy): Promise<void> {
  if (environment.versionUrl === undefined) return;
  const { catalog, now, store } = deps;
  const started = await store.read((tx) => tx.deployments.holder(service.name, environment.name));
  const answer = await deps.probe.ask(environment.versionUrl);
  if ('problem' in answer) return;
  const key = `seen:${service.name}/${environment.name}`;
  await store.transaction(async (tx) => {
    // While one of ours runs nothing can be told apart.
    if (started !== null || (await tx.deployments.holder(service.name, environment.name)) !== null) return;
    const before = await tx.settings.get(key);
    const seen = before === null ? null : (JSON.parse(before) as Seen);
    if (seen?.version === answer.version) return;
    const changes = (seen?.changes ?? 0) + 1;
    // Two replicas look at the same time: one of them tells.
    const expiresAt = new Date(now().getTime() + REMEMBERED_MS);
    if (!(await tx.claims.claim(`${key}:${changes}`, expiresAt))) return;
    await tx.settings.set(key, JSON.stringify({ version: answer.version, changes } satisfies Seen));
    const last = await tx.deployments.lastSucceeded(service.name, environment.name);
    // One of ours that failed or was stopped may have switched the version before it ended.
    const recent = await tx.deployments.list({
      service: service.name,
      environment: environment.name,
      states: ['failed', 'cancelled', 'attention'],
      deploysOnly: true,
      limit: 5,
    });
    const ours = [last, ...recent.filter(({ startedAt }) => startedAt !== null)].some(
      (it) => it !== null && isOf(it, answer),
    );
    // The first look only learns what is there.
    if (ours || seen === null) return;
    const place = { service: service.name, environment: environment.name };
    await outOfBand(tx, catalog(), now(), {
      ...place,
      channel: service.channel,
      version: answer.version,
      key: `${key}:${changes}`,
      text: `${service.name} on ${environment.name} now runs ${answer.version}, which I did not deploy (before: ${seen.version}).`,
      details: { before: seen.version, deployed: last?.version ?? null },
    });
  });
}

/** Somebody deployed around us: it is told and audited, and what waits there is void. `key`: told once. */
export async function outOfBand(
  tx: Tx,
  catalog: Catalog,
  now: Date,
  what: {
    service: string;
    environment: string;
    channel: string | undefined;
    version: string;
    key: string;
    text: string;
    details: Record<string, unknown>;
  },
): Promise<void> {
  const { channel, details, environment, key, service, text, version } = what;
  await tx.audit.append(
    {
      actor: SYSTEM,
      action: 'deploy.out-of-band',
      outcome: 'done',
      code: 'OUT_OF_BAND',
      service,
      environment,
      version,
      details,
    },
    now,
  );
  const told = [channel, catalog.approvalsChannel].filter((each) => each !== undefined);
  for (const conversation of new Set(told)) await tell(tx, `${key}:${conversation}`, conversation, text);
  for (const state of ['awaiting_approval', 'waiting'] as const)
    for (const pending of await tx.deployments.list({ service, environment, states: [state], limit: 100 }))
      await takeBack(
        tx,
        pending,
        catalog,
        {
          code: 'OUT_OF_BAND',
          message: `${version} was deployed there meanwhile, and not by me. Look at it, then ask again.`,
          record: { actor: SYSTEM, action: 'deploy.void' },
        },
        now,
      );
}

/** By name, whether or not it begins with a "v", or by commit, which a service may tell in short. */
function isOf(it: { version: string; sha: string }, answer: { version: string; sha?: string }): boolean {
  const bare = (version: string) => version.replace(/^v(?=\d)/i, '');
  return bare(it.version) === bare(answer.version) || (answer.sha !== undefined && sameCommit(it.sha, answer.sha));
}
