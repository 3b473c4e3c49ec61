import type { Person } from '../access/types.ts';
import type { AuditRecord } from '../audit/types.ts';
import { type Refusal, refuse } from '../errors.ts';
import type { DeployDeps } from './decisions.ts';
import { denied } from './policy.ts';
import { placeOf, unlockLine } from './rules.ts';
import type { Lock } from './types.ts';

/** Where: '' stands for every service, or every environment. */
export interface LockPlace {
  service: string;
  environment: string;
}

/** Locks that people put on and take away. */
export interface LockActions {
  /** Sticky: it holds until somebody takes it away, over restarts too. */
  lock(
    input: LockPlace & { person: Person; reason: string; version: string | null; conversation: string },
  ): Promise<{ ok: true; lock: Lock } | Refusal>;
  /** Whoever locked may unlock; others need the right to unlock. */
  unlock(input: LockPlace & { person: Person; conversation: string }): Promise<{ ok: true; lock: Lock } | Refusal>;
  locks(): Promise<Lock[]>;
}

export function createLocks(deps: DeployDeps): LockActions {
  const { now, store } = deps;

  const authorise = (person: Person, permission: 'lock' | 'unlock', { environment, service }: LockPlace) =>
    deps.authoriser.authorise(
      person,
      {
        permission,
        ...(service === '' ? {} : { service }),
        // A grant for some environments covers no lock of all of them.
        ...(environment === '' ? {} : { environment }),
      },
      { fresh: true },
    );

  const recordOf = (person: Person, action: string, place: LockPlace, conversation: string) => ({
    actor: person,
    action,
    conversation,
    ...(place.service === '' ? {} : { service: place.service }),
    ...(place.environment === '' ? {} : { environment: place.environment }),
  });

  const refuseWith = async (record: Omit<AuditRecord, 'outcome' | 'code'>, refusal: Refusal): Promise<Refusal> => {
    await store.transaction((tx) => tx.audit.append({ ...record, outcome: 'refused', code: refusal.code }, now()));
    return { ...refusal, audited: true };
  };

  return {
    async lock({ conversation, environment, person, reason, service, version }) {
      const place = { service, environment };
      const record = recordOf(person, 'lock.add', place, conversation);
      const access = await authorise(person, 'lock', place);
      if (!access.allowed) return refuseWith(record, denied(access));
      if (reason.trim() === '')
        return refuseWith(
          record,
          refuse('ARGUMENT_MISSING', 'A lock needs a reason: it is what others see.', {
            next: 'Like this: `lock storefront production reason="db migration"`.',
          }),
        );
      const lock: Lock = { service, environment, person, reason, version, at: now().toISOString() };
      return store.transaction(async (tx) => {
        if (!(await tx.locks.add(lock))) {
          const there = (await tx.locks.all()).find(
            (each) => each.service === service && each.environment === environment,
          );
          const refusal = refuse(
            'LOCK_HELD',
            `${placeOf(place)} is locked already${there ? ` by ${there.person.name}: ${there.reason}` : ''}.`,
            { next: `\`${unlockLine(place)}\` takes it away.` },
          );
          await tx.audit.append({ ...record, outcome: 'refused', code: refusal.code }, now());
          return { ...refusal, audited: true as const };
        }
        const details = { reason, ...(version === null ? {} : { version }) };
        await tx.audit.append({ ...record, outcome: 'done', code: 'OK', details }, now());
        return { ok: true as const, lock };
      });
    },

    async unlock({ conversation, environment, person, service }) {
      const place = { service, environment };
      const record = recordOf(person, 'lock.remove', place, conversation);
      const there = (await store.read((tx) => tx.locks.all())).find(
        (each) => each.service === service && each.environment === environment,
      );
      const own = there?.person.id === person.id;
      const access = await authorise(person, own ? 'lock' : 'unlock', place);
      if (!access.allowed) return refuseWith(record, denied(access));
      return store.transaction(async (tx) => {
        const lock = await tx.locks.remove(service, environment);
        if (lock === null) {
          const refusal = refuse('LOCK_UNKNOWN', `${placeOf(place)} is not locked.`);
          await tx.audit.append({ ...record, outcome: 'refused', code: refusal.code }, now());
          return { ...refusal, audited: true as const };
        }
        // Somebody else's lock may have come in between; it is put back.
        if (own && lock.person.id !== person.id) {
          await tx.locks.add(lock);
          return refuse('LOCK_HELD', `${lock.person.name} locked it meanwhile: ${lock.reason}.`);
        }
        await tx.audit.append(
          {
            ...record,
            outcome: 'done',
            code: 'OK',
            details: { lockedBy: lock.person.id, lockedAt: lock.at, reason: lock.reason },
          },
          now(),
        );
        return { ok: true as const, lock };
      });
    },

    locks: () => store.read((tx) => tx.locks.all()),
  };
}
