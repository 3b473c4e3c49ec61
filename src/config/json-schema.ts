import { z } from 'zod';
import { logSources } from '../monitoring/index.ts';
import { pipelines, versionSources } from '../pipelines/index.ts';
import { connectionKinds } from './connection-kinds.ts';
import { main } from './schema.ts';

type Json = Record<string, unknown>;

const VARIABLE = { type: 'string', pattern: '\\$\\{[A-Za-z_][A-Za-z0-9_]*\\}' };

/**
 * JSON Schema (draft 7) of shipmate.yaml for editors, from the same source that checks it, with the schemas of the
 * adapters in their places. Where a form is asked for, a value from the environment is right too.
 */
export function configJsonSchema(): Json {
  const schema = z.toJSONSchema(main, { io: 'input', target: 'draft-7' }) as Json;
  const properties = schema.properties as Json;
  const service = (properties.services as { additionalProperties: { properties: Json } }).additionalProperties;
  service.properties.deploy = oneOf(service.properties.deploy, pipelines);
  service.properties.versions = oneOf(service.properties.versions, versionSources);
  properties.logs = oneOf(properties.logs, logSources);
  const kinds = Object.entries(connectionKinds).map(([title, { config }]) => connectionSchema(title, config));
  if (kinds.length > 0) (properties.connections as Json).additionalProperties = { anyOf: kinds };
  return {
    $schema: schema.$schema,
    title: 'Shipmate configuration',
    ...(withVariables(schema) as Json),
  };
}

/** An adapter's place: what is said about it, and the adapters' own schemas as alternatives. */
function oneOf(place: unknown, registry: Readonly<Record<string, { config: z.ZodType }>>): Json {
  const { description } = place as { description?: string };
  const alternatives = Object.entries(registry).map(([kind, { config }]) => {
    const { $schema: _, ...rest } = z.toJSONSchema(config, { io: 'input', target: 'draft-7' }) as Json;
    return { title: kind, ...rest };
  });
  return {
    ...(description === undefined ? {} : { description }),
    ...(alternatives.length === 1 ? alternatives[0] : { anyOf: alternatives }),
  };
}

function connectionSchema(title: string, config: z.ZodType): Json {
  const { $schema: _, ...schema } = z.toJSONSchema(config, { io: 'input', target: 'draft-7' }) as Json;
  return { title, ...schema, properties: { kind: { const: title }, ...(schema.properties as Json) } };
}

function withVariables(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withVariables);
  if (typeof value !== 'object' || value === null) return value;
  const entries = Object.entries(value).map(([key, each]) => [
    key,
    // The form of a key is no place for a variable.
    key === 'propertyNames' ? each : withVariables(each),
  ]);
  const node = Object.fromEntries(entries) as Json;
  const formed = node.type === 'string' && ('pattern' in node || 'format' in node);
  if (!formed) return node;
  const { description, ...form } = node;
  return { ...(description === undefined ? {} : { description }), anyOf: [form, VARIABLE] };
}
