// Loaded before the client: it listens on every interface, and it would open to the network what has no authentication.
const net = require('node:net');
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...args) {
  const [first, second] = args;
  if (typeof first === 'object' && first !== null && 'port' in first)
    return listen.call(this, { ...first, host: '127.0.0.1' }, ...args.slice(1));
  if (typeof first === 'number' || (typeof first === 'string' && /^\d+$/.test(first)))
    return typeof second === 'string'
      ? listen.call(this, first, '127.0.0.1', ...args.slice(2))
      : listen.call(this, first, '127.0.0.1', ...args.slice(1));
  return listen.apply(this, args);
};
