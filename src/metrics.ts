import { Counter, collectDefaultMetrics, Histogram, Registry } from 'prom-client';

/** What is measured, in words of the domain. */
export interface Metrics {
  turn(kind: 'message' | 'invoke' | 'other', outcome: 'ok' | 'error', seconds: number): void;
  rejected(code: string): void;
  sent(what: 'post' | 'update' | 'open', result: string): void;
  deployment(state: string): void;
  jobFailed(job: string): void;
  webhook(code: string): void;
  readonly contentType: string;
  text(): Promise<string>;
}

export function createMetrics(): Metrics {
  const registry = new Registry();
  collectDefaultMetrics({ register: registry });
  const registers = [registry];
  const turns = new Histogram({
    name: 'shipmate_turn_seconds',
    help: 'Time to answer an activity',
    labelNames: ['kind', 'outcome'],
    buckets: [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 3, 10],
    registers,
  });
  const rejected = new Counter({
    name: 'shipmate_requests_rejected_total',
    help: 'Requests the trust gate turned away',
    labelNames: ['code'],
    registers,
  });
  const sent = new Counter({
    name: 'shipmate_connector_calls_total',
    help: 'Calls of the Bot Connector',
    labelNames: ['what', 'result'],
    registers,
  });
  const deployments = new Counter({
    name: 'shipmate_deployments_total',
    help: 'Deployments by the state they ended in',
    labelNames: ['state'],
    registers,
  });
  const jobs = new Counter({
    name: 'shipmate_job_failures_total',
    help: 'Runs of durable jobs that failed and are tried again',
    labelNames: ['job'],
    registers,
  });
  const webhooks = new Counter({
    name: 'shipmate_webhooks_total',
    help: 'What vendors sent, by what came of it',
    labelNames: ['code'],
    registers,
  });
  return {
    webhook: (code) => webhooks.inc({ code }),
    turn: (kind, outcome, seconds) => turns.observe({ kind, outcome }, seconds),
    rejected: (code) => rejected.inc({ code }),
    sent: (what, result) => sent.inc({ what, result }),
    deployment: (state) => deployments.inc({ state }),
    jobFailed: (job) => jobs.inc({ job }),
    contentType: registry.contentType,
    text: () => registry.metrics(),
  };
}
