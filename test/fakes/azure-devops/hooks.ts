import { randomUUID } from 'node:crypto';
import { request } from 'node:http';
import type { FakeRun } from './runs.ts';

type Manner = 'once' | 'never' | 'twice' | 'late';
const LATE_MS = 600;

/** Service hooks of the kind "Web Hooks", with basic authentication. Source: Azure DevOps docs, "Service hook events". */
export function createHooks(user: string, password: string) {
  const timers = new Set<NodeJS.Timeout>();
  const subscriptionId = randomUUID();
  let to: string | null = null;
  let manner: Manner = 'once';
  let notifications = 0;

  function deliver(url: string, body: string): void {
    const sent = request(
      url,
      {
        method: 'POST',
        agent: false,
        headers: {
          'content-type': 'application/json; charset=utf-8',
          'content-length': Buffer.byteLength(body),
          'user-agent': 'VSServices/19.245.36127.1 (w3wp.exe) (Service Hooks)',
          authorization: `Basic ${Buffer.from(`${user}:${password}`).toString('base64')}`,
        },
      },
      (response) => response.resume(),
    );
    sent.on('error', () => undefined); // the vendor's own worry
    sent.end(body);
  }

  function send(eventType: string, publisherId: string, resource: unknown): void {
    if (to === null || manner === 'never') return;
    notifications += 1;
    const body = JSON.stringify({
      subscriptionId,
      notificationId: notifications,
      id: randomUUID(),
      eventType,
      publisherId,
      message: { text: 'Something happened.' },
      resource,
      resourceVersion: '5.1-preview.1',
      resourceContainers: { collection: { id: randomUUID() }, project: { id: randomUUID() } },
      createdDate: new Date().toISOString(),
    });
    const url = to;
    if (manner === 'late') {
      const timer = setTimeout(() => {
        timers.delete(timer);
        deliver(url, body);
      }, LATE_MS);
      timers.add(timer);
      return;
    }
    deliver(url, body);
    if (manner === 'twice') deliver(url, body);
  }

  return {
    to(url: string | null): void {
      to = url;
    },
    manner(given: Manner): void {
      manner = given;
    },
    happened(event: 'started' | 'waits' | 'completed', run: FakeRun): void {
      if (event === 'waits') {
        send('ms.vss-pipelinechecks-events.approval-pending', 'pipelines', {
          approval: { id: run.approval?.id, status: 'pending' },
          pipeline: { id: run.definition, name: 'deploy-storefront' },
          run: { id: run.id, name: run.number },
          resource: { type: 'environment', name: run.parameters.environment },
          id: 0,
          stageName: 'Deploy',
        });
        return;
      }
      // The run has no id of its own in this event.
      const url = `http://127.0.0.1/_apis/Pipelines/${run.definition}/runs/${run.id}`;
      send('ms.vss-pipelines.run-state-changed-event', 'pipelines', {
        run: { pipeline: { id: run.definition }, state: run.status, result: run.result, url },
      });
      if (event === 'completed')
        send('build.complete', 'tfs', { id: run.id, buildNumber: run.number, status: 'completed', result: run.result });
    },
    close(): void {
      to = null;
      for (const timer of timers) clearTimeout(timer);
    },
  };
}
