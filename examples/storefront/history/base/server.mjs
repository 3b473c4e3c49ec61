import { readFileSync } from 'node:fs';
import { createServer } from 'node:http';
import { products } from './catalog.mjs';
import { placeOrder } from './checkout.mjs';
import { createLog } from './log.mjs';
import { page } from './page.mjs';
import { pay } from './payment.mjs';
import { startTraffic } from './traffic.mjs';

const log = createLog(process.env.LOG_FILE);
const { version } = JSON.parse(readFileSync(new URL('package.json', import.meta.url), 'utf8'));
const running = {
  service: 'storefront',
  version,
  sha: process.env.RELEASE_SHA ?? '0000000',
  environment: process.env.ENVIRONMENT ?? 'development',
  startedAt: new Date().toISOString(),
};

async function readJson(request) {
  let text = '';
  for await (const chunk of request) {
    text += chunk;
    if (text.length > 10_000) throw new RangeError('the cart is too large');
  }
  try {
    return JSON.parse(text);
  } catch {
    throw new RangeError('the cart is not JSON');
  }
}

async function checkout(request) {
  try {
    const order = placeOrder(await readJson(request));
    if (!(await pay(order, log))) return { status: 504, body: { error: 'the payment provider did not answer' } };
    log.info('order placed', { total: order.total });
    return { status: 201, body: order };
  } catch (error) {
    if (!(error instanceof RangeError)) throw error;
    return { status: 400, body: { error: error.message } };
  }
}

async function route(request) {
  const { pathname } = new URL(request.url, 'http://localhost');
  switch (`${request.method} ${pathname}`) {
    case 'GET /':
      return { status: 200, html: page(running) };
    case 'GET /products':
      return { status: 200, body: products };
    case 'GET /version':
      return { status: 200, body: running };
    case 'GET /healthz':
      return { status: 200, body: { ok: true, pid: process.pid } };
    case 'POST /checkout':
      return checkout(request);
    default:
      return { status: 404, body: { error: 'not found' } };
  }
}

const server = createServer(async (request, response) => {
  const started = performance.now();
  let answer;
  try {
    answer = await route(request);
  } catch (error) {
    log.error('request failed', { path: request.url, error: error.message });
    answer = { status: 500, body: { error: 'something went wrong' } };
  }
  response.writeHead(answer.status, { 'content-type': answer.html ? 'text/html; charset=utf-8' : 'application/json' });
  response.end(answer.html ?? `${JSON.stringify(answer.body)}\n`);
  if (request.url === '/healthz' || request.url === '/version') return;
  const ms = Math.round(performance.now() - started);
  const level = answer.status === 404 ? 'warn' : 'info';
  log[level](`${request.method} ${request.url} ${answer.status}`, { status: answer.status, ms });
});

server.on('error', (error) => {
  log.error('cannot listen', { error: error.message });
  process.exitCode = 1;
});

server.listen(Number(process.env.PORT ?? 4100), '127.0.0.1', () => {
  const { port } = server.address();
  log.info(`storefront ${version} started`, { port, environment: running.environment });
  if (process.send) process.send({ port });
  const everyMs = Number(process.env.TRAFFIC_MS ?? 0);
  if (everyMs > 0) startTraffic(port, { everyMs });
});

process.once('SIGTERM', () => {
  log.info(`storefront ${version} stopped`);
  server.close();
  server.closeAllConnections();
});
