import { commandForm } from './command-form.ts';
import { deployConfirm } from './deploy-confirm.ts';
import { deployForm } from './deploy-form.ts';
import { deployment } from './deployment.ts';
import { help } from './help.ts';
import { history } from './history.ts';
import { inbox } from './inbox.ts';
import { logs } from './logs.ts';
import { logsForm } from './logs-form.ts';
import { notice } from './notice.ts';
import { type CardDefinition, loadTemplate, renderCard } from './render.ts';
import { status } from './status.ts';
import type {
  Card,
  CommandFormInput,
  DeployConfirmInput,
  DeployFormInput,
  DeploymentInput,
  HelpInput,
  HistoryInput,
  InboxInput,
  LogsFormInput,
  LogsInput,
  NoticeInput,
  SignAction,
  StatusInput,
  WhoamiInput,
  WhyInput,
} from './types.ts';
import { welcome } from './welcome.ts';
import { whoami } from './whoami.ts';
import { why } from './why.ts';

/** Every card there is. Each is safe with any text and at most 80 KB as UTF-16, whatever it is given. */
export interface Cards {
  deployForm(input: DeployFormInput): Card;
  deployConfirm(input: DeployConfirmInput): Card;
  deployment(input: DeploymentInput): Card;
  logsForm(input: LogsFormInput): Card;
  logs(input: LogsInput): Card;
  status(input: StatusInput): Card;
  history(input: HistoryInput): Card;
  whoami(input: WhoamiInput): Card;
  help(input: HelpInput): Card;
  welcome(): Card;
  notice(input: NoticeInput): Card;
  why(input: WhyInput): Card;
  inbox(input: InboxInput): Card;
  commandForm(input: CommandFormInput): Card;
}

/**
 * Reads every template once, at once, and gives the builders. `sign` makes the tokens of the buttons; the builders
 * call it once per button.
 * @throws Error when a template is missing or is no JSON
 */
export function createCards(options: { sign: SignAction }): Cards {
  const card = <Input, Data extends { speak: string; fallbackText: string }>(
    definition: CardDefinition<Input, Data>,
  ) => {
    const template = loadTemplate(definition.name);
    return (input: Input): Card => {
      const { data, summary } = definition.build(input, options.sign);
      return renderCard(definition, template, data, summary);
    };
  };
  const welcomed = card(welcome);
  return {
    deployForm: card(deployForm),
    deployConfirm: card(deployConfirm),
    deployment: card(deployment),
    logsForm: card(logsForm),
    logs: card(logs),
    status: card(status),
    history: card(history),
    whoami: card(whoami),
    help: card(help),
    welcome: () => welcomed(undefined),
    notice: card(notice),
    why: card(why),
    inbox: card(inbox),
    commandForm: card(commandForm),
  };
}
