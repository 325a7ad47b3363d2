const listening = '0A';

/**
 * Which loopback address a listener on `port` answers on, from the kernel's /proc/net/tcp and tcp6: its own, or any. IPv6 `::` answers
 * IPv4 too unless the program said otherwise, which the table does not tell; IPv6 is taken then.
 */
export function listeningAddress(tcp: string, tcp6: string, port: number): '127.0.0.1' | '::1' | undefined {
  const hexPort = port.toString(16).toUpperCase().padStart(4, '0');
  if (localAddresses(tcp, hexPort).some((address) => address === '00000000' || address.endsWith('7F'))) {
    return '127.0.0.1';
  }
  const six = localAddresses(tcp6, hexPort);
  if (six.includes('0'.repeat(32)) || six.includes('00000000000000000000000001000000')) return '::1';
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
