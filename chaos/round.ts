import { FINAL_STATES } from '../src/deploys/types.ts';
import { base, type SentActivity } from '../test/fakes/teams/connector.ts';
import { cardContent, type Person, readCard } from '../test/fakes/teams/index.ts';
import { type Acknowledged, cardsOf, judge, type Memory, unsettled, type Violation } from './judge.ts';
import { actionOf, People, sleep } from './people.ts';
import { PHASES, type Phase, type Plan } from './plan.ts';
import type { BotProcess } from './process.ts';
import type { Facts, Job, Look } from './types.ts';
import { APPROVALS_CHANNEL, WEB_CHANNEL, type World } from './world.ts';

const LOOK_MS = 40;
const FILES_MS = 10;
/** How often somebody scrolls to the cards of a deploy that should be over. */
const SCROLL_MS = 3_000;
/** A job is taken over after its heartbeat is missed; until then what a killed process held may still come. */
export const HEARTBEAT_MS = 15_000;

/** Breaks one invariant each, from outside of the bot. */
export const SABOTAGES = ['double-run', 'unsent-click', 'deaf-card', 'audit-row'] as const;
export type Sabotage = (typeof SABOTAGES)[number];

export interface RoundResult {
  violations: Violation[];
  killsWhile: Phase[];
  takeoverMs: number[];
  /** Something was held by a killed process as late as then, by performance.now(). */
  heldAt: number;
  timeline: string[];
}

interface Takeover {
  killedAt: number;
  held: readonly Job[];
  before: Look | null;
}

class Overdue extends Error {}

/** One deploy through the real bot, with its kills. */
export class Round {
  readonly #world: World;
  readonly #plan: Plan;
  readonly #random: () => number;
  readonly #patienceMs: number;
  readonly #people: People;
  readonly #startedAt = performance.now();
  readonly #startedAtTime = Date.now();
  readonly #mark: number;
  readonly #acknowledged: Acknowledged[] = [];
  readonly #timeline: { at: number; what: string }[] = [];
  readonly #killsWhile: Phase[] = [];
  readonly #takeoverMs: number[] = [];
  readonly #lives = new Set<BotProcess>();
  #phase: Phase = 'asking';
  #killing: Promise<void> | null = null;
  #scrolling: Promise<void> | null = null;
  #lastKillAt = 0;
  #heldAt = 0;
  #takeover: Takeover | null = null;
  #look: Look = { deployments: [], rows: [] };
  #over = false;

  constructor(world: World, plan: Plan, random: () => number, patienceMs: number) {
    this.#world = world;
    this.#plan = plan;
    this.#random = random;
    this.#patienceMs = patienceMs;
    this.#mark = world.teams.state.activities.length;
    this.#people = new People(
      world,
      random,
      (what) => this.#tell(what),
      () => this.#patient('an answer'),
    );
  }

  async play(memory: Memory, sabotage: Sabotage | null): Promise<RoundResult> {
    const world = this.#world;
    world.tell = (what) => this.#tell(what);
    for (const bot of world.bots) this.#lives.add(bot);
    world.pace(this.#plan.pace);
    world.programRunsTwice(sabotage === 'double-run');
    const watching = this.#watch();
    let overdue: string | null = null;
    try {
      await this.#deploy(sabotage);
      await this.#killing;
      await this.#until(
        'all of it',
        () => this.#missing().length === 0,
        () => this.#missing().join('; '),
      );
    } catch (error) {
      if (!(error instanceof Overdue)) throw error;
      overdue = error.message;
      this.#tell(`nobody waits any longer for ${overdue}`);
      await this.#killing;
    }
    this.#over = true;
    await watching;
    await this.#scrolling;
    await world.startMissing();
    if (sabotage === 'audit-row') await world.removeAuditRow(1);
    const violations = await judge(
      {
        version: this.#plan.version,
        fails: this.#plan.fails,
        acknowledged: this.#acknowledged,
        overdue,
        look: this.#look,
        facts: await this.#facts(),
        activities: this.#activities(),
      },
      world.runs(),
      memory,
    );
    world.programRunsTwice(false);
    return {
      violations,
      killsWhile: this.#killsWhile,
      takeoverMs: this.#takeoverMs,
      heldAt: this.#heldAt,
      timeline: this.#told(),
    };
  }

  /** The people's part, from the request to the last edit of the last card. */
  async #deploy(sabotage: Sabotage | null): Promise<void> {
    const { doubleClick, redeliver, requester, think, version, where } = this.#plan;
    const dana = this.#world.requesters[requester % this.#world.requesters.length];
    const [alex, robin] = this.#world.approvers;
    if (!dana || !alex || !robin) throw new Error('there is nobody');

    this.#enter('asking');
    const request = this.#people.message(dana, `deploy storefront ${version} to production`, where);
    await this.#people.deliver(`${dana.name}'s request`, request);
    const ask: Acknowledged = { did: 'ask', shown: false };
    this.#acknowledged.push(ask);
    if (redeliver) await this.#people.deliver(`${dana.name}'s request once more`, request);
    const chat = where === 'personal' ? dana.personal : WEB_CHANNEL;
    const confirmation = await this.#until('a confirmation', () => this.#card(chat, 'deploy.confirm'));
    ask.shown = true;

    this.#enter('asked');
    await sleep(think.confirm);
    this.#enter('confirming');
    const confirm = `${dana.name}'s confirmation`;
    const confirmed = await this.#people.click(confirm, dana, confirmation, 'deploy.confirm', doubleClick.confirm);
    if (confirmed) {
      const id = /^#(\d+)\b/m.exec(readCard(confirmed.card))?.[1] ?? null;
      this.#acknowledged.push({ did: 'confirm', person: dana.id, id });
    }

    this.#enter('confirmed');
    const asked = await this.#until("the approvers' card", () => this.#card(APPROVALS_CHANNEL, 'deploy.approve'));
    if (sabotage === 'deaf-card') deafen(asked);
    await sleep(think.approve);
    this.#enter('approving');
    const approve = `${alex.name}'s approval`;
    const approved = await this.#people.click(approve, alex, asked, 'deploy.approve', doubleClick.approve);
    if (approved) this.#acknowledged.push({ did: 'approve', person: alex.id });
    if (sabotage === 'unsent-click') this.#acknowledged.push({ did: 'approve', person: robin.id });

    this.#enter('triggering');
    await this.#until('a run', () => this.#run() ?? this.#isOver());
    this.#enter('running');
    await this.#until('the end of the run', () => this.#isEnded() || this.#isOver());
    this.#enter('ending');
    this.#scrolling = this.#scroll(dana);
    await this.#until(
      'the end',
      () => this.#missing().length === 0,
      () => this.#missing().join('; '),
    );
    this.#enter('ended');
  }

  /** The requester looks at the cards now and then, until they say how it ended. */
  async #scroll(dana: Person): Promise<void> {
    let next = performance.now() + SCROLL_MS;
    while (!this.#over && this.#missing().length > 0) {
      await sleep(LOOK_MS);
      if (performance.now() < next) continue;
      for (const { id } of this.#look.deployments)
        for (const card of cardsOf(id, this.#activities()))
          await this.#people.view(`${dana.name}'s view of ${card.id}`, dana, card);
      next = performance.now() + SCROLL_MS;
    }
  }

  #enter(phase: Phase): void {
    this.#phase = phase;
    this.#tell(`--- ${phase}`);
    const { kill } = this.#plan;
    if (kill?.phase !== phase || this.#killing !== null) return;
    this.#killing = (async () => {
      await sleep(kill.afterMs);
      const again = kill.againAfterMs;
      await this.#kill(again !== null);
      if (again === null) return;
      // Once it is over there is nothing to wait for.
      const due = performance.now() + again;
      while (performance.now() < due && this.#phase !== 'ended') await sleep(FILES_MS);
      await this.#kill(false);
    })();
  }

  /** The phase that the deploy is in, whether or not the people have noticed. */
  #phaseNow(): Phase {
    const reached = (phase: Phase) => PHASES.indexOf(this.#phase) >= PHASES.indexOf(phase);
    if (reached('approving') && !reached('ending') && this.#isEnded()) return 'ending';
    if (reached('approving') && !reached('running') && this.#run()) return 'running';
    return this.#phase;
  }

  async #kill(restart: boolean): Promise<void> {
    const world = this.#world;
    const victim = this.#victim();
    const phase = this.#phaseNow();
    this.#killsWhile.push(phase);
    this.#tell(`kill -9 ${victim.name} while ${phase}`);
    const killedAt = performance.now();
    this.#lastKillAt = killedAt;
    await victim.kill();
    const held = [...victim.jobs];
    if (held.length > 0) this.#heldAt = killedAt;
    this.#tell(
      `${victim.name} held ${held.map(({ queue, subject }) => `${queue} ${subject}`).join(', ') || 'nothing'}`,
    );
    // The wait for a takeover begins anew with a second kill, unless that one held nothing.
    const takeover = held.length > 0 ? { killedAt, held, before: null as Look | null } : null;
    this.#takeover = takeover ?? this.#takeover;
    if (world.kind === 'pglite' || restart) this.#lives.add(world.restart());
    if (takeover && world.kind === 'postgres')
      takeover.before = (await world.alive[0]?.look(this.#plan.version)) ?? null;
  }

  /** Who is at work on this deploy when that can be told, else anybody. */
  #victim(): BotProcess {
    const bots = this.#world.bots.filter(({ dead }) => !dead);
    const ids = this.#look.deployments.map(({ id }) => id);
    const works = (bot: BotProcess) =>
      bot.jobs.some(({ queue, subject }) => queue !== 'outbox.flush' && ids.includes(subject));
    const answers = (bot: BotProcess) => (this.#people.busy.get(bot) ?? 0) > 0;
    const shows = (bot: BotProcess) =>
      bot.jobs.some(({ subject }) => ids.some((id) => subject.startsWith(`deploy:${id}:`)));
    const victim =
      bots.find(answers) ?? bots.find(works) ?? bots.find(shows) ?? bots[Math.floor(this.#random() * bots.length)];
    if (!victim) throw new Error('there is no bot to kill');
    return victim;
  }

  /** Looks into the store and at the clock, all the time. */
  async #watch(): Promise<void> {
    let last = '';
    while (!this.#over) {
      const [bot] = this.#world.alive;
      const look = await bot?.look(this.#plan.version);
      if (look) {
        this.#look = look;
        const now = look.deployments
          .map(({ id, revision, state }) => `#${id} is ${state}, revision ${revision}`)
          .join();
        if (now !== last) this.#tell(now);
        last = now;
        if (bot) this.#measure(look, bot);
      }
      await sleep(LOOK_MS);
    }
  }

  /** Notes when the survivor made its first progress on what the killed process had held. */
  #measure(look: Look, bot: BotProcess): void {
    const takeover = this.#takeover;
    if (takeover === null) return;
    // The embedded store's heir looked before it began; anybody else is asked right after the kill.
    takeover.before ??= bot.opened && this.#world.kind === 'pglite' ? bot.opened : look;
    const { before, held, killedAt } = takeover;
    const [deployment] = look.deployments;
    if (!deployment) return;
    const { id } = deployment;
    const then = before.deployments.find((each) => each.id === id);
    const job = held.find(({ queue, subject }) => queue !== 'outbox.flush' && subject === id);
    const rows = held.flatMap(({ subject }) => before.rows.filter(({ key }) => key === subject));
    const sentNow = (key: string) => look.rows.find((row) => row.key === key)?.sentVersion ?? 0;
    const waits = job
      ? then !== undefined && !FINAL_STATES.includes(then.state)
      : rows.some(({ sentVersion, version }) => sentVersion < version);
    if (!waits) {
      this.#takeover = null;
      return;
    }
    const progress = job
      ? deployment.revision > (then?.revision ?? 0)
      : rows.some(({ key, sentVersion }) => sentNow(key) > sentVersion);
    if (!progress) return;
    this.#takeover = null;
    const ms = performance.now() - killedAt;
    this.#takeoverMs.push(ms);
    this.#tell(`taken over after ${Math.round(ms)} ms (${held.map(({ queue }) => queue).join(', ')})`);
  }

  #activities(): SentActivity[] {
    return this.#world.teams.state.activities.slice(this.#mark);
  }

  #missing(): string[] {
    return unsettled(this.#look, this.#activities());
  }

  /** This round's card with such a button. */
  #card(conversation: string, verb: string): SentActivity | undefined {
    return this.#activities().find(
      (each) =>
        base(each.conversation) === conversation &&
        Array.isArray(each.activity.attachments) &&
        actionOf(each, verb) !== undefined &&
        readCard(cardContent(each)).includes(this.#plan.version),
    );
  }

  #run() {
    return this.#world.runs().find(({ version }) => version === this.#plan.version);
  }

  #isEnded(): boolean {
    const run = this.#run();
    return run !== undefined && this.#world.ends().includes(run.key);
  }

  /** The bot says that it is over, whatever the program did. */
  #isOver(): boolean {
    const { deployments } = this.#look;
    return deployments.length > 0 && deployments.every(({ state }) => FINAL_STATES.includes(state));
  }

  async #facts(): Promise<Facts> {
    const end = Date.now() + this.#patienceMs;
    while (Date.now() < end) {
      const facts = await this.#world.facts();
      if (facts) return facts;
      await sleep(100);
    }
    throw new Error('nobody can say what is in the store');
  }

  async #until<T>(what: string, read: () => T, why = () => what): Promise<NonNullable<T>> {
    for (;;) {
      const value = read();
      if (value) return value as NonNullable<T>;
      this.#patient(why());
      await sleep(FILES_MS);
    }
  }

  #patient(what: string): void {
    if (performance.now() - Math.max(this.#startedAt, this.#lastKillAt) > this.#patienceMs) throw new Overdue(what);
  }

  #tell(what: string): void {
    this.#timeline.push({ at: performance.now() - this.#startedAt, what });
  }

  /** The timeline with what the bots' logs complained about, in the order of time. */
  #told(): string[] {
    const complaints = [...this.#lives].flatMap((bot) => bot.complaints(this.#startedAtTime));
    return [
      `plan: ${JSON.stringify(this.#plan)}`,
      ...[...this.#timeline, ...complaints.map(({ at, line }) => ({ at: at - this.#startedAtTime, what: line }))]
        .sort((a, b) => a.at - b.at)
        .map(({ at, what }) => `${(at / 1000).toFixed(3).padStart(8)} s  ${what}`),
    ];
  }
}

/** Sabotage: takes every edit and shows none. */
function deafen(card: SentActivity): void {
  const { activity } = card;
  Object.defineProperty(card, 'activity', { get: () => activity, set: () => {} });
}
