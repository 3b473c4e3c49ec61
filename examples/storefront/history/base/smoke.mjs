import { fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';

// Starts this version on a spare port and asks it what a shopper would.
const server = fork(fileURLToPath(new URL('server.mjs', import.meta.url)), {
  env: { ...process.env, PORT: '0', LOG_FILE: '', TRAFFIC_MS: '0' },
  silent: true,
});
let failures = 0;

function check(name, actual, expected) {
  if (actual === expected) {
    console.log(`ok   ${name}`);
    return;
  }
  failures += 1;
  console.log(`FAIL ${name}: expected ${expected}, got ${actual}`);
}

try {
  const [{ port }] = await once(server, 'message', { signal: AbortSignal.timeout(5000) });
  const get = (path) => fetch(`http://127.0.0.1:${port}${path}`);
  const order = async (cart) => {
    const response = await fetch(`http://127.0.0.1:${port}/checkout`, { method: 'POST', body: JSON.stringify(cart) });
    return response.json();
  };
  check('healthz', (await get('/healthz')).status, 200);
  check('page', (await get('/')).status, 200);
  check('products', (await (await get('/products')).json()).length, 6);
  check('checkout total', (await order({ items: [{ id: 'rope', quantity: 2 }] })).total, 3998);
} finally {
  server.kill();
}
if (failures > 0) {
  console.log(`smoke test: ${failures} failed`);
  process.exitCode = 1;
}
