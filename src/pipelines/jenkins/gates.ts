import { createHash } from 'node:crypto';
import { setTimeout as wait } from 'node:timers/promises';
import { PipelineError } from '../../errors.ts';
import type { Logger } from '../../logger.ts';
import { plainValue } from '../requests.ts';
import type { Gate } from '../types.ts';
import type { JenkinsClient } from './client.ts';
import type { Runs } from './runs.ts';
import { type Build, type PendingInput, pendingInputsSchema } from './schema.ts';
import { interruptionOf } from './status.ts';

const GATE_ID = /^[A-Za-z0-9._-]{1,60}$/;
const LOOKS = 4;
const LOOK_AGAIN_MS = 150;

/** The id of an input as the id of a gate: Jenkins lets it be any text. */
export function gateId(input: string): string {
  if (GATE_ID.test(input) && !/^\.+$/.test(input)) return input;
  return `input-${createHash('sha256').update(input).digest('hex').slice(0, 24)}`;
}

/** As the input step does it, since ids with a small first letter are taken: InputStep.capitalize. */
function capitalised(id: string): string {
  return `${id.slice(0, 1).toUpperCase()}${id.slice(1)}`;
}

/** An input that waits, as a gate. `environment` is the run's, by Shipmate's name, where it is known. */
function gateOf(input: PendingInput, guard: string, environment: string | null): Gate {
  const asks = (input.inputs ?? []).length > 0 ? ' (it asks for values: answer it in Jenkins)' : '';
  const question = `${plainValue(input.message ?? '', 300) || 'Jenkins asks whether to go on.'}${asks}`;
  const isGuard = input.id === capitalised(guard) && environment !== null;
  return { id: gateId(input.id), question, ...(isGuard ? { environment } : {}) };
}

/** The question to show: the guard of the environment first. */
export function gateIn(inputs: readonly PendingInput[], guard: string, environment: string | null): Gate | undefined {
  const gates = inputs.map((input) => gateOf(input, guard, environment));
  return gates.find((gate) => gate.environment !== undefined) ?? gates[0];
}

export function isGateId(gate: string): boolean {
  return GATE_ID.test(gate);
}

export async function pendingInputs(client: JenkinsClient, path: string, number: number): Promise<PendingInput[]> {
  return (await client.read(`${path}/${number}/wfapi/pendingInputActions`, pendingInputsSchema)) ?? [];
}

const MARK = /^(Approved|Rejected) in Teams by .* \(gate ([A-Za-z0-9._-]{1,60})\)$/;

/** What the description says of gates; the first word stays. */
function marks(build: Build): ReadonlyMap<string, { approved: boolean }> {
  const found = new Map<string, { approved: boolean }>();
  for (const line of (build.description ?? '').split('\n')) {
    const [, how, gate = ''] = MARK.exec(line.trim()) ?? [];
    if (how !== undefined && !found.has(gate)) found.set(gate, { approved: how === 'Approved' });
  }
  return found;
}

/**
 * What a gate that does not wait any more was answered, or null when that can't be told. The description says so. Where
 * the bot died before it wrote that, Jenkins still knows that the bot's user has approved something, or that an input was
 * rejected, which no line of the description accounts for.
 */
function answered(build: Build, gate: string, user: string): boolean | null {
  const known = marks(build);
  const mark = known.get(gate);
  if (mark) return mark.approved;
  const others = [...known.values()];
  if (interruptionOf(build)?.how === 'rejected' && others.every(({ approved }) => approved)) return false;
  const approvals = (build.actions ?? []).filter(
    (action) => action?._class?.endsWith('.ApproverAction') && action.userId?.toLowerCase() === user.toLowerCase(),
  ).length;
  return approvals > others.filter(({ approved }) => approved).length ? true : null;
}

/**
 * Answers an input. Jenkins records the user of the API token; who it was in chat goes into the build's description,
 * because an input has no comment. Where two answers race, Jenkins takes one and refuses the other.
 * @throws PipelineError
 */
export async function answerGate(
  deps: { client: JenkinsClient; runs: Runs; logger: Logger },
  target: { id: string; number: number; gate: string },
  { approved, by }: { approved: boolean; by: string },
): Promise<void> {
  const { client, logger, runs } = deps;
  const { gate, id, number } = target;
  const rejected = (message: string) => new PipelineError('PIPELINE_REJECTED', message);
  const at = `${runs.path}/${number}`;

  async function note(): Promise<void> {
    // The name must not end the line, and be no markup where descriptions are HTML.
    const name = plainValue(by.replace(/[<>&]/g, ' '), 80) || 'somebody';
    const line = `${approved ? 'Approved' : 'Rejected'} in Teams by ${name} (gate ${gate})`;
    try {
      const build = await runs.build(id, number);
      if (marks(build).has(gate)) return;
      const description = [build.description?.trimEnd(), line].filter(Boolean).join('\n');
      await client.post(`${at}/submitDescription`, { description });
    } catch (error) {
      // The answer itself was taken.
      logger.warn('could not write into a Jenkins build who answered its input', { run: id, gate, error });
    }
  }

  for (let look = 1; ; look += 1) {
    const build = await runs.build(id, number);
    const waiting = build.building === true ? await pendingInputs(client, runs.path, number) : [];
    const input = waiting.find((each) => gateId(each.id) === gate);
    if (input) {
      if (approved && (input.inputs ?? []).length > 0)
        throw rejected('This input asks for values, which can not be given in chat. Answer it in Jenkins.');
      if (look === LOOKS)
        throw rejected(
          `Jenkins refused the answer. "submitter" of the input step must name ${client.user}, or be left out; and that user needs the right Job/Build.`,
        );
      const answer = await client.post(
        `${at}/input/${encodeURIComponent(input.id)}/${approved ? 'proceedEmpty' : 'abort'}`,
      );
      if (answer.status < 400) return await note();
    } else {
      const was = answered(build, gate, client.user);
      if (was === approved) {
        if (look === 1) await note();
        return;
      }
      if (was !== null) throw rejected('This question was answered otherwise before.');
      // Perhaps somebody's answer was taken a moment ago, and is not recorded yet.
      if (look === LOOKS || build.building !== true)
        throw rejected(`The build ${number} of ${runs.job} does not wait for an answer to this any more.`);
    }
    await wait(LOOK_AGAIN_MS * look);
  }
}
