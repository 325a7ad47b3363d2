const listening = '0A';

const anyAddress = '0'.repeat(32);
/** ::1 as /proc/net/if_inet6 writes it; the tables of sockets write words in the machine's order. */
const loopback6 = `${'0'.repeat(31)}1`;

export interface SocketTables {
  /** `/proc/net/tcp` */
  readonly tcp?: string | undefined;
  /** `/proc/net/tcp6` */
  readonly tcp6?: string | undefined;
  /** `/proc/net/if_inet6`: without ::1 in it IPv6 is off, and a listener on `::` answers IPv4 only. */
  readonly addresses?: string | undefined;
}

/**
 * Which loopback address a listener on `port` answers on: its own, or any. IPv6 `::` answers IPv4 too unless the program said otherwise,
 * which the table does not tell; IPv6 is taken then.
 */
export function listeningAddress(tables: SocketTables, port: number): '127.0.0.1' | '::1' | undefined {
  const { tcp = '', tcp6 = '', addresses = '' } = tables;
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  if (localAddresses(tcp, hexPort).some((address) => address === '00000000' || address.endsWith('7F'))) {
    return '127.0.0.1';
  }
  const six = localAddresses(tcp6, hexPort);
  if (six.includes(anyAddress)) return addresses.includes(loopback6) ? '::1' : '127.0.0.1';
  if (six.includes('00000000000000000000000001000000')) return '::1';
  // ::ffff:127.0.0.1
  return six.some((address) => address.startsWith('0000000000000000FFFF0000') && address.endsWith('7F'))
    ? '127.0.0.1'
    : undefined;
}

function localAddresses(table: string, hexPort: string): string[] {
  return table
    .split('\n')
    .slice(1)
    .flatMap((line) => {
      const [, local = '', , state] = line.trim().split(/\s+/);
      const [address = '', ownPort] = local.split(':');
      return state === listening && ownPort === hexPort ? [address] : [];
    });
}
