import { expect, test } from 'vitest';
import { listeningAddress } from './listening-address.js';

const head = '  sl  local_address rem_address   st tx_queue rx_queue\n';
const row = (local: string, state = '0A'): string => `   0: ${local} 00000000:0000 ${state} 00000000:00000000 00:0\n`;
const any6 = '00000000000000000000000000000000';

const lo6 = '00000000000000000000000000000001 01 80 10 80       lo\n';

test.each([
  ['any, IPv4', row('00000000:1F90'), '', '127.0.0.1'],
  ['loopback, IPv4', row('0100007F:1F90'), '', '127.0.0.1'],
  ['any, IPv6', '', row(`${any6}:1F90`), '::1'],
  ['any, IPv6 that is off', '', row(`${any6}:1F90`), '127.0.0.1', ''],
  ['loopback, IPv6', '', row('00000000000000000000000001000000:1F90'), '::1'],
  ['mapped IPv4', '', row('0000000000000000FFFF00000100007F:1F90'), '127.0.0.1'],
  ['the pod address only', row('0700FA0A:1F90'), '', undefined],
  ['another port', row('00000000:0050'), '', undefined],
  ['not listening', row('00000000:1F90', '01'), '', undefined],
  ['nothing', '', '', undefined],
])('%s', (_name, tcp, tcp6, expected, addresses = lo6) => {
  expect(listeningAddress({ tcp: head + tcp, tcp6: head + tcp6, addresses }, 8080)).toBe(expected);
});
