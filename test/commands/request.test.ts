import { expect, it } from '@jest/globals';
import { approvalOf } from '../../src/commands/request.ts';
import { approval, catalog } from '../helpers/policies.ts';

const NOW = new Date('2026-11-24T12:00:00.000Z');
const names = catalog({ groupName: (id) => id.slice(2) });

it('says who has to approve, and until when', () => {
  expect(approvalOf(approval({ count: 2 }), names)).toEqual({
    approverGroups: ['leads'],
    approvalsNeeded: 2,
    approvalExpiresMs: 4 * 3_600_000,
    approvalOwn: false,
  });
  expect(approvalOf(approval({ own: true }), names).approvalOwn).toBe(true);
  expect(approvalOf(null, names)).toMatchObject({ approverGroups: [], approvalsNeeded: 0 });
});

it('ends with the time at which it was to start', () => {
  const until = (at: string) => approvalOf(approval(), names, { for: at, now: NOW }).approvalExpiresMs;
  expect(until('2026-11-24T12:20:00.000Z')).toBe(20 * 60_000);
  expect(until('2026-11-25T12:00:00.000Z')).toBe(4 * 3_600_000);
});
