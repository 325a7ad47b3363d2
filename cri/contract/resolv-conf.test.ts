import { expect, test } from 'vitest';
import { resolvConf } from './resolv-conf.js';

test('resolv.conf in the order resolvers expect', () => {
  expect(resolvConf({ servers: ['1.1.1.1', '::1'], searches: ['a', 'b'], options: ['ndots:5', 'rotate'] })).toBe(
    'search a b\nnameserver 1.1.1.1\nnameserver ::1\noptions ndots:5 rotate\n',
  );
  expect(resolvConf({})).toBe('');
  expect(resolvConf(null)).toBe('');
});
