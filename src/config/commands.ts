import { pipelines } from '../pipelines/index.ts';
import { choose } from './choose.ts';
import { approvalOf, type GroupOf, type Report } from './policy.ts';
import { near } from './problems.ts';
import type { Main, ServiceEntry } from './schema.ts';
import type { Chosen, CommandConfig } from './types.ts';

/** Names that are taken: built-in commands with their other words. A test holds the list to the registry. */
export const BUILT_IN = [
  'deploy ship release status st ps logs log history hist rollback undo revert whoami who me help commands approvals',
  'inbox why lock unlock locks unblock cancel withdraw stop review break-glass hotfix',
]
  .join(' ')
  .split(' ');

/** The commands that the configuration declares, with every name resolved. */
export function commandsOf(
  config: Main,
  services: readonly { name: string; entry: ServiceEntry }[],
  groupOf: GroupOf,
  report: Report,
  connections: Readonly<Record<string, Chosen>>,
): CommandConfig[] {
  return Object.entries(config.commands ?? {}).map(([name, entry]) => {
    const at = ['commands', name];
    if (BUILT_IN.includes(name.toLowerCase()))
      report(at, `"${name}" is a command of Shipmate's own; choose another name`, 'key');
    const known = services.map((each) => each.name);
    for (const each of entry.services ?? [])
      if (!known.includes(each)) report([...at, 'services'], `there is no service "${each}"${near(each, known)}`);
    const environments = Object.keys(config.environments);
    for (const each of entry.environments ?? [])
      if (!environments.includes(each))
        report([...at, 'environments'], `there is no environment "${each}"${near(each, environments)}`);
    const inputs = Object.entries(entry.inputs ?? {}).map(([input, given]) => {
      const { choices = [], label, pattern, required = false } = given ?? {};
      if (RESERVED.includes(input))
        report([...at, 'inputs', input], `"${input}" is asked for anyway; choose another name`, 'key');
      const odd =
        pattern === undefined ? undefined : choices.find((choice) => !new RegExp(`^(?:${pattern})$`, 'u').test(choice));
      if (odd !== undefined) report([...at, 'inputs', input], `"${odd}" does not fit the pattern`);
      return { name: input, label: label ?? input, required, choices, ...(pattern === undefined ? {} : { pattern }) };
    });
    if (inputs.length > MOST_INPUTS)
      report([...at, 'inputs'], `at most ${MOST_INPUTS} inputs: a longer form is not filled in on a phone`);
    const approval =
      entry.approve === undefined ? undefined : approvalOf(entry.approve, false, '', groupOf, [...at, 'approve']);
    const who = entry.who === undefined ? null : [entry.who].flat().map((group) => groupOf(group, [...at, 'who']));
    return {
      name,
      summary: entry.summary ?? `Run ${name}.`,
      inputs,
      ...(approval === undefined ? {} : { approval }),
      confirm: entry.confirm ?? false,
      who,
      run: choose(entry.run, pipelines, [...at, 'run'], report, connections),
      places: services
        .filter((each) => entry.services === undefined || entry.services.includes(each.name))
        .map((each) => ({
          service: each.name,
          team: groupOf(each.entry.team, ['services', each.name, 'team']),
          environments: environments.filter(
            (it) => entry.environments === undefined || entry.environments.includes(it),
          ),
        })),
    };
  });
}

const MOST_INPUTS = 4;

/** What every command understands. */
const RESERVED = ['service', 'environment', 'reason', 'version', 'at'];
