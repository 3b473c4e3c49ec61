import { setTimeout as wait } from 'node:timers/promises';

const TIMEOUT_MS = 400;
let payments = 0;

/** The provider's test gateway: one payment in five is slow, and one in ten stays slow when it is tried again. */
async function callGateway(number, attempt, signal) {
  const slow = number % 10 === 3 || (number % 5 === 3 && attempt === 1);
  await wait(slow ? TIMEOUT_MS * 4 : 15, undefined, { signal });
}

/** Takes the payment of an order; returns false when the provider did not answer in time. */
export async function pay(order, log) {
  payments += 1;
  const number = payments;
  for (const attempt of [1]) {
    try {
      await callGateway(number, attempt, AbortSignal.timeout(TIMEOUT_MS));
      return true;
    } catch {
      log.warn(`payment timeout after ${TIMEOUT_MS} ms`, { attempt, amount: order.total });
    }
  }
  log.error('payment timeout: order given up', { amount: order.total });
  return false;
}
