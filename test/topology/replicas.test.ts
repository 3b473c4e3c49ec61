import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { verifyChain } from '../../src/audit/chain.ts';
import type { SentActivity } from '../fakes/teams/connector.ts';
import { cardContent, type Person, readCard } from '../fakes/teams/index.ts';
import { APPROVALS_CHANNEL, eventually } from '../helpers/app.ts';
import { looked, SITE_MISSING, type Site, startSite } from './site.ts';

if (SITE_MISSING !== null && process.env.REQUIRE_PEERS === '1') throw new Error(`two replicas need ${SITE_MISSING}`);
const NAME = `two replicas behind nginx${SITE_MISSING === null ? '' : ` (needs ${SITE_MISSING})`}`;
const describeSite = SITE_MISSING === null ? describe : describe.skip;

/**
 * pg-boss's least heartbeat is 10 s after the last sign of life, which comes when a watch of 5 s begins; its supervision,
 * its retry delay and a poll come on top.
 */
const TAKEOVER_MS = 15_000;
const CROWD = 6;
const START = 'deploy.start staging';

describeSite(NAME, () => {
  let site: Site;
  const shown = (card: SentActivity): string => readCard(cardContent(card));
  const measured: string[] = [];
  const measure = (what: string, ms: number) => measured.push(`${what}: ${(ms / 1000).toFixed(1)} s`);

  beforeAll(async () => {
    site = await startSite();
    await Promise.all(site.replicas.map((replica) => replica.load()));
    const started = Date.now();
    await Promise.all(site.replicas.map((replica) => replica.go()));
    measure('two replicas ready on an empty database', Date.now() - started);
  }, 60_000);
  afterAll(async () => {
    await site?.stop();
    for (const line of measured) console.log(line);
  });

  /** What the bot answers to a line, in the personal chat. */
  const ask = async (line: string): Promise<SentActivity> => {
    const before = site.teams.cards(site.sam.personal).length;
    expect((await site.sam.says(line)).status).toBe(200);
    return eventually(() => site.teams.cards(site.sam.personal)[before]);
  };
  /** Asks for it and confirms: the living card and the card of the approvers. */
  const request = async (version: string, environment: string) => {
    const card = await ask(`deploy storefront ${version} to ${environment}`);
    const before = site.teams.cards(APPROVALS_CHANNEL).length;
    await site.sam.clicks(card, 'deploy.confirm');
    const asked = await eventually(() => site.teams.cards(APPROVALS_CHANNEL)[before]);
    return { card, asked, frozen: structuredClone(asked) };
  };
  /** A deployment that is over, as its approvers' card was before. */
  const decided = async (version: string) => {
    const { asked, card, frozen } = await request(version, 'production');
    await site.approvers[0]?.clicks(asked, 'deploy.approve');
    await eventually(() => /Succeeded/.test(shown(card)));
    return frozen;
  };
  const cardsOf = (what: string) =>
    site.teams.cards(site.sam.personal).filter(({ activity }) => String(activity.summary).includes(what));
  const runsOf = (run: string) => site.runs().filter((each) => each === run).length;

  it('that started at the same moment on an empty database are both ready, on one schema', async () => {
    expect(await Promise.all(site.replicas.map((replica) => replica.ready()))).toEqual([true, true]);
    const migrations = await site.query<{ name: string }>('select name from shipmate_migrations order by name');
    expect(new Set(migrations.map(({ name }) => name)).size).toBe(migrations.length);
    expect(migrations.length).toBeGreaterThan(0);
    const secrets = await site.query(`select value from settings where key = 'signing-secret'`);
    expect(secrets).toHaveLength(1);
  });

  it('take turns in one deploy with approval, whoever gets which click', async () => {
    const before = await Promise.all(site.replicas.map((replica) => replica.turns()));
    const { asked, card, frozen } = await request('1.1.0', 'production');
    const [approver] = site.approvers;
    await approver?.clicks(asked, 'deploy.approve');
    await eventually(() => /Succeeded/.test(shown(card)) && /Succeeded/.test(shown(asked)));
    // An old card, pressed again, at one replica and at the other.
    for (let click = 0; click < 2; click += 1)
      expect(readCard((await approver?.clicks(frozen, 'deploy.approve'))?.value)).toMatch(/Succeeded/);
    expect(runsOf('production 1.1.0')).toBe(1);
    const after = await Promise.all(site.replicas.map((replica) => replica.turns()));
    for (const [index, turns] of after.entries()) expect(turns - (before[index] ?? 0)).toBeGreaterThan(0);
  });

  it('count 200 clicks of 50 approvers at once as one approval and one run', async () => {
    const { asked, card, frozen } = await request('1.2.0', 'production');
    // Each replica changes ten things at a time: twenty clicks that have all found it undecided wait for the row.
    const { id, release, waiting } = await site.keepNewest();
    const clicks = Array.from({ length: 4 }, () => site.approvers)
      .flat()
      .map((approver) => approver.clicks(frozen, 'deploy.approve'));
    try {
      await eventually(async () => (await waiting()) >= 20);
    } finally {
      await release();
    }
    const started = Date.now();
    const answers = await Promise.all(clicks);
    measure('200 clicks at once answered, after the row was free', Date.now() - started);
    expect(answers.map(({ statusCode }) => statusCode)).toEqual(Array(200).fill(200));
    await eventually(() => /Succeeded/.test(shown(card)) && /Succeeded/.test(shown(asked)));
    expect(runsOf('production 1.2.0')).toBe(1);

    const entries = await site.audit();
    expect(await verifyChain(entries)).toMatchObject({ ok: true, breaks: [], entries: entries.length });
    const approvals = entries.filter(({ action, deployment }) => action === 'deploy.approve' && deployment === id);
    expect(approvals).toHaveLength(200);
    expect(approvals.filter(({ outcome }) => outcome === 'done')).toHaveLength(1);
    for (const action of ['deploy.start', 'deploy.end'])
      expect(entries.filter((entry) => entry.action === action && entry.deployment === id)).toHaveLength(1);
    expect(await site.query(`select 1 from votes where deployment = ${id}`)).toHaveLength(1);
    expect(await site.query(`select state from deployments where id = ${id}`)).toEqual([{ state: 'succeeded' }]);
  }, 30_000);

  it('let a request for approval expire once, though both could', async () => {
    const requests: Awaited<ReturnType<typeof request>>[] = [];
    for (const version of ['1.0.0', '1.1.0', '1.2.0', '1.3.0']) requests.push(await request(version, 'canary'));
    const posts = () => site.teams.texts(site.sam.personal).filter((text) => /expired/.test(text)).length;
    await eventually(() =>
      requests.every(({ asked, card }) => [asked, card].every((each) => /[Ee]xpired/.test(shown(each)))),
    );
    await eventually(() => posts() >= requests.length);
    const expired = (await site.audit()).filter(({ action }) => action === 'deploy.expire');
    expect(expired).toHaveLength(requests.length);
    expect(new Set(expired.map(({ deployment }) => deployment)).size).toBe(requests.length);
    expect(posts()).toBe(requests.length);
    expect(site.runs().filter((run) => run.startsWith('canary'))).toEqual([]);
  }, 30_000);

  it('run what is scheduled once, when its time comes', async () => {
    const at = new Date(Date.now() + 3_000);
    at.setMilliseconds(0);
    const card = await ask(`deploy storefront 1.0.0 to staging at ${at.toISOString().replace('.000', '')}`);
    await eventually(() => /Succeeded/.test(shown(card)));
    expect(runsOf('staging 1.0.0')).toBe(1);
    const starts = (await site.audit()).filter(({ action, environment }) => `${action} ${environment}` === START);
    expect(starts).toHaveLength(1);
    const late = Date.parse(starts[0]?.at ?? '') - at.getTime();
    measure('a scheduled deploy started after its time', late);
    expect(late).toBeGreaterThanOrEqual(0);
    // The replica that took the request wakes when it is due; another one looks every two seconds.
    expect(late).toBeLessThan(5_000);
  }, 30_000);

  it('take over from one that was killed while it watched a run: the same card ends, the run ran once', async () => {
    site.hold();
    const card = await ask('deploy storefront 1.3.0 to staging');
    await eventually(() => /Running/.test(shown(card)));
    // The moment of a handover: the one that has just begun to watch will do so for some seconds.
    const begun = Date.now();
    const { watcher, other } = await eventually(() => beginner(site.replicas, begun));
    await after(2_000);
    await watcher.kill();
    try {
      const killed = Date.now();
      site.release();
      // Meanwhile the other one answers all there is.
      for (let line = 0; line < 4; line += 1) expect((await site.sam.says('status')).status).toBe(200);
      const taken = (await looked(other, killed)) - killed;
      await eventually(() => /Succeeded/.test(shown(card)));
      measure('the watch of a killed replica taken over', taken);
      measure('its card at its end', Date.now() - killed);
      expect(taken).toBeLessThan(TAKEOVER_MS);
      expect(runsOf('staging 1.3.0')).toBe(1);
      expect(cardsOf('1.3.0 → staging')).toEqual([card]);
    } finally {
      await watcher.load();
      await watcher.go();
    }
  }, 60_000);

  /** What happens to people who click without a pause while something else is done. */
  const under = async (frozen: SentActivity, work: () => Promise<void>) => {
    const seen = { answered: 0, failures: [] as string[] };
    let going = true;
    const click = async (approver: Person) => {
      while (going)
        await approver.clicks(frozen, 'deploy.approve').then(
          () => {
            seen.answered += 1;
          },
          (error: unknown) => seen.failures.push(String(error)),
        );
    };
    const all = site.approvers.slice(0, CROWD).map(click);
    try {
      await work();
    } finally {
      going = false;
      await Promise.all(all);
    }
    return seen;
  };

  it('stop one after the other under load: nginx is told first, and no request fails', async () => {
    const { answered, failures } = await under(await decided('1.4.0'), async () => {
      for (const replica of site.replicas) {
        await after(300);
        await site.rotate('out', replica);
        const turns = await replica.turns();
        await after(300);
        expect(await replica.turns()).toBe(turns);
        const started = Date.now();
        expect(await replica.terminate()).toBe(0);
        measure(`${replica.name} stopped`, Date.now() - started);
        await replica.load();
        await replica.go();
        await site.rotate('in', replica);
        await eventually(async () => (await replica.turns()) > 0);
      }
    });
    measured.push(`both restarted, nginx told: ${answered} requests answered, ${failures.length} failed`);
    expect(failures).toEqual([]);
    expect(answered).toBeGreaterThan(100);
    expect(await verifyChain(await site.audit())).toMatchObject({ ok: true, breaks: [] });
  }, 60_000);

  it('stop without a word to nginx: at most what was on its way fails, and the other one answers at once', async () => {
    const { answered, failures } = await under(await decided('1.5.0'), async () => {
      const [replica, other] = site.replicas;
      await after(300);
      expect(await replica.terminate()).toBe(0);
      const before = await other.turns();
      await after(300);
      expect(await other.turns()).toBeGreaterThan(before);
      await replica.load();
      await replica.go();
    });
    measured.push(`one restarted, nginx not told: ${answered} requests answered, ${failures.length} failed`);
    expect(failures.length).toBeLessThanOrEqual(CROWD);
    expect(await verifyChain(await site.audit())).toMatchObject({ ok: true, breaks: [] });
    expect(runsOf('production 1.5.0')).toBe(1);
  }, 60_000);
});

const after = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * The replica that has just begun to watch. Looks of one watch are 700 ms apart; the last of one and the first of the next
 * follow each other at once.
 */
function beginner([first, second]: Site['replicas'], since: number) {
  const looks = [first, second]
    .flatMap((replica) => replica.looks.map(({ at }) => ({ at, replica })))
    .filter(({ at }) => at > since)
    .sort((a, b) => a.at - b.at);
  const [before, last] = looks.slice(-2);
  if (before === undefined || last === undefined || last.at - before.at > 350 || Date.now() - last.at > 350)
    return null;
  return { watcher: last.replica, other: last.replica === first ? second : first };
}
