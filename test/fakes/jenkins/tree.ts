/**
 * Jenkins's `tree=` parameter: which fields of an object are answered, `name[inner,inner]{from,to}`.
 * https://www.jenkins.io/doc/book/using/remote-access-api/#RemoteaccessAPI-Controllingtheamountofdatayoufetch
 */
interface Node {
  name: string;
  inner: Node[] | null;
  range: [from: number, to: number] | null;
}

/** Every field that some object of the fake has; a real Jenkins leaves an unknown one out without a word. */
const FIELDS = new Set(
  `id fullName url name task why stuck cancelled executable items number queueId building result description displayName
  fullDisplayName timestamp duration actions parameters value causes shortDescription userId userName lastBuiltRevision
  SHA1 branch remoteUrls buildable property parameterDefinitions type choices allBuilds changeSet changeSets kind commitId
  msg author`.split(/\s+/),
);

/** @throws Error when it can't be parsed, or names a field that nothing has */
function parse(text: string): Node[] {
  let at = 0;
  const list = (): Node[] => {
    const nodes: Node[] = [];
    for (;;) {
      const name = /^\w+/.exec(text.slice(at))?.[0];
      if (name === undefined) throw new Error(`tree: a name is missing at ${at}`);
      if (!FIELDS.has(name)) throw new Error(`tree: nothing has a field ${name}`);
      at += name.length;
      let inner: Node[] | null = null;
      if (text[at] === '[') {
        at += 1;
        inner = list();
        if (text[at] !== ']') throw new Error(`tree: "]" is missing at ${at}`);
        at += 1;
      }
      const range = /^\{(\d+),(\d+)\}/.exec(text.slice(at));
      if (range) at += range[0].length;
      nodes.push({ name, inner, range: range ? [Number(range[1]), Number(range[2])] : null });
      if (text[at] !== ',') return nodes;
      at += 1;
    }
  };
  const nodes = list();
  if (at !== text.length) throw new Error(`tree: ${JSON.stringify(text.slice(at))} is too much`);
  return nodes;
}

function pick(value: unknown, nodes: Node[] | null): unknown {
  if (Array.isArray(value)) return value.map((each) => pick(each, nodes));
  if (typeof value !== 'object' || value === null) return value;
  const object = value as Record<string, unknown>;
  const result: Record<string, unknown> = '_class' in object ? { _class: object._class } : {};
  for (const { inner, name, range } of nodes ?? []) {
    const field = object[name];
    if (field === undefined) continue;
    result[name] = pick(Array.isArray(field) && range ? field.slice(...range) : field, inner);
  }
  return result;
}

/** What of the value a tree asks for, and the class of every object, as Jenkins always says it. */
export function applyTree(value: unknown, tree: string): unknown {
  return pick(value, parse(tree));
}
