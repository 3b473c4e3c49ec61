/** The people of the playground, its groups and its conversations: the one list that both clients and the bot's configuration are written from. */

export const TENANT = '7e7a7000-0000-4000-8000-000000000001';
export const BOT = { id: '28:shipmate', name: 'Shipmate' } as const;

export const GROUPS = {
  web: '6a000000-0000-4000-8000-000000000001',
  leads: '6a000000-0000-4000-8000-000000000002',
  oncall: '6a000000-0000-4000-8000-000000000003',
  auditors: '6a000000-0000-4000-8000-000000000004',
} as const;
export type Group = keyof typeof GROUPS;

export interface PlaygroundPerson {
  key: string;
  given: string;
  family: string;
  /** Entra object id. */
  id: string;
  groups: readonly Group[];
  does: string;
}

export const PEOPLE: readonly PlaygroundPerson[] = [
  {
    key: 'dana',
    given: 'Dana',
    family: 'Deployer',
    id: 'd0000000-0000-4000-8000-000000000001',
    groups: ['web'],
    does: 'deploys',
  },
  {
    key: 'alex',
    given: 'Alex',
    family: 'Approver',
    id: 'd0000000-0000-4000-8000-000000000002',
    groups: ['leads'],
    does: 'approves',
  },
  {
    key: 'kim',
    given: 'Kim',
    family: 'Oncall',
    id: 'd0000000-0000-4000-8000-000000000003',
    groups: ['web', 'oncall'],
    does: 'is on call',
  },
  {
    key: 'robin',
    given: 'Robin',
    family: 'Lead',
    id: 'd0000000-0000-4000-8000-000000000004',
    groups: ['leads'],
    does: 'approves too',
  },
  {
    key: 'sam',
    given: 'Sam',
    family: 'Auditor',
    id: 'd0000000-0000-4000-8000-000000000005',
    groups: ['auditors'],
    does: 'audits',
  },
  {
    key: 'jo',
    given: 'Jo',
    family: 'Newcomer',
    id: 'd0000000-0000-4000-8000-000000000006',
    groups: [],
    does: 'may do nothing yet',
  },
];

/** A client is one person's Teams. Ids differ between the two, or the bot's references would flip between them. */
export interface Client {
  person: string;
  /** The team's one channel besides General. */
  channel: { name: string; id: string };
  team: { name: string; id: string };
  personalChat: string;
  groupChat: { name: string; id: string };
}

export const CLIENTS: readonly [Client, Client] = [
  {
    person: 'dana',
    channel: { name: 'web', id: '19:web@thread.tacv2' },
    team: { name: 'Web', id: '19:team-web@thread.tacv2' },
    personalChat: 'a:personal-dana',
    groupChat: { name: 'Web lunch', id: '19:group-web@thread.v2' },
  },
  {
    person: 'alex',
    channel: { name: 'approvals', id: '19:approvals@thread.tacv2' },
    team: { name: 'Leads', id: '19:team-leads@thread.tacv2' },
    personalChat: 'a:personal-alex',
    groupChat: { name: 'Leads lunch', id: '19:group-leads@thread.v2' },
  },
];
