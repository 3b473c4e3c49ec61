import type { IncomingMessage, ServerResponse } from 'node:http';
import { BUILD_JOB, type FakeBuild, JOB, type Model, USER } from './model.ts';
import { applyTree } from './tree.ts';
import {
  buildView,
  describeView,
  type FakeRelease,
  inputsView,
  jobPath,
  jobView,
  queueItemView,
  releaseView,
  stageDescribeView,
  stageLogView,
} from './views.ts';

export const PREFIX = '/jenkins';

export interface Asked {
  method: string;
  path: string;
  query: URLSearchParams;
  form: URLSearchParams;
  /** Address of Jenkins as the request had it. */
  root: string;
}

export interface Answer {
  status: number;
  headers?: Record<string, string>;
  body?: string;
}

export interface Routes {
  /** Null: there is no such page. */
  handle(asked: Asked): Answer | null;
}

const json = (value: unknown): Answer => ({
  status: 200,
  headers: { 'content-type': 'application/json;charset=utf-8' },
  body: JSON.stringify(value),
});
const page = (status: number, text: string, headers: Record<string, string> = {}): Answer => ({
  status,
  headers: { 'content-type': 'text/html;charset=utf-8', ...headers },
  body: `<!DOCTYPE html><html><body><h1>Error</h1><p>${text}</p></body></html>`,
});
const redirect = (location: string): Answer => ({ status: 302, headers: { location } });

/** As AccessDeniedException3 and its page report a right that is missing. */
export function denied(right: string, name: string): Answer {
  return page(403, `${USER} is missing the ${name} permission`, {
    'x-you-are-authenticated-as': USER,
    'x-required-permission': right,
  });
}

export function createRoutes(options: { model: Model; releases: FakeRelease[]; mayBuild: () => boolean }): Routes {
  const { mayBuild, model, releases } = options;
  const build = (number: string) => model.builds.find((each) => each.number === Number(number));

  function tree(value: unknown, asked: Asked): Answer {
    const extra = [...asked.query.keys()].filter((name) => name !== 'tree');
    if (extra.length > 0) return page(400, `fake: the query has ${extra}`);
    try {
      return json(applyTree(value, asked.query.get('tree') ?? ''));
    } catch (error) {
      return page(400, `fake: ${error instanceof Error ? error.message : error}`);
    }
  }

  function start({ form, method, root }: Asked): Answer {
    if (method !== 'POST') return page(405, 'Form POST required');
    if (!mayBuild()) return denied('hudson.model.Item.Build', 'Job/Build');
    if (!model.buildable) return page(409, 'deploy » storefront is not buildable');
    const parameters: Record<string, string> = {};
    for (const { choices, name } of model.definitions) {
      const value = form.get(name) ?? choices?.[0] ?? '';
      if (choices && !choices.includes(value)) return page(500, `Illegal choice for parameter ${name}: ${value}`);
      parameters[name] = value;
    }
    // Fields without a definition are dropped without a word.
    return { status: 201, headers: { location: `${root}/queue/item/${model.schedule(parameters).id}/` } };
  }

  function log(found: FakeBuild, asked: Asked): Answer {
    const bytes = Buffer.from(found.log);
    let from = Number(asked.query.get('start') ?? '0');
    if (!Number.isInteger(from) || from < 0) return page(500, 'java.lang.NumberFormatException');
    if (from > bytes.length) from = 0; // "text rolled over"
    return {
      status: 200,
      headers: {
        'content-type': 'text/plain;charset=utf-8',
        'x-text-size': String(bytes.length),
        ...(found.building ? { 'x-more-data': 'true' } : {}),
      },
      body: bytes.subarray(from).toString(),
    };
  }

  function answerInput(found: FakeBuild, id: string, how: string, asked: Asked): Answer | null {
    if (asked.method !== 'POST') return page(405, 'Form POST required');
    if (!mayBuild()) return denied('hudson.model.Item.Build', 'Job/Build');
    // One that is settled is not there any more.
    if (found.input?.id !== id) return null;
    if (model.submitter !== null && model.submitter !== USER)
      return page(400, `You need to be ${model.submitter} to submit this`);
    if (how === 'proceedEmpty') model.proceed(found);
    else model.abort(found);
    return { status: 200 };
  }

  function ofBuild(found: FakeBuild, rest: string, asked: Asked): Answer | null {
    const post = (work: () => Answer) => (asked.method === 'POST' ? work() : page(405, 'Form POST required'));
    const input = /^\/input\/([^/]+)\/(proceedEmpty|abort)$/.exec(rest);
    if (input) return answerInput(found, decodeURIComponent(input[1] ?? ''), input[2] ?? '', asked);
    if (rest === '/stop')
      return post(() => {
        if (!mayBuild()) return denied('hudson.model.Item.Cancel', 'Job/Cancel');
        model.stop(found);
        return redirect('.');
      });
    if (rest === '/submitDescription')
      return post(() => {
        if (!mayBuild() || !model.mayDescribe) return denied('hudson.model.Run.Update', 'Run/Update');
        if ([...asked.form.keys()].join() !== 'description') return page(400, 'fake: one field, description');
        found.description = asked.form.get('description');
        return redirect('.');
      });
    if (asked.method !== 'GET') return null;
    if (rest === '/api/json') return tree(buildView(found, asked.root), asked);
    if (rest === '/logText/progressiveText') return log(found, asked);
    if (!model.isPipeline || !model.hasRestApi) return null;
    if (rest === '/wfapi/describe') return json(describeView(found));
    if (rest === '/wfapi/pendingInputActions') return json(inputsView(found, PREFIX));
    const node = /^\/execution\/node\/(\d+)\/wfapi\/(describe|log)$/.exec(rest);
    const number = Number(node?.[1]);
    const stage = found.stages.find(({ id }) => Number(id) === (node?.[2] === 'log' ? number - 1 : number));
    if (!stage) return null;
    return json(node?.[2] === 'log' ? stageLogView(stage) : stageDescribeView(stage));
  }

  function ofQueue(rest: string, asked: Asked): Answer | null {
    if (rest === '/cancelItem') {
      if (asked.method !== 'POST') return page(405, 'Form POST required');
      const item = model.queue.find(({ id }) => id === Number(asked.form.get('id')));
      if (!item || item.build !== null || item.cancelled) return page(404, 'Provided id not found');
      if (!mayBuild()) return page(422, 'Item is not cancellable');
      item.cancelled = true;
      return { status: 204 };
    }
    if (asked.method !== 'GET') return null;
    if (rest === '/api/json') {
      const waiting = model.queue.filter((item) => item.build === null && !item.cancelled);
      const items = waiting.map((item) => queueItemView(item, asked.root));
      return tree({ _class: 'hudson.model.Queue', items }, asked);
    }
    const id = /^\/item\/(\d+)\/api\/json$/.exec(rest)?.[1];
    const item = model.queue.find((each) => each.id === Number(id));
    return item ? tree(queueItemView(item, asked.root), asked) : null;
  }

  return {
    handle(asked) {
      const path = asked.path.startsWith(`${PREFIX}/`) ? asked.path.slice(PREFIX.length) : null;
      if (path === null) return null;
      if (path === '/me/api/json' && asked.method === 'GET')
        return tree({ _class: 'hudson.model.User', id: USER, fullName: 'Shipmate' }, asked);
      if (path.startsWith('/queue/')) return ofQueue(path.slice('/queue'.length), asked);
      const deploys = jobPath(JOB);
      if (path === `${jobPath(BUILD_JOB)}/api/json` && asked.method === 'GET') {
        const allBuilds = releases.toReversed().map((release) => releaseView(release, asked.root));
        return tree({ _class: 'org.jenkinsci.plugins.workflow.job.WorkflowJob', allBuilds }, asked);
      }
      if (!path.startsWith(`${deploys}/`)) return null;
      const rest = path.slice(deploys.length);
      if (rest === '/api/json' && asked.method === 'GET') return tree(jobView(model, asked.root), asked);
      if (rest === '/wfapi/describe' && asked.method === 'GET')
        return model.isPipeline && model.hasRestApi
          ? json({ name: 'storefront', runCount: model.builds.length })
          : null;
      if (rest === '/buildWithParameters') return start(asked);
      const [, number = '', more = ''] = /^\/(\d+)(\/.*)$/.exec(rest) ?? [];
      const found = build(number);
      return found ? ofBuild(found, more, asked) : null;
    },
  };
}

/** The request, or an answer to one that Jenkins would not even look at. */
export async function read(req: IncomingMessage): Promise<Asked | Answer> {
  const chunks: Buffer[] = [];
  for await (const chunk of req) chunks.push(chunk as Buffer);
  const body = Buffer.concat(chunks).toString();
  const url = new URL(req.url ?? '/', `http://${req.headers.host}`);
  const type = req.headers['content-type']?.split(';')[0];
  if (body !== '' && type !== 'application/x-www-form-urlencoded') return page(415, `fake: a body of ${type}`);
  return {
    method: req.method ?? 'GET',
    path: url.pathname,
    query: url.searchParams,
    form: new URLSearchParams(body),
    root: `${url.origin}${PREFIX}`,
  };
}

export function send(res: ServerResponse, { body = '', headers = {}, status }: Answer): void {
  res.writeHead(status, { 'x-jenkins': '2.528.3', ...headers });
  res.end(body);
}
