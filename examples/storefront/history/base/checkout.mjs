import { findProduct } from './catalog.mjs';

/** The order for a cart, amounts in cents; throws a RangeError that can be shown when the cart is wrong. */
export function placeOrder(cart) {
  if (!Array.isArray(cart.items) || cart.items.length === 0) throw new RangeError('the cart is empty');
  let total = 0;
  for (const { id, quantity } of cart.items) {
    const product = findProduct(id);
    if (!product) throw new RangeError(`there is no product "${id}"`);
    if (!Number.isInteger(quantity) || quantity < 1 || quantity > 99) throw new RangeError('quantity must be 1 to 99');
    total += product.price * quantity;
  }
  return { total };
}
