import { describe, expect, it } from '@jest/globals';
import { type ActivityLike, readIncoming } from '../../src/bot/incoming.ts';
import type { Service } from '../../src/deploys/types.ts';
import { catalog as emptyCatalog } from '../helpers/policies.ts';

const catalog = emptyCatalog({
  services: new Map([['storefront', { name: 'storefront', channel: '19:web@thread.tacv2' } as Service]]),
});
const activity = (more: Partial<ActivityLike> = {}): ActivityLike => ({
  id: '1',
  from: { id: '29:dana', name: 'Dana', aadObjectId: 'oid' },
  recipient: { id: '28:bot', name: 'Shipmate' },
  conversation: { id: '19:web@thread.tacv2;messageid=1', conversationType: 'channel' },
  channelData: { tenant: { id: 'tenant' } },
  serviceUrl: 'https://smba.trafficmanager.net/emea/',
  channelId: 'msteams',
  ...more,
});

describe('readIncoming', () => {
  it('knows the person, the place and its service', () => {
    const { person, place, ref } = readIncoming(activity(), catalog);
    expect(person).toEqual({ id: 'oid', tenantId: 'tenant', name: 'Dana', channelUserId: '29:dana' });
    expect(place).toEqual({
      conversation: '19:web@thread.tacv2;messageid=1',
      base: '19:web@thread.tacv2',
      kind: 'channel',
      services: ['storefront'],
    });
    expect(ref.conversationId).toBe('19:web@thread.tacv2');
  });

  it.each<[string, Partial<ActivityLike>]>([
    ['a guest by role', { from: { id: '29:x', aadObjectId: 'oid', userRole: 'guest' } }],
    ['a guest by property', { from: { id: '29:x', aadObjectId: 'oid', properties: { userRole: 'Guest' } } }],
    [
      'an account of another tenant',
      { from: { id: '29:x', aadObjectId: 'oid', tenantId: 'other' } as ActivityLike['from'] & object },
    ],
  ])('marks %s', (_what, more) => {
    expect(readIncoming(activity(more), catalog).person.guest).toBe(true);
  });

  it('gives nobody an identity that the connector did not state', () => {
    const { person } = readIncoming(activity({ from: { id: '29:x', name: 'Alex' } }), catalog);
    expect(person.id).toBe('');
  });

  it('takes an unknown kind of conversation for a shared one', () => {
    expect(readIncoming(activity({ conversation: { id: 'x' } }), catalog).place.kind).toBe('groupChat');
  });

  it('does not look for fields in a prototype', () => {
    const { person } = readIncoming(
      activity({ channelData: Object.create({ tenant: { id: 'evil' } }), conversation: { id: 'x' } }),
      catalog,
    );
    expect(person.tenantId).toBe('');
  });
});
