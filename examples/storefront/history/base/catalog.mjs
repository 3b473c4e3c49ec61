/** Everything that is for sale; prices in cents. */
export const products = [
  { id: 'rope', name: 'Mooring rope, 10 m', price: 1999 },
  { id: 'fender', name: 'Fender, white', price: 2450 },
  { id: 'lamp', name: 'Storm lamp', price: 3495 },
  { id: 'mug', name: 'Enamel mug', price: 895 },
  { id: 'chart', name: 'Harbour chart', price: 1290 },
  { id: 'jacket', name: 'Oilskin jacket', price: 11900 },
];

export function findProduct(id) {
  return products.find((product) => product.id === id);
}
