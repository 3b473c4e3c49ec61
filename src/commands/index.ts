import { type DeployCommandDeps, deployCommand } from './deploy.ts';
import { helpCommand } from './help.ts';
import { type HistoryCommandDeps, historyCommand } from './history.ts';
import { type LogsCommandDeps, logsCommand } from './logs.ts';
import { type RollbackCommandDeps, rollbackCommand } from './rollback.ts';
import { type StatusCommandDeps, statusCommand } from './status.ts';
import type { Command } from './types.ts';
import { whoamiCommand } from './whoami.ts';

export type CommandDeps = DeployCommandDeps &
  LogsCommandDeps &
  StatusCommandDeps &
  HistoryCommandDeps &
  RollbackCommandDeps;

/** Every command, in the order of help. To add one: a file here, a line below. */
export function createCommands(deps: CommandDeps): readonly Command[] {
  const commands: Command[] = [
    deployCommand(deps),
    statusCommand(deps),
    logsCommand(deps),
    historyCommand(deps),
    rollbackCommand(deps),
    whoamiCommand(deps),
    helpCommand({ cards: deps.cards, commands: () => commands }),
  ];
  return commands;
}
