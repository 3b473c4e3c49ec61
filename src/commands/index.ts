import { type ApprovalsCommandDeps, approvalsCommands } from './approvals.ts';
import { type DeclaredCommandDeps, declaredCommands } from './declared.ts';
import { type DeployCommandDeps, deployCommands } from './deploy.ts';
import { helpCommand } from './help.ts';
import { type HistoryCommandDeps, historyCommand } from './history.ts';
import { type LockCommandDeps, lockCommands } from './locks.ts';
import { type LogsCommandDeps, logsCommand } from './logs.ts';
import { type RollbackCommandDeps, rollbackCommand } from './rollback.ts';
import { type StatusCommandDeps, statusCommand } from './status.ts';
import type { Action, Choice, Command, Turn } from './types.ts';
import { createVersionSearch } from './version-search.ts';
import { whoamiCommand } from './whoami.ts';
import { type WhyCommandDeps, whyCommand } from './why.ts';

export type CommandDeps = DeployCommandDeps &
  LogsCommandDeps &
  StatusCommandDeps &
  HistoryCommandDeps &
  RollbackCommandDeps &
  ApprovalsCommandDeps &
  LockCommandDeps &
  DeclaredCommandDeps &
  WhyCommandDeps;

export interface Commands {
  /** Every command, in the order of help. Those of the configuration come and go with it. */
  all(): readonly Command[];
  actions: ReadonlyMap<string, Action>;
  /** What a form offers while somebody types into a list: null for a list that is not there. */
  search(turn: Turn, dataset: string, text: string): Promise<readonly Choice[] | null>;
}

/** To add one: a file here, a line below. */
export function createCommands(deps: CommandDeps): Commands {
  const declared = declaredCommands(deps);
  const [deploy, breakGlass] = deployCommands(deps);
  if (!deploy || !breakGlass) throw new Error('no deploy command');
  const builtIn: Command[] = [
    deploy,
    statusCommand(deps),
    logsCommand(deps),
    historyCommand(deps),
    rollbackCommand(deps),
    ...approvalsCommands(deps),
    whyCommand(deps),
    ...lockCommands(deps),
    breakGlass,
  ];
  const last: Command[] = [whoamiCommand(deps), helpCommand({ cards: deps.cards, commands: () => all() })];
  const all = (): readonly Command[] => [...builtIn, ...declared.commands(), ...last];
  const actions = new Map(
    [...builtIn, ...last, { actions: declared.actions }].flatMap((each) => Object.entries(each.actions)),
  );
  return { all, actions, search: createVersionSearch(deps) };
}
