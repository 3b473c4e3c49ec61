import { createHmac, randomUUID } from 'node:crypto';
import type { Change } from './engine.ts';
import type { World } from './world.ts';
import { composite, PROJECT } from './world.ts';

/** Sends webhooks as app/services/web_hook_service.rb does, with both kinds of proof. */

const NAMES = { pipeline: 'Pipeline Hook', build: 'Job Hook', deployment: 'Deployment Hook' } as const;
const LATE_MS = 600;

export interface Hooks {
  to(url: string | null): void;
  manner(how: 'once' | 'never' | 'twice' | 'late'): void;
  send(change: Change): void;
  close(): Promise<void>;
}

/** Headers of a delivery; `id` stays the same when it is repeated. */
export function sign(
  body: string,
  { id = randomUUID(), secret, signing, at = new Date() }: { id?: string; secret: string; signing: string; at?: Date },
): Record<string, string> {
  const timestamp = String(Math.floor(at.getTime() / 1000));
  const key = Buffer.from(signing.replace(/^whsec_/, ''), 'base64');
  const mac = createHmac('sha256', key).update(`${id}.${timestamp}.${body}`).digest('base64');
  return {
    'content-type': 'application/json',
    'user-agent': 'GitLab/18.6.1-ee',
    'idempotency-key': id,
    'x-gitlab-webhook-uuid': randomUUID(),
    'x-gitlab-event-uuid': randomUUID(),
    'x-gitlab-token': secret,
    'webhook-id': id,
    'webhook-timestamp': timestamp,
    'webhook-signature': `v1,${mac}`,
  };
}

export function payload(change: Change): Record<string, unknown> {
  const { run } = change;
  const project = { id: PROJECT.id, path_with_namespace: PROJECT.path };
  const place = (name: string | null) => (name === null ? null : { name, action: 'start' });
  if (change.kind === 'pipeline')
    return {
      object_kind: 'pipeline',
      object_attributes: {
        id: run.id,
        iid: run.iid,
        name: run.name,
        ref: run.ref,
        sha: run.sha,
        source: run.source,
        status: composite(run.jobs),
      },
      user: run.user,
      project,
      builds: run.jobs.map(({ environment, id, name, stage, status }) => ({
        id,
        name,
        stage,
        status,
        environment: place(environment),
      })),
    };
  if (change.kind === 'build')
    return {
      object_kind: 'build',
      ref: run.ref,
      sha: run.sha,
      build_id: change.job.id,
      build_name: change.job.name,
      build_status: change.job.status,
      pipeline_id: run.id,
      project_id: PROJECT.id,
      user: run.user,
      environment: place(change.job.environment),
    };
  const { environment, id, job, status } = change.deployment;
  return {
    object_kind: 'deployment',
    status,
    deployment_id: id,
    deployable_id: job,
    environment,
    project,
    user: run.user,
  };
}

export function createHooks(_world: World, proof: { secret: string; signing: string }): Hooks {
  let url: string | null = null;
  let how: 'once' | 'never' | 'twice' | 'late' = 'once';
  const timers = new Set<NodeJS.Timeout>();
  const stop = new AbortController();
  const under = new Set<Promise<unknown>>();

  function post(target: string, kind: Change['kind'], body: string, id: string): void {
    const headers = { ...sign(body, { id, ...proof }), 'x-gitlab-event': NAMES[kind] };
    const sent = fetch(target, { method: 'POST', headers, body, signal: stop.signal })
      .then((answer) => answer.arrayBuffer())
      .catch(() => undefined)
      .finally(() => under.delete(sent));
    under.add(sent);
  }

  return {
    to: (target) => {
      url = target;
    },
    manner: (manner) => {
      how = manner;
    },
    send(change) {
      if (url === null || how === 'never') return;
      const target = url;
      const body = JSON.stringify(payload(change));
      const id = randomUUID();
      if (how === 'late') {
        const timer = setTimeout(() => {
          timers.delete(timer);
          post(target, change.kind, body, id);
        }, LATE_MS);
        timers.add(timer);
        return;
      }
      post(target, change.kind, body, id);
      if (how === 'twice') post(target, change.kind, body, id);
    },
    async close() {
      for (const timer of timers) clearTimeout(timer);
      stop.abort();
      await Promise.all(under);
    },
  };
}
