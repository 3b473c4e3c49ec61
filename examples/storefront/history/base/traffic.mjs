/** Shoppers of the example: one small request every few seconds, so that the logs look like a shop's. */
const VISITS = [
  ['GET', '/'],
  ['POST', '/checkout', { items: [{ id: 'mug', quantity: 2 }] }],
  ['GET', '/products'],
  ['POST', '/checkout', { items: [{ id: 'lamp', quantity: 1 }] }],
  ['POST', '/checkout', { items: [{ id: 'rope', quantity: 3 }] }],
  ['GET', '/chart-of-the-moon'],
  ['GET', '/'],
  ['POST', '/checkout', { items: [{ id: 'jacket', quantity: 1 }] }],
];

export function startTraffic(port, { everyMs }) {
  let count = 0;
  const timer = setInterval(async () => {
    const [method, path, body] = VISITS[count % VISITS.length];
    count += 1;
    const init = body ? { method, body: JSON.stringify(body) } : { method };
    try {
      const response = await fetch(`http://127.0.0.1:${port}${path}`, init);
      await response.arrayBuffer();
    } catch {
      // the shop is stopping: its last visitor leaves
    }
  }, everyMs);
  timer.unref();
  return () => clearInterval(timer);
}
