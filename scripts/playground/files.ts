import path from 'node:path';
import { stringify } from 'yaml';
import type { ConversationRef } from '../../src/store/types.ts';
import { BOT, CLIENTS, type Client, GROUPS, PEOPLE, type PlaygroundPerson, TENANT } from './people.ts';

function accountOf(person: PlaygroundPerson): Record<string, string> {
  const email = `${person.key}@shipmate.example`;
  return {
    id: `29:${person.key}`,
    name: `${person.given} ${person.family}`,
    userPrincipleName: email, // the client's own spelling
    aadObjectId: person.id,
    givenName: person.given,
    surname: person.family,
    email,
  };
}

/** `.m365agentsplayground.yml` of one client. It wants exactly five users beside the current one. */
export function clientFile(client: Client): string {
  const current = PEOPLE.find(({ key }) => key === client.person);
  if (!current) throw new Error(`nobody is called ${client.person}`);
  return stringify({
    version: '0.1.1',
    tenantId: TENANT,
    bot: BOT,
    currentUser: accountOf(current),
    users: PEOPLE.filter((person) => person !== current).map(accountOf),
    personalChat: { id: client.personalChat },
    groupChat: client.groupChat,
    team: {
      ...client.team,
      aadGroupId: `7ea00000-0000-4000-8000-0000000000${CLIENTS.indexOf(client) + 10}`,
      channels: [client.channel],
    },
  });
}

/** The bot's configuration: short enough to read, and the same kind of file that a team would write. */
export function shipmateYaml(options: {
  storefront: string;
  deployProgram: string;
  node: string;
  clients: readonly string[];
  versionUrls: Record<string, string>;
}): string {
  const { clients, deployProgram, node, storefront, versionUrls } = options;
  const [web, leads] = CLIENTS;
  const arguments_ = [
    '--dir',
    storefront,
    '--environment',
    '{environment}',
    '--version',
    '{version}',
    '--sha',
    '{sha}',
  ];
  return `# Written by npm run playground at every start; edit scripts/playground/ instead.
${stringify(
  {
    mode: 'playground',
    data: '.', // so that the command line finds the store with this file alone
    tenant: TENANT,
    playground: { clients },
    groups: GROUPS,
    people: PEOPLE.map(({ family, given, groups, id }) => ({ id, name: `${given} ${family}`, groups })),
    channels: { web: web.channel.id, approvals: leads.channel.id },
    roles: { 'break-glass': 'oncall', audit: 'auditors' },
    // The tour begins in production. Without this it would take only what runs on staging.
    environments: { staging: {}, production: { approve: 'leads', promote: false } },
    services: {
      storefront: {
        team: 'web',
        deploy: {
          command: [node, deployProgram, ...arguments_],
          timeout: '2m',
          stages: ['checkout', 'build', 'smoke test', 'switch', 'restart', 'verify'],
        },
        versions: { git: path.join(storefront, 'repo') },
        'version-url': versionUrls,
      },
    },
    logs: { files: path.join(storefront, 'env/{environment}/logs/{service}.jsonl') },
  },
  { flowCollectionPadding: false },
)}`;
}

/** The channels, before any page of a client is open: an approval can be posted at once. */
export function references(connectors: readonly string[]): ConversationRef[] {
  return CLIENTS.map(({ channel }, index) => ({
    conversationId: channel.id,
    kind: 'channel',
    serviceUrl: `${connectors[index] ?? ''}/_connector`,
    channelId: 'msteams',
    tenantId: TENANT,
    bot: { ...BOT },
  }));
}
