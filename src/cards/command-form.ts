import { z } from 'zod';
import { formData, placeInputs } from './form.ts';
import { button, choiceSet, choices, problemOf, prose, runs, said, spoken } from './parts.ts';
import type { CardDefinition } from './render.ts';
import { plain } from './text.ts';
import type { CommandFormInput } from './types.ts';

const named = z.strictObject({ id: z.string(), label: z.string(), required: z.boolean(), error: z.string() });
const schema = z.strictObject({
  ...spoken,
  ...formData,
  lead: runs,
  fields: z.array(
    z.strictObject({
      text: z.array(z.strictObject({ ...named.shape, value: z.string() })).max(1),
      list: z.array(z.strictObject({ ...named.shape, ...choiceSet.shape })).max(1),
    }),
  ),
});

/** The form of a declared command: where, and what it wants to know. */
export const commandForm: CardDefinition<CommandFormInput, z.infer<typeof schema>> = {
  name: 'command-form',
  schema,
  build(input, sign) {
    const name = plain(input.name, 60);
    const summary = `${name}: choose what and where`;
    return {
      summary,
      data: {
        ...said(summary, `Say it in one line: ${name} SERVICE ENVIRONMENT.`),
        title: name,
        lead: prose(input.summary, 300, { isSubtle: true }),
        ...placeInputs(input, `${input.name} storefront`),
        problem: problemOf(input.problem),
        fields: input.inputs.slice(0, 4).map((each) => {
          const value = plain(input.values[each.name] ?? '', 200);
          const { left: _, ...set } = choices(
            each.choices.map((choice) => ({ title: choice, value: choice })),
            value,
          );
          const label = `${plain(each.label, 60)}${each.required ? '' : ' (optional)'}`;
          const id = {
            id: `in-${each.name}`,
            label,
            required: each.required,
            error: `${plain(each.label, 60)} is needed.`,
          };
          return each.choices.length > 0
            ? { text: [], list: [{ ...id, ...set }] }
            : { text: [{ ...id, value }], list: [] };
        }),
        actions: [
          button(sign, 'command.plan', `Run ${plain(input.name, 30)}`, {
            bind: input.bind,
            style: 'positive',
            inputs: 'auto',
          }),
          button(sign, 'deploy.discard', 'Discard'),
        ],
      },
    };
  },
  shrink(data) {
    // The longest lists become text: what is typed is checked against them all the same.
    if (!data.fields.some(({ list }) => list.length > 0)) return null;
    return {
      ...data,
      fields: data.fields.map(({ list, text }) => ({
        text: [...text, ...list.map(({ choices: _, style: __, ...field }) => field)],
        list: [],
      })),
    };
  },
};
