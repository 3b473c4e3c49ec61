/**
 * Compares what the GitHub adapter sends, and what the fake in test/fakes/github answers, with GitHub's own published
 * description of its REST API. Opt-in, because the description weighs almost 400 MB:
 *
 *     npm install --prefix /tmp/github-api @octokit/openapi
 *     node scripts/check-github-api.ts /tmp/github-api
 *
 * Requests must have every field that is required and none that is not described; answers none that is not described, each
 * with a type and a value that is. (The fake leaves fields out that nobody reads.)
 */
import { existsSync, readFileSync } from 'node:fs';
import path from 'node:path';
import type { Exchange } from '../test/fakes/github/server.ts';
import { openSystem, type System, until } from '../test/pipelines/github/helpers.ts';

type Json = Record<string, unknown>;
const isObject = (value: unknown): value is Json =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const folder = process.argv[2];
const generated = folder === undefined ? '' : path.resolve(folder, 'node_modules/@octokit/openapi/generated');
if (folder === undefined || !existsSync(generated)) {
  console.error('The description is not there. It is large, so it is not a dependency; fetch it beside the project:');
  console.error('  npm install --prefix /tmp/github-api @octokit/openapi');
  console.error('  node scripts/check-github-api.ts /tmp/github-api');
  process.exit(2);
}

let bad = 0;
for (const [file, installedVersion] of [
  ['api.github.com.json', undefined],
  ['ghes-3.19.json', '3.19.0'],
  ['ghes-3.17.json', '3.17.0'],
] as const) {
  const description = JSON.parse(readFileSync(path.join(generated, file), 'utf8')) as Json;
  const system = await openSystem(installedVersion === undefined ? {} : { installedVersion });
  try {
    await everything(system);
    const exchanges = system.fake.exchanges().filter(({ status }) => status > 0 && status < 400);
    const problems = [
      ...system.fake.complaints(),
      ...new Set(exchanges.flatMap((exchange) => problemsOf(description, exchange))),
    ];
    const kinds = new Set(exchanges.map(({ method, template }) => `${method} ${template}`));
    console.log(`${file}: ${exchanges.length} requests of ${kinds.size} kinds, ${problems.length} problems`);
    for (const problem of problems) console.log(`  ${problem}`);
    bad += problems.length;
  } finally {
    await system.close();
  }
}
process.exitCode = bad === 0 ? 0 : 1;

/** Has the adapter ask everything that it can ask. */
async function everything(system: System): Promise<void> {
  const { connection, fake, pipeline } = system;
  await connection.check();
  await pipeline.check();
  await system.end(await pipeline.trigger(system.request()));
  fake.behave('fail');
  const failed = await pipeline.trigger(system.request());
  await system.end(failed);
  fake.behave('succeed');
  const again = await pipeline.rerun?.(failed);
  if (again) await system.end(again);
  fake.behave('hang');
  const hanging = await pipeline.trigger(system.request());
  await until(
    () => pipeline.status(hanging),
    ({ state }) => state === 'running',
  );
  await pipeline.cancel(hanging);
  fake.behave('ask');
  const asking = await pipeline.trigger(system.request({ environment: 'production' }));
  const { gate } = await until(
    () => pipeline.status(asking),
    (status) => status.gate !== undefined,
  );
  await pipeline.answer?.(asking, gate?.id ?? '', { approved: true, by: 'Robin Ek' });
  await system.other().pipeline.answer?.(asking, gate?.id ?? '', { approved: true, by: 'Robin Ek' });
  await system.end(asking);
  fake.foreign({ environment: 'production', version: '1.1.0', by: 'octo-ana' });
  await until(
    () => pipeline.recent?.({ since: new Date(Date.now() - 3_600_000) }) ?? Promise.resolve([]),
    (runs) => runs.some(({ startedBy }) => startedBy === 'octo-ana'),
  );
  for (const github of ['releases', 'tags', 'deployments']) {
    const source = system.versions({ github, repo: 'acme/storefront' });
    await source.list({ limit: 3 });
    await source.resolve('1.1.0');
    await source.compare(fake.shas['1.10.0'], fake.shas['1.0.0'], { limit: 3 });
  }
}

function problemsOf(description: Json, exchange: Exchange): string[] {
  const { answer, body, method, query, status, template } = exchange;
  const name = `${method} ${template}`;
  const operation = follow(description, at(description, 'paths', template, method.toLowerCase()));
  if (!isObject(operation)) return [`${name}: is not described`];
  const found: string[] = [];
  const parameters = (Array.isArray(operation.parameters) ? operation.parameters : [])
    .map((each) => follow(description, each))
    .filter(isObject);
  for (const key of Object.keys(query))
    if (!parameters.some((each) => each.in === 'query' && each.name === key))
      found.push(`${name}: the parameter ${key} is not described`);
  if (body !== undefined) {
    const schema = at(follow(description, operation.requestBody), 'content', 'application/json', 'schema');
    found.push(...check(description, schema, body, true).map((problem) => `${name}: request${problem}`));
  }
  const response = follow(description, at(operation.responses, String(status)));
  if (!isObject(response)) return [...found, `${name}: an answer with ${status} is not described`];
  const schema = at(response, 'content', 'application/json', 'schema');
  if (answer !== undefined && schema !== undefined)
    found.push(...check(description, schema, answer, false).map((problem) => `${name}: answer${problem}`));
  return found;
}

function at(value: unknown, ...keys: string[]): unknown {
  return keys.reduce((part, key) => (isObject(part) ? part[key] : undefined), value);
}

function follow(description: Json, value: unknown): unknown {
  if (!isObject(value) || typeof value.$ref !== 'string') return value;
  return follow(description, at(description, ...value.$ref.replace(/^#\//, '').split('/')));
}

/** What of a value a schema does not allow; `strict`: fields that are required have to be there. */
function check(description: Json, given: unknown, value: unknown, strict: boolean, where = ''): string[] {
  const schema = follow(description, given);
  if (!isObject(schema)) return [];
  if (value === null && schema.nullable === true) return [];
  for (const word of ['oneOf', 'anyOf'] as const) {
    const choices = schema[word];
    if (!Array.isArray(choices)) continue;
    const results = choices.map((each) => check(description, each, value, strict, where));
    return results.find((each) => each.length === 0) ?? results.toSorted((a, b) => a.length - b.length)[0] ?? [];
  }
  if (Array.isArray(schema.allOf))
    return schema.allOf.flatMap((each) => check(description, each, value, strict, where));
  if (Array.isArray(schema.enum) && !schema.enum.includes(value))
    return [`${where}: ${JSON.stringify(value)} is none of ${JSON.stringify(schema.enum)}`];
  if (!hasType(schema.type, value)) return [`${where}: ${JSON.stringify(value)} is no ${JSON.stringify(schema.type)}`];
  if (Array.isArray(value))
    return value.flatMap((each) => check(description, schema.items, each, strict, `${where}[]`));
  if (!isObject(value) || !isObject(schema.properties)) return [];
  const { properties } = schema;
  const found: string[] = [];
  if (strict && Array.isArray(schema.required))
    for (const key of schema.required) if (!Object.hasOwn(value, String(key))) found.push(`.${key} is missing`);
  for (const [key, each] of Object.entries(value)) {
    const inner = properties[key];
    if (inner !== undefined) found.push(...check(description, inner, each, strict, `${where}.${key}`));
    else if (schema.additionalProperties === undefined || schema.additionalProperties === false)
      found.push(`${where}.${key}: is not described`);
  }
  return found;
}

function hasType(type: unknown, value: unknown): boolean {
  if (Array.isArray(type)) return type.some((each) => hasType(each, value));
  if (type === 'integer') return Number.isInteger(value);
  if (type === 'array') return Array.isArray(value);
  if (type === 'object') return isObject(value);
  return type === undefined || typeof value === type;
}
