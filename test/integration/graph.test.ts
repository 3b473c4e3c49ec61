import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { startFakeGraph } from '../fakes/graph/index.ts';
import { cardContent, readCard } from '../fakes/teams/index.ts';
import { APPROVALS_CHANNEL, eventually, startTestApp, type TestApp } from '../helpers/app.ts';

type Graph = Awaited<ReturnType<typeof startFakeGraph>>;
let t: TestApp;
let graph: Graph;

beforeAll(async () => {
  graph = await startFakeGraph([]);
  t = await startTestApp({ graph: { url: graph.url, credential: graph.credential } });
  for (const [person, group] of [
    [t.dana, 'web'],
    [t.alex, 'leads'],
  ] as const)
    graph.set({ id: person.id, groups: [t.groups[group]] });
}, 60_000);
afterAll(async () => {
  await t?.stop();
  await graph?.close();
});

it('an approval is asked of Microsoft Graph at the click; when it is down the answer is no, said and audited', async () => {
  await t.dana.says('/deploy version=1.2.3 environment=production');
  const confirmation = await eventually(() => t.teams.cards(t.dana.personal).at(-1));
  await t.dana.clicks(confirmation, 'deploy.confirm');
  const asked = await eventually(() => t.teams.cards(APPROVALS_CHANNEL).at(-1));

  graph.always = { status: 503 };
  const down = await t.alex.clicks(asked, 'deploy.approve');
  expect(down.value).toMatch(/DIRECTORY_UNAVAILABLE/);
  expect((await t.app.store.read((tx) => tx.deployments.get('1')))?.state).toBe('awaiting_approval');
  const entries = await t.app.store.read((tx) => tx.audit.page({ after: 0, limit: 1_000 }));
  expect(entries.at(-1)).toMatchObject({ action: 'deploy.approve', outcome: 'refused', code: 'DIRECTORY_UNAVAILABLE' });

  graph.always = null;
  await t.alex.clicks(asked, 'deploy.approve');
  await eventually(() => /Succeeded/.test(readCard(cardContent(asked))));
}, 40_000);
