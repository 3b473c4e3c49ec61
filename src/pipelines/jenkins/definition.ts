import { PipelineError } from '../../errors.ts';
import type { Job, ParameterDefinition } from './schema.ts';

function definitionsOf(job: Job): ParameterDefinition[] {
  return (job.property ?? []).flatMap((each) => each?.parameterDefinitions ?? []);
}

function list(names: readonly string[]): string {
  return names.length < 2 ? (names[0] ?? '') : `${names.slice(0, -1).join(', ')} and ${names.at(-1)}`;
}

/**
 * What is wrong with a job for these parameters, in words; null when nothing is. Jenkins would drop a parameter that the
 * job does not define without a word (SECURITY-170), and deploy something else.
 */
export function definitionProblem(name: string, job: Job, parameters: readonly string[]): string | null {
  if (job.buildable === false) return `The job ${name} is disabled in Jenkins. Enable it there.`;
  const defined = new Set(definitionsOf(job).map((each) => each.name));
  const missing = parameters.filter((parameter) => !defined.has(parameter));
  if (missing.length === 0) return null;
  const which = missing.length === 1 ? `parameter named ${missing[0]}` : `parameters named ${list(missing)}`;
  const them = missing.length === 1 ? 'it' : 'them';
  return `The job ${name} has no ${which}. Add ${them} to "parameters" of its Jenkinsfile and run it once by hand, so that Jenkins knows ${them}, or correct "parameters" of the deploy entry.`;
}

/** @throws PipelineError PIPELINE_REJECTED when the job would not take these values as they are */
export function requireDefined(name: string, job: Job, values: Readonly<Record<string, string>>): void {
  const problem =
    definitionProblem(name, job, Object.keys(values)) ??
    definitionsOf(job)
      .map((definition) => valueProblem(name, definition, values[definition.name]))
      .find((found) => found !== null);
  if (problem) throw new PipelineError('PIPELINE_REJECTED', problem);
}

function valueProblem(
  job: string,
  { choices, name, type }: ParameterDefinition,
  value: string | undefined,
): string | null {
  if (value === undefined) return null;
  const shown = JSON.stringify(value.slice(0, 80));
  const isChoice = type === 'ChoiceParameterDefinition' && Array.isArray(choices);
  if (isChoice && !choices.includes(value))
    return `The parameter ${name} of the job ${job} is a choice, and ${shown} is none of its values. Add it to the choices in the Jenkinsfile${name === 'ENVIRONMENT' ? ', or map the name with "environments"' : ''}.`;
  if (type === 'BooleanParameterDefinition' && !['true', 'false'].includes(value))
    return `The parameter ${name} of the job ${job} is a checkbox, and can not be ${shown}. Make it a text, or correct "parameters".`;
  return null;
}

/** A Pipeline, which has stages and inputs. */
export function isPipelineJob(job: Job): boolean {
  return job._class?.endsWith('.WorkflowJob') ?? false;
}
